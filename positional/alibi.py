"""Attention with linear biases over t (ALiBi, Press, Smith and Lewis 2022), for positions with a spread."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float32
from torch import Tensor

from mm_megacontext.positional.positions import Positions


def alibi_slopes(n_heads: int) -> Float32[Tensor, " heads"]:
    """Slope of every head: a geometric series from 2^(-8/n); of other numbers than powers of two, as the paper does.

    Raises:
        ValueError: There is no head.
    """
    if n_heads < 1:
        raise ValueError(f"need at least one head, got {n_heads}")
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2.0 ** (-8.0 * i / power) for i in range(1, power + 1)]
    between = [2.0 ** (-4.0 * i / power) for i in range(1, 2 * (n_heads - power), 2)]
    return torch.tensor(slopes + between)


def alibi_bias(q: Positions, k: Positions, n_heads: int) -> Float32[Tensor, "*batch heads queries keys"]:
    """What is added to attention scores: minus slope times the expected distance on t.

    Between Gaussians the distance is a folded normal variable: with d the distance of the means and s^2 the sum of
    the variances, its mean is ``s sqrt(2/pi) exp(-d^2 / 2 s^2) + d erf(d / (s sqrt 2))``, which is |d| for s = 0.

    Args:
        q: Positions of the queries, (*batch, queries).
        k: Positions of the keys, (*batch, keys).
        n_heads: Number of heads.
    """
    distance = q.mu[..., :, None, 0] - k.mu[..., None, :, 0]
    spread = torch.hypot(q.sigma[..., :, None, 0].double(), k.sigma[..., None, :, 0].double())
    tiny = torch.finfo(torch.float64).tiny
    z = distance / spread.clamp(min=tiny)
    blurred = spread * math.sqrt(2 / math.pi) * torch.exp(-0.5 * z * z) + distance * torch.erf(z / math.sqrt(2))
    expected = torch.where(spread > 0, blurred, distance.abs()).float()
    return -alibi_slopes(n_heads).to(expected.device)[:, None, None] * expected.unsqueeze(-3)
