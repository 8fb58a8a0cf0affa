"""Links between words and pictures. Oracle: every token against every tile, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Box, Document, Line, Page, Region, RegionKind, Word
from mm_megacontext.reading import invariants
from mm_megacontext.reading.hints import HintConfig, HintSearch
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Leaves, Modality, Node, NodeId, NodeRow
from mm_megacontext.tree.parents import Gist
from mm_megacontext.tree.text_gists import MeanTextGister
from mm_megacontext.vision.gists.tile_gister import MeanPool, TileGister
from mm_megacontext.vision.quadtree.build import build_image_nodes, build_thumbnail_row
from mm_megacontext.vision.sources.frame import PDF_FRAME
from mm_megacontext.vision.sources.source import ArraySource, crop
from tests.images import ENCODER
from tests.reading.test_hints import VECTOR, FakeIndex
from tests.tree.test_blocks import PairTokenizer
from tests.tree.test_build import embed

SIZE = (300.0, 200.0)
RASTER = ArraySource(np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8))
SEVEN_REGIONS: list[RegionKind] = ["text", "caption", "figure", "scan", "text", "caption", "figure"]


class RasterFigures:
    """Quad-trees of parts of one raster at 144 dpi."""

    def __init__(self) -> None:
        self._tiles = TileGister(ENCODER)

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        rect = PDF_FRAME.pixels_in(region.bbox, RASTER.size)
        assert rect is not None
        frame = replace(PDF_FRAME, origin_px=rect[:2])
        part = crop(RASTER, rect)
        return build_image_nodes(part, self._tiles, page=page.number, frame=frame, t=t, index_start=index_start)

    def thumbnail(self, page: Page, *, t: int, index: int) -> NodeRow | None:
        return build_thumbnail_row(RASTER, self._tiles, page=page.number, frame=PDF_FRAME, t=t, index=index)

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        return MeanPool().of_gists(gists, n_leaves)


def rows_of(page: Page) -> list[NodeRow]:
    builder = TreeBuilder("pt", PairTokenizer(), MeanTextGister(embed, ENCODER.dim), RasterFigures())
    document = Document("test.pdf", "pdf", "pt", 1, "hash", lambda: iter((page,)))
    return [row for batch in builder.build(document) for row in batch]


def text(kind: RegionKind, places: Sequence[tuple[float, float]], **marks: int) -> Region:
    """A region of one line with a word of 6 x 4 pt at each place."""
    words = tuple(Word(f"w{i}", (x, y, x + 6, y + 4)) for i, (x, y) in enumerate(places))
    return Region(kind, (0.0, 0.0, *SIZE), (Line(words),), caption_of=marks.get("caption_of"))


def picture(box: Box) -> Region:
    return Region("figure", box)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Words and pictures anywhere; captions of any of the pictures, before and after them."""
    place = st.tuples(st.floats(0, 290), st.floats(0, 190))
    kinds = draw(st.lists(st.sampled_from(SEVEN_REGIONS), min_size=1, max_size=7))
    figures = [i for i, kind in enumerate(kinds) if kind == "figure"]
    regions = []
    for kind in kinds:
        if kind in ("figure", "scan"):
            (x, y), (width, height) = draw(place), draw(place)
            regions.append(Region(kind, (x, y, min(x + width + 8, SIZE[0]), min(y + height + 8, SIZE[1]))))
        else:
            target = draw(st.sampled_from(figures)) if kind == "caption" and figures else None
            region = text(kind, draw(st.lists(place, min_size=1, max_size=40)))
            regions.append(replace(region, caption_of=target))
    return Page(1, SIZE, tuple(regions))


def regions_of(page: Page, rows: Sequence[NodeRow]) -> dict[int, list[NodeRow]]:
    """The rows of each region: every region is a subtree, in order, and their roots are told by their kind and time."""
    top = [row for row in rows if row.kind not in ("page", "group", "thumbnail")]
    found: dict[int, list[NodeRow]] = {}
    for number, region in enumerate(page.regions):
        is_picture = region.kind in ("figure", "scan")
        own = [row for row in top if (row.modality == "image") == is_picture]
        taken = {row.index for part in found.values() for row in part}
        own = [row for row in own if row.index not in taken]
        root = next(r for r in own if not any(r.index in o.children for o in own))
        found[number] = [row for row in top if root.first <= row.index <= root.index]
    return found


