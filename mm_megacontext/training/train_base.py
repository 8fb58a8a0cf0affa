"""``mmctx train base``: train the native base to look values up in mixed contexts of leaves and gists.

Every batch is made anew by the generator; nothing is read from disk. The schedule follows the clock, so that a run of
so many minutes ends with its learning rate at zero on any machine.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer, save_model
from mm_megacontext.training.contexts import Batch, ContextConfig, CorpusBatches, corpus_batches
from mm_megacontext.training.lookup_model import gist_vectors, lookup_losses, to_tensors
from mm_megacontext.training.words import Split

BATCHES_PER_CORPUS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the curriculum; ``until`` is the share of the run at which it ends."""

    until: float
    context: ContextConfig


CURRICULUM = (
    Stage(until=0.12, context=ContextConfig(pages=(1,), n_facts=(2, 5), length=128, batch=16, n_questions=6)),
    Stage(until=0.70, context=ContextConfig(pages=(1, 1, 2, 6), n_facts=(4, 14), length=256, batch=10)),
    Stage(until=1.01, context=ContextConfig(pages=(1, 1, 2, 6, 40, 96), n_facts=(10, 22), length=480, batch=6)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBaseConfig:
    """Options of the run.

    Attributes:
        minutes: Length of the run, compilation included.
        threads: CPU threads of the trainer; one more process makes data.
        start: Share of the schedule to start at, when going on from weights of an earlier run.
    """

    out: Path
    minutes: float = 60.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    learning_rate: float = 2e-3
    start: float = 0.0
    resume: Path | None = None
    compile: bool = True
    evaluate_every: int = 150
    model: NativeConfig = field(default_factory=NativeConfig)
    curriculum: tuple[Stage, ...] = CURRICULUM


def _corpus(config: ContextConfig, seed: str, split: Split, n_batches: int) -> CorpusBatches:
    return corpus_batches(load_tokenizer(TINY_DIR), config, seed, split, n_batches=n_batches)


@dataclass(slots=True)
class Clock:
    """How much of the run is over, from ``start`` to 1."""

    minutes: float
    start: float
    began: float = field(default_factory=time.monotonic)

    @property
    def progress(self) -> float:
        elapsed = (time.monotonic() - self.began) / (60 * self.minutes)
        return self.start + (1 - self.start) * elapsed


def batches(config: TrainBaseConfig, clock: Clock) -> Iterator[tuple[CorpusBatches, Batch]]:
    """Training batches of the stage that the clock says, made one corpus ahead in another process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:

        def order(number: int) -> Any:
            stage = next(s for s in config.curriculum if clock.progress < s.until)
            return pool.submit(_corpus, stage.context, f"{config.seed}-{number}", "train", BATCHES_PER_CORPUS)

        number, pending = 1, order(0)
        while clock.progress < 1:
            corpus = pending.result()
            pending = order(number) if clock.progress < 1 else None
            number += 1
            for batch in corpus.batches:
                if clock.progress >= 1:
                    break
                yield corpus, batch


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Linear warm-up over 100 steps, flat to 40 % of the run, then linear to zero."""
    return peak * min(1.0, (step + 1) / 100) * min(1.0, max(0.0, (1 - progress) / 0.6))


def optimiser(model: NativeModel, rate: float) -> torch.optim.Optimizer:
    """AdamW; matrices decay, embeddings and vectors do not."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers" in n)]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


class Evaluation:
    """Losses on fixed contexts of the dev split: words that training never holds."""

    def __init__(self, config: TrainBaseConfig) -> None:
        self.corpora = [_corpus(s.context, f"dev-{i}", "dev", 4) for i, s in enumerate(config.curriculum)]

    def run(self, model: NativeModel, device: torch.device) -> dict[str, list[float]]:
        """Per stage: NLL of answer tokens, share of questions answered, share of absent ones refused."""
        out: dict[str, list[float]] = {}
        with torch.no_grad():
            for i, corpus in enumerate(self.corpora):
                prefix = gist_vectors(torch.from_numpy(corpus.tokens), model.tokens.weight.cpu())
                losses = [lookup_losses(model, to_tensors(b, prefix, device)) for b in corpus.batches]
                means = torch.stack([torch.stack(tuple(loss)) for loss in losses]).mean(dim=0)
                out[f"stage{i}"] = [round(v, 3) for v in means.tolist()]
        return out


def train_base(config: TrainBaseConfig) -> NativeModel:
    """Run the recipe; writes weights, config, tokenizer and a log of JSON lines to ``config.out``."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device(config.device)
    model = (load_model(config.resume) if config.resume else NativeModel(config.model)).to(device)
    optimizer = optimiser(model, config.learning_rate)
    step_loss = torch.compile(lookup_losses, dynamic=False) if config.compile else lookup_losses
    config.out.mkdir(parents=True, exist_ok=True)
    evaluation, clock = Evaluation(config), Clock(config.minutes, config.start)
    prefix, corpus = torch.empty(0), None
    with (config.out / "train.jsonl").open("a", encoding="utf-8") as log:
        for step, (new_corpus, batch) in enumerate(batches(config, clock)):
            if new_corpus is not corpus:
                corpus = new_corpus
                prefix = gist_vectors(torch.from_numpy(corpus.tokens), model.tokens.weight.detach().cpu())
            losses = step_loss(model, to_tensors(batch, prefix, device))
            (losses.answer + losses.copy).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config.learning_rate, step, clock.progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 25 == 0 or step % config.evaluate_every == 0:
                _log(log, step, clock, losses)
            if step and step % config.evaluate_every == 0:
                _log_json(log, {"step": step, "dev": evaluation.run(model, device)})
                save_model(model, config.out)
        _log_json(log, {"step": step, "dev": evaluation.run(model, device), "minutes": config.minutes})
    save_model(model, config.out)
    load_tokenizer(TINY_DIR).save(config.out / "tokenizer.json")
    return model


def _log(log: Any, step: int, clock: Clock, losses: tuple[Tensor, ...]) -> None:
    answer, copy, right, absent = (round(v.item(), 3) for v in losses)
    seconds = round(time.monotonic() - clock.began, 1)
    _log_json(log, dict(step=step, seconds=seconds, answer=answer, copy=copy, right=right, absent=absent))


def _log_json(log: Any, record: dict[str, Any]) -> None:
    log.write(json.dumps(record) + "\n")
    log.flush()
