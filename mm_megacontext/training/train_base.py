"""``mmctx train base``: train the native base to look values up in mixed contexts of leaves and gists.

Every batch is made anew by the generator; nothing is read from disk. The schedule follows the clock, or a number of
steps, so that a run of so many minutes ends with its learning rate at zero on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import torch

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer, save_model
from mm_megacontext.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mm_megacontext.training.data.contexts import Batch, ContextConfig, CorpusBatches, corpus_batches
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import Losses, gist_vectors, lookup_losses, to_tensors
from mm_megacontext.training.optimizers import OptimizerName, make_optimizer
from mm_megacontext.training.schedule import Schedule, write_log


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
class TrainBaseConfig:
    """Options of the run.

    Attributes:
        out: Where weights, log and checkpoint go.
        minutes: Length of the run, compilation included.
        steps: Length in steps; takes the place of ``minutes``.
        threads: CPU threads of the trainer; one more process makes data.
        learning_rate: The highest one, of all that ``optimizer`` does not treat otherwise.
        optimizer: ``adamw``, with which ``mmctx-tiny`` was made; or ``muon``, which learns to look values up in half as
            many steps.
        resume: Go on from the checkpoint in ``out``, with its share of the schedule done.
        init: Directory of weights to begin with instead of random ones.
        init_progress: Share of the schedule that those weights have behind them.
        compile: Whether to compile the step; worth its minute in runs of more than a few minutes.
    """

    out: Path
    minutes: float = 60.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    learning_rate: float = 2e-3
    optimizer: OptimizerName = "adamw"
    resume: bool = False
    init: Path | None = None
    init_progress: float = 0.0
    compile: bool = True
    evaluate_every: int = 150
    batches_per_corpus: int = 48
    model: NativeConfig = field(default_factory=NativeConfig)
    curriculum: tuple[Stage, ...] = CURRICULUM


@dataclass(slots=True)
class Trainer:
    """The state of a run."""

    config: TrainBaseConfig
    model: NativeModel
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    device: torch.device

    @classmethod
    def start(cls, config: TrainBaseConfig) -> Trainer:
        """Random weights, given ones, or a checkpoint."""
        device = torch.device(config.device)
        saved = read_checkpoint(config.out) if config.resume else None
        model = NativeModel(config.model) if config.init is None else load_model(config.init)
        model = model.to(device).train()
        optimizer = make_optimizer(config.optimizer, model, config.learning_rate)
        schedule = Schedule(config.minutes, config.steps, config.init_progress)
        if saved is not None:
            saved.restore(model, optimizer)
            if config.steps is None:
                schedule.start = saved.progress
            else:
                schedule.step = saved.step
        return cls(config, model, optimizer, schedule, device)

    def step(self, losses: Losses) -> None:
        """One update."""
        (losses.answer + losses.copy).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(group["peak"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step += 1

    def save(self) -> None:
        """Weights, and what is needed to go on."""
        save_model(self.model, self.config.out)
        state = Checkpoint.of(self.model, self.optimizer, self.schedule.step, self.schedule.progress)
        write_checkpoint(state, self.config.out)


def _corpus(config: ContextConfig, seed: str, split: Split, n_batches: int) -> CorpusBatches:
    return corpus_batches(load_tokenizer(TINY_DIR), config, seed, split, n_batches=n_batches)


def _batches(config: TrainBaseConfig, progress: Callable[[], float]) -> Iterator[tuple[CorpusBatches, Batch]]:
    """Batches of the stage that is due, made one corpus ahead in another process, until the run is over."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        number = 0

        def order() -> Future[CorpusBatches]:
            nonlocal number
            number += 1
            stage = next((s for s in config.curriculum if progress() < s.until), config.curriculum[-1])
            seed = f"{config.seed}-{progress():.6f}-{number}"
            return pool.submit(_corpus, stage.context, seed, "train", config.batches_per_corpus)

        pending = order()
        while progress() < 1:
            corpus, pending = pending.result(), order()
            for batch in corpus.batches:
                if progress() >= 1:
                    break
                yield corpus, batch
        pool.shutdown(cancel_futures=True)  # a future cancelled by itself can leave the pool waiting for ever (3.11)


class Evaluation:
    """Losses on fixed contexts of the dev split, whose words training never holds, one set per stage."""

    def __init__(self, config: TrainBaseConfig) -> None:
        self.corpora = [_corpus(s.context, f"dev-{i}", "dev", 4) for i, s in enumerate(config.curriculum)]

    def run(self, model: NativeModel, device: torch.device) -> list[dict[str, float]]:
        """Per stage: NLL of answer tokens and of pointing, share of questions answered and of absent ones refused."""
        out = []
        with torch.no_grad():
            for corpus in self.corpora:
                prefix = gist_vectors(torch.from_numpy(corpus.tokens), model.tokens.weight.cpu())
                losses = [lookup_losses(model, to_tensors(b, prefix, device)) for b in corpus.batches]
                means = torch.stack([torch.stack(tuple(loss)) for loss in losses]).mean(dim=0)
                out.append(dict(zip(Losses._fields, (round(v, 3) for v in means.tolist()), strict=True)))
        return out


def train_base(config: TrainBaseConfig) -> NativeModel:
    """Run the recipe; writes weights, config, tokenizer, a checkpoint and a log of JSON lines to ``config.out``."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    load_tokenizer(TINY_DIR).save(config.out / "tokenizer.json")
    trainer, evaluation = Trainer.start(config), Evaluation(config)
    step_loss = torch.compile(lookup_losses, dynamic=False) if config.compile else lookup_losses
    prefix, corpus = torch.empty(0), None
    with (config.out / "train.jsonl").open("a", encoding="utf-8") as log:
        for new_corpus, batch in _batches(config, lambda: trainer.schedule.progress):
            if new_corpus is not corpus:
                corpus = new_corpus
                embedding = trainer.model.tokens.weight.detach().cpu()
                prefix = gist_vectors(torch.from_numpy(corpus.tokens), embedding)
            losses = step_loss(trainer.model, to_tensors(batch, prefix, trainer.device))
            trainer.step(losses)
            if trainer.schedule.step % 25 == 0:
                train = {name: round(v.item(), 3) for name, v in zip(Losses._fields, losses, strict=True)}
                write_log(log, trainer.schedule, train=train)
            if trainer.schedule.step % config.evaluate_every == 0:
                write_log(log, trainer.schedule, dev=evaluation.run(trainer.model, trainer.device))
                trainer.save()
        write_log(log, trainer.schedule, dev=evaluation.run(trainer.model, trainer.device), seed=config.seed)
    trainer.save()
    return trainer.model
