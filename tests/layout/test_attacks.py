"""Hostile PDFs, written by ``attack_files``: each has its code, and costs neither the other pages nor the parent.

Oracle: what the script put on the pages that it did not attack, and the codes of docs/errors.md.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mm_megacontext.document import Page
from mm_megacontext.errors import ERROR_CODES, IngestError
from mm_megacontext.layout.engines.protocol import candidates
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.pdf import PdfPageSource, PdfRenderer
from mm_megacontext.workers import process as worker_process
from tests.layout import attack_files as attacks
from tests.workers.test_isolation import FLAT_MIB, rss_peak_mib

LIMITS = IngestLimits(page_seconds=60.0, page_cpu_seconds=1.0, worker_bytes=500 << 20)
"""Processor time, which a busy machine does not shorten, is what stops them."""
N_MUTATIONS = 300
LEASE = Path(__file__).parents[2] / "examples" / "lease.pdf"

ENGINES = candidates("auto")  # not imported: that would be memory of this process

STOPPED: set[str | None] = {"limit_time", "limit_memory", "engine_crash"}
"""Of a page that takes more than it may: which limit comes first is the library's business."""


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_GRACE_SECONDS", 0.5)


def pages_of(data: bytes, directory: Path, engine: str = "auto") -> list[Page]:
    """What is read of a file. Whatever that does, this process does not grow."""
    path = directory / "attack.pdf"
    path.write_bytes(data)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    before = rss_peak_mib()
    try:
        return list(read(path, engine=engine, limits=LIMITS, ocr="off").pages())
    finally:
        assert rss_peak_mib() < before + FLAT_MIB


def assert_others_are_whole(pages: list[Page]) -> None:
    for page in pages[: attacks.N_PAGES]:
        if page.number != attacks.BAD_PAGE:
            assert (page.status, page.text) == ("ok", attacks.good_text(page.number))


BAD_PAGES: dict[str, tuple[Callable[[], bytes], set[str | None]]] = {
    "deflate bomb": (attacks.deflate_bomb, STOPPED),
    "huge image": (attacks.huge_image, {None, *STOPPED}),
    "form that draws itself": (attacks.form_that_draws_itself, {None}),
    "a billion forms": (attacks.billion_forms, STOPPED),
    "two million strokes": (attacks.many_lines, STOPPED),
    "outline without end": (attacks.outline_without_end, {None}),
    "deep nesting": (attacks.deep_nesting, {None, "corrupt"}),
    "numbers without sense": (attacks.numbers_without_sense, {None}),
    "xref that points to itself": (attacks.xref_that_points_to_itself, {None}),
    "broken font": (attacks.broken_font, {None}),
    "broken images": (attacks.broken_image, {None}),
    "page of a million points": (attacks.box_of(b"0 0 1000000 1000000"), {"limit_pixels"}),
    "box of no numbers": (attacks.box_of(b"0 0 nan inf"), {None}),
    "box of huge numbers": (attacks.box_of(b"0 0 1e308 1e308"), {None, "limit_pixels", "corrupt"}),
    "empty box": (attacks.box_of(b"0 0 0 0"), {None}),
    "turned box": (attacks.box_of(b"612 792 0 0"), {None}),
    "box of text": (attacks.box_of(b"0 0 (x) 9"), {None}),
    "page count minus 5": (attacks.count_of(-5), {None}),
    "page count 0": (attacks.count_of(0), {None}),
    "page count too small": (attacks.count_of(2), {None}),
    "page counts too small": (attacks.counts_too_small, {None}),
    "page count too large": (attacks.count_of(9), {None}),
    "page count 2^31-1": (attacks.count_of(2**31 - 1), {None}),
    "PDF after a zip header": (attacks.polyglot(b"PK\x03\x04" + b"x" * 500), {None}),
    "PDF after a JPEG header": (attacks.polyglot(b"\xff\xd8\xff\xe0" + b"x" * 500), {None}),
    "PDF in HTML": (attacks.polyglot(b"<html><script>alert(1)</script>"), {None}),
}


@pytest.mark.parametrize("attack", BAD_PAGES)
def test_a_bad_page_has_its_code_and_the_others_are_read(attack: str, tmp_path: Path) -> None:
    make, codes = BAD_PAGES[attack]
    pages = pages_of(make(), tmp_path)
    assert len(pages) >= attacks.N_PAGES
    assert_others_are_whole(pages)
    bad = pages[attacks.BAD_PAGE - 1]
    assert bad.code in codes
    assert (bad.problem is None) == (bad.code is None)
    for page in pages[attacks.N_PAGES :]:
        assert (page.status, page.code) == ("failed", "corrupt")


BAD_FILES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "no pages": (attacks.no_pages, {"zero_pages"}),
    "nothing but a header": (lambda: b"%PDF-1.7\n", {"corrupt", "zero_pages"}),
    "broken encryption": (attacks.broken_encryption, {"corrupt", "password_required"}),
    "a million pages that are not there": (attacks.count_of(10**6), {"corrupt", "limit_pages"}),
}


