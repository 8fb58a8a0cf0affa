"""Where entries are: a mean and a spread on the axes t, x and y."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

AXES = ("t", "x", "y")


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Mean and spread of every entry on the axes (t, x, y).

    Attributes:
        mu: (*batch, entries, 3) float64. Float32 would lose steps of 1 from 16 million on.
        sigma: (*batch, entries, 3), standard deviations in the same units, >= 0; leaves have 0.

    Raises:
        ValueError: Shapes differ or do not end in 3, or ``mu`` is not float64.

    Example:
        >>> Positions.tokens(3).mu[:, 0].tolist()
        [0.0, 1.0, 2.0]
        >>> Positions.grid(5.0, 1, 2).mu.tolist()
        [[5.0, 0.5, 0.5], [5.0, 1.5, 0.5]]
    """

    mu: Float64[Tensor, "*batch entries 3"]
    sigma: Float[Tensor, "*batch entries 3"]

    def __post_init__(self) -> None:
        if self.mu.shape[-1:] != (3,) or self.mu.dim() < 2 or self.mu.shape != self.sigma.shape:
            raise ValueError(
                f"mu and sigma must both be (*batch, entries, 3), got {tuple(self.mu.shape)} "
                f"and {tuple(self.sigma.shape)}"
            )
        if self.mu.dtype != torch.float64:
            raise ValueError(f"mu must be float64, so that far positions keep their distances; got {self.mu.dtype}")

    @classmethod
    def exact(cls, mu: Float64[Tensor, "*batch entries 3"]) -> Positions:
        """Points: a spread of 0."""
        return cls(mu, torch.zeros_like(mu, dtype=torch.float32))

    @classmethod
    def tokens(cls, n: int, start: float = 0.0, device: torch.device | str | None = None) -> Positions:
        """Running text: t counts up from ``start``, x and y are 0."""
        mu = torch.zeros(n, 3, dtype=torch.float64, device=device)
        mu[:, 0] = start + torch.arange(n, dtype=torch.float64, device=device)
        return cls.exact(mu)

    @classmethod
    def grid(cls, t: float, height: int, width: int, device: torch.device | str | None = None) -> Positions:
        """The patches of an image at time ``t``, row by row; a patch is 1 wide and stands at its centre."""
        y, x = torch.meshgrid(
            *(torch.arange(n, dtype=torch.float64, device=device) + 0.5 for n in (height, width)), indexing="ij"
        )
        return cls.exact(torch.stack((torch.full_like(x, t), x, y), dim=-1).reshape(-1, 3))

    @classmethod
    def spans(cls, begin: Float64[Tensor, "*batch entries 3"], end: Float64[Tensor, "*batch entries 3"]) -> Positions:
        """What evenly fills boxes: the mean is the middle, the spread of width w is w / sqrt(12)."""
        return cls((begin + end) / 2, ((end - begin) / math.sqrt(12)).float())

    def __len__(self) -> int:
        return self.mu.shape[-2]
