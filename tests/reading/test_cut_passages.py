"""From a cut to passages and gaps. Oracle: pages written by hand, whose words, boxes and headings are known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Cell, Document, Line, Page, Region, Table, Unit, Word, union
from mm_megacontext.errors import BudgetTooSmall
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Passage
from mm_megacontext.reading.allocator import Focused
from mm_megacontext.reading.cut_passages import show
from mm_megacontext.reading.fitting import fit
from mm_megacontext.reading.invariants import check
from mm_megacontext.reading.mosaic import NOT_OPEN, picture_of, touching
from mm_megacontext.reading.runtime import Looked
from mm_megacontext.reading.trace import Trace, TraceEvent, replay
from mm_megacontext.reading.working_context import Action, Entry, WorkingContext
from mm_megacontext.training.data.corpus import NoGists
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import Leaves, NodeId
from tests.images import TexturedSource, image_rows
from tests.tiny import as_tree, tokenizer

SENTENCES = [
    f"Sentence number {n} of the long paragraph says that item {n} costs {n * 7} coins in all." for n in range(9)
]


@dataclass(frozen=True)
class Place:
    uri: str
    unit: Unit
    root_id: NodeId


def line(text: str, y: float, size: float = 10.0) -> Line:
    x, words = 10.0, []
    for word in text.split():
        words.append(Word(word, (x, y, x + 0.6 * size * len(word), y + size)))
        x += 0.6 * size * (len(word) + 1)
    return Line(tuple(words))


def region(kind: Any, *texts: str, y: float, size: float = 10.0) -> Region:
    lines = tuple(line(text, y + 1.2 * size * i, size) for i, text in enumerate(texts))
    return Region(kind, union([own.bbox for own in lines]), lines)


def table(y: float) -> Region:
    cells = []
    for row, texts in enumerate([("Item", "Sum"), ("Rent", "1,480"), ("Water", "61")]):
        for column, text in enumerate(texts):
            box = (10.0 + 100 * column, y + 20 * row, 10.0 + 100 * column + 6 * len(text), y + 20 * row + 10)
            role: Any = "column_header" if row == 0 else "body"
            cells.append(Cell(row, column, box, (Line((Word(text, box),)),), role))
    return Region("table", (10.0, y, 200.0, y + 50), (), Table(tuple(cells), 3, 2))


def pages() -> list[Page]:
    first = (
        region("heading", "The Lease", y=10, size=24),
        region("text", "A word before the first part.", y=50),
        region("heading", "Payments", y=80, size=14),
        table(110),
        region("heading", "Repairs", y=200, size=14),
    )
    second = (region("text", *SENTENCES, y=20), region("text", "The end.", y=400))
    return [Page(n + 1, (600.0, 500.0), regions) for n, regions in enumerate((first, second))]


def start(capacity: int = 2000) -> WorkingContext:
    document = Document("lease.pdf", "pdf", "pt", 2, "hash", lambda: iter(pages()))
    rows = [row for batch in TreeBuilder("pt", tokenizer(), NoGists()).build(document) for row in batch]
    return WorkingContext.start(as_tree(rows), capacity)


def expanded(cut: WorkingContext, *texts: str) -> WorkingContext:
    """Open what leads to blocks that hold one of the texts; all if none is given."""
    while True:
        ids = [
            e.id for e in cut if e.is_expandable and (e.lod > 1 or not texts or any(t in e.node.text for t in texts))
        ]
        if not ids:
            return cut
        cut = cut.expand(ids)


RECORDS = {1: Place("/docs/lease.pdf", "pt", NodeId(1, 10_000))}


def shown(cut: WorkingContext, question: str = "rent", scores: Any = None) -> Context:
    own = np.ones(len(cut)) if scores is None else scores
    return show(cut, own, question, tokenizer(), RECORDS)


WHOLE = shown(expanded(start()))


def test_regions_become_passages_in_reading_order() -> None:
    assert [(p.id, p.kind, p.page) for p in WHOLE.passages] == [
        ("p1", "heading", 1), ("p2", "text", 1), ("p3", "heading", 1), ("p4", "table", 1), ("p5", "heading", 1),
        ("p6", "text", 2), ("p7", "text", 2),
    ]  # fmt: skip
    assert WHOLE.gaps == ()
    assert WHOLE.passages[5].text == " ".join(SENTENCES), "blocks of one region are one passage"
    assert WHOLE.passages[3].rows == [["Item", "Sum"], ["Rent", "1,480"], ["Water", "61"]]
    assert {p.source for p in WHOLE.passages} == {"/docs/lease.pdf"}


def test_words_have_the_boxes_of_the_page() -> None:
    of_page = [w for p in pages() for r in p.regions for own in r.lines for w in own.words]
    found = [w for p in WHOLE.passages if p.kind != "table" for w in p.words]
    assert [w.text for w in found] == [w.text for w in of_page]
    assert np.allclose([w.bbox for w in found], [w.bbox for w in of_page], atol=1e-3)


def test_headings_lead_from_the_largest_to_the_nearest() -> None:
    assert [p.headings for p in WHOLE.passages] == [
        (), ("The Lease",), ("The Lease",), ("The Lease", "Payments"), ("The Lease",),
        ("The Lease", "Repairs"), ("The Lease", "Repairs"),
    ]  # fmt: skip


def test_headings_are_known_where_they_are_not_open() -> None:
    """They stand on a page that nothing was opened of."""
    cut = start()
    cut = cut.expand([cut.roots[0].id])
    second = next(e.id for e in cut if e.node.page == 2)
    cut = cut.expand([second])
    cut = cut.expand([e.id for e in cut if e.node.text == "The end."])
    (passage,) = shown(cut).passages
    assert passage.headings == ("The Lease", "Repairs")


def test_what_is_not_open_is_one_gap_where_it_follows_each_other() -> None:
    found = shown(expanded(start(), "1,480", "item 4 "))
    kinds = [type(part).__name__ for part in found.parts]
    assert kinds == ["Gap", "Passage", "Gap", "Passage", "Gap"]
    first, middle, last = found.gaps
    assert [node.kind for node in first.nodes] == ["heading", "text", "heading"]
    assert first.headings == ("The Lease", "Payments")
    assert (middle.pages, last.pages) == ((1, 2), (2, 2))
    assert all(node.lod >= 1 for gap in found.gaps for node in gap.nodes)


@given(st.sets(st.integers(0, 40)))
def test_parts_cover_the_cut_once(chosen: set[int]) -> None:
    cut = expanded(start(), "nothing of it")
    cut = cut.expand([e.id for i, e in enumerate(cut) if i in chosen and e.is_expandable])
    found = shown(cut)
    ids = [
        n for part in found.parts for n in (part.nodes if isinstance(part, Passage) else [c.node for c in part.nodes])
    ]
    assert ids == [entry.id for entry in cut]
    assert len(set(found.ids)) == len(found.ids)


def test_what_fits_the_question_has_the_highest_score() -> None:
    found = shown(expanded(start()), "What does item 4 cost?")
    assert found.best(1)[0].text.startswith("Sentence number 0")
    found = shown(expanded(start()), "the sum for water")
    assert found.best(1)[0].kind == "table"
    assert all(0 <= p.score <= 1 for p in found.passages)


def looked(cut: WorkingContext, opened: Sequence[NodeId] = ()) -> Looked:
    """Where focus ended that opened blocks in that order."""
    actions = tuple(Action("expand", id, 1.0, 0) for id in opened)
    return Looked(Focused(cut, np.ones(len(cut)), 0, True), Trace((TraceEvent(0, {}, actions, 0, 0, 0.0),)))


def n_words(context: Context) -> int:
    return len(context.to_text().split())


@given(st.integers(40, 260), st.randoms(use_true_random=False))
def test_what_is_fitted_fits_and_is_a_cut(budget: int, rng: random.Random) -> None:
    cut = expanded(start())
    order = [entry.id for entry in cut if entry.is_expanded]
    rng.shuffle(order)

    def make(focused: Focused) -> Context:
        return show(focused.context, focused.scores, "What does item 4 cost?", tokenizer(), RECORDS)

    found = fit(looked(cut, order), make, n_words, budget)
    final = found.looked.focused.context
    assert n_words(found.context) == found.cost <= budget
    check(final, deep=True)
    *_, replayed = [cut, *replay(cut, found.looked.trace.events[1:])]
    assert replayed.cut == final.cut
    still_open = {entry.id for entry in final if entry.is_expanded}
    assert still_open == set(order[: len(still_open)]), "what was opened last is closed first"


def test_a_budget_that_holds_not_even_the_gaps_is_refused() -> None:
    cut = expanded(start())
    with pytest.raises(BudgetTooSmall, match=r"give a budget of \d+ or more"):
        fit(looked(cut), lambda f: show(f.context, f.scores, "item", tokenizer(), RECORDS), n_words, 3)


def tiles(source: TexturedSource) -> list[Entry]:
    """All tiles of an image, open, with their pixels."""
    out = []
    for node in as_tree(image_rows(source))._nodes.values():
        if node.lod == 1 and node.pixels is not None:
            ref = node.pixels
            whole = np.zeros((128, 128, 3), np.uint8)
            own = source.read((ref.x, ref.y, ref.width, ref.height), 0)
            columns, rows = -(-ref.width // 16), -(-ref.height // 16)
            whole[: ref.height, : ref.width] = own
            grid = whole[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16, 3).transpose(0, 2, 4, 1, 3)
            patches = np.ascontiguousarray(grid.reshape(-1, 3, 16, 16))
            empty = np.zeros(0, np.int64)
            leaves = Leaves(np.zeros((len(patches), 3)), np.zeros((len(patches), 4), np.float32), empty, empty, patches)  # type: ignore[arg-type]
            out.append(Entry(node, leaves))
    return out


def test_tiles_become_the_picture_they_were_cut_from() -> None:
    source = TexturedSource(300, 200)
    own = tiles(source)
    (group,) = touching(own)
    assert len(group) == len(own) == 6
    assert np.array_equal(np.asarray(picture_of(group)), source.read((0, 0, 300, 200), 0))


def test_tiles_apart_are_two_pictures_and_what_lies_between_is_grey() -> None:
    source = TexturedSource(600, 300)
    own = {(e.node.pixels.x // 128, e.node.pixels.y // 128): e for e in tiles(source) if e.node.pixels is not None}
    assert [len(group) for group in touching([own[0, 0], own[3, 2]])] == [1, 1]
    (group,) = touching([own[0, 0], own[1, 1]])
    picture = np.asarray(picture_of(group))
    assert picture.shape == (256, 256, 3)
    assert (picture[:128, 128:] == NOT_OPEN).all()
