"""The native base: a small decoder-only transformer that reads working contexts of leaves and gists.

Pre-norm blocks with a short causal convolution, QK-norm before Gaussian rotation, and a copy head: the answer is
partly generated from the vocabulary, partly pointed at in the context (pointer-generator, See et al. 2017), so words
never seen in training can be answered and every answer token says which leaf it came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.positional import Phases, Positions, phases, turn


@dataclass(slots=True)
class Inputs:
    """What the base reads: a batch of entries, leaves and gists mixed.

    Attributes:
        token_ids: (batch, entries) int64; ignored where ``is_vector``.
        vectors: (batch, entries, dim) gists or encoded patches; ignored where not ``is_vector``.
        is_vector: (batch, entries) bool.
        roles: (batch, entries) int64, index into ``blocks.ROLES``.
        line_start: (batch, entries) int64, 1 where a line or cell begins.
        lods: (batch, entries) int64.
        mu: (batch, entries, 3) float64.
        sigma: (batch, entries, 3) float32.
    """

    token_ids: Tensor
    vectors: Tensor
    is_vector: Tensor
    roles: Tensor
    line_start: Tensor
    lods: Tensor
    mu: Tensor
    sigma: Tensor

    def to(self, device: torch.device | str) -> Inputs:
        return Inputs(*(getattr(self, name).to(device) for name in self.__slots__))

    @classmethod
    def join(cls, parts: Sequence[Inputs]) -> Inputs:
        """One after the other along the entries."""
        return cls(*(torch.cat([getattr(part, name) for part in parts], dim=1) for name in cls.__slots__))


class Prepared(NamedTuple):
    """Inputs turned into what the layers need: embeddings, phases and the taps of the short convolution."""

    x: Tensor
    at: Phases
    taps: Tensor


class ShortConvolution(nn.Module):
    """Depthwise causal convolution that only mixes entries which follow each other without a gap on the timeline."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, dim))
        with torch.no_grad():
            self.weight[0] = 1.0
            self.weight[1:] = torch.randn(width - 1, dim) * 0.3

    def forward(self, x: Tensor, taps: Tensor, tail: Tensor) -> Tensor:
        """Mix each entry with its predecessors.

        Args:
            x: (batch, entries, dim).
            taps: (batch, entries, width - 1), 1 where the entry k + 1 before is its direct predecessor on t.
            tail: (batch, width - 1, dim), what came before ``x``.
        """
        padded, taps = torch.cat((tail, x), dim=1), taps.to(x.dtype)
        out = x * self.weight[0]
        n_tail, n = tail.shape[1], x.shape[1]
        for k in range(1, self.weight.shape[0]):
            out = out + padded[:, n_tail - k : n_tail - k + n] * self.weight[k] * taps[..., k - 1 : k]
        return out


class Layer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self._widths = [config.dim, config.kv_heads * config.head_dim, config.kv_heads * config.head_dim]
        self.attention_norm = nn.RMSNorm(config.dim)
        self.convolution = ShortConvolution(config.dim, config.conv_width)
        self.qkv = nn.Linear(config.dim, sum(self._widths), bias=False)
        self.query_norm = nn.RMSNorm(config.head_dim)
        self.key_norm = nn.RMSNorm(config.head_dim)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.mlp_norm = nn.RMSNorm(config.dim)
        self.gate_up = nn.Linear(config.dim, 2 * config.mlp_dim, bias=False)
        self.down = nn.Linear(config.mlp_dim, config.dim, bias=False)

    def project(self, mixed: Tensor, at: Phases) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, (batch, heads or kv_heads, entries, head_dim).

        Args:
            mixed: (batch, entries, dim), the residual stream after ``attention_norm`` and ``convolution``.
            at: Phases of the entries.
        """
        parts = self.qkv(mixed).split(self._widths, dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in parts)
        return turn(self.query_norm(q), at), turn(self.key_norm(k), at), v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual stream after attention output (batch, entries, heads, head_dim) and MLP."""
        x = x + self.out(attended.flatten(-2))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        out: Tensor = x + self.down(F.silu(gate) * up)
        return out


