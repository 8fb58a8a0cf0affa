"""``MegaContext`` from files to answers, with a base that copies at random: what must hold whatever was learned."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.cli.memory_place import memory_for_file
from mm_megacontext.errors import (
    BudgetTooSmall,
    CorruptStore,
    EmptyQuestion,
    IncompatibleGists,
    IngestError,
    StoreError,
)
from mm_megacontext.ingest_report import ProgressEvent
from mm_megacontext.memory import NOT_FOUND, Answer, MegaContext
from mm_megacontext.reading.base import Pointed, Reading
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.store.repair import repair
from mm_megacontext.store.store import Store
from mm_megacontext.tile_pixels import StoredPixels
from mm_megacontext.tree.nodes import NodeId
from mm_megacontext.tree.text_gists import MeanTextGister
from mm_megacontext.vision.gists.tile_gister import MaxPool
from tests.layout.pdf_writer import PdfPage, pdf_bytes
from tests.tiny import ALWAYS_COPIES, CONFIG, NEVER_COPIES, random_base, random_lens, random_model, tokenizer

BOX_TOLERANCE = 1.5
"""Points that two PDF libraries may differ by about where a word ends."""
KEYS = ("Tenant", "Landlord", "Monthly rent", "Deposit", "Lease start", "Notice period", "Parking space", "Agent")


class LiteralBase(NativeBase):
    """Finds the last word of the question among the leaves it is given, and answers with the word behind it."""

    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        assert entries == tuple(sorted(entries, key=lambda e: e.order))
        key = list(self.tokenizer.encode_word((question.split() or ["nothing"])[-1]))
        leaves = [(e.id, i, int(t)) for e in entries if e.leaves is not None for i, t in enumerate(e.leaves.token_ids)]
        ids = [token for _, _, token in leaves]
        for at in range(len(ids) - len(key)):
            if ids[at : at + len(key)] == key:
                return self._quote(leaves, at + len(key))
        return Reading("", False, (), 1.0)

    def _quote(self, leaves: list[tuple[Any, int, int]], start: int) -> Reading:
        stop = start + 1
        while stop < len(leaves) and not self.tokenizer.starts_word(leaves[stop][2]):
            stop += 1
        text = self.tokenizer.decode([token for _, _, token in leaves[start:stop]])
        return Reading(text, True, tuple(Pointed(id, i, 0.9) for id, i, _ in leaves[start:stop]), 0.9)


def literal_base() -> LiteralBase:
    plain = random_base()
    return LiteralBase(plain.model, plain.tokenizer, plain.encoder)


def a_pdf(path: Path, n_pages: int = 3, prefix: str = "Val") -> Path:
    pages = []
    for number in range(1, n_pages + 1):
        page = PdfPage()
        page.text(72, 72, f"Schedule {number}", size=16, font="Helvetica-Bold")
        for row, key in enumerate(KEYS):
            page.text(72, 110 + 22 * row, f"{key}: {prefix}{number}x{row}")
        page.text(72, 320, f"Filler words of page {number} about nothing at all, set in a line of its own.")
        pages.append(page)
    path.write_bytes(pdf_bytes(pages))
    return path


def a_png(path: Path, seed: int = 0, size: tuple[int, int] = (300, 200)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def a_text(path: Path, value: str = "Quorl-77") -> Path:
    lines = [f"Line {n} says nothing of interest to anybody." for n in range(40)]
    lines[23] = f"The passphrase is {value} and nothing else."
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def a_markdown(path: Path) -> Path:
    path.write_text(
        "# Prices\n\nAll in euros.\n\n| Item | Price |\n| --- | --- |\n| Apple | 12 |\n| Pear | 34 |\n\nShipping 99\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def base() -> NativeBase:
    return literal_base()


@pytest.fixture(scope="module")
def lens(base: NativeBase) -> Lens:
    return random_lens(base.id)


def opened(path: Path, base: NativeBase, lens: Lens, **options: Any) -> MegaContext:
    return MegaContext.open(path, base=base, lens=lens, **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of everything that can be read, some of it below, some of it hidden or of no use."""
    path = tmp_path_factory.mktemp("files")
    (path / "below" / "deep").mkdir(parents=True)
    a_pdf(path / "lease.pdf")
    a_png(path / "photo.png")
    a_text(path / "below" / "notes.txt")
    a_markdown(path / "below" / "deep" / "prices.md")
    a_text(path / ".hidden.txt", "Hidden-1")
    (path / "program.bin").write_bytes(b"\x00\x01\x02")
    return path


