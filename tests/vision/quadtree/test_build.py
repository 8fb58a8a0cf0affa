"""Oracle: all patches of the image listed by loops, their positions and vectors averaged directly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.tree.nodes import NodeRow, PixelRef
from mm_megacontext.vision.encoders import DctEncoder, PatchVectors, TilePixels
from mm_megacontext.vision.gists.tile_gister import Gist, MeanPool, TileGister
from mm_megacontext.vision.quadtree.build import (
    build_image_nodes,
    build_thumbnail_row,
    read_leaf_pixels,
    thumbnail_level,
)
from mm_megacontext.vision.sources.frame import IMAGE_FRAME, PDF_FRAME, Frame
from mm_megacontext.vision.sources.source import ArraySource, CropSource, Pixels

ENCODER = DctEncoder(24)
HALF = 2e-3
"""Rounding of a stored gist to float16, at norms about one."""

SIZES = st.tuples(st.integers(1, 700), st.integers(1, 700))
FRAMES = st.builds(Frame, st.tuples(st.integers(0, 900), st.integers(0, 900)), st.sampled_from([0.5, 1.0]))


def picture(width: int, height: int, seed: int = 0) -> Pixels:
    """Low-frequency noise, so that means differ from tile to tile."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8)
    return coarse.repeat(40, axis=0).repeat(40, axis=1)[:height, :width]


def rows_of(image: Pixels, frame: Frame = IMAGE_FRAME, start: int = 0, t: int = 0) -> list[NodeRow]:
    tiles = TileGister(ENCODER)
    return list(build_image_nodes(ArraySource(image), tiles, page=3, frame=frame, t=t, index_start=start))


def subtree(rows: list[NodeRow], row: NodeRow) -> list[NodeRow]:
    return rows[row.first - rows[0].index : row.index - rows[0].index + 1]


@settings(max_examples=25)
@given(SIZES, FRAMES, st.integers(0, 1000))
def test_rows_are_a_post_order_tree(size: tuple[int, int], frame: Frame, start: int) -> None:
    rows = rows_of(picture(*size), frame, start)
    assert [row.index for row in rows] == list(range(start, start + len(rows)))
    tops: list[NodeRow] = []
    for row in rows:
        children = tops[len(tops) - len(row.children) :]
        del tops[len(tops) - len(row.children) :]
        assert row.children == tuple(child.index for child in children)
        assert row.first == (children[0].first if children else row.index)
        assert (row.kind, row.lod == 1) == (("tile_group", False) if children else ("tile", True))
        assert all(child.lod == row.lod - 1 for child in children)
        assert row.n_leaves == (sum(child.n_leaves for child in children) if children else len(row.leaf_mu))
        assert (row.page, row.last_page, row.modality, row.t_span) == (3, 3, "image", (0, 1))
        tops.append(row)
    assert tops == [rows[-1]]


@settings(max_examples=25)
@given(SIZES, FRAMES)
def test_every_patch_once_with_its_box_and_position(size: tuple[int, int], frame: Frame) -> None:
    rows = rows_of(picture(*size), frame, t=7)
    boxes = np.concatenate([row.leaf_boxes for row in rows])
    mu = np.concatenate([row.leaf_mu for row in rows])
    (left, top), unit = frame.origin_px, frame.unit_per_px
    expected = {
        (
            (left + x) * unit,
            (top + y) * unit,
            (left + min(x + 16, size[0])) * unit,
            (top + min(y + 16, size[1])) * unit,
        ): (7.0, (left + x + 8) / 16, (top + y + 8) / 16)
        for y in range(0, size[1], 16)
        for x in range(0, size[0], 16)
    }
    found = {tuple(map(float, box)): tuple(map(float, at)) for box, at in zip(boxes, mu, strict=True)}
    assert len(boxes) == len(expected) == rows[-1].n_leaves
    assert found == expected


@settings(max_examples=15)
@given(SIZES, FRAMES, st.integers(0, 10**6))
def test_moments_and_boxes_are_those_of_the_leaves(size: tuple[int, int], frame: Frame, t: int) -> None:
    rows = rows_of(picture(*size), frame, t=t)
    for row in rows:
        below = subtree(rows, row)
        mu = np.concatenate([r.leaf_mu for r in below])
        boxes = np.concatenate([r.leaf_boxes for r in below])
        np.testing.assert_allclose(row.mu, mu.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(row.sigma, mu.std(axis=0), atol=1e-6)
        assert row.bbox == (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))


