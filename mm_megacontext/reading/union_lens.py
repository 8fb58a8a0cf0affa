"""UnionLensNet: scores entries whose gists are unions, see ``vision.gists.union_net``.

The question becomes one vector, all its words together: "a red star and a blue circle" has the same words as "a blue
star and a red circle", and a union of parts would not tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mm_megacontext.reading.lens_net import LensInputs
from mm_megacontext.tree.nodes import Modality


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionLensConfig:
    """Shape of a UnionLensNet.

    Attributes:
        base: Id of the base whose gists it reads.
        gist_dim: Their dimensions.
        hidden: Width of what reads the question.
    """

    base: str
    gist_dim: int
    hidden: int = 384


class UnionLensNet(nn.Module):
    """How much of the question's code is in a gist, against how full the gist is."""

    kind = "union"
    Config = UnionLensConfig
    modalities: tuple[Modality, ...] = ("image",)

    def __init__(self, config: UnionLensConfig) -> None:
        super().__init__()
        self.config = config
        self.word_weight = nn.Linear(config.gist_dim, 1)
        self.read = nn.Sequential(
            nn.Linear(config.gist_dim, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.gist_dim + 1),
        )
        self.fullness = nn.Sequential(nn.Linear(1, 16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, inputs: LensInputs) -> Tensor:
        """(batch, nodes) logits; ``tanh`` of half of one is the score."""
        asked = self.ask(inputs.question, inputs.question_valid)
        return self.match(inputs.gists, asked)

    def ask(self, question: Tensor, valid: Tensor) -> Tensor:
        """A code and the bar it has to take, (batch, gist_dim + 1), for (batch, tokens, gist_dim), some valid."""
        found: Tensor = self.read(self.mean_word(question, valid))
        return found

    def mean_word(self, question: Tensor, valid: Tensor) -> Tensor:
        """(batch, gist_dim) mean of a question's words, weighted by how much each of them says."""
        weight = F.softplus(self.word_weight(question)) * valid[..., None]
        mean: Tensor = (weight * question).sum(1) / weight.sum(1).clamp(min=1e-6)
        return mean

    def match(self, gists: Tensor, asked: Tensor) -> Tensor:
        """Logits (batch, nodes) of gists for what is asked.

        Args:
            gists: (batch, nodes, gist_dim); or (nodes, gist_dim), if all questions go to the same.
            asked: (batch, gist_dim + 1), of ``ask``.
        """
        product = (gists @ asked[:, :-1, None]).squeeze(-1)
        full: Tensor = self.fullness(gists.mean(-1, keepdim=True)).squeeze(-1)
        return product - asked[:, -1:] + full

    def query_vector(self, question: Tensor) -> Tensor:
        """What the gist of a relevant tile looks like: (tokens, gist_dim) to (gist_dim,)."""
        valid = torch.ones(question.shape[:1], dtype=torch.bool, device=question.device)
        return self.ask(question[None], valid[None])[0, :-1]
