"""Oracle: sets of pixels and patches counted one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.tree.nodes import TILE_PX, count_patches
from mm_megacontext.vision.quadtree.grid import GridNode, TileGrid
from mm_megacontext.vision.sources.frame import Frame

SIZES = st.tuples(st.integers(1, 1500), st.integers(1, 1500))


@given(SIZES)
def test_a_parent_comes_right_after_its_children_and_is_their_union(size: tuple[int, int]) -> None:
    grid = TileGrid(*size)
    stack: list[GridNode] = []
    count = 0
    for node in grid.postorder():
        count += 1
        children = stack[len(stack) - node.n_children :]
        del stack[len(stack) - node.n_children :]
        assert 1 <= len(children) <= 4 if node.level else not children
        for child in children:
            assert child.level == node.level - 1
            assert (child.tx // 2, child.ty // 2) == (node.tx, node.ty)
        assert grid.cells(node) == [(child.ty % 2, child.tx % 2) for child in children]
        if children:
            areas = [math.prod(grid.rect(c.level, c.tx, c.ty)[2:]) for c in children]
            assert sum(areas) == math.prod(grid.rect(node.level, node.tx, node.ty)[2:])
        stack.append(node)
        assert len(stack) <= 3 * grid.top_level + 1
    assert stack == [GridNode(grid.top_level, 0, 0, stack[0].n_children)]
    assert grid.rect(*stack[0][:3]) == (0, 0, *size)
    assert count == len(grid)


@given(SIZES)
def test_every_tile_once_and_every_pixel_in_its_tile(size: tuple[int, int]) -> None:
    grid = TileGrid(*size)
    tiles = [(node.tx, node.ty) for node in grid.postorder() if node.level == 0]
    assert sorted(tiles) == sorted({(x // TILE_PX, y // TILE_PX) for x in edges(size[0]) for y in edges(size[1])})
    assert sum(math.prod(grid.rect(0, *tile)[2:]) for tile in tiles) == math.prod(size)


def edges(length: int) -> range:
    """Coordinates that touch every tile of a length."""
    return range(0, length, TILE_PX)


@given(st.integers(0, 6).map(lambda k: 2**k))
def test_a_square_power_of_two_is_walked_in_morton_order(side: int) -> None:
    grid = TileGrid(side * TILE_PX, side * TILE_PX)
    codes = [morton(node.tx, node.ty) for node in grid.postorder() if node.level == 0]
    assert codes == list(range(side * side))


def morton(x: int, y: int) -> int:
    return sum((x >> bit & 1) << 2 * bit | (y >> bit & 1) << 2 * bit + 1 for bit in range(16))


@pytest.mark.parametrize(
    ("size", "n_nodes", "top"),
    [
        ((1, 1), 1, 0),
        ((128, 128), 1, 0),
        ((129, 1), 3, 1),
        ((1, 100_000), 782 + 391 + 196 + 98 + 49 + 25 + 13 + 7 + 4 + 2 + 1, 10),
    ],
)
def test_thin_and_small_images(size: tuple[int, int], n_nodes: int, top: int) -> None:
    grid = TileGrid(*size)
    assert (len(grid), grid.top_level, sum(1 for _ in grid.postorder())) == (n_nodes, top, n_nodes)


def test_the_walk_of_a_huge_grid_starts_at_once() -> None:
    grid = TileGrid(10**9, 10**9)
    assert next(grid.postorder()) == GridNode(0, 0, 0, 0)
    assert grid.top_level == 23


@given(st.integers(1, 128), st.integers(1, 128))
def test_patches_hold_pixels(width: int, height: int) -> None:
    columns, rows = count_patches(width, height)
    assert (columns, rows) == (len({x // 16 for x in range(width)}), len({y // 16 for y in range(height)}))


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0 x 5"):
        TileGrid(0, 5)


@given(
    st.tuples(st.integers(0, 50), st.integers(0, 50)),
    st.sampled_from([0.5, 1.0]),
    st.tuples(*[st.floats(-20, 120, width=32)] * 4),
)
def test_the_pixels_of_a_box_are_those_it_touches(
    origin: tuple[int, int], unit: float, values: tuple[float, float, float, float]
) -> None:
    box = (min(values[0], values[2]), min(values[1], values[3]), max(values[0], values[2]), max(values[1], values[3]))
    frame, size = Frame(origin, unit), (40, 30)
    found = frame.pixels_in(box, size)
    slack = 0.002 * unit
    touched = [
        (x, y) for x in range(size[0]) for y in range(size[1]) if overlaps(frame.box(x, y, x + 1, y + 1), box, slack)
    ]
    if found is None:
        assert not touched
        return
    x, y, width, height = found
    assert x >= 0
    assert y >= 0
    assert x + width <= size[0]
    assert y + height <= size[1]
    for column, row in touched:
        assert x <= column < x + width
        assert y <= row < y + height
    for corner in ((x, y), (x + width - 1, y + height - 1)):
        assert overlaps(frame.box(*corner, corner[0] + 1, corner[1] + 1), box, -slack)


def overlaps(a: tuple[float, ...], b: tuple[float, ...], by: float) -> bool:
    """Whether two boxes share more than ``by`` in both directions (negative: or are that close)."""
    return min(a[2], b[2]) - max(a[0], b[0]) > by and min(a[3], b[3]) - max(a[1], b[1]) > by
