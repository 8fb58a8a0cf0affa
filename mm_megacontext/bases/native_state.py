"""What a native model remembers of a sequence: it can be continued, also from further back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native import Inputs, Layer, NativeModel, times_of


class LayerState(NamedTuple):
    """What a later entry needs of the earlier ones in one layer.

    Attributes:
        keys, values: (batch, kv_heads, entries, head_dim).
        normed: (batch, width - 1 + entries, dim), what the short convolution saw, zeros before the first entry.
    """

    keys: Tensor
    values: Tensor
    normed: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A sequence as the model remembers it; a value, so several continuations can start from one.

    Attributes:
        layers: One per layer of the model.
        times: (batch, width - 1 + entries) float64; see ``native.times_of``, NaN before the first entry.
    """

    layers: tuple[LayerState, ...]
    times: Tensor

    @classmethod
    def empty(cls, model: NativeModel, batch: int = 1) -> State:
        """Nothing read yet; on the device and in the dtype of the model."""
        config, like = model.config, model.tokens.weight
        keys = like.new_empty(batch, config.kv_heads, 0, config.head_dim)
        layer = LayerState(keys, keys, like.new_zeros(batch, config.conv_width - 1, config.dim))
        times = torch.full((batch, config.conv_width - 1), math.nan, dtype=torch.float64, device=like.device)
        return cls((layer,) * config.n_layers, times)

    def __len__(self) -> int:
        return self.layers[0].keys.shape[2]

    def keep(self, n: int) -> State:
        """The state after the first ``n`` entries."""
        dropped = len(self) - n
        if dropped == 0:
            return self
        layers = (LayerState(k[:, :, :n], v[:, :, :n], normed[:, :-dropped]) for k, v, normed in self.layers)
        return State(tuple(layers), self.times[:, :-dropped])


def read_on(model: NativeModel, inputs: Inputs, state: State) -> tuple[Tensor, State]:
    """Hidden states (batch, entries, dim) of new entries, which see all of ``state`` and themselves causally.

    Returns:
        The hidden states, and the state with the new entries.
    """
    x, at, taps = model.prepare(inputs, state.times[:, len(state) :])
    n, before = x.shape[1], len(state)
    mask = None if n == 1 else torch.ones(n, before + n, dtype=torch.bool, device=x.device).tril(before)
    updated: list[LayerState] = []
    for layer, past in zip(model.layers, state.layers, strict=True):
        assert isinstance(layer, Layer)
        normed = layer.attention_norm(x)
        q, k, v = layer.project(normed, at, taps, past.normed[:, before:])
        k, v = torch.cat((past.keys, k), dim=2), torch.cat((past.values, v), dim=2)
        if before:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        else:
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = layer.finish(x, attended)
        updated.append(LayerState(k, v, torch.cat((past.normed, normed), dim=1)))
    return model.norm(x), State(tuple(updated), torch.cat((state.times, times_of(inputs)), dim=1))
