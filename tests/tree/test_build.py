"""Documents into rows. Oracles: the rows replayed on a stack, and every leaf counted one by one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Cell, Document, Line, Page, Region, RegionKind, Table, Unit, Word
from mm_megacontext.errors import ErrorCode, IngestError
from mm_megacontext.reading import invariants
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.blocks import Block
from mm_megacontext.tree.build import Grouper, TreeBuilder, is_one_figure, patch_size
from mm_megacontext.tree.nodes import GROUP_ARITY, PATCH_PT, PATCH_PX, NodeRow, Written
from mm_megacontext.tree.parents import Gist
from mm_megacontext.tree.text_gists import MeanTextGister
from mm_megacontext.turned_frame import TurnedFrame, mapped
from mm_megacontext.vision.gists.tile_gister import MeanPool
from tests.images import assert_rows_equal, tops_of
from tests.tiny import as_tree
from tests.tree.test_blocks import PairTokenizer

SIZE = (612.0, 792.0)
MOMENT_TOLERANCE = 1e-6
"""Patches and time units: float64 sums in another order."""
GIST_TOLERANCE = 6e-3
"""Gists of magnitude 1 pass through float16 at every level."""


def embed(token_ids: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    angles = token_ids[:, None] * np.array([0.37, 1.3, 2.9])
    values: np.ndarray[Any, np.dtype[np.float32]] = np.cos(angles).astype(np.float32)
    return values


def words(rng: random.Random, n: int) -> tuple[Word, ...]:
    out = []
    for _ in range(n):
        x, y = rng.uniform(0, 500), rng.uniform(0, 700)
        text = "".join(rng.choices("abcdef19", k=rng.choice((1, 3, 5, 9, 70) if rng.random() < 0.05 else (1, 3, 6))))
        out.append(Word(text, (x, y, x + 6.0 * len(text), y + 10)))
    return tuple(out)


def text_region(rng: random.Random, n_lines: int, kind: RegionKind = "text") -> Region:
    return Region(kind, (0.0, 0.0, *SIZE), tuple(Line(words(rng, rng.randint(1, 9))) for _ in range(n_lines)))


def table_region(rng: random.Random, n_rows: int) -> Region:
    cells = tuple(
        Cell(r, c, (0.0, 0.0, 9.0, 9.0), (Line(words(rng, 2)),), "column_header" if r == 0 else "body")
        for r in range(n_rows)
        for c in range(3)
    )
    return Region("table", (0.0, 0.0, *SIZE), table=Table(cells, n_rows, 3))


def figure(n_tiles: int) -> Region:
    """The fake figures below make as many tiles as it is wide; none at all is an error."""
    return Region("figure", (0.0, 0.0, float(n_tiles), 1.0))


class FakeFigures:
    """A flat tree of tiles with one to three leaves each."""

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        return MeanPool().of_gists(gists, n_leaves)

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        n = int(region.bbox[2])
        if n == 0:
            raise IngestError("cannot be rendered", source="test.pdf", page=page.number)
        tiles = [self._tile(page.number, t, index_start + i) for i in range(n)]
        yield from tiles
        if n > 1:
            mu = np.concatenate([tile.leaf_mu for tile in tiles])
            yield self._row(
                page.number, t, index_start + n, index_start, mu, tuple(range(index_start, index_start + n))
            )

    def thumbnail(self, page: Page, *, t: int, index: int) -> NodeRow | None:
        """None for pages whose number divides by 3."""
        mu = np.array([[t, 2.0, 2.0], [t, 3.0, 2.0]])
        return self._row(page.number, t, index, index, mu, (), kind="thumbnail") if page.number % 3 else None

    def _tile(self, page: int, t: int, index: int) -> NodeRow:
        mu = np.array([[t, 2.5 * index + i, index % 7] for i in range(1 + index % 3)], dtype=np.float64)
        return self._row(page, t, index, index, mu, ())

    @staticmethod
    def _row(
        page: int,
        t: int,
        index: int,
        first: int,
        mu: np.ndarray[Any, np.dtype[np.float64]],
        children: tuple[int, ...],
        kind: str = "figure",
    ) -> NodeRow:
        own = mu if not children else mu[:0]
        return NodeRow(
            index=index,
            first=first,
            children=children,
            lod=2 if children else 1,
            modality="image",
            kind=kind,
            page=page,
            last_page=page,
            bbox=(0.0, 0.0, 1.0, 1.0),
            t_span=(t, t + 1),
            n_leaves=len(mu),
            mu=mu.mean(axis=0),
            sigma=mu.std(axis=0),
            gist=np.ones((1, 3), dtype=np.float16),
            token_ids=np.zeros(0, dtype=np.int32),
            leaf_mu=own,
            leaf_boxes=np.zeros((len(own), 4), dtype=np.float32),
            leaf_roles=np.zeros(0, dtype=np.uint8),
        )


@dataclass
class Built:
    rows: list[NodeRow] = field(default_factory=list)
    blocks: list[tuple[NodeRow, Block]] = field(default_factory=list)
    problems: list[tuple[int, str, ErrorCode]] = field(default_factory=list)
    pages_seen: list[int] = field(default_factory=list)
    n_rows: int = 0


def document(pages: Sequence[Page]) -> Document:
    return Document("test.pdf", "pdf", "pt", len(pages), "hash", lambda: iter(pages))


def build(pages: Sequence[Page], unit: Unit = "pt") -> Built:
    built = Built()
    builder = TreeBuilder(
        unit,
        PairTokenizer(),
        MeanTextGister(embed, 3),
        FakeFigures(),
        on_block=lambda row, block: built.blocks.append((row, block)),
        on_problem=lambda page, why, code: built.problems.append((page, why, code)),
    )
    for batch in builder.build(document(pages), lambda page: built.pages_seen.append(page.number)):
        assert batch, "no empty batches"
        built.rows += batch
    built.n_rows = builder.n_rows
    return built


def assert_is_tree(rows: Sequence[NodeRow]) -> None:
    """Post-order without gaps, small families, every leaf once, exact moments, contiguous time."""
    assert [row.index for row in rows] == list(range(len(rows)))
    stack: list[NodeRow] = []
    for row in rows:
        assert len(row.children) <= GROUP_ARITY
        family = stack[len(stack) - len(row.children) :]
        assert tuple(child.index for child in family) == row.children, "children are the latest finished subtrees"
        assert row.first == (family[0].first if family else row.index)
        del stack[len(stack) - len(row.children) :]
        stack.append(row)
        if family:
            assert row.lod == 1 + max(child.lod for child in family)
            assert row.n_leaves == sum(child.n_leaves for child in family)
            assert row.t_span == (family[0].t_span[0], family[-1].t_span[1])
            for a, b in itertools.pairwise(family):
                shares = rows[b.first].kind == "thumbnail"
                assert b.t_span == (a.t_span if row.kind == "figure" else (a.t_span[1] - shares, b.t_span[1]))
            assert row.page == family[0].page
            assert row.last_page == max(child.last_page for child in family)
            modalities = {child.modality for child in family}
            assert row.modality == (modalities.pop() if len(modalities) == 1 else "mixed")
            assert len(row.leaf_mu) == len(row.token_ids) == 0
        else:
            assert row.lod == 1
        assert_moments(row, rows)
    assert len(stack) == 1, "the last row is the root of all"
    assert rows[-1].t_span[0] == 0


def assert_moments(row: NodeRow, rows: Sequence[NodeRow]) -> None:
    below = [r for r in rows[row.first : row.index + 1] if r.lod == 1]
    mu = np.concatenate([r.leaf_mu for r in below])
    assert row.n_leaves == len(mu)
    np.testing.assert_allclose(row.mu, mu.mean(axis=0), atol=MOMENT_TOLERANCE)
    np.testing.assert_allclose(row.sigma, mu.std(axis=0), atol=MOMENT_TOLERANCE)
    if row.modality == "text":
        mean = embed(np.concatenate([r.token_ids for r in below]).astype(np.int64)).mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(row.gist[0], mean, atol=GIST_TOLERANCE)
    elif row.modality == "mixed":
        words = [rows[i] for i in row.children if rows[i].modality != "image"]
        lengths = [r.t_span[1] - r.t_span[0] for r in words]
        mean = np.average([r.gist[0].astype(np.float64) for r in words], axis=0, weights=lengths)
        np.testing.assert_allclose(row.gist[0], mean, atol=GIST_TOLERANCE)


def any_pages(seed: int, sizes: Sequence[int]) -> list[Page]:
    """Pages of so many regions each, of any kind, some without words and some that cannot be rendered."""
    rng = random.Random(seed)
    makers = (
        lambda: text_region(rng, rng.choice((0, 1, 3, 12))),
        lambda: table_region(rng, rng.randint(1, 12)),
        lambda: figure(rng.choice((0, 1, 4))),
    )
    return [
        Page(number, SIZE, tuple(rng.choice(makers)() for _ in range(n))) for number, n in enumerate(sizes, start=1)
    ]


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.lists(st.sampled_from([0, 1, 2, 5, 40]), min_size=1, max_size=6))
def test_any_document_becomes_a_tree(seed: int, sizes: list[int]) -> None:
    pages = any_pages(seed, sizes)
    built = build(pages)
    assert built.pages_seen == [page.number for page in pages]
    broken = [page.number for page in pages for r in page.regions if r.kind == "figure" and r.bbox[2] == 0]
    assert [page for page, *_ in built.problems] == broken
    texts = [word.text for page in pages for r in page.regions for word in words_of(r)]
    n_tiles = sum(int(r.bbox[2]) for page in pages for r in page.regions if r.kind == "figure")
    if not texts and not n_tiles:
        assert built.rows == []
        return
    assert_is_tree(built.rows)
    assert built.n_rows == len(built.rows)
    tokens = [i for text in texts for i in PairTokenizer().encode_word(text)]
    found = [i for row in built.rows if row.modality == "text" and row.lod == 1 for i in row.token_ids.tolist()]
    assert found == tokens
    figures = {page.number: [r.bbox[2] for r in page.regions if r.kind == "figure"] for page in pages}
    pictured = [number for number, widths in figures.items() if widths and widths[-1]]
    thumbnails = [row.page for row in built.rows if row.kind == "thumbnail"]
    assert thumbnails == [number for number in pictured if number % 3], "beside the last figure of a page"
    assert sum(row.modality == "image" and row.lod == 1 for row in built.rows) == n_tiles + len(thumbnails)
    assert [row.index for row, _ in built.blocks] == [r.index for r in built.rows if len(r.token_ids)]


def words_of(region: Region) -> list[Word]:
    lines = region.lines if region.table is None else [line for cell in region.table.cells for line in cell.lines]
    return [word for line in lines for word in line.words]


def test_blocks_carry_positions_boxes_and_roles() -> None:
    rng = random.Random(1)
    built = build([Page(1, SIZE, (text_region(rng, 6), figure(2), text_region(rng, 2, "heading")))])
    clock = 0
    for row, block in built.blocks:
        n = len(block.token_ids)
        assert row.t_span == (row.t_span[0], row.t_span[0] + n)
        np.testing.assert_array_equal(row.leaf_mu[:, 0], row.t_span[0] + np.arange(n))
        centres = (block.boxes[:, :2].astype(np.float64) + block.boxes[:, 2:]) / 2 / PATCH_PT
        np.testing.assert_allclose(row.leaf_mu[:, 1:], centres)
        np.testing.assert_array_equal(row.leaf_boxes, block.boxes)
        np.testing.assert_array_equal(row.leaf_roles, block.roles)
        assert row.text == block.text
        assert row.bbox == block.bbox
        clock += n
    assert built.rows[-1].t_span == (0, clock + 1), (
        "all tiles of a figure share one unit of time, and the thumbnail with them"
    )
    assert built.rows[-1].bbox == (0.0, 0.0, *SIZE)
    assert built.rows[-1].kind == "page"


def test_units() -> None:
    assert patch_size("pt") == PATCH_PT
    assert patch_size("px") == PATCH_PX


def test_blocks_of_a_table_link_to_its_header() -> None:
    rng = random.Random(2)
    built = build([Page(1, SIZE, (table_region(rng, 30), table_region(rng, 30)))])
    header: dict[int, tuple[int, str]] = {}
    for row, block in built.blocks:
        table = next(
            i for i, r in enumerate(built.rows) if r.kind == "table" and r.lod > 1 and r.first <= row.index <= i
        )
        if table not in header:
            assert block.header
            assert (row.links, row.context) == ((), "")
            header[table] = (row.index, block.header)
        else:
            assert (row.links, row.context) == ((header[table][0],), header[table][1])
    assert len(header) == 2


def test_text_without_headers_has_no_links() -> None:
    texts = [[f"word{line}{i}" for i in range(9)] for line in range(40)]
    lines = [
        Line(tuple(Word(text, (60.0 * i, 20.0 * y, 60.0 * i + 55, 20.0 * y + 10)) for i, text in enumerate(row)))
        for y, row in enumerate(texts)
    ]
    built = build([Page(1, SIZE, (Region("text", (0.0, 0.0, *SIZE), tuple(lines)),))])
    assert len(built.blocks) > 2
    assert all((row.links, row.context) == ((), "") for row in built.rows)


def test_a_table_that_goes_on_has_its_columns_named_where_it_began() -> None:
    rng = random.Random(5)
    regions = [table_region(rng, 12) for _ in range(3)]
    ids = [("1.1", False, 0), ("1.1", True, 0), ("3.1", False, 0)]
    pages = []
    for number, (region, (own_id, continues, n_repeated)) in enumerate(zip(regions, ids, strict=True), 1):
        assert region.table is not None
        cells = tuple(replace(c, role="body") if continues else c for c in region.table.cells)
        table = replace(region.table, cells=cells, id=own_id, continues=continues, n_repeated_rows=n_repeated)
        pages.append(Page(number, SIZE, (replace(region, table=table),)))
    blocks = [row for row in build(pages).rows if row.lod == 1]
    first, second, third = ([row for row in blocks if row.page == number] for number in (1, 2, 3))
    assert first[-1].context
    assert {row.context for row in second} == {first[-1].context}
    assert {row.links for row in second} == {first[-1].links}
    assert third[0].context == ""


def test_running_titles_are_left_out_unless_asked_for() -> None:
    def region(kind: RegionKind, text: str, is_running: bool = False) -> Region:
        box = (0.0, 0.0, 60.0, 10.0)
        return Region(kind, box, (Line((Word(text, box),)),), is_running=is_running)

    page = Page(1, SIZE, (region("header", "running", True), region("header", "letterhead"), region("text", "body")))
    for running_titles, expected in ((False, ["letterhead", "body"]), (True, ["running", "letterhead", "body"])):
        builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3), running_titles=running_titles)
        rows = [row for batch in builder.build(document([page])) for row in batch]
        assert [row.text for row in rows if row.lod == 1] == expected


def test_many_pages_are_grouped() -> None:
    """Empty pages at the end, and more pages than two levels hold."""
    rng = random.Random(4)
    page = [Page(n, SIZE, (Region("text", (0, 0, 9, 9), (Line(words(rng, 1)),)),)) for n in range(1, 1090)]
    empty = [Page(n, SIZE, ()) for n in range(1090, 1100)]
    built = build([*page, *empty])
    assert_is_tree(built.rows)
    assert sum(row.kind == "page" for row in built.rows) == 1089
    assert built.rows[-1].kind == "document"
    assert (built.rows[-1].page, built.rows[-1].last_page) == (1, 1089)


@pytest.mark.parametrize("n_pages", [1, 2, 31, 32, 33, 64, 65])
def test_a_group_is_closed_only_when_more_follows(n_pages: int) -> None:
    rng = random.Random(5)
    built = build([Page(n, SIZE, (text_region(rng, 1),)) for n in range(1, n_pages + 1)])
    assert_is_tree(built.rows)
    assert all(len(row.children) > 1 for row in built.rows if row.kind in ("pages", "document", "group"))
    assert built.rows[-1].kind == ("page" if n_pages == 1 else "document")


def test_a_document_without_content_has_no_rows() -> None:
    assert build([Page(1, SIZE, ()), Page(2, SIZE, (Region("text", (0, 0, 1, 1)),))]).rows == []


def test_a_figure_that_fails_is_left_out_and_told() -> None:
    rng = random.Random(6)
    broken = Page(2, SIZE, (text_region(rng, 2), figure(0), text_region(rng, 1)))
    built = build([Page(1, SIZE, (text_region(rng, 2),)), broken])
    assert_is_tree(built.rows)
    ((page, why, code),) = built.problems
    assert (page, code) == (2, "corrupt")
    assert "figure" in why
    assert "cannot be rendered" in why


class TestLargeFigures:
    """More rows than are held back."""

    def test_they_come_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mm_megacontext.tree.build.FIGURE_ROWS", 10)
        monkeypatch.setattr("mm_megacontext.tree.build.BATCH_ROWS", 7)
        rng = random.Random(8)
        pages = [Page(1, SIZE, (text_region(rng, 3), figure(25), figure(10), text_region(rng, 2)))]
        builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3), FakeFigures())
        batches = list(builder.build(document(pages)))
        sizes = [len(batch) for batch in batches if batch[0].modality == "image"]
        assert sizes == [10, 7, 7, 2, 10, 1, 1], "the last one is the thumbnail"
        rows = [row for batch in batches for row in batch]
        monkeypatch.undo()
        assert_rows_equal(rows, build(pages).rows)
        assert_is_tree(rows)

    def test_no_more_is_read_than_is_handed_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mm_megacontext.tree.build.FIGURE_ROWS", 10)
        monkeypatch.setattr("mm_megacontext.tree.build.BATCH_ROWS", 10)

        class Endless(FakeFigures):
            n_made = 0

            def rows(
                self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
            ) -> Iterator[NodeRow]:
                for index in itertools.count(index_start):
                    self.n_made += 1
                    yield self._tile(page.number, t, index)

        figures = Endless()
        builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3), figures)
        batches = builder.build(document([Page(1, SIZE, (figure(1),))]))
        for n in range(1, 6):
            assert [row.index for row in next(batches)] == list(range(10 * n - 10, 10 * n))
            assert figures.n_made == 10 * n

    @pytest.mark.parametrize(("n_good", "is_left_out"), [(9, True), (10, False)])
    def test_one_that_fails_is_left_out_unless_it_was_begun(
        self, monkeypatch: pytest.MonkeyPatch, n_good: int, is_left_out: bool
    ) -> None:
        monkeypatch.setattr("mm_megacontext.tree.build.FIGURE_ROWS", 10)

        class Failing(FakeFigures):
            def rows(
                self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
            ) -> Iterator[NodeRow]:
                yield from (self._tile(page.number, t, index_start + i) for i in range(n_good))
                raise IngestError("cannot be decoded", source="test.pdf", page=page.number)

        problems: list[tuple[int, str, ErrorCode]] = []
        builder = TreeBuilder(
            "pt", PairTokenizer(), MeanTextGister(embed, 3), Failing(), on_problem=lambda *p: problems.append(p)
        )
        batches = builder.build(document([Page(1, SIZE, (figure(1),))]))
        if is_left_out:
            assert list(batches) == []
            assert len(problems) == 1
        else:
            with pytest.raises(IngestError, match="cannot be decoded"):
                list(batches)


@pytest.mark.parametrize("n", [0, 1, 24, 25, 26, 27])
def test_a_document_that_is_one_figure_is_gone_on_with_after_any_row(n: int) -> None:
    class Resumable(FakeFigures):
        def rows(
            self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
        ) -> Iterator[NodeRow]:
            whole = super().rows(page, region, t=t, index_start=0)
            return itertools.islice(whole, sum(top.index - top.first + 1 for top in done), None)

    pages = [Page(1, SIZE, (figure(25),))]
    assert is_one_figure(document(pages))
    rows = build(pages, "px").rows
    builder = TreeBuilder("px", PairTokenizer(), MeanTextGister(embed, 3), Resumable())
    rest = builder.build(document(pages), written=Written(n, tops_of(rows[:n])))
    assert_rows_equal([row for batch in rest for row in batch], rows[n:])
    assert len(rows) == 27


def test_what_is_not_one_figure() -> None:
    rng = random.Random(9)
    several = (figure(2), figure(2)), (figure(2), text_region(rng, 1)), (text_region(rng, 1),), ()
    assert not any(is_one_figure(document([Page(1, SIZE, regions)])) for regions in several)
    assert not is_one_figure(document([Page(1, SIZE, (figure(2),)), Page(2, SIZE, ())]))


def test_a_figure_that_fails_raises_where_nobody_is_told() -> None:
    builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3), FakeFigures())
    with pytest.raises(IngestError, match="page 1: cannot be rendered"):
        list(builder.build(document([Page(1, SIZE, (figure(0),))])))


def test_without_vision_figures_are_left_out() -> None:
    builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3))
    page = Page(1, SIZE, (figure(3), text_region(random.Random(7), 1)))
    rows = [row for batch in builder.build(document([page])) for row in batch]
    assert_is_tree(rows)
    assert rows[-1].modality == "text"


@dataclass
class _Top:
    """Stands for a row: what it covers, in order, and how large its family is."""

    covers: list[int]
    arity: int = 0


def _grouped(n: int) -> tuple[list[_Top], list[_Top]]:
    """All parents made of ``n`` tops, and the tops left at the end."""
    made: list[_Top] = []

    def parent(children: Any) -> Any:
        made.append(_Top([i for child in children for i in child.covers], len(children)))
        return made[-1]

    grouper = Grouper(parent)
    n_returned = 0
    for i in range(n):
        n_returned += len(grouper.room())
        top: Any = _Top([i])
        grouper.add(top)
    closed, tops = grouper.finish()
    assert n_returned + len(closed) == len(made), "every new row is handed out"
    left: Any = list(tops)
    return made, left


@settings(max_examples=40)
@given(st.integers(1, 3000))
def test_grouper_covers_every_top_once_in_order(n: int) -> None:
    made, tops = _grouped(n)
    assert [i for top in tops for i in top.covers] == list(range(n))
    assert 1 <= len(tops) <= GROUP_ARITY
    assert all(2 <= parent.arity <= GROUP_ARITY for parent in made)


@pytest.mark.parametrize(
    ("n", "n_tops"),
    [(1, 1), (2, 2), (32, 32), (33, 2), (64, 2), (65, 3), (1023, 32), (1024, 32), (1025, 2), (1056, 2), (1057, 2)],
)
def test_grouper_leaves_as_many_tops_as_it_must(n: int, n_tops: int) -> None:
    _, tops = _grouped(n)
    assert len(tops) == n_tops


def test_a_gister_is_asked_once_per_region() -> None:
    class Counting(MeanTextGister):
        n_calls = 0

        def of_tokens(self, blocks: Sequence[np.ndarray[Any, np.dtype[np.int64]]]) -> list[Gist]:
            Counting.n_calls += 1
            return super().of_tokens(blocks)

    rng = random.Random(8)
    builder = TreeBuilder("pt", PairTokenizer(), Counting(embed, 3))
    page = Page(1, SIZE, (text_region(rng, 20), text_region(rng, 20)))
    list(builder.build(document([page])))
    assert Counting.n_calls == 2


def test_text_and_figures_may_differ_in_slots() -> None:
    """What expanding costs is known beforehand. Oracle: the cost after it."""
    rng = random.Random(3)
    page = Page(1, SIZE, (text_region(rng, 200), figure(3), text_region(rng, 20), figure(2)))
    figures_alone = Page(2, SIZE, (figure(3), figure(2)))
    builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, 3, slots=4), FakeFigures())
    rows = [row for batch in builder.build(document([page, figures_alone])) for row in batch]
    assert {(row.modality, len(row.gist)) for row in rows} == {("text", 4), ("mixed", 4), ("image", 1)}
    below = {row.index: sum(len(rows[child].gist) for child in row.children) for row in rows if row.children}
    assert {row.index: row.child_slots for row in rows if row.child_slots is not None} == {
        index: n for index, n in below.items() if n != len(rows[index].gist) * len(rows[index].children)
    }
    assert any(row.child_slots is not None for row in rows)
    context = WorkingContext.start(as_tree(rows), 10_000)
    while gists := [entry for entry in context if entry.node.children and not entry.is_expanded]:
        announced = context.cost + gists[0].expansion_cost
        context = context.expand([gists[0].id])
        assert context.cost == announced
    invariants.check(context, deep=True)


@pytest.mark.parametrize("turn", [90.0, 180.0, 270.0, 93.5])
def test_turned_text_has_the_positions_of_upright_text_and_boxes_on_its_page(turn: float) -> None:
    frame = TurnedFrame.of(SIZE, turn)
    line = Line(
        tuple(Word(text, (100.0 + 60 * i, 300.0, 140.0 + 60 * i, 312.0)) for i, text in enumerate(("ab", "cd")))
    )
    region = Region("text", line.bbox, (line,))
    lying = replace(mapped(region, frame.on_page), turn=turn)
    (upright, *_), (turned, *_) = (
        build([Page(1, frame.turned_size, (region,))]).rows,
        build([Page(1, SIZE, (lying,))]).rows,
    )
    assert turned.text == upright.text
    np.testing.assert_allclose(turned.leaf_mu, upright.leaf_mu, atol=1e-5)
    np.testing.assert_array_equal(turned.leaf_roles, upright.leaf_roles)
    expected = [frame.on_page((x0, y0, x1, y1)) for x0, y0, x1, y1 in upright.leaf_boxes.tolist()]
    np.testing.assert_allclose(turned.leaf_boxes, expected, atol=1e-3)
    assert turned.bbox == pytest.approx(lying.bbox, abs=1e-3)
