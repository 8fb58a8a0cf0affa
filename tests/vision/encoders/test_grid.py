"""Oracles: cells cut into equal pieces small enough to belong to one old and one new cell; the mean of the tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.vision.encoders.grid import resample_grid

FLOAT64 = 1e-12


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (4, 4), (9, 9), (14, 14), (1, 1), (7, 3), (16, 5)])
def test_it_is_the_mean_by_area(rows: int, columns: int) -> None:
    grid = np.random.default_rng(0).normal(size=(2, rows, columns, 3))
    fine = grid.repeat(8, axis=1).repeat(8, axis=2)  # every old cell in 8 x 8 pieces, every new one in rows x columns
    expected = fine.reshape(2, 8, rows, 8, columns, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resample_grid(torch.from_numpy(grid)).numpy(), expected, atol=FLOAT64)


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.integers(0, 99))
def test_the_mean_of_the_tile_stays(rows: int, columns: int, side: int, seed: int) -> None:
    grid = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, rows, columns, 2)))
    torch.testing.assert_close(resample_grid(grid, side).mean(dim=(1, 2)), grid.mean(dim=(1, 2)), atol=1e-12, rtol=0)


def test_the_same_grid_is_untouched() -> None:
    grid = torch.randn(2, 8, 8, 5)
    assert resample_grid(grid) is grid