@pytest.fixture(scope="module")
def memory(
    files: Path, base: NativeBase, lens: Lens, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MegaContext]:
    """All of the files, opened for reading alone."""
    path = tmp_path_factory.mktemp("memories") / "memory"
    with opened(path, base, lens) as writing:
        report = writing.ingest(files)
    assert not report.failed
    assert len(report.ingested) == 4
    with opened(path, base, lens) as reading:
        yield reading


def uri(path: Path) -> str:
    return str(path.resolve())


def test_a_directory_is_taken_up(memory: MegaContext, files: Path) -> None:
    found = {record.uri: (record.kind, record.n_pages) for record in memory.sources}
    assert found == {
        uri(files / "lease.pdf"): ("pdf", 3),
        uri(files / "photo.png"): ("image", 1),
        uri(files / "below" / "notes.txt"): ("text", 1),
        uri(files / "below" / "deep" / "prices.md"): ("markdown", 1),
    }
    assert memory.verify() == []


@pytest.mark.parametrize(
    ("question", "file", "page", "answer", "unit"),
    [
        ("Which is the Deposit:", "lease.pdf", 1, "Val1x3", "pt"),
        ("Which Agent:", "lease.pdf", 1, "Val1x7", "pt"),
        ("What is the Apple", "below/deep/prices.md", 1, "12", "pt"),
        ("Shipping", "below/deep/prices.md", 1, "99", "pt"),
    ],
)
def test_answers_come_with_their_place(
    memory: MegaContext, files: Path, question: str, file: str, page: int, answer: str, unit: str
) -> None:
    """Of one source, which fits the budget whole."""
    found = memory.ask(question, budget=600, source=uri(files / file))
    assert (found.text, found.found) == (answer, True)
    (evidence,) = found.evidence
    assert (evidence.source, evidence.page, evidence.text) == (uri(files / file), page, answer)
    assert (evidence.unit, evidence.lod) == (unit, 0)
    assert 0 <= evidence.score <= 1


def test_evidence_boxes_lie_on_the_words(memory: MegaContext, files: Path) -> None:
    """Checked with the text that another PDF library finds under the box."""
    found = memory.ask("Which is the Deposit:", budget=600, source=uri(files / "lease.pdf"))
    pdf = pypdfium2.PdfDocument(files / "lease.pdf")
    try:
        for evidence in found.evidence:
            page = pdf[evidence.page - 1]
            x0, y0, x1, y1 = evidence.bbox
            height = page.get_height()
            text_page = page.get_textpage()
            text = text_page.get_text_bounded(
                x0 - BOX_TOLERANCE, height - y1 - BOX_TOLERANCE, x1 + BOX_TOLERANCE, height - y0 + BOX_TOLERANCE
            )
            assert text.split() == evidence.text.split()
            text_page.close()
            page.close()
    finally:
        pdf.close()


@pytest.mark.parametrize("sentinel", [ALWAYS_COPIES, NEVER_COPIES, None])
@pytest.mark.parametrize("budget", [30, 100, 400])
def test_whatever_the_base_says_holds_together(
    memory: MegaContext, lens: Lens, sentinel: float | None, budget: int
) -> None:
    """Random weights with the same embeddings: nonsense, but honest about where it comes from."""
    plain = random_base(sentinel=sentinel)
    plain.id = memory.base.id
    with opened(memory.directory, plain, lens) as other:
        answer = other.ask("What is the Monthly rent:", budget=budget)
    assert_sound(answer, budget)
    if sentinel == NEVER_COPIES:
        assert (answer.text, answer.found, answer.evidence) == (NOT_FOUND, False, ()), "what is not quoted is invented"


