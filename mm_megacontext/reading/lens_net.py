"""LensNet: scores every entry of a working context for the question at hand.

It sees all entries and the question in both directions, so another question changes every score. What it scores is
not the leaves but the nodes of the cut: an expanded block counts as one, with its gist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mm_megacontext.reading.working_context import Entry

N_LODS = 8
N_FEATURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class LensConfig:
    """Shape of a lens.

    Attributes:
        base: Id of the base whose gists it reads.
        gist_dim: Their dimensions.
    """

    base: str
    gist_dim: int
    dim: int = 96
    n_layers: int = 2
    n_heads: int = 4
    match_dim: int = 160

    def __post_init__(self) -> None:
        if self.dim % self.n_heads:
            raise ValueError(f"dim {self.dim} cannot be shared by {self.n_heads} heads")


@dataclass(slots=True)
class LensInputs:
    """What the lens sees: a batch of cuts, each with one question.

    Attributes:
        gists: (batch, nodes, gist_dim) mean over the slots.
        features: (batch, nodes, N_FEATURES); see ``describe``.
        lods: (batch, nodes) int64, 0 where the node is expanded.
        valid: (batch, nodes) bool.
        question: (batch, tokens, gist_dim), embedded by the base.
        question_valid: (batch, tokens) bool.
    """

    gists: Tensor
    features: Tensor
    lods: Tensor
    valid: Tensor
    question: Tensor
    question_valid: Tensor


class ScoringNet(Protocol):
    """What a ``Lens`` needs of a network: ``LensNet``, ``union_lens.UnionLensNet``, or one of your own."""

    @property
    def config(self) -> Any:
        """A dataclass with ``base``, the id of the base whose gists it reads, and ``gist_dim``."""
        ...

    def __call__(self, inputs: LensInputs) -> Tensor: ...

    def query_vector(self, question: Tensor) -> Tensor: ...


class LensNet(nn.Module):
    """Two directions, two layers, one score per node.

    How well a gist matches the question is computed apart and enters as a feature: the gist of n leaves is their mean,
    so the product of a word's embedding with it, times n, estimates whether the word is among them.
    """

    kind = "lens"
    Config = LensConfig

    def __init__(self, config: LensConfig) -> None:
        super().__init__()
        self.config = config
        self.match_gist = nn.Linear(config.gist_dim, config.match_dim, bias=False)
        self.match_word = nn.Linear(config.gist_dim, config.match_dim, bias=False)
        self.word_weight = nn.Linear(config.gist_dim, 1)
        self.gist_in = nn.Linear(config.gist_dim, config.dim)
        self.word_in = nn.Linear(config.gist_dim, config.dim)
        self.feature_in = nn.Linear(N_FEATURES + 2, config.dim)
        self.lods = nn.Embedding(N_LODS, config.dim)
        layer = nn.TransformerEncoderLayer(
            config.dim, config.n_heads, 2 * config.dim, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.n_layers, enable_nested_tensor=False)
        self.out = nn.Linear(config.dim, 1)
        self.match_out = nn.Linear(2, 1)
        nn.init.eye_(self.match_gist.weight)
        nn.init.eye_(self.match_word.weight)
        nn.init.constant_(self.match_out.weight, 0.5)

    def forward(self, inputs: LensInputs) -> Tensor:
        """(batch, nodes) logits; ``tanh`` of half of one is the score."""
        matches = self._match(inputs)
        nodes = self.gist_in(inputs.gists) + self.lods(inputs.lods.clamp(max=N_LODS - 1))
        nodes = nodes + self.feature_in(torch.cat((inputs.features, matches), dim=-1))
        x = torch.cat((nodes, self.word_in(inputs.question)), dim=1)
        padding = ~torch.cat((inputs.valid, inputs.question_valid), dim=1)
        mask = padding if bool(padding.any()) else None  # with a mask that masks nothing it takes twice as long
        x = self.layers(x, src_key_padding_mask=mask)[:, : nodes.shape[1]]
        logits: Tensor = (self.out(x) + self.match_out(matches)).squeeze(-1)
        return logits

    def _match(self, inputs: LensInputs) -> Tensor:
        """(batch, nodes, 2): weighted sum and maximum over the question's words of their presence in the gist."""
        n = inputs.features[..., :1].exp()  # the first feature is the logarithm of the number of leaves
        gists = self.match_gist(inputs.gists) * n.sqrt()
        words = self.match_word(inputs.question)
        weight = F.softplus(self.word_weight(inputs.question)).squeeze(-1) * inputs.question_valid
        product = gists @ words.transpose(1, 2) * self.config.match_dim**-0.5  # (batch, nodes, tokens)
        weighted = product * weight[:, None]
        total = weighted.sum(-1) / weight.sum(-1, keepdim=True).clamp(min=1e-6)
        return torch.stack((total, weighted.amax(-1)), dim=-1)

    def query_vector(self, question: Tensor) -> Tensor:
        """What the gist of a relevant block looks like: (tokens, gist_dim) to (gist_dim,).

        Its product with a gist is the lens's own match, up to the number of leaves.
        """
        valid = torch.ones(question.shape[:1], dtype=torch.bool, device=question.device)
        return self.query_vectors(question[None], valid[None])[0]

    def query_vectors(self, question: Tensor, valid: Tensor) -> Tensor:
        """``query_vector`` of several questions: (batch, tokens, gist_dim), some valid, to (batch, gist_dim)."""
        weight = F.softplus(self.word_weight(question)) * valid[..., None]
        vectors: Tensor = (weight * self.match_word(question)).sum(1) @ self.match_gist.weight
        return vectors


def describe(
    *,
    n_leaves: npt.NDArray[np.int64],
    mu: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64],
    is_expanded: npt.NDArray[np.bool_],
    is_image: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Features of the nodes of one cut.

    Args:
        n_leaves, is_expanded, is_image: (nodes,).
        mu, sigma: (nodes, 3).

    Returns:
        (nodes, N_FEATURES): log leaves; position on the page and in the scope's time; log spreads; flags; how much of
        the scope the node covers; how much room its page position takes.
    """
    t = mu[:, 0]
    span = max(float(t.max() - t.min()), 1.0)
    columns = [
        np.log(n_leaves),
        mu[:, 1] / 64,
        mu[:, 2] / 64,
        (t - t.min()) / span,
        *(np.log1p(sigma[:, axis]) for axis in range(3)),
        is_expanded,
        is_image,
        n_leaves / n_leaves.sum(),
        np.full(len(t), np.log(n_leaves.sum()) / 10),
        np.full(len(t), len(t) / 256),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def describe_entries(entries: tuple[Entry, ...]) -> npt.NDArray[np.float32]:
    """``describe`` for the entries of a working context."""
    return describe(
        n_leaves=np.array([e.node.n_leaves for e in entries]),
        mu=np.stack([e.node.mu for e in entries]),
        sigma=np.stack([e.node.sigma for e in entries]),
        is_expanded=np.array([e.is_expanded for e in entries]),
        is_image=np.array([e.node.modality == "image" for e in entries]),
    )
