"""``mmctx train base``: train the native base to look values up in mixed contexts of leaves and gists.

Every batch is made anew by the generator; nothing is read from disk. The schedule follows the clock, or a number of
steps, so that a run of so many minutes ends with its learning rate at zero on any machine.
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
from torch import Tensor, nn

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer, save_model
from mm_megacontext.training.data.contexts import Batch, ContextConfig, CorpusBatches, corpus_batches
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import Losses, gist_vectors, lookup_losses, to_tensors
from mm_megacontext.training.optimizers import OptimizerName, make_optimizer
from mm_megacontext.training.run import TrainOptions, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the curriculum; ``until`` is the share of the run at which it ends."""

    until: float
    context: ContextConfig


CURRICULUM = (
    Stage(until=0.12, context=ContextConfig(pages=(1,), n_facts=(2, 5), length=128, batch=16, n_questions=6)),
    Stage(until=0.60, context=ContextConfig(pages=(1, 1, 2, 6), n_facts=(4, 14), length=256, batch=10)),
    Stage(until=1.0, context=ContextConfig(pages=(1, 1, 2, 6, 40, 96), n_facts=(10, 22), length=480, batch=6)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBaseConfig(TrainOptions):
    """Options of the run.

    Attributes:
        minutes: Length of the run, compilation included.
        optimizer: ``adamw``, with which ``mmctx-tiny`` was made; or ``muon``, which learns to look values up in half as
            many steps.
        init: Directory of a base to begin with, weights and tokenizer, instead of random weights.
        compile: Whether to compile the step; worth its minute in runs of more than a few minutes.
        batches_per_corpus, pages_per_corpus: Size of the small corpora that batches are drawn from.
    """

    optimizer: OptimizerName = "adamw"
    init: Path | None = None
    compile: bool = True
    evaluate_every: int | None = 150
    save_every: int = 150
    batches_per_corpus: int = 48
    pages_per_corpus: int = 96
    model: NativeConfig = field(default_factory=NativeConfig)
    curriculum: tuple[Stage, ...] = CURRICULUM


class LookupBatch(NamedTuple):
    """One batch of a corpus.

    Attributes:
        number: Its place in the corpus, from 0.
        tokens: Of all documents of the corpus.
    """

    number: int
    tokens: npt.NDArray[np.int64]
    contexts: Batch


def _corpus(
    tokenizer: Path, config: ContextConfig, seed: str, split: Split, n_batches: int, n_pages: int
) -> CorpusBatches:
    return corpus_batches(load_tokenizer(tokenizer), config, seed, split, n_batches=n_batches, n_pages=n_pages)


def _part(tokenizer: Path, config: ContextConfig, seed: str, n_batches: int, n_pages: int) -> list[LookupBatch]:
    corpus = _corpus(tokenizer, config, seed, "train", n_batches, n_pages)
    return [LookupBatch(i, corpus.tokens, batch) for i, batch in enumerate(corpus.batches)]


class Learner(nn.Module):
    """The model, and the words that the gists of the corpus at hand were made of, which are older than the model's."""

    gist_words: Tensor

    def __init__(self, model: NativeModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("gist_words", model.tokens.weight.detach().clone())

    def renew_gists(self) -> None:
        """From now on gists are made of the words as they are now."""
        self.gist_words.copy_(self.model.tokens.weight.detach())


class BaseRecipe:
    """See ``training.run.Recipe``."""

    def __init__(self, config: TrainBaseConfig) -> None:
        self.config = config
        self.batches_per_part = config.batches_per_corpus
        self._device = torch.device(config.device)
        begun = config.out if config.resume else config.init
        tokenizer = load_tokenizer(TINY_DIR if begun is None else begun)
        self.model = NativeModel(config.model) if begun is None else load_model(begun)
        if tokenizer.vocab_size != self.model.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, the model has {self.model.config.vocab_size} "
                "embeddings; they must be as many"
            )
        tokenizer.save(config.out / "tokenizer.json")
        self.net = Learner(self.model).to(self._device)
        self.optimizer = make_optimizer(config.optimizer, self.model, config.learning_rate)
        self._losses = torch.compile(lookup_losses, dynamic=False) if config.compile else lookup_losses
        self._prefix, self._prefix_of = torch.empty(0), np.empty(0, dtype=np.int64)
        self._dev = [
            _corpus(config.out, stage.context, f"dev-{i}", "dev", 4, config.pages_per_corpus)
            for i, stage in enumerate(config.curriculum)
        ]

    def part(self, number: int, progress: float) -> Callable[[], list[LookupBatch]]:
        """A corpus of the stage that is due."""
        config = self.config
        stage = next((s for s in config.curriculum if progress < s.until), config.curriculum[-1])
        seed = f"{config.seed}-{number}"
        return partial(_part, config.out, stage.context, seed, config.batches_per_corpus, config.pages_per_corpus)

    def loss(self, batch: LookupBatch, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """NLL of the answers and of pointing at them."""
        if batch.number == 0:
            self.net.renew_gists()
        if batch.tokens is not self._prefix_of:
            self._prefix_of = batch.tokens
            self._prefix = gist_vectors(torch.from_numpy(batch.tokens), self.net.gist_words.cpu())
        losses = self._losses(self.model, to_tensors(batch.contexts, self._prefix, self._device))
        return losses.answer + losses.copy, losses._asdict()

    def evaluate(self) -> list[dict[str, float]]:
        """On fixed contexts of the dev split, whose words training never holds, one set per stage.

        NLL of answer tokens and of pointing, share of questions answered and of absent ones refused.
        """
        found = []
        for corpus in self._dev:
            prefix = gist_vectors(torch.from_numpy(corpus.tokens), self.model.tokens.weight.cpu())
            losses = [lookup_losses(self.model, to_tensors(b, prefix, self._device)) for b in corpus.batches]
            means = torch.stack([torch.stack(tuple(loss)) for loss in losses]).mean(dim=0)
            found.append(dict(zip(Losses._fields, (round(v, 6) for v in means.tolist()), strict=True)))
        return found

    def save(self) -> None:
        """Weights and config; the tokenizer is there from the start."""
        save_model(self.model, self.config.out)


def train_base(config: TrainBaseConfig) -> NativeModel:
    """Run the recipe; writes weights, config, tokenizer, a checkpoint and a log of JSON lines to ``config.out``."""
    return run(BaseRecipe, config).model
