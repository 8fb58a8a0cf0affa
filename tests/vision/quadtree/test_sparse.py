"""Images with large parts of one colour. Oracles: the tree of the same pixels without saying so, and painted pixels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.reading import invariants
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.tree.nodes import UNIFORM, NodeRow
from mm_megacontext.vision.gists.tile_gister import Cell, Gist, MeanPool, TileGister
from mm_megacontext.vision.sources.source import ArraySource, Colour, CropSource, Pixels, Rect, SparseSource, crop
from tests.images import ENCODER, SparseArraySource, image_rows, ingest_source, patchwork
from tests.tiny import as_tree

SIZES = st.tuples(st.integers(1, 1100), st.integers(1, 1100))


class Lopsided(MeanPool):
    """Depends on the order and number of the parts, as a learned one does."""

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        assert cells is not None
        return super().of_gists(
            gists, [n * (2 * row + column + 1) for n, (row, column) in zip(n_leaves, cells, strict=True)]
        )


@settings(max_examples=25)
@given(SIZES, st.integers(0, 2**32))
def test_a_node_of_one_colour_is_the_one_that_the_whole_tree_has_there(size: tuple[int, int], seed: int) -> None:
    pixels = patchwork(*size, seed)
    sparse = image_rows(SparseArraySource(pixels), tiles=TileGister(ENCODER, Lopsided()))
    dense = {
        (row.pixels, row.lod): row for row in image_rows(ArraySource(pixels), tiles=TileGister(ENCODER, Lopsided()))
    }
    for row in sparse:
        twin = dense[row.pixels, row.lod]
        assert (row.n_leaves, row.bbox, row.t_span, row.page) == (twin.n_leaves, twin.bbox, twin.t_span, twin.page)
        for name in ("gist", "mu", "sigma"):
            np.testing.assert_array_equal(getattr(row, name), getattr(twin, name), err_msg=f"{row.pixels} {name}")
        if row.kind == UNIFORM:
            assert row.pixels is not None
            x, y = row.pixels.x, row.pixels.y
            part = pixels[y : y + row.pixels.height, x : x + row.pixels.width]
            assert (part == part[0, 0]).all()
            assert (row.children, row.lod > 1) == ((), True)


@settings(max_examples=25)
@given(SIZES, st.integers(0, 2**32))
def test_any_cut_paints_every_pixel_once(size: tuple[int, int], seed: int) -> None:
    tree = as_tree(image_rows(SparseArraySource(patchwork(*size, seed))))
    context = WorkingContext.start(tree, 10**6)
    rng = random.Random(seed)
    for _ in range(rng.randrange(12)):
        expandable = [entry.id for entry in context if entry.is_expandable]
        if not expandable:
            break
        context = context.expand(rng.sample(expandable, rng.randint(1, len(expandable))))
    invariants.check(context, deep=True)
    painted = np.zeros((size[1], size[0]), dtype=np.int64)
    for entry in context:
        boxes = [entry.node.bbox] if entry.leaves is None else entry.leaves.boxes.tolist()
        for x0, y0, x1, y1 in boxes:
            painted[int(y0) : int(y1), int(x0) : int(x1)] += 1
    assert (painted == 1).all()


@settings(max_examples=20)
@given(SIZES, st.integers(0, 2**32))
def test_the_mean_colour_of_a_node_is_the_weighted_mean_of_its_childrens(size: tuple[int, int], seed: int) -> None:
    """Colours of 0 to 1, read from the image by each row's own rectangle, and from the gists' constant terms."""
    pixels = patchwork(*size, seed)
    rows = image_rows(SparseArraySource(pixels))
    for row in rows:
        if row.children:
            children = [rows[k] for k in row.children]
            areas = [area(child) for child in children]
            np.testing.assert_allclose(
                mean_colour(pixels, row),
                np.average([mean_colour(pixels, child) for child in children], axis=0, weights=areas),
                atol=MEAN_TOLERANCE,
            )
            gists = [child.gist[0].astype(np.float64) for child in children]
            mean = np.average(gists, axis=0, weights=[child.n_leaves for child in children])
            np.testing.assert_allclose(row.gist[0], mean, atol=MEAN_TOLERANCE)


MEAN_TOLERANCE = 1e-3
"""Half a step of float16 between 1 and 2, where the largest coordinates are, is 5e-4."""


def area(row: NodeRow) -> int:
    assert row.pixels is not None
    return row.pixels.width * row.pixels.height


def mean_colour(pixels: Pixels, row: NodeRow) -> npt.NDArray[np.float64]:
    ref = row.pixels
    assert ref is not None
    part = pixels[ref.y : ref.y + ref.height, ref.x : ref.x + ref.width]
    return np.asarray(part.mean(axis=(0, 1)) / 255)


def test_only_what_is_not_of_one_colour_is_read() -> None:
    pixels = np.full((128 * 32, 128 * 32, 3), 200, dtype=np.uint8)
    pixels[3000:3010, 700:710] = 0
    source = SparseArraySource(pixels)
    tiles = TileGister(ENCODER)
    rows = image_rows(source, tiles=tiles)
    assert source.n_pixels_read == 4 * 128 * 128  # the tile and the three beside it
    assert tiles.n_encoded == 2
    assert [row.kind for row in rows].count("tile") == 4
    assert len(rows) == 4 + 3 * 4 + 5  # three uniform siblings on each of four levels, and five parents
    assert rows[-1].n_leaves == 256 * 256


def test_an_image_of_one_colour_is_one_node() -> None:
    (row,) = image_rows(SparseArraySource(np.zeros((1000, 700, 3), dtype=np.uint8)))
    assert (row.kind, row.lod, row.n_leaves, row.first) == (UNIFORM, 4, 44 * 63, 0)
    entry = next(iter(WorkingContext.start(as_tree([row]), 1)))
    assert not entry.is_expandable


class Plane:
    """A white square of 10^12 pixels with some grey ones of 128."""

    size = (10**6, 10**6)
    n_levels = 21

    def __init__(self, corners: list[tuple[int, int]]) -> None:
        self._corners = corners

    def uniform(self, region: Rect) -> Colour | None:
        x, y, width, height = region
        is_touched = any(x - 128 < left < x + width and y - 128 < top < y + height for left, top in self._corners)
        return None if is_touched else (255, 255, 255)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        x, y, width, height = region
        assert max(width, height) <= 1024
        pixels = np.full((height, width, 3), 255, dtype=np.uint8)
        for left, top in self._corners:
            pixels[max(0, top - y) : max(0, top + 128 - y), max(0, left - x) : max(0, left + 128 - x)] = 100
        return pixels


def test_a_plane_of_a_million_by_a_million_pixels_is_stored_and_verifies(tmp_path: Path) -> None:
    rng = random.Random(4)
    corners = [(rng.randrange(10**6), rng.randrange(10**6)) for _ in range(12)]
    tiles = TileGister(ENCODER)
    identity = Identity(base="none", gistnet="mean", encoder=ENCODER.name, dim=ENCODER.dim, slots=1)
    with Store.create(tmp_path / "memory", identity) as store:
        ingest_source(store, "plane", Plane(corners), tiles)
        (record,) = store.sources()
        assert store.verify() == []
    assert record.n_leaves == 62_500**2
    np.testing.assert_allclose(record.mu, [0, 31_250, 31_250])
    np.testing.assert_allclose(record.sigma, [0, *[np.sqrt((62_500**2 - 1) / 12)] * 2])
    assert record.n_nodes < 12 * 4 * (1 + 3 * 13)  # each touches at most four tiles, with three siblings on each level


def test_a_crop_is_sparse_if_its_image_is() -> None:
    pixels = patchwork(500, 400, 1)
    pixels[100:300, 100:300] = 7
    inner = crop(SparseArraySource(pixels), (50, 60, 300, 300))
    assert isinstance(inner, SparseSource)
    assert inner.uniform((50, 40, 200, 200)) == (7, 7, 7)
    assert not isinstance(crop(ArraySource(pixels), (50, 60, 300, 300)), SparseSource)
    np.testing.assert_array_equal(
        inner.read((3, 4, 20, 30)), CropSource(ArraySource(pixels), (53, 64, 20, 30)).read((0, 0, 20, 30))
    )


class TestNearBlank:
    def test_noise_below_the_threshold_is_one_tile(self) -> None:
        rng = np.random.default_rng(0)
        noise = [np.clip(240 + rng.integers(-2, 3, (128, 128, 3)), 0, 255).astype(np.uint8) for _ in range(5)]
        exact, near = TileGister(ENCODER), TileGister(ENCODER, near_blank=4)
        gists = near.gists(noise)
        exact.gists(noise)
        assert (exact.n_encoded, near.n_encoded) == (5, 1)
        (blank,) = exact.gists([np.full((128, 128, 3), 240, np.uint8)])
        for gist in gists:
            np.testing.assert_array_equal(gist, blank)

    def test_what_differs_by_more_is_left_alone(self) -> None:
        tile = np.full((128, 128, 3), 240, np.uint8)
        tile[64, 64, 1] = 235
        for threshold, is_blank in ((4, False), (5, True)):
            near = TileGister(ENCODER, near_blank=threshold)
            assert (near.recognise([tile]).pixels == 240).all() == is_blank

    @pytest.mark.parametrize("threshold", [-1, 256])
    def test_a_threshold_that_is_none_is_refused(self, threshold: int) -> None:
        with pytest.raises(ValueError, match="0 to 255"):
            TileGister(ENCODER, near_blank=threshold)
