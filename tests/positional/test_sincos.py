"""Sine-cosine embeddings. Oracle: samples of where an entry might be."""

from __future__ import annotations

import pytest
import torch

from mm_megacontext.positional import Positions, sincos_2d


def test_a_spread_gives_the_expected_embedding() -> None:
    """Sampled within four standard errors, in every dimension."""
    generator = torch.Generator().manual_seed(0)
    n = 100_000
    mu, sigma = torch.tensor([[0.0, 3.0, 8.0]], dtype=torch.float64), torch.tensor([[0.0, 0.7, 2.0]])
    noise = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    sampled = sincos_2d(Positions.exact(mu + noise * sigma), 16).double()
    error = (sincos_2d(Positions(mu, sigma), 16)[0] - sampled.mean(0)).abs()
    assert (error <= 4 * sampled.std(0) / n**0.5 + 1e-6).all()


def test_axes_do_not_mix() -> None:
    here, right = Positions.grid(0.0, 1, 2).mu
    found = sincos_2d(Positions.exact(torch.stack((here, right))), 8)
    assert torch.equal(found[0, 4:], found[1, 4:])
    assert not torch.equal(found[0, :4], found[1, :4])


@pytest.mark.parametrize("dim", [0, 6, -4])
def test_sizes_come_in_fours(dim: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_2d(Positions.tokens(1), dim)