@settings(max_examples=15)
@given(SIZES)
def test_a_gist_is_the_mean_vector_of_its_patches(size: tuple[int, int]) -> None:
    image = picture(*size)
    rows = rows_of(image)
    columns, height = -(-size[0] // 16) * 16, -(-size[1] // 16) * 16
    padded = np.pad(image, ((0, height - size[1]), (0, columns - size[0]), (0, 0)), mode="edge")
    vectors = ENCODER.encode(padded.transpose(2, 0, 1)[None])[0]  # (rows, columns, dim)
    for row in rows:
        assert row.pixels is not None
        x, y = row.pixels.x // 16, row.pixels.y // 16
        right, bottom = -(-(row.pixels.x + row.pixels.width) // 16), -(-(row.pixels.y + row.pixels.height) // 16)
        mean = vectors[y:bottom, x:right].mean(axis=(0, 1))
        np.testing.assert_allclose(row.gist[0].astype(np.float32), mean, atol=HALF)


@settings(max_examples=15)
@given(SIZES)
def test_a_parents_gist_is_the_weighted_mean_of_its_childrens(size: tuple[int, int]) -> None:
    rows = rows_of(picture(*size))
    for row in rows:
        children = [rows[k] for k in row.children]
        if children:
            weights = [child.n_leaves for child in children]
            mean = np.average([child.gist.astype(np.float64) for child in children], axis=0, weights=weights)
            np.testing.assert_allclose(row.gist.astype(np.float64), mean, atol=HALF)


@settings(max_examples=20)
@given(SIZES, st.data())
def test_leaf_pixels_of_a_figure_are_read_back_through_its_page(size: tuple[int, int], data: st.DataObject) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    page = ArraySource(noise)
    x, y = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    rect = (x, y, data.draw(st.integers(1, size[0] - x)), data.draw(st.integers(1, size[1] - y)))
    figure, spy = CropSource(page, rect), EncoderSpy()
    tiles = TileGister(spy)
    rows = build_image_nodes(figure, tiles, page=1, frame=Frame((x, y)), t=0, index_start=0)
    refs = [row.pixels for row in rows if row.lod == 1]
    read_back = [read_leaf_pixels(page, ref) for ref in refs if ref is not None]
    seen = np.concatenate(spy.batches)
    if tiles.n_encoded == tiles.n_tiles:  # else equal tiles were encoded once
        for tile, ref, patches in zip(seen, refs, read_back, strict=True):
            assert ref is not None
            columns, count = -(-ref.width // 16), len(patches)
            for k in range(count):
                top, left = k // columns * 16, k % columns * 16
                np.testing.assert_array_equal(patches[k], tile[:, top : top + 16, left : left + 16])


class EncoderSpy:
    """Keeps what it is given."""

    name, patch_px, dim = "spy", 16, 3

    def __init__(self) -> None:
        self.batches: list[TilePixels] = []

    def encode(self, pixels: TilePixels) -> PatchVectors:
        self.batches.append(pixels)
        return np.zeros((len(pixels), 8, 8, self.dim), dtype=np.float32)


def test_rows_come_in_bounded_batches() -> None:
    rows = build_image_nodes(NeverEnding(), TileGister(ENCODER), page=1, frame=IMAGE_FRAME, t=0, index_start=0)
    first = [next(rows) for _ in range(500)]
    assert [row.index for row in first] == list(range(500))
    assert NeverEnding.n_reads <= 500


class NeverEnding:
    """A procedural image too large to be walked to its end."""

    size = (10**9, 10**9)
    n_levels = 31
    n_reads = 0

    def read(self, region: tuple[int, int, int, int], level: int = 0) -> Pixels:
        NeverEnding.n_reads += 1
        return np.full((region[3], region[2], 3), region[0] % 251, dtype=np.uint8)


def test_repeated_tiles_are_encoded_once() -> None:
    image = np.full((128 * 20, 128 * 20, 3), 255, dtype=np.uint8)
    image[128 * 3 : 128 * 4, 128 * 5 : 128 * 6] = picture(128, 128)
    image[128 * 17 : 128 * 18, 128 * 2 : 128 * 3] = picture(128, 128)
    spy = EncoderSpy()
    tiles = TileGister(spy)
    n_rows = sum(1 for _ in build_image_nodes(ArraySource(image), tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=0))
    assert n_rows == 400 + 100 + 25 + 9 + 4 + 1
    assert (tiles.n_tiles, tiles.n_encoded) == (400, 2)
    assert sum(len(batch) for batch in spy.batches) == 2


def test_tiles_of_other_extent_are_other_tiles() -> None:
    tiles = TileGister(ENCODER)
    tiles.gists([np.zeros((128, 64, 3), np.uint8), np.zeros((64, 128, 3), np.uint8), np.zeros((128, 64, 3), np.uint8)])
    assert (tiles.n_tiles, tiles.n_encoded) == (3, 2)


def test_the_least_recently_seen_tile_is_forgotten() -> None:
    tiles = TileGister(ENCODER, n_cached=2)
    a, b, c = (np.full((16, 16, 3), v, np.uint8) for v in (1, 2, 3))
    gists = [tiles.gists([tile])[0] for tile in (a, b, a, c, a, b)]
    assert tiles.n_encoded == 4  # a, b, c, and b again
    np.testing.assert_array_equal(gists[0], gists[4])
    np.testing.assert_allclose(gists[1], gists[5], atol=1e-6)


def test_more_distinct_tiles_than_are_remembered() -> None:
    batch = [np.full((16, 16, 3), v, np.uint8) for v in range(10)]
    few, many = TileGister(ENCODER, n_cached=3).gists(batch), TileGister(ENCODER).gists(batch)
    np.testing.assert_array_equal(np.stack(few), np.stack(many))


def test_slots_of_the_mean_repeat_it() -> None:
    tiles = TileGister(ENCODER, MeanPool(slots=3))
    rows = list(build_image_nodes(ArraySource(picture(300, 200)), tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=0))
    single = rows_of(picture(300, 200))
    for row, one in zip(rows, single, strict=True):
        assert row.gist.shape == (3, 24)
        assert row.gist.dtype == np.float16
        np.testing.assert_array_equal(row.gist, one.gist.repeat(3, axis=0))
    with pytest.raises(ValueError, match="at least one slot"):
        MeanPool(slots=0)


def test_a_gister_is_given_the_real_patches_and_the_full_precision_gists() -> None:
    shapes: list[tuple[int, ...]] = []

    class Recorder(MeanPool):
        def of_patches(self, tiles: object) -> list[Gist]:
            assert isinstance(tiles, list)
            shapes.extend(tile.shape for tile in tiles)
            return super().of_patches(tiles)

    tiles = TileGister(ENCODER, Recorder())
    list(build_image_nodes(ArraySource(picture(150, 33)), tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=0))
    assert shapes == [(3, 8, 24), (3, 2, 24)]


def test_an_encoder_of_another_patch_size_is_refused() -> None:
    spy = EncoderSpy()
    spy.patch_px = 14
    with pytest.raises(ValueError, match="patches of 16 px, spy has 14"):
        TileGister(spy)


@settings(max_examples=25)
@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)))
def test_a_thumbnail_is_the_finest_level_that_fits_a_tile(size: tuple[int, int]) -> None:
    level = thumbnail_level(size)
    assert -(-max(size) // 2**level) <= 128
    assert level == 0 or -(-max(size) // 2 ** (level - 1)) > 128


def test_a_thumbnail_covers_its_page() -> None:
    size = (1224, 1584)  # US letter
    source = ArraySource(picture(*size))
    row = build_thumbnail_row(source, TileGister(ENCODER), page=2, frame=PDF_FRAME, t=9, index=4)
    assert row.pixels == PixelRef(page=2, level=4, x=0, y=0, width=77, height=99)
    assert (row.index, row.first, row.lod, row.kind, row.n_leaves) == (4, 4, 1, "thumbnail", 5 * 7)
    assert row.bbox == (0.0, 0.0, 612.0, 792.0)
    areas = np.prod(row.leaf_boxes[:, 2:] - row.leaf_boxes[:, :2], axis=1)
    assert areas.sum() == 612 * 792
    np.testing.assert_array_equal(row.leaf_boxes[6], [128, 128, 256, 256])
    np.testing.assert_array_equal(row.leaf_mu[6], [9, 24, 24])  # its centre, (192 pt, 192 pt), in patches of 8 pt
    small = source.read((0, 0, 77, 99), 4)
    np.testing.assert_array_equal(read_leaf_pixels(source, row.pixels)[6], small[16:32, 16:32].transpose(2, 0, 1))


def test_a_thumbnail_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="whole page"):
        build_thumbnail_row(ArraySource(picture(9, 9)), TileGister(ENCODER), page=1, frame=Frame((1, 0)), t=0, index=0)


def test_a_node_above_the_tiles_has_no_leaf_pixels() -> None:
    root = rows_of(picture(300, 300))[-1]
    assert root.pixels == PixelRef(3, 0, 0, 0, 300, 300)
    with pytest.raises(ValueError, match="only a tile"):
        read_leaf_pixels(ArraySource(picture(300, 300)), root.pixels)
