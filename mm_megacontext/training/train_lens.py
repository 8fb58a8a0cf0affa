"""``mmctx train lens``: train a LensNet on the generator's known evidence, with the base frozen.

The loss ranks the nodes that cover the evidence above all others of the cut (softmax over the cut), calibrates the
sign of the score (binary cross-entropy), and shapes the query vector so that blocks can be found by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensConfig, LensInputs, LensNet
from mm_megacontext.training.data.lens_data import LensBatch, LensDataConfig, lens_batches
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import gist_vectors
from mm_megacontext.training.run import TrainOptions, run

SCALE = 8.0
"""Inverse temperature of the query vector's ranking by cosine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLensConfig(TrainOptions):
    """Options of the run.

    Attributes:
        base: The trained base whose gists the lens will read.
        batches_per_corpus, pages_per_corpus: Size of the small corpora that cuts are drawn from.
    """

    base: Path = TINY_DIR
    minutes: float = 10.0
    learning_rate: float = 1.5e-3
    evaluate_every: int | None = 500
    save_every: int = 500
    batches_per_corpus: int = 100
    pages_per_corpus: int = 200
    data: LensDataConfig = field(default_factory=LensDataConfig)


class Cuts(NamedTuple):
    """One batch of a corpus, and the tokens of all its documents."""

    tokens: npt.NDArray[np.int64]
    cuts: LensBatch


def _part(base: Path, config: LensDataConfig, seed: str, split: Split, n_batches: int, n_pages: int) -> list[Cuts]:
    tokens, made = lens_batches(load_tokenizer(base), config, seed, split, n_batches=n_batches, n_pages=n_pages)
    return [Cuts(tokens, batch) for batch in made]


def to_inputs(batch: LensBatch, prefix: Tensor, embedding: Tensor, device: torch.device) -> LensInputs:
    """A batch as tensors, gists and words embedded by the frozen base."""
    ranges = torch.from_numpy(batch.gist_ranges)
    counts = (ranges[..., 1] - ranges[..., 0]).clamp(min=1)
    gists = (prefix[ranges[..., 1]] - prefix[ranges[..., 0]]) / counts[..., None]
    return LensInputs(
        gists=gists.half().float().to(device),  # rounded as they are in a store
        features=torch.from_numpy(batch.features).to(device),
        lods=torch.from_numpy(batch.lods).to(device),
        valid=torch.from_numpy(batch.valid).to(device),
        question=embedding[torch.from_numpy(batch.question_ids)].to(device),
        question_valid=torch.from_numpy(batch.question_valid).to(device),
    )


def ranking_loss(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Mean over the cuts of -log of the softmax mass on positive nodes; cuts without a choice do not count."""
    logits = logits.masked_fill(~valid, -1e4)
    mass = torch.logsumexp(logits.masked_fill(~positive, -1e4), 1) - torch.logsumexp(logits, 1)
    has_choice = positive.any(1) & (valid & ~positive).any(1)
    return -(mass * has_choice).sum() / has_choice.sum().clamp(min=1)


def query_logits(net: LensNet, inputs: LensInputs) -> Tensor:
    """(batch, nodes) scaled cosine of the query vector and each gist, as the vector index ranks them."""
    query = net.query_vectors(inputs.question, inputs.question_valid)
    return SCALE * (F.normalize(inputs.gists, dim=-1) @ F.normalize(query, dim=-1)[..., None]).squeeze(-1)


def lens_loss(net: LensNet, inputs: LensInputs, positive: Tensor) -> Tensor:
    """Ranking, calibration and query vector together."""
    logits = net(inputs)
    calibration = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    calibration = (calibration * inputs.valid).sum() / inputs.valid.sum()
    blocks = inputs.valid & (inputs.lods <= 1)
    vector = ranking_loss(query_logits(net, inputs), positive & blocks, blocks)
    return ranking_loss(logits, positive, inputs.valid) + 2 * calibration + 0.3 * vector


def measure(net: LensNet, data: list[tuple[LensInputs, Tensor]]) -> dict[str, float]:
    """How often a node with evidence is ranked first in its cut, and how well the sign tells."""
    top1, precision, recall = [], [], []
    for inputs, positive in data:
        logits = net(inputs).masked_fill(~inputs.valid, -1e4)
        has_choice = positive.any(1) & (inputs.valid & ~positive).any(1)
        best = positive.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
        top1.append(best[has_choice].float())
        chosen = (logits > 0) & inputs.valid
        precision.append(positive[chosen].float())
        recall.append(chosen[positive].float())
    shares = {"top1": torch.cat(top1), "precision": torch.cat(precision), "recall": torch.cat(recall)}
    # Of nothing the share is 0: a mean of nothing would be NaN, which JSON does not know.
    return {name: round(hits.sum().item() / max(len(hits), 1), 4) for name, hits in shares.items()}


class LensRecipe:
    """See ``training.run.Recipe``."""

    def __init__(self, config: TrainLensConfig) -> None:
        base = NativeBase.from_pretrained(config.base)
        self.config = config
        self.batches_per_part = config.batches_per_corpus
        self._device = torch.device(config.device)
        self._embedding = base.model.tokens.weight.detach()
        self.net = LensNet(LensConfig(base=base.id, gist_dim=base.dim)).to(self._device)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=config.learning_rate, weight_decay=0.01)
        self._prefix, self._prefix_of = torch.empty(0), np.empty(0, dtype=np.int64)
        dev = _part(config.base, config.data, "dev", "dev", 40, config.pages_per_corpus)
        self._dev = [self._tensors(cuts) for cuts in dev]

    def part(self, number: int, progress: float) -> Callable[[], list[Cuts]]:
        """A corpus; all of them are of one kind."""
        config, seed = self.config, f"{self.config.seed}-{number}"
        return partial(
            _part, config.base, config.data, seed, "train", config.batches_per_corpus, config.pages_per_corpus
        )

    def loss(self, batch: Cuts, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See ``lens_loss``."""
        return lens_loss(self.net, *self._tensors(batch)), {}

    def evaluate(self) -> dict[str, float]:
        """See ``measure``, on cuts of the dev split."""
        return measure(self.net, self._dev)

    def save(self) -> None:
        """Weights and config."""
        Lens(self.net).save_pretrained(self.config.out)

    def _tensors(self, batch: Cuts) -> tuple[LensInputs, Tensor]:
        if batch.tokens is not self._prefix_of:
            self._prefix_of = batch.tokens
            self._prefix = gist_vectors(torch.from_numpy(batch.tokens), self._embedding)
        inputs = to_inputs(batch.cuts, self._prefix, self._embedding, self._device)
        return inputs, torch.from_numpy(batch.cuts.positive).to(self._device)


def train_lens(config: TrainLensConfig) -> Lens:
    """Run the recipe; writes weights, config, a log of JSON lines and a checkpoint to ``config.out``."""
    return Lens(run(LensRecipe, config).net)
