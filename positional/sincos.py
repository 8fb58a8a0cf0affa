"""Two-dimensional sine-cosine embeddings for image encoders."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

from mm_megacontext.positional.positions import Positions


def sincos_2d(positions: Positions, dim: int, theta: float = 10_000.0) -> Float32[Tensor, "*batch entries {dim}"]:
    """Expected sines and cosines of x, then of y (He et al. 2022, MAE; Vaswani et al. 2017).

    Args:
        positions: Where the entries are; their spread damps frequency w by exp(-w^2 sigma^2 / 2).
        dim: Size of the embedding, a multiple of 4: sin x, cos x, sin y, cos y, a quarter each.
        theta: Base of the geometric series of frequencies.

    Raises:
        ValueError: ``dim`` is not a positive multiple of 4.
    """
    if dim % 4 or dim < 4:
        raise ValueError(f"dim must be a positive multiple of 4, got {dim}")
    n = dim // 4
    frequency = theta ** (-torch.arange(n, dtype=torch.float64, device=positions.mu.device) / n)
    angle = positions.mu[..., 1:, None] * frequency
    damping = torch.exp(-0.5 * (positions.sigma[..., 1:, None].double() * frequency) ** 2)
    return torch.cat((angle.sin() * damping, angle.cos() * damping), dim=-1).flatten(-2).float()