@pytest.mark.parametrize("attack", BAD_FILES)
def test_a_bad_file_has_its_code(attack: str, tmp_path: Path) -> None:
    make, codes = BAD_FILES[attack]
    with pytest.raises(IngestError) as caught:
        pages_of(make(), tmp_path)
    assert caught.value.code in codes


def test_a_page_tree_that_holds_itself_has_no_good_page(tmp_path: Path) -> None:
    pages = pages_of(attacks.tree_that_holds_itself(), tmp_path)
    assert {(page.status, page.code) for page in pages} == {("failed", "corrupt")}


def outcome(data: bytes, directory: Path) -> list[Page] | IngestError:
    """The pages or the error; anything else fails the test."""
    try:
        pages = pages_of(data, directory)
    except IngestError as error:
        failure = error
    else:
        return checked(pages)
    assert failure.code in ERROR_CODES
    assert "\n" not in str(failure)
    return failure


def checked(pages: list[Page]) -> list[Page]:
    assert pages, "no pages are no success"
    for page in pages:
        assert (page.problem is None) == (page.code is None)
        assert page.code is None or page.code in ERROR_CODES
    return pages


def test_truncated_files(tmp_path: Path) -> None:
    whole = attacks.good()
    n_read = [0] * 17
    for sixteenth in range(1, 17):
        result = outcome(whole[: len(whole) * sixteenth // 16], tmp_path)
        if isinstance(result, list):
            n_read[sixteenth] = sum(page.status == "ok" and page.text != "" for page in result)
    assert n_read[16] == attacks.N_PAGES
    assert n_read[15] == attacks.N_PAGES, "only the table of objects is cut"
    assert n_read[1] == 0


def test_mutated_files(tmp_path: Path) -> None:
    wholes = (attacks.good(), LEASE.read_bytes())
    results = [outcome(attacks.mutated(seed, wholes[seed % 2]), tmp_path) for seed in range(N_MUTATIONS)]
    read_in_part = [r for r in results if isinstance(r, list) and any(page.text for page in r)]
    assert len(read_in_part) > N_MUTATIONS / 4, "most damage can be repaired, or the test does not test much"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("meaning", ["\x1b[2J\x00\x07\x9b", "Z" * 300, "\u200b\ufeff", "No."])
def test_letters_that_do_not_mean_what_they_show(meaning: str, engine: str, tmp_path: Path) -> None:
    pages = pages_of(attacks.letters_that_mean(meaning)(), tmp_path, engine)
    text = "".join(page.text for page in pages)
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in text)
    assert [page.status for page in pages] == ["ok"] * attacks.N_PAGES


class _Listener(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server of this machine, and what was asked of it."""
    asked: list[str] = []
    handler = type("Handler", (_Listener,), {"asked": asked})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("engine", ENGINES)
def test_active_content_does_nothing(engine: str, tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    url, asked = listener
    marker = tmp_path / "marker"
    path = tmp_path / "attack.pdf"
    before = attacks.active(url, str(marker))
    pages = pages_of(before, tmp_path, engine)
    assert_others_are_whole(pages)
    for number in range(1, attacks.N_PAGES + 1):
        source = PdfPageSource(path, number, PdfRenderer(path, limits=LIMITS))
        source.read((0, 0, 64, 64))
    assert asked == []
    assert [p.name for p in tmp_path.iterdir()] == ["attack.pdf"], "no file was made"
    assert path.read_bytes() == before


@pytest.mark.parametrize("engine", ENGINES)
def test_other_files_of_the_machine_are_not_read(engine: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("BT /F1 12 Tf 72 700 Td (The password is sesame) Tj ET")
    pages = pages_of(attacks.content_in_another_file(str(secret)), tmp_path, engine)
    assert_others_are_whole(pages)
    assert "sesame" not in pages[attacks.BAD_PAGE - 1].text


@pytest.mark.parametrize("attack", ["deflate bomb", "a billion forms", "huge image", "page of a million points"])
def test_rendering_is_in_a_process_of_its_own_too(attack: str, tmp_path: Path) -> None:
    path = tmp_path / "attack.pdf"
    path.write_bytes(BAD_PAGES[attack][0]())
    renderer = PdfRenderer(path, limits=LIMITS)
    for number in (1, 5):
        assert PdfPageSource(path, number, renderer).read((0, 0, 1224, 400)).min() < 128, "the words are there"
    first = failure_of_rendering(path, renderer)
    assert first in {"limit_pixels", *STOPPED, None}
    assert failure_of_rendering(path, renderer) == first
    assert PdfPageSource(path, 4, renderer).read((0, 0, 1224, 400)).min() < 128


def failure_of_rendering(path: Path, renderer: PdfRenderer) -> str | None:
    try:
        PdfPageSource(path, attacks.BAD_PAGE, renderer).read((0, 0, 1224, 1584))
    except IngestError as error:
        return error.code
    return None
