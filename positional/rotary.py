"""Gaussian rotary embedding over three axes (t, x, y).

Every entry has a mean mu and a spread sigma per axis. A pair of axis a with frequency w is rotated by ``w * mu`` and
scaled by ``exp(-w^2 sigma^2 / 2)``; with both q and k so treated, q.k is the expectation of plain rotary attention
under independent Gaussians N(mu_q, sigma_q^2) and N(mu_k, sigma_k^2) (the characteristic function of a Gaussian).
Plain rotary embedding is the case sigma = 0 (Su et al. 2021, RoFormer).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mm_megacontext.positional.frequencies import PairTable, RotaryConfig, pair_table
from mm_megacontext.positional.positions import Positions

_SPLITTER = 2.0**27 + 1
"""Splits a float64 into two halves of 26 bits, whose products are exact (Veltkamp 1968)."""


class Phases(NamedTuple):
    """Damped cosines and sines; computed once and shared by all layers."""

    cos: Float[Tensor, "*batch entries pairs"]
    sin: Float[Tensor, "*batch entries pairs"]


def phases(positions: Positions, config: RotaryConfig, gain: Float[Tensor, " 3"] | None = None) -> Phases:
    """Phases of entries.

    Args:
        positions: Where they are; |mu| up to 1e12.
        config: Axis layout and frequencies.
        gain: Learnable factor on the spread per axis, or None for 1.

    Returns:
        In float32, or float64 if the spread is; differentiable with respect to ``gain`` and ``positions.sigma``.
    """
    table = pair_table(config, positions.mu.device)
    sigma = positions.sigma.to(torch.promote_types(positions.sigma.dtype, torch.float32))
    mu = positions.mu[..., table.axis]
    angle = (mu.float() * table.frequency if config.precision == "float32" else _exact_angles(mu, table)).to(
        sigma.dtype
    )
    spread = sigma if gain is None else sigma * gain
    damping = torch.exp(-0.5 * (spread[..., table.axis] * table.frequency) ** 2)
    return Phases(angle.cos() * damping, angle.sin() * damping)


def _exact_angles(mu: Tensor, table: PairTable) -> Tensor:
    """Angles (*batch, entries, pairs) in radians, float64, whole turns taken off before anything is rounded."""
    product = mu * table.turns
    turns = (product - product.round()) + (_product_error(mu, table.turns, product) + mu * table.turns_rest)
    return 2 * math.pi * turns


def _product_error(a: Tensor, b: Tensor, product: Tensor) -> Tensor:
    """What rounding took from ``product``: ``a * b`` exactly is ``product`` plus this (Dekker 1971)."""
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Tensor) -> tuple[Tensor, Tensor]:
    scaled = a * _SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def turn(
    x: Float[Tensor, "*batch heads entries head_dim"], at: Phases
) -> Float[Tensor, "*batch heads entries head_dim"]:
    """Rotate and damp the first ``2 * pairs`` dimensions of each head; the rest passes through.

    Args:
        x: Queries or keys; normalise them BEFORE, or the damping is undone.
        at: Phases of the entries, one for all heads.

    Returns:
        In the dtype of ``x``; computed in float32 or wider.
    """
    cos, sin = at.cos.unsqueeze(-3), at.sin.unsqueeze(-3)
    n = cos.shape[-1]
    first, second, rest = x[..., :n], x[..., n : 2 * n], x[..., 2 * n :]
    turned = (first * cos - second * sin).to(x.dtype), (second * cos + first * sin).to(x.dtype)
    return torch.cat((*turned, rest), dim=-1)


def rotate(
    q: Float[Tensor, "*batch heads entries head_dim"],
    k: Float[Tensor, "*batch kv_heads entries head_dim"],
    positions: Positions,
    config: RotaryConfig,
    gain: Float[Tensor, " 3"] | None = None,
) -> tuple[Float[Tensor, "*batch heads entries head_dim"], Float[Tensor, "*batch kv_heads entries head_dim"]]:
    """Queries and keys of the same entries, rotated and damped; a model of many layers shares ``phases`` instead.

    Args:
        q: Queries.
        k: Keys; may have fewer heads.
        positions: Where the entries are.
        config: Axis layout and frequencies.
        gain: See ``phases``.

    Example:
        >>> config = RotaryConfig(head_dim=8, pairs=(2, 1, 1))
        >>> q, k = rotate(torch.ones(1, 2, 5, 8), torch.ones(1, 1, 5, 8), Positions.tokens(5), config)
        >>> q.shape, k.shape
        (torch.Size([1, 2, 5, 8]), torch.Size([1, 1, 5, 8]))
    """
    at = phases(positions, config, gain)
    return turn(q, at), turn(k, at)
