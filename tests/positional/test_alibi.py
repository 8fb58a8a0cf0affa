"""ALiBi for positions with a spread. Oracles: the paper's slopes, and samples."""

from __future__ import annotations

import pytest
import torch

from mm_megacontext.positional import Positions, alibi_bias, alibi_slopes


def test_slopes_of_the_paper() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(1).tolist() == [2.0**-8]
    assert alibi_slopes(12).tolist() == pytest.approx(
        [2.0**-i for i in range(1, 9)] + [2.0 ** -(i / 2) for i in (1, 3, 5, 7)]
    )
    with pytest.raises(ValueError, match="at least one head"):
        alibi_slopes(0)


def test_points_give_the_plain_distance() -> None:
    q, k = Positions.tokens(3, start=1e12), Positions.tokens(5, start=1e12 - 1)
    bias = alibi_bias(q, k, 4)
    distance = torch.tensor([[abs(i - (j - 1)) for j in range(5)] for i in range(3)])
    assert torch.equal(bias, -alibi_slopes(4)[:, None, None] * distance)


@pytest.mark.parametrize("distance", [0.0, 2.0, -7.5])
def test_a_spread_gives_the_expected_distance(distance: float) -> None:
    """Sampled within three standard errors."""
    generator = torch.Generator().manual_seed(0)
    mu = torch.zeros(2, 3, dtype=torch.float64)
    mu[1, 0] = distance
    sigma = torch.tensor([[1.5, 9.0, 9.0], [2.0, 9.0, 9.0]])
    q, k = (Positions(mu[i : i + 1], sigma[i : i + 1]) for i in (0, 1))
    found = alibi_bias(q, k, 1) / -alibi_slopes(1)[0]
    noise = torch.randn(2, 400_000, generator=generator, dtype=torch.float64)
    sampled = (noise[0] * 1.5 - (distance + noise[1] * 2.0)).abs()
    assert abs(float(found) - float(sampled.mean())) < 3 * float(sampled.std()) / 400_000**0.5


def test_a_batch_is_biased_one_by_one() -> None:
    places = [Positions(torch.rand(4, 3).double() * 9, torch.rand(4, 3)) for _ in range(3)]
    both = Positions(*(torch.stack([getattr(p, name) for p in places]) for name in ("mu", "sigma")))
    together = alibi_bias(both, both, 2)
    assert torch.equal(together, torch.stack([alibi_bias(p, p, 2) for p in places]))