def assert_sound(answer: Answer, budget: int) -> None:
    usage = answer.usage
    assert usage.budget == budget
    assert 0 < usage.cost <= budget
    assert usage.entries > 0
    assert usage.seconds > 0
    assert answer.found == bool(answer.evidence)
    assert (answer.text == NOT_FOUND) == (not answer.found)
    scores = [evidence.score for evidence in answer.evidence]
    assert scores == sorted(scores, reverse=True)
    data = answer.to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert answer.grounded == answer.found == (answer.reason is None)
    assert len(answer.candidates) <= 3
    assert usage.steps == sum(1 for event in answer.trace if event.actions)
    assert answer.trace.events[-1].cost < usage.cost, "the question costs as well"
    for evidence in answer.evidence:
        x0, y0, x1, y1 = evidence.bbox
        assert x0 <= x1
        assert y0 <= y1


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(20, 600), st.sampled_from(["Deposit:", "Monthly rent: of passphrase", "Nothing Xyzzy", "Agent: 3"]))
def test_the_budget_is_hard(memory: MegaContext, budget: int, question: str) -> None:
    answer = memory.ask(question, budget=budget)
    assert_sound(answer, budget)
    prompt = memory.base.prompt_cost(question)
    for event in answer.trace:
        assert event.cost + prompt <= budget, "also on the way"


def test_a_larger_budget_reads_more(memory: MegaContext) -> None:
    entries = [memory.ask("Deposit:", budget=budget).usage.entries for budget in (12, 60, 300)]
    assert entries == sorted(entries)
    assert entries[0] < entries[-1]


@pytest.mark.parametrize("budget", [-5, 0, 1, 3])
def test_a_budget_smaller_than_question_and_roots(memory: MegaContext, budget: int) -> None:
    with pytest.raises(BudgetTooSmall, match=r"budget"):
        memory.ask("What is the Monthly rent: and the deposit?", budget=budget)


def test_the_smallest_budget_is_named(memory: MegaContext) -> None:
    question = "What is the Deposit:"
    least = memory.base.prompt_cost(question) + 1
    with pytest.raises(BudgetTooSmall, match=f"give a budget of {least} or more"):
        memory.ask(question, budget=least - 1)
    assert memory.ask(question, budget=least).usage.cost == least


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_an_error(memory: MegaContext, question: str) -> None:
    for ask in (memory.ask, memory.context, memory.prompt_cost):
        with pytest.raises(EmptyQuestion, match="the question is empty"):
            ask(question)


@pytest.mark.parametrize("question", ["?", "the of what", "\x00", "日本語 ✓ <answer>", "x" * 150])
def test_any_text_is_a_question(memory: MegaContext, question: str) -> None:
    assert_sound(memory.ask(question, budget=250), 250)