class CopyHead(nn.Module):
    """Points from an answer position at the leaf to copy, or at a sentinel that stands for generating instead.

    Copying and generating compete in one softmax (pointer sentinel, Merity et al. 2017), so a question that matches
    nothing in the context leaves its mass on the sentinel.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.sentinel = nn.Linear(dim, 1)

    def forward(self, reading: Tensor, context: Tensor, copyable: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of copying each entry, and of generating.

        Args:
            reading: (batch, positions, dim) hidden states that are about to answer.
            context: (batch, entries, dim) hidden states of the context.
            copyable: (batch, positions or 1, entries) bool, true at text leaves.

        Returns:
            (batch, positions, entries) and (batch, positions), float32; together they sum to one.
        """
        scores = (self.query(reading) @ self.key(context).transpose(1, 2)).float() * reading.shape[-1] ** -0.5
        scores = scores.masked_fill(~copyable, -1e4)
        joint = torch.log_softmax(torch.cat((scores, self.sentinel(reading).float()), dim=-1), dim=-1)
        return joint[..., :-1], joint[..., -1]


class NativeModel(nn.Module):
    """The weights of a native base; ``bases.native_base.NativeBase`` reads and answers with them."""

    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.config, self._rotary = config, config.rotary
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.roles = nn.Embedding(config.n_roles, config.dim)
        self.line_start = nn.Embedding(2, config.dim)
        self.lods = nn.Embedding(config.n_lods, config.dim)
        self.gist_in = nn.Linear(config.dim, config.dim, bias=False)
        self.sigma_gain = nn.Parameter(torch.ones(3))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.dim)
        self.copy_head = CopyHead(config.dim)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.3)
        nn.init.normal_(self.tokens.weight, std=1.0)
        nn.init.eye_(self.gist_in.weight)
        nn.init.eye_(self.copy_head.query.weight)
        nn.init.eye_(self.copy_head.key.weight)
        nn.init.constant_(self.copy_head.sentinel.bias, 4.0)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            nn.init.normal_(layer.out.weight, std=0.5 * (layer.out.in_features * len(self.layers)) ** -0.5)
            nn.init.normal_(layer.down.weight, std=0.5 * (layer.down.in_features * len(self.layers)) ** -0.5)

    def embed(self, inputs: Inputs) -> Tensor:
        """(batch, entries, dim), in the dtype of the weights."""
        gists = self.gist_in(inputs.vectors.to(self.gist_in.weight.dtype))
        x = torch.where(inputs.is_vector[..., None], gists, self.tokens(inputs.token_ids))
        x = x + self.roles(inputs.roles) + self.line_start(inputs.line_start)
        embedded: Tensor = x + self.lods(inputs.lods.clamp(max=self.config.n_lods - 1))
        return embedded

    def phases(self, positions: Positions) -> Phases:
        """Phases of entries, with the learnt gain on their spread."""
        somewhere = positions.sigma.masked_fill(positions.sigma.isinf(), self.config.nowhere)
        return phases(Positions(positions.mu, somewhere), self._rotary, self.sigma_gain)

    def prepare(self, inputs: Inputs) -> Prepared:
        """Embeddings, phases and taps of sequences that nothing precedes."""
        times, width = times_of(inputs), self.config.conv_width
        before = times.new_full((len(times), width - 1), math.nan)
        taps = contiguity(torch.cat((before, times), dim=1), width)
        return Prepared(self.embed(inputs), self.phases(Positions(inputs.mu, inputs.sigma)), taps)

    def vocabulary_logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits (…, vocab), tied to the input embedding."""
        logits: Tensor = F.linear(hidden, self.tokens.weight) * self.config.dim**-0.5
        return logits


def times_of(inputs: Inputs) -> Tensor:
    """(batch, entries) float64 times; NaN for gists, which have no direct neighbours."""
    return inputs.mu[..., 0].masked_fill(inputs.is_vector, math.nan)


def contiguity(times: Tensor, width: int) -> Tensor:
    """Which of the ``width - 1`` preceding entries are an entry's direct predecessors on the timeline.

    Args:
        times: (batch, width - 1 + entries) float64, those before the entries first; NaN where there is no neighbour.

    Returns:
        (batch, entries, width - 1) float32 of 0 and 1.
    """
    n = times.shape[1] - (width - 1)
    own = times[:, width - 1 :]
    columns = [own - times[:, width - 1 - k : width - 1 - k + n] == k for k in range(1, width)]
    return torch.stack(columns, dim=-1).float()
