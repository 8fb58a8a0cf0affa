"""Patches of a tile in closed form. Oracle: every patch by a loop, and moments of the list of positions."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import decode_leaves, encode_rows
from mm_megacontext.tree.nodes import Moments, PatchGrid
from tests.images import TexturedSource, image_rows

MOMENT_TOLERANCE = 1e-9
"""Relative: sums of float64."""


@st.composite
def grids(draw: st.DrawFn) -> PatchGrid:
    level = draw(st.integers(0, 6))
    x, y = (draw(st.integers(0, 10**7)) for _ in range(2))
    width, height = (draw(st.integers(1, 300)) for _ in range(2))
    cut = draw(st.integers(0, (1 << level) - 1))  # the last pixel of a level may reach past the image
    return PatchGrid(
        *(x, y, width, height, level),
        right=((x + width) << level) - cut,
        bottom=(y + height) << level,
        unit=draw(st.sampled_from([0.5, 1.0])),
        t=draw(st.integers(0, 2**40)),
    )


@given(grids())
def test_positions_and_boxes_are_those_of_each_patch(grid: PatchGrid) -> None:
    mu, boxes = [], []
    scale = 2**grid.level
    for top in range(grid.y, grid.y + grid.height, 16):
        for left in range(grid.x, grid.x + grid.width, 16):
            mu.append((grid.t, (left + 8) * scale / 16, (top + 8) * scale / 16))
            right, bottom = min((left + 16) * scale, grid.right), min((top + 16) * scale, grid.bottom)
            boxes.append([side * grid.unit for side in (left * scale, top * scale, right, bottom)])
    assert len(grid) == len(mu)
    np.testing.assert_array_equal(grid.mu(), np.array(mu, dtype=np.float64), strict=True)
    np.testing.assert_array_equal(grid.boxes(), np.array(boxes, dtype=np.float32), strict=True)


@given(grids())
def test_moments_are_those_of_the_positions(grid: PatchGrid) -> None:
    found, expected = grid.moments(), Moments.of(grid.mu())
    assert found.n == expected.n
    np.testing.assert_allclose(found.mean, expected.mean, rtol=MOMENT_TOLERANCE)
    np.testing.assert_allclose(found.variance[1:], expected.variance[1:], rtol=1e-6, atol=1e-3)
    assert found.variance[0] == 0


def test_tiles_are_stored_as_grids_and_read_as_patches() -> None:
    rows = image_rows(TexturedSource(300, 170))
    packed = encode_rows(1, rows, GistShape(24, 1, 1)).column("leaves").to_pylist()
    for row, stored in zip(rows, packed, strict=True):
        assert (stored is None) == (row.lod > 1)
        if stored is not None:
            leaves = decode_leaves(stored)
            np.testing.assert_array_equal(leaves.mu, row.leaf_mu, strict=True)
            np.testing.assert_array_equal(leaves.boxes, row.leaf_boxes, strict=True)
            assert (len(leaves.token_ids), len(leaves.roles)) == (0, 0)
            assert len(stored) < 64


def test_what_was_stored_patch_by_patch_is_read_the_same() -> None:
    rows = [row for row in image_rows(TexturedSource(300, 170)) if row.lod == 1]
    listed = [dataclasses.replace(row, grid=None) for row in rows]
    tables = [encode_rows(1, some, GistShape(24, 1, 1)).column("leaves").to_pylist() for some in (rows, listed)]
    for one, other in zip(*tables, strict=True):
        found, expected = decode_leaves(one), decode_leaves(other)
        np.testing.assert_array_equal(found.mu, expected.mu)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