def test_a_row_of_a_table_is_found_by_its_column_header(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    """The header's words do not stand in the row; in the store, both are one entry of the index."""
    with opened(tmp_path / "memory", base, lens) as made:
        made.ingest(Path(__file__).parents[1] / "examples" / "lease.pdf")
        assert made.verify() == []
    store = Store.open(tmp_path / "memory")
    ((id, score), (_, second)) = store.search_text("Heating Amount", 2)
    (best,) = store.nodes([id])
    assert best.text.startswith("Heating")
    assert "Amount" not in best.text
    assert score > 1.5 * second
    (header,) = store.nodes(list(best.links))
    assert "Amount" in header.text.split()


def test_asking_twice_gives_the_same(memory: MegaContext) -> None:
    first, second = (memory.ask("Which Deposit:", budget=120).to_json() for _ in range(2))
    for data in (first, second):
        del data["usage"]["seconds"]
    assert first == second


def test_a_source_that_is_not_there(memory: MegaContext) -> None:
    with pytest.raises(StoreError, match=r"holds no source nowhere\.pdf"):
        memory.ask("Deposit:", source="nowhere.pdf")


def test_only_the_source_asked_for_is_read(memory: MegaContext, files: Path) -> None:
    answer = memory.ask("Deposit:", budget=600, source=uri(files / "below" / "notes.txt"))
    assert (answer.text, answer.found, answer.evidence) == (NOT_FOUND, False, ())


def test_an_image_alone_holds_no_answer(memory: MegaContext, files: Path) -> None:
    answer = memory.ask("Deposit:", budget=100, source=uri(files / "photo.png"))
    assert (answer.text, answer.found) == (NOT_FOUND, False)
    assert_sound(answer, 100)
    assert min(answer.show().size) > 100


@pytest.mark.parametrize("file", ["lease.pdf", "photo.png", "below/notes.txt", "below/deep/prices.md"])
def test_every_answer_can_be_shown(memory: MegaContext, files: Path, file: str) -> None:
    for question in ("Which is the Deposit:", "The passphrase is", "Apple"):
        image = memory.ask(question, budget=300, source=uri(files / file)).show()
        assert image.mode == "RGB"
        assert min(image.size) > 100


def test_a_file_that_is_not_the_one_ingested_is_not_drawn(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    """A memory is anybody's word: here it names a file that it was not made of."""
    photo, other = a_png(tmp_path / "photo.png"), a_png(tmp_path / "private.png", seed=1)
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(photo)
        answer = memory.ask("What is on it?", budget=100)
        assert min(answer.show().size) > 100
        store = Store.open(tmp_path / "memory")
        (source,) = store.sources()
        nodes = store.nodes([NodeId(source.number, index) for index in range(source.n_nodes)])
        tile = next(node for node in nodes if node.lod == 1 and node.pixels is not None)
        leaves = store.leaves([tile.id])
        assert StoredPixels({source.number: source}, {}).with_pixels([tile], leaves)[0].pixels is not None
        other.replace(photo)
        with pytest.raises(IngestError, match="the file has changed since it was ingested"):
            StoredPixels({source.number: source}, {}).with_pixels([tile], leaves)
        for refused in (answer.show, lambda: memory.ask("What is on it?", budget=100).show()):
            with pytest.raises(IngestError, match="the file has changed since it was ingested") as caught:
                refused()
            assert caught.value.code == "source_changed"


def test_an_answer_from_all_sources_can_be_shown(memory: MegaContext) -> None:
    assert min(memory.ask("Nothing Xyzzy", budget=40).show().size) > 100


def test_inspect_is_what_is_documented(memory: MegaContext) -> None:
    data = memory.inspect()
    assert list(data) == [
        *("sources", "nodes_per_lod", "bytes", "base", "gistnet", "image_gistnet", "encoder", "slots", "image_slots"),
        "spaces",
    ]
    assert json.loads(json.dumps(data)) == data
    assert sum(data["nodes_per_lod"].values()) == sum(source["nodes"] for source in data["sources"])
    assert all(list(source)[:4] == ["uri", "kind", "pages", "nodes"] for source in data["sources"])
    assert data["base"] == memory.base.id
    assert data["gistnet"] == "mean"
    assert data["bytes"] > 1000


def versions(directory: Path) -> list[str]:
    """Names of the manifests of both tables: one per commit."""
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*.manifest"))


def test_an_unchanged_file_writes_nothing(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    file = a_text(tmp_path / "notes.txt")
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(file)
    before = versions(tmp_path / "memory")
    with opened(tmp_path / "memory", base, lens) as memory:
        report = memory.ingest(file)
        again = memory.ingest(tmp_path)
    for r in (report, again):
        assert (r.ingested, r.failed) == ([], [])
        assert r.unchanged == [uri(file)]
    assert before
    assert versions(tmp_path / "memory") == before


def test_a_changed_file_replaces_its_old_self(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    file = a_text(tmp_path / "notes.txt", "Quorl-77")
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(file)
        assert memory.ask("The passphrase is", budget=600).text == "Quorl-77"
        a_text(file, "Zembra-12")
        report = memory.ingest(file)
        assert [summary.uri for summary in report.ingested] == [uri(file)]
        assert len(memory.sources) == 1
        assert memory.ask("The passphrase is", budget=600).text == "Zembra-12"
        assert memory.verify() == []
        memory.vacuum()
        assert memory.verify() == []
        assert memory.ask("The passphrase is", budget=600).text == "Zembra-12"


def test_what_is_forgotten_is_not_answered(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    notes, prices = a_text(tmp_path / "notes.txt"), a_markdown(tmp_path / "prices.md")
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(notes)
        memory.ingest(prices)
        assert memory.forget(uri(notes))
        assert not memory.forget(uri(notes))
        assert not memory.ask("The passphrase is", budget=600).found
        assert memory.ask("Apple", budget=600).text == "12"
        assert [record.uri for record in memory.sources] == [uri(prices)]
    with opened(tmp_path / "memory", base, lens) as memory:
        assert [record.uri for record in memory.sources] == [uri(prices)]
        assert memory.verify() == []


def test_many_sources_stand_under_collection_nodes(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    (tmp_path / "files").mkdir()
    for n in range(40):
        (tmp_path / "files" / f"{n:02d}.txt").write_text(f"Code{n:02d} Value{n:02d}x\n" * 3, encoding="utf-8")
    with opened(tmp_path / "memory", base, lens) as memory:
        assert len(memory.ingest(tmp_path / "files").ingested) == 40
        answer = memory.ask("Find Code37", budget=150)
        assert (answer.text, answer.found) == ("Value37x", True), "the index leads there"
        assert answer.evidence[0].source == uri(tmp_path / "files" / "37.txt")
        assert_sound(answer, 150)
        coarse = memory.ask("Find Code37", budget=memory.base.prompt_cost("Find Code37") + 1)
        assert coarse.usage.entries == 1, "forty sources in one gist"
        assert min(coarse.show().size) > 100


def test_progress_is_told(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    (tmp_path / "files").mkdir()
    a_pdf(tmp_path / "files" / "a.pdf", n_pages=2)
    a_text(tmp_path / "files" / "b.txt")
    events: list[ProgressEvent] = []
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(tmp_path / "files", on_progress=events.append)
    a, b = uri(tmp_path / "files" / "a.pdf"), uri(tmp_path / "files" / "b.txt")
    assert [(e.uri, e.file, e.n_files, e.page, e.n_pages) for e in events] == [
        (a, 1, 2, 1, 2),
        (a, 1, 2, 2, 2),
        (b, 2, 2, 1, 1),
    ]


def test_a_bad_file_is_told_and_the_next_one_goes_on(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_bytes(b"")
    shutil.copy(a_png(tmp_path / "photo.png"), tmp_path / "files" / "b.pdf")
    a_text(tmp_path / "files" / "c.txt")
    with opened(tmp_path / "memory", base, lens) as memory:
        report = memory.ingest(tmp_path / "files")
        assert [Path(failure.uri).name for failure in report.failed] == ["a.txt", "b.pdf"]
        assert "empty" in report.failed[0].message
        assert [Path(summary.uri).name for summary in report.ingested] == ["c.txt"]
        assert memory.verify() == []


def test_nothing_is_written_for_a_bad_file(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    with opened(tmp_path / "memory", base, lens) as memory:
        assert len(memory.ingest(tmp_path / "a.txt").failed) == 1
        assert len(memory.ingest(tmp_path / "none.pdf").failed) == 1
    assert not (tmp_path / "memory").exists()


def test_an_encrypted_file_needs_its_password(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    page = PdfPage()
    page.text(72, 72, "Passcode: Vornik-5")
    file = tmp_path / "secret.pdf"
    file.write_bytes(pdf_bytes([page], password="abc"))
    with opened(tmp_path / "memory", base, lens) as memory:
        assert "password" in memory.ingest(file).failed[0].message
        assert memory.sources == []
        assert len(memory.ingest(file, password="abc").ingested) == 1
        answer = memory.ask("Passcode:")
        assert answer.text == "Vornik-5"
        assert min(answer.show().size) > 100


def test_an_empty_memory_cannot_be_asked(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    with opened(tmp_path / "memory", base, lens) as memory:
        assert memory.sources == []
        assert memory.verify() == []
        assert memory.inspect()["sources"] == []
        assert not memory.forget("a.txt")
        with pytest.raises(StoreError, match="holds no source yet"):
            memory.ask("Deposit:")
    assert not (tmp_path / "memory").exists(), "looking does not make one"


def test_a_memory_that_is_none(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    with pytest.raises(StoreError, match="is not a memory"):
        opened(tmp_path / "memory", base, lens, create=False)
    a_text(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="is not a memory"):
        opened(tmp_path, base, lens)


def test_a_killed_creation_can_be_begun_anew(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    """Everything but the file that makes it a memory: what a kill in the first moment leaves."""
    file = a_text(tmp_path / "notes.txt")
    with opened(tmp_path / "memory", base, lens) as memory:
        Store.create(tmp_path / "memory", memory.identity).close()
    (tmp_path / "memory" / "memory.json").unlink()
    with opened(tmp_path / "memory", base, lens) as memory:
        assert len(memory.ingest(file).ingested) == 1
        assert memory.ask("The passphrase is", budget=600).text == "Quorl-77"


def test_a_question_of_bytes_that_are_no_text_is_asked(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(a_text(tmp_path / "notes.txt"))
        answer = memory.ask("\udcff \ud800 The passphrase is", budget=600)
    assert answer.text == "Quorl-77"
    assert json.loads(json.dumps(answer.to_json()).encode())["answer"] == "Quorl-77"


def test_a_memory_without_its_file_is_not_begun_anew(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    file = a_text(tmp_path / "notes.txt")
    with opened(tmp_path / "memory", base, lens) as memory:
        memory.ingest(file)
        identity = memory.identity
    (tmp_path / "memory" / "memory.json").unlink()
    with pytest.raises(CorruptStore, match=r"is a damaged memory: it has no memory.json; .*--repair"):
        opened(tmp_path / "memory", base, lens)
    assert repair(tmp_path / "memory").lost == []
    with opened(tmp_path / "memory", base, lens) as memory:
        assert memory.identity == identity
        assert memory.ingest(file).unchanged
        assert memory.verify() == []
        assert memory.ask("The passphrase is", budget=600).text == "Quorl-77"


def test_a_file_that_fails_late_leaves_no_memory(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    pyvips.Image.new_from_array(np.full((300, 300, 3), 90, np.uint8)).dzsave(str(tmp_path / "slide"), tile_size=64)
    for tile in (tmp_path / "slide_files" / "9").iterdir():
        tile.unlink()
    with opened(tmp_path / "memory", base, lens) as memory:
        report = memory.ingest(tmp_path / "slide.dzi")
    assert [failed.uri for failed in report.failed] == [str(tmp_path / "slide.dzi")]
    assert not (tmp_path / "memory").exists()


def test_names_that_are_odd_cost_only_what_cannot_be_named(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    files = tmp_path / "files"
    files.mkdir()
    odd = ["-rf.txt", "two\nlines.txt", "red\x1b[31m.txt", "emoji \U0001f600.txt", "a\u202eb.txt"]
    for name in odd:
        a_text(files / name)
    unnamed = a_text(tmp_path / "plain.txt").rename(os.fsdecode(os.fsencode(files) + b"/caf\xe9.txt"))
    (files / "loop.pdf").symlink_to("round.pdf")
    (files / "round.pdf").symlink_to("loop.pdf")
    with opened(tmp_path / "memory", base, lens) as memory:
        report = memory.ingest(files)
        assert {source.uri for source in memory.sources} == {str(files / name) for name in odd}
        assert memory.ingest(files).unchanged == [source.uri for source in report.ingested]
    assert {failed.uri: failed.message for failed in report.failed} == {
        str(unnamed): "its name is not UTF-8: rename it",
        str(files / "loop.pdf"): "is a loop of symbolic links",
        str(files / "round.pdf"): "is a loop of symbolic links",
    }


def test_a_memory_of_another_base(memory: MegaContext) -> None:
    other = NativeBase(random_model(99), tokenizer(), random_base().encoder)
    with pytest.raises(IncompatibleGists, match=other.id):
        opened(memory.directory, other, random_lens(other.id))


def test_a_visual_gister_of_ones_own_makes_the_gists_of_images(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    file = a_png(tmp_path / "photo.png", size=(100, 60))
    with MegaContext.open(tmp_path / "memory", base=base, lens=lens, gister=MaxPool()) as memory:
        memory.ingest(file)
        assert (memory.identity.gistnet, memory.identity.image_gistnet) == ("mean", "max")
        assert memory.verify() == []
    with MegaContext.open(tmp_path / "memory", base=base, lens=lens, gister=MaxPool()) as memory:
        assert len(memory.sources) == 1
    with pytest.raises(IncompatibleGists, match="mean, of images max"):
        opened(tmp_path / "memory", base, lens)


def test_a_visual_gister_of_other_slots(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    """What the base reads must have as many as it was trained with; it does not read images."""
    two = MeanTextGister(base.embed_tokens, base.dim, slots=2)
    with pytest.raises(IncompatibleGists, match=f"mean-of-2-runs makes 2 vectors per gist, the base {base.id} reads 1"):
        MegaContext.open(tmp_path / "memory", base=base, lens=lens, text_gister=two)
    with MegaContext.open(tmp_path / "memory", base=base, lens=lens, gister=MaxPool(slots=2)) as memory:
        assert memory.ingest(a_png(tmp_path / "photo.png", size=(300, 200))).ingested
        assert memory.ingest(a_text(tmp_path / "notes.txt")).ingested
        assert memory.verify() == []
        assert memory.ask("The passphrase is", budget=600).text == "Quorl-77"
        with pytest.raises(IncompatibleGists, match="image slots 2, not 1"):
            MegaContext.open(tmp_path / "memory", base=base, lens=lens, gister=MaxPool())


def test_a_lens_of_another_base(tmp_path: Path, base: NativeBase) -> None:
    with pytest.raises(IncompatibleGists, match="another-base"):
        opened(tmp_path / "memory", base, random_lens("another-base", CONFIG.dim))


def test_reading_does_not_write(memory: MegaContext) -> None:
    before = {p: p.stat().st_mtime_ns for p in memory.directory.rglob("*")}
    memory.ask("Deposit:", budget=50)
    memory.inspect()
    memory.verify()
    assert {p: p.stat().st_mtime_ns for p in memory.directory.rglob("*")} == before


def test_a_closed_memory_can_take_up_more(tmp_path: Path, base: NativeBase, lens: Lens) -> None:
    memory = opened(tmp_path / "memory", base, lens)
    memory.ingest(a_text(tmp_path / "notes.txt"))
    memory.close()
    memory.close()
    with opened(tmp_path / "memory", base, lens) as again:
        again.ingest(a_markdown(tmp_path / "prices.md"))
        assert len(again.sources) == 2


def test_the_memory_of_a_file_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    first = memory_for_file("a.txt", "x")
    assert first == memory_for_file(tmp_path / "a.txt", "x") == memory_for_file(os.path.join(".", "a.txt"), "x")
    assert first != memory_for_file("b.txt", "x")
    assert not first.exists()


def test_every_word_of_a_question_is_tokenised_once(tmp_path: Path) -> None:
    """In each letter case, however often it is needed on the way: for the prompt, the hints, the lens, the reading."""
    file = tmp_path / "notes.txt"
    file.write_text("The key of the cellar hangs behind the blue door.")
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(file)
        known = memory.base.tokenizer._encode_word.cache_info  # type: ignore[attr-defined]
        before = known().misses
        memory.ask("zwölf kreuzottern qualmen genüsslich")
        assert known().misses - before == 4 * len(("lower", "Capitalised", "UPPER"))
