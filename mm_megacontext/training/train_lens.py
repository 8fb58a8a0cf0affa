"""``mmctx train lens``: train a LensNet on the generator's known evidence, with the base frozen.

The loss ranks the nodes that cover the evidence above all others of the cut (softmax over the cut), calibrates the
sign of the score (binary cross-entropy), and shapes the query vector so that blocks can be found by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensConfig, LensInputs, LensNet
from mm_megacontext.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mm_megacontext.training.data.lens_data import LensBatch, LensDataConfig, lens_batches
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import gist_vectors
from mm_megacontext.training.schedule import Schedule, write_log

SCALE = 8.0
"""Inverse temperature of the query vector's ranking by cosine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLensConfig:
    """Options of the run.

    Attributes:
        out: Where weights, log and checkpoint go.
        base: The trained base whose gists the lens will read.
        minutes: Length of the run.
        steps: Length in steps; takes the place of ``minutes``.
        resume: Go on from the checkpoint in ``out``.
    """

    out: Path
    base: Path = TINY_DIR
    minutes: float = 10.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    resume: bool = False
    batches_per_corpus: int = 100
    learning_rate: float = 1.5e-3
    evaluate_every: int = 500
    data: LensDataConfig = field(default_factory=LensDataConfig)


def _corpus(
    base: Path, config: LensDataConfig, seed: str, split: Split, n_batches: int
) -> tuple[npt.NDArray[np.int64], list[LensBatch]]:
    return lens_batches(load_tokenizer(base), config, seed, split, n_batches=n_batches)


def _batches(
    config: TrainLensConfig, progress: Callable[[], float]
) -> Iterator[tuple[npt.NDArray[np.int64], LensBatch]]:
    """Training batches, made one corpus ahead in another process, until the run is over."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        number = 0

        def order() -> Future[tuple[npt.NDArray[np.int64], list[LensBatch]]]:
            nonlocal number
            number += 1
            seed = f"{config.seed}-{progress():.6f}-{number}"
            return pool.submit(_corpus, config.base, config.data, seed, "train", config.batches_per_corpus)

        pending = order()
        while progress() < 1:
            (tokens, made), pending = pending.result(), order()
            for batch in made:
                if progress() >= 1:
                    break
                yield tokens, batch
        pool.shutdown(cancel_futures=True)  # a future cancelled by itself can leave the pool waiting for ever (3.11)


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
    weight = F.softplus(net.word_weight(inputs.question)) * inputs.question_valid[..., None]
    query = (weight * net.match_word(inputs.question)).sum(1) @ net.match_gist.weight
    return SCALE * (F.normalize(inputs.gists, dim=-1) @ F.normalize(query, dim=-1)[..., None]).squeeze(-1)


def lens_loss(net: LensNet, inputs: LensInputs, positive: Tensor) -> Tensor:
    """Ranking, calibration and query vector together."""
    logits = net(inputs)
    calibration = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    calibration = (calibration * inputs.valid).sum() / inputs.valid.sum()
    blocks = inputs.valid & (inputs.lods <= 1)
    vector = ranking_loss(query_logits(net, inputs), positive & blocks, blocks)
    return ranking_loss(logits, positive, inputs.valid) + 2 * calibration + 0.3 * vector


def evaluate(net: LensNet, data: list[tuple[LensInputs, Tensor]]) -> dict[str, float]:
    """On cuts of the dev split: how often a node with evidence is ranked first, and how well the sign tells."""
    top1, precision, recall = [], [], []
    with torch.no_grad():
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


@dataclass(slots=True)
class LensTrainer:
    """The state of a run."""

    config: TrainLensConfig
    net: LensNet
    optimizer: torch.optim.Optimizer
    embedding: Tensor
    schedule: Schedule
    device: torch.device

    @classmethod
    def start(cls, config: TrainLensConfig, base: NativeBase) -> LensTrainer:
        """Random weights, or a checkpoint."""
        device = torch.device(config.device)
        net = LensNet(LensConfig(base=base.id, gist_dim=base.dim)).to(device)
        optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=0.01)
        schedule = Schedule(config.minutes, config.steps)
        if config.resume:
            saved = read_checkpoint(config.out)
            saved.restore(net, optimizer)
            if config.steps is None:
                schedule.start = saved.progress
            else:
                schedule.step = saved.step
        return cls(config, net, optimizer, base.model.tokens.weight.detach(), schedule, device)

    def step(self, inputs: LensInputs, positive: Tensor) -> Tensor:
        """One update; returns the loss."""
        loss = lens_loss(self.net, inputs, positive)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.config.learning_rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step += 1
        return loss.detach()

    def save(self) -> None:
        """Weights, and what is needed to go on."""
        Lens(self.net).save_pretrained(self.config.out)
        state = Checkpoint.of(self.net, self.optimizer, self.schedule.step, self.schedule.progress)
        write_checkpoint(state, self.config.out)
        self.net.train()


def train_lens(config: TrainLensConfig) -> Lens:
    """Run the recipe; writes weights, config, a log of JSON lines and a checkpoint to ``config.out``."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = LensTrainer.start(config, NativeBase.from_pretrained(config.base))
    embedding, device, schedule = trainer.embedding, trainer.device, trainer.schedule
    tokens, dev_batches = _corpus(config.base, config.data, "dev", "dev", 40)
    prefix, corpus = gist_vectors(torch.from_numpy(tokens), embedding), tokens
    dev = [(to_inputs(b, prefix, embedding, device), torch.from_numpy(b.positive).to(device)) for b in dev_batches]
    with (config.out / "train.jsonl").open("a", encoding="utf-8") as log:
        for tokens, batch in _batches(config, lambda: schedule.progress):
            if tokens is not corpus:
                corpus, prefix = tokens, gist_vectors(torch.from_numpy(tokens), embedding)
            loss = trainer.step(
                to_inputs(batch, prefix, embedding, device), torch.from_numpy(batch.positive).to(device)
            )
            if schedule.step % config.evaluate_every == 0:
                write_log(log, schedule, loss=round(loss.item(), 4), dev=evaluate(trainer.net, dev))
                trainer.save()
        write_log(log, schedule, dev=evaluate(trainer.net, dev), base=trainer.net.config.base, seed=config.seed)
    trainer.save()
    return Lens(trainer.net)
