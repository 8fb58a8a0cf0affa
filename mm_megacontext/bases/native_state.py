"""What a native model remembers of a sequence: it can be continued, also from further back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.attention import Lengths, attend
from mm_megacontext.bases.native import Inputs, Layer, NativeModel, contiguity, times_of
from mm_megacontext.positional import Phases, Positions


class LayerState(NamedTuple):
    """What a later entry needs of the earlier ones in one layer.

    Attributes:
        keys, values: (entries, kv_heads, head_dim).
        normed: (width - 1 + entries, dim), what the short convolution saw, zeros before the first entry.
    """

    keys: Tensor
    values: Tensor
    normed: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A sequence as the model remembers it; a value, so several continuations can start from one.

    Attributes:
        layers: One per layer of the model.
        times: (width - 1 + entries,) float64; see ``native.times_of``, NaN before the first entry.
        origin: Time of the first entry, from which all phases count: the same distances give the same bits
            wherever on the timeline they are, in any dtype. None before the first entry.
    """

    layers: tuple[LayerState, ...]
    times: Tensor
    origin: Tensor | None

    @classmethod
    def empty(cls, model: NativeModel) -> State:
        """Nothing read yet; on the device and in the dtype of the model."""
        config, like = model.config, model.tokens.weight
        keys = like.new_empty(0, config.kv_heads, config.head_dim)
        layer = LayerState(keys, keys, like.new_zeros(config.conv_width - 1, config.dim))
        times = torch.full((config.conv_width - 1,), math.nan, dtype=torch.float64, device=like.device)
        return cls((layer,) * config.n_layers, times, None)

    def __len__(self) -> int:
        return len(self.layers[0].keys)

    def keep(self, n: int) -> State:
        """The state after the first ``n`` entries."""
        dropped = len(self) - n
        if dropped == 0:
            return self
        layers = (LayerState(keys[:n], values[:n], normed[:-dropped]) for keys, values, normed in self.layers)
        return State(tuple(layers), self.times[:-dropped], self.origin if n else None)


class _Packing(NamedTuple):
    """What all layers need to know of new entries, packed one sequence after the other.

    Attributes:
        sizes: New entries of each sequence.
        lengths: What attends to what.
        at: Phases of all new entries.
        taps: Of each sequence's convolution.
    """

    sizes: list[int]
    lengths: Lengths
    at: Phases
    taps: list[Tensor]


def read_on(
    model: NativeModel, parts: Sequence[Inputs], states: Sequence[State], wanted: Sequence[Tensor] | None = None
) -> tuple[tuple[Tensor, ...], tuple[State, ...]]:
    """Read more of some sequences; new entries see what their state remembers, and themselves causally.

    Sequences are packed without padding and do not see each other.

    Args:
        model: Reads.
        parts: New entries of each sequence, at least one; batches of one.
        states: What was read of each sequence before.
        wanted: (entries,) bool of each sequence: new entries whose hidden states are asked for; by default all.

    Returns:
        Hidden states of the new entries, of the wanted ones (1, entries, dim), and the states after all of them, one
        per sequence.
    """
    sizes = [part.mu.shape[1] for part in parts]
    lengths = Lengths(tuple(sizes), tuple(len(state) + n for state, n in zip(states, sizes, strict=True)))
    times = [torch.cat((state.times, times_of(part)[0])) for state, part in zip(states, parts, strict=True)]
    origins = [part.mu[0, 0, 0] if s.origin is None else s.origin for part, s in zip(parts, states, strict=True)]
    at = model.phases(_since(origins, parts))
    taps = [contiguity(t[None, len(s) :], model.config.conv_width) for t, s in zip(times, states, strict=True)]
    packing = _Packing(sizes, lengths, at, taps)

    x = model.embed(Inputs.join(parts))
    layers: list[tuple[LayerState, ...]] = []
    for layer, past in zip(model.layers, zip(*(state.layers for state in states), strict=True), strict=True):
        assert isinstance(layer, Layer)
        attended, latest = _attend(layer, x, packing, past)
        layers.append(latest)
        if wanted is not None and layer is model.layers[-1]:  # of the others, later entries need what was kept
            asked = torch.cat(tuple(wanted))
            x, attended, sizes = x[:, asked], attended[:, asked], [int(w.sum()) for w in wanted]
        x = layer.finish(x, attended)
    hidden = model.norm(x).split(sizes, dim=1)
    return hidden, tuple(map(State, zip(*layers, strict=True), times, origins))


def _since(origins: Sequence[Tensor], parts: Sequence[Inputs]) -> Positions:
    """Positions with the time counted from each sequence's origin."""
    moved = [part.mu - F.pad(origin[None], (0, 2)) for origin, part in zip(origins, parts, strict=True)]
    return Positions(torch.cat(moved, dim=1), torch.cat([part.sigma for part in parts], dim=1))


def _attend(
    layer: Layer, x: Tensor, packing: _Packing, past: Sequence[LayerState]
) -> tuple[Tensor, tuple[LayerState, ...]]:
    """What the entries of one layer attend to (1, entries, heads, head_dim), and what it remembers of each sequence."""
    normed = layer.attention_norm(x).split(packing.sizes, dim=1)
    tails = [own.normed[None, len(own.keys) :] for own in past]
    mixed = map(layer.convolution, normed, packing.taps, tails)
    q, k, v = (part[0].transpose(0, 1) for part in layer.project(torch.cat(list(mixed), dim=1), packing.at))
    new = zip(k.split(packing.sizes), v.split(packing.sizes), (own[0] for own in normed), strict=True)
    latest = tuple(LayerState(*map(_join, own, more)) for own, more in zip(past, new, strict=True))
    keys, values = torch.cat([own.keys for own in latest]), torch.cat([own.values for own in latest])
    return attend(q, keys, values, packing.lengths)[None], latest


def _join(before: Tensor, after: Tensor) -> Tensor:
    return torch.cat((before, after))
