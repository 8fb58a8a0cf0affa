"""Which dimension pairs of a head turn with which axis, and how fast."""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from mm_megacontext.positional.positions import AXES

AxisLayout = Literal["separate", "chunked", "interleaved"]
Axis = Literal["t", "x", "y"]

_TWO_PI = Decimal(
    "6.28318530717958647692528676655900576839433879875021164194988918"
)  # arithmetic would round it to 28 digits
_DIGITS = 50


class PairTable(NamedTuple):
    """A config as tensors, one element per rotated pair.

    Attributes:
        axis: Index into the axes (t, x, y).
        frequency: Radians per unit.
        turns: Turns per unit, rounded to float64.
        turns_rest: What rounding took from ``turns``; together they are exact to 106 bits (Dekker 1971).
    """

    axis: Int64[Tensor, " pairs"]
    frequency: Float32[Tensor, " pairs"]
    turns: Float64[Tensor, " pairs"]
    turns_rest: Float64[Tensor, " pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryConfig:
    """How the dimensions of a head are shared between the axes.

    Pair i of n rotated ones is dimensions i and n + i, as in Llama and Qwen ("rotate half").

    Attributes:
        head_dim: Size of a head; even.
        pairs: Number of rotated pairs for t, x and y; what they leave of ``head_dim / 2`` is not rotated.
        theta: Base of the geometric series of each axis: frequency i of n is ``theta ** (-i / n)`` (Su et al. 2021).
        layout: ``separate``: every axis has a series of its own, one after the other. ``chunked`` and ``interleaved``:
            all pairs are one series with the first theta, which the axes share in runs (M-RoPE of Qwen2-VL, Wang et
            al. 2024) or in turn (Qwen3-VL; what remains is the first axis's).
        order: The order in which axes take their pairs; M-RoPE's (time, height, width) is ("t", "y", "x").
        stretch: NTK-aware stretching per axis (bloc97 2023): the slowest frequency of an axis becomes that many times
            slower, the fastest stays. Of a shared series, the first counts.
        slow_pairs: How many of an axis's pairs are ultra-slow instead; ``separate`` only. Their periods go on
            geometrically from the slowest ordinary one to ``slow_period``.
        slow_period: Longest period per axis, in its units.
        precision: ``exact``: phases are right to 1e-6 rad out to 1e12. ``float32``: as transformers computes them,
            rounding included, for models that were trained so.

    Raises:
        ValueError: Something does not fit something else; the message says what.
    """

    head_dim: int
    pairs: tuple[int, int, int]
    theta: tuple[float, float, float] = (10_000.0, 200.0, 200.0)
    layout: AxisLayout = "separate"
    order: tuple[Axis, Axis, Axis] = ("t", "x", "y")
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    slow_pairs: tuple[int, int, int] = (0, 0, 0)
    slow_period: tuple[float, float, float] = (1e9, 1e6, 1e6)
    precision: Literal["exact", "float32"] = "exact"

    def __post_init__(self) -> None:
        if self.head_dim % 2 or self.n_pairs > self.head_dim // 2 or min(self.pairs) < 0:
            raise ValueError(f"pairs {self.pairs} do not fit an even head of {self.head_dim} dimensions")
        if sorted(self.order) != sorted(AXES):
            raise ValueError(f"order must name each of {AXES} once, got {self.order}")
        if min(self.theta) < 1 or min(self.stretch) < 1:
            raise ValueError(f"theta and stretch must be at least 1, got {self.theta} and {self.stretch}")
        if any(not 0 <= slow <= n for slow, n in zip(self.slow_pairs, self.pairs, strict=True)):
            raise ValueError(f"slow_pairs {self.slow_pairs} must be some of pairs {self.pairs}")
        if self.layout == "separate":
            return
        if any(self.slow_pairs):
            raise ValueError(f"slow_pairs {self.slow_pairs} need layout 'separate', got {self.layout!r}")
        if self.layout == "interleaved" and len(self._interleaved()) != self.n_pairs:
            raise ValueError(f"pairs {self.pairs} cannot be interleaved: the first axis in {self.order} has too few")

    @property
    def n_pairs(self) -> int:
        """Pairs that are rotated."""
        return sum(self.pairs)

    def axis_of_pair(self) -> Int64[Tensor, " pairs"]:
        """Index into the axes (t, x, y) of every pair."""
        if self.layout == "interleaved":
            return torch.tensor(self._interleaved())
        order = [AXES.index(axis) for axis in self.order]
        return torch.repeat_interleave(torch.tensor(order), torch.tensor([self.pairs[axis] for axis in order]))

    def frequencies(self) -> Float64[Tensor, " pairs"]:
        """Angular frequencies, radians per unit."""
        return torch.tensor([float(w) for w in _frequencies(self)], dtype=torch.float64)

    def frequencies_float32(self) -> Float32[Tensor, " pairs"]:
        """The same, of a shared series computed as transformers does, in float32."""
        if self.layout == "separate":
            return self.frequencies().float()
        n = self.n_pairs
        theta = _stretched(self.theta[0], self.stretch[0], n)
        found: Tensor = 1.0 / (theta ** (torch.arange(0, 2 * n, 2, dtype=torch.int64).float() / (2 * n)))
        return found

    def _interleaved(self) -> list[int]:
        """Axis of every pair: the second and third axis take every third pair until they have theirs."""
        first, *others = (AXES.index(axis) for axis in self.order)
        axes = dict.fromkeys(range(self.n_pairs), first)
        for offset, axis in enumerate(others, 1):
            axes.update(dict.fromkeys(range(offset, 3 * self.pairs[axis], 3), axis))
        return list(axes.values())


def pair_table(config: RotaryConfig, device: torch.device) -> PairTable:
    """The table of a config, made once per device; not to be written to."""
    return _pair_table(config, device)


# torch.compile sees through caches, but not through decimals. This is what torch.compiler.assume_constant_result does,
# without importing the compiler, which takes seconds.
pair_table._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _pair_table(config: RotaryConfig, device: torch.device) -> PairTable:
    with decimal.localcontext(prec=_DIGITS):
        rates = [w / _TWO_PI for w in _frequencies(config)]
        turns = [float(rate) for rate in rates]
        rest = [float(rate - Decimal(part)) for rate, part in zip(rates, turns, strict=True)]
    with torch.inference_mode(False):
        return PairTable(
            config.axis_of_pair().to(device),
            config.frequencies_float32().to(device),
            torch.tensor(turns, dtype=torch.float64, device=device),
            torch.tensor(rest, dtype=torch.float64, device=device),
        )


@lru_cache(maxsize=64)
def _frequencies(config: RotaryConfig) -> tuple[Decimal, ...]:
    """Angular frequency of every pair to 50 digits."""
    with decimal.localcontext(prec=_DIGITS):
        if config.layout != "separate":
            return tuple(_series(config.theta[0], config.stretch[0], config.n_pairs))
        found: list[Decimal] = []
        for axis in (AXES.index(name) for name in config.order):
            slow = config.slow_pairs[axis]
            own = _series(config.theta[axis], config.stretch[axis], config.pairs[axis] - slow)
            slowest = own[-1] if own else Decimal(1)
            ratio = _TWO_PI / Decimal(config.slow_period[axis]) / slowest
            found += own + [slowest * ratio ** (Decimal(i) / slow) for i in range(1, slow + 1)]
        return tuple(found)


def _series(theta: float, stretch: float, n: int) -> list[Decimal]:
    base = Decimal(_stretched(theta, stretch, n))
    return [base ** (Decimal(-i) / n) for i in range(n)]


def _stretched(theta: float, stretch: float, n: int) -> float:
    """The base that makes the slowest of ``n`` frequencies ``stretch`` times slower: d / (d - 2) with d = 2 n."""
    return theta if n < 2 else theta * math.pow(stretch, n / (n - 1))