@settings(max_examples=60)
@given(pages())
def test_links_are_those_that_every_token_and_tile_have(page: Page) -> None:
    rows = rows_of(page)
    regions = regions_of(page, rows)
    expected: set[tuple[int, int]] = set()
    pictures = [regions[i] for i, region in enumerate(page.regions) if region.kind in ("figure", "scan")]
    for number, region in enumerate(page.regions):
        if region.kind in ("figure", "scan"):
            continue
        blocks = [row for row in regions[number] if row.lod == 1]
        for block in blocks:
            if region.caption_of is not None:
                figure = regions[region.caption_of]
                expected |= {(block.index, figure[-1].index)} | {(node.index, block.index) for node in figure}
            for tile in (row for rows_ in pictures for row in rows_ if row.lod == 1):
                middles = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in block.leaf_boxes.tolist()]
                x0, y0, x1, y1 = tile.bbox
                if any(x0 <= x < x1 and y0 <= y < y1 for x, y in middles):
                    expected |= {(block.index, tile.index), (tile.index, block.index)}
    assert {(row.index, link) for row in rows for link in row.links} == expected
    assert all(list(row.links) == sorted(set(row.links)) for row in rows)


@settings(max_examples=30)
@given(pages())
def test_links_and_thumbnails_leave_a_cut_a_cut(page: Page) -> None:
    """The five invariants at every step down, and the leaves of the thumbnail among those that are covered."""
    rows = rows_of(page)
    tree = as_tree(rows)
    context = WorkingContext.start(tree, 100_000)
    invariants.check(context, deep=True)
    while inner := [entry.id for entry in context if entry.is_expandable]:
        context = context.expand(inner)
        invariants.check(context, deep=True)
    thumbnails = [row for row in rows if row.kind == "thumbnail"]
    assert len(thumbnails) == any(region.kind == "figure" for region in page.regions)
    for row in thumbnails:
        assert row.bbox == (0, 0, *SIZE)
        assert row.links == (), "what shows all of the page goes with nothing on it"
        assert len(context.by_id[NodeId(1, row.index)].leaves or ()) == row.n_leaves


def as_tree(rows: Sequence[NodeRow]) -> InMemoryTree:
    nodes = [
        Node(
            id=NodeId(1, row.index), first=NodeId(1, row.first), last=NodeId(1, row.index),
            children=tuple(NodeId(1, child) for child in row.children), lod=row.lod, modality=row.modality,
            kind=row.kind, page=row.page, last_page=row.last_page, bbox=row.bbox, t_span=row.t_span,
            n_leaves=row.n_leaves, mu=row.mu, sigma=row.sigma, gist=row.gist, text=row.text, pixels=row.pixels,
            links=tuple(NodeId(1, link) for link in row.links),
        )
        for row in rows
    ]  # fmt: skip
    leaves = {
        NodeId(1, row.index): Leaves(row.leaf_mu, row.leaf_boxes, row.token_ids.astype(np.int64), row.leaf_roles)
        for row in rows
        if row.lod == 1
    }
    return InMemoryTree(nodes, leaves)


def test_nothing_is_held_of_a_page_with_too_large_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(1, SIZE, (text("caption", [(10, 10)], caption_of=1), picture((0.0, 0.0, *SIZE))))
    assert any(row.links for row in rows_of(page))
    monkeypatch.setattr("mm_megacontext.tree.build.FIGURE_ROWS", 10)
    assert not any(row.links for row in rows_of(page))


@pytest.mark.parametrize(("modalities", "is_lifted"), [(("text",), False), (("text", "image"), True)])
def test_a_caption_leads_to_its_figure_where_pictures_are_read(
    modalities: tuple[Modality, ...], is_lifted: bool
) -> None:
    """So that a figure costs a base that is blind nothing, and a hit in words shows one that sees where to look."""
    page = Page(1, SIZE, (text("caption", [(10, 190)], caption_of=1), picture((0.0, 0.0, 300.0, 180.0))))
    tree = as_tree(rows_of(page))
    block, root = (
        NodeId(1, 0),
        next(node for node in tree.nodes([NodeId(1, i) for i in range(len(tree))]) if node.lod == 4),
    )
    index = FakeIndex(text=[(block, 1.0)])
    hints = HintSearch(index, tree, "w0", HintConfig(next_weight=0), modalities=modalities).all(VECTOR)
    context = WorkingContext.start(tree, 1000).expand(tree.roots())
    lifted = dict(zip([entry.id for entry in context], hints.of(context.entries).tolist(), strict=True))
    assert lifted[block] == 1
    assert lifted[root.id] == (pytest.approx(0.98) if is_lifted else 0)
