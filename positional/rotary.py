"""Gaussian rotary embedding over three axes (t, x, y).

Every entry has a mean mu and a spread sigma per axis. A pair of axis a with frequency w is rotated by ``w * mu`` and
scaled by ``exp(-w^2 sigma^2 / 2)``; with both q and k so treated, q.k is the expectation of plain rotary attention
under independent Gaussians N(mu_q, sigma_q^2) and N(mu_k, sigma_k^2) (the characteristic function of a Gaussian).
Plain rotary embedding is the case sigma = 0 (Su et al. 2021, RoFormer).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

AXES = ("t", "x", "y")


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryConfig:
    """How the dimensions of a head are shared between the axes.

    Attributes:
        head_dim: Size of a head; even.
        pairs: Number of rotated pairs for t, x and y; what they leave of ``head_dim / 2`` is not rotated.
        theta: Base of the geometric frequency series of each axis: frequency i of n is ``theta ** (-i / n)``.
    """

    head_dim: int
    pairs: tuple[int, int, int]
    theta: tuple[float, float, float] = (10_000.0, 200.0, 200.0)

    def __post_init__(self) -> None:
        if self.head_dim % 2 or sum(self.pairs) > self.head_dim // 2 or min(self.pairs) < 0:
            raise ValueError(f"pairs {self.pairs} do not fit an even head of {self.head_dim} dimensions")

    def frequencies(self) -> Tensor:
        """(pairs,) float64 angular frequencies, axis by axis."""
        return torch.cat(
            [
                theta ** (-torch.arange(n, dtype=torch.float64) / max(n, 1))
                for n, theta in zip(self.pairs, self.theta, strict=True)
            ]
        )

    def axis_of_pair(self) -> Tensor:
        """(pairs,) index into the axes (t, x, y)."""
        return torch.repeat_interleave(torch.arange(3), torch.tensor(self.pairs))


class Phases(NamedTuple):
    """Damped cosines and sines, (*batch, entries, pairs) float32; computed once and shared by all layers."""

    cos: Tensor
    sin: Tensor


def phases(mu: Tensor, sigma: Tensor, config: RotaryConfig, gain: Tensor | None = None) -> Phases:
    """Phases of entries at ``mu`` with spread ``sigma``.

    Args:
        mu: (*batch, entries, 3) float64: phases of far positions lose their meaning in float32.
        sigma: (*batch, entries, 3), >= 0, same units.
        config: Axis layout and frequencies.
        gain: (3,) learnable factor on sigma, or None for 1.

    Returns:
        Phases in float32 on the device of ``mu``.
    """
    frequency = config.frequencies().to(mu.device)
    axis = config.axis_of_pair().to(mu.device)
    angle = torch.remainder(mu.double()[..., axis] * frequency, 2 * math.pi).float()
    spread = sigma.float() if gain is None else sigma.float() * gain
    damping = torch.exp(-0.5 * (spread[..., axis] * frequency.float()) ** 2)
    return Phases(angle.cos() * damping, angle.sin() * damping)


def rotate(x: Tensor, at: Phases) -> Tensor:
    """Rotate and damp the first ``2 * pairs`` dimensions of each head; the rest passes through.

    Args:
        x: (batch, heads, entries, head_dim) queries or keys; normalise them BEFORE, or the damping is undone.
        at: Phases of (batch, entries, pairs).

    Returns:
        Tensor like ``x``, in its dtype.
    """
    cos, sin = at.cos.unsqueeze(-3), at.sin.unsqueeze(-3)
    n = cos.shape[-1]
    first, second, rest = x[..., :n].float(), x[..., n : 2 * n].float(), x[..., 2 * n :]
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)
    return torch.cat((rotated, rest), dim=-1)
