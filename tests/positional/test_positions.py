"""Positions as values. Oracle: means and spreads of points, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.positional import Positions


@pytest.mark.parametrize(
    ("mu", "sigma", "message"),
    [
        (torch.zeros(5, 2, dtype=torch.float64), torch.zeros(5, 2), "both be"),
        (torch.zeros(5, 3, dtype=torch.float64), torch.zeros(4, 3), "both be"),
        (torch.zeros(3, dtype=torch.float64), torch.zeros(3), "both be"),
        (torch.zeros(5, 3), torch.zeros(5, 3), "float64"),
    ],
)
def test_what_is_no_position_is_refused(mu: torch.Tensor, sigma: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Positions(mu, sigma)


def test_tokens_count_up() -> None:
    found = Positions.tokens(4, start=1e9)
    assert found.mu.tolist() == [[1e9 + i, 0.0, 0.0] for i in range(4)]
    assert not found.sigma.any()
    assert len(found) == 4


def test_a_grid_stands_at_the_centres_of_its_patches() -> None:
    found = Positions.grid(7.0, 2, 3)
    assert found.mu.tolist() == [[7.0, x + 0.5, y + 0.5] for y in range(2) for x in range(3)]


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(-50, 50))
def test_a_span_has_the_moments_of_what_fills_it(width: int, height: int, left: int) -> None:
    """Against a fine grid of points in the box."""
    begin = torch.tensor([[3.0, float(left), 0.0]], dtype=torch.float64)
    end = begin + torch.tensor([0.0, width, height], dtype=torch.float64)
    found = Positions.spans(begin, end)
    n = 400
    x = left + (np.arange(n) + 0.5) * width / n
    y = (np.arange(n) + 0.5) * height / n
    assert found.mu[0].tolist() == pytest.approx([3.0, x.mean(), y.mean()])
    assert found.sigma[0].tolist() == pytest.approx([0.0, x.std(), y.std()], rel=1e-4)
    assert float(found.sigma[0, 1]) == pytest.approx(width / math.sqrt(12))


def test_points_of_float32_are_refused() -> None:
    """1e9 + 3 is gone before it could be made float64."""
    with pytest.raises(ValueError, match="float64"):
        Positions.exact(torch.tensor([[1e9 + 3, 0.0, 0.0]]))
