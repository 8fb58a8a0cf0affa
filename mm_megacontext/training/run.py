"""The training loop of all recipes: schedule, updates, evaluation, log, checkpoint, resume.

A recipe says what is trained, on what, and how wrong it is; ``run`` does the rest. A run that was killed and resumed
takes the steps that it would have taken: its data and whatever is random in a step come from the seed and their number,
its place in the schedule from the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mm_megacontext.errors import TrainingDiverged
from mm_megacontext.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mm_megacontext.training.data_process import data_process
from mm_megacontext.training.schedule import LOG, Schedule, cut_log, write_log


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options that all recipes have.

    Attributes:
        out: Where weights, log and checkpoint go.
        minutes: Length of the run.
        steps: Length in steps; takes the place of ``minutes``.
        seed: Of the first weights, the data, and what is random in a step; at least 0.
        threads: CPU threads of the trainer; one more process makes data.
        resume: Go on from the checkpoint in ``out``: with the same options, to where the run would have come.
        init_progress: Share of the schedule that the weights it begins with have behind them.
        learning_rate: The highest one, of all that the optimizer does not treat otherwise.
        clip_norm: Gradients are scaled down to it.
        accumulate: Batches whose gradients are averaged for one update.
        log_every: Steps between losses in the log.
        evaluate_every: Steps between evaluations, or None for a single one at the end.
        save_every: Steps between checkpoints.
    """

    out: Path
    minutes: float = 60.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    resume: bool = False
    init_progress: float = 0.0
    learning_rate: float = 2e-3
    clip_norm: float = 1.0
    accumulate: int = 1
    log_every: int = 25
    evaluate_every: int | None = 250
    save_every: int = 250

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, is {self.seed}")
        for name in ("minutes", "steps", "threads", "accumulate", "log_every", "evaluate_every", "save_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, is {value}")


B = TypeVar("B")


class Recipe(Protocol[B]):
    """What is trained, on batches of type ``B``. A class of it is made with the options of the run.

    Attributes:
        net: All that the checkpoint must hold to go on: what is trained, and buffers that change in a run.
        optimizer: Of its parameters; the rates that its groups have at first are their highest.
        batches_per_part: Batches that are made together, as one part of the data.
    """

    @property
    def net(self) -> nn.Module: ...

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...

    @property
    def batches_per_part(self) -> int: ...

    def part(self, number: int, progress: float) -> Callable[[], Sequence[B]]:
        """What makes part ``number`` of the data, which begins at ``progress``; it is called in another process."""
        ...

    def loss(self, batch: B, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What is to become small, and what else the log is to tell.

        ``rng`` and torch's own generator draw the same for the same step of every run with this seed.
        """
        ...

    def evaluate(self) -> Any:
        """Figures for the log, as JSON; ``net`` is in evaluation mode, and there are no gradients."""
        ...

    def save(self) -> None:
        """Write the weights to ``out``, as what was trained is loaded."""
        ...


OptionsT = TypeVar("OptionsT", bound=TrainOptions)
RecipeT = TypeVar("RecipeT", bound=Recipe[Any])


def run(build: Callable[[OptionsT], RecipeT], options: OptionsT) -> RecipeT:
    """Train; writes weights, a checkpoint and a log of JSON lines to ``options.out``.

    Args:
        build: The class of the recipe, or what else makes it. Torch's generator is seeded before.
        options: Of the run; what the recipe has of its own stands in a subclass.

    Returns:
        The recipe with what it trained, in evaluation mode.

    Raises:
        NoCheckpoint: ``resume`` and there is none.
        TrainingDiverged: The loss is no number any more.
    """
    saved = read_checkpoint(options.out) if options.resume else None
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    recipe = build(options)
    schedule = Schedule(options.minutes, options.steps, options.init_progress)
    if saved is not None:
        saved.restore(recipe.net, recipe.optimizer)
        schedule.step, schedule.seconds_before = saved.step, saved.seconds
        cut_log(options.out / LOG, saved.step)
    with data_process() as pool, (options.out / LOG).open("w" if saved is None else "a", encoding="utf-8") as log:
        write_log(log, schedule, options=asdict(options))
        _train(recipe, options, schedule, _batches(recipe, options, schedule, pool), log)
    recipe.net.eval()
    return recipe


def _train(recipe: Recipe[B], options: TrainOptions, schedule: Schedule, batches: Iterator[B], log: TextIO) -> None:
    """The steps that are left."""
    peaks = [group["lr"] for group in recipe.optimizer.param_groups]
    is_over = schedule.progress >= 1

    def is_due(every: int | None) -> bool:
        return is_over or (every is not None and schedule.step % every == 0)

    while not is_over:
        rate = schedule.rate(1.0)
        for group, peak in zip(recipe.optimizer.param_groups, peaks, strict=True):
            group["lr"] = rate * peak
        losses = _update(recipe, options, schedule.step, batches)
        schedule.step += 1
        is_over = schedule.progress >= 1
        if is_due(options.log_every) or is_due(options.save_every):
            write_log(log, schedule, rate=round(rate, 6), train=_numbers(losses, options, schedule.step))
        if is_due(options.evaluate_every):
            write_log(log, schedule, dev=_evaluation(recipe))
        if is_due(options.save_every):
            recipe.save()
            write_checkpoint(Checkpoint.of(recipe.net, recipe.optimizer, schedule.step, schedule.seconds), options.out)


def _update(recipe: Recipe[B], options: TrainOptions, step: int, batches: Iterator[B]) -> dict[str, Tensor]:
    """Take one step; returns its losses, means over its batches."""
    recipe.net.train()
    sums: dict[str, Tensor] = {}
    for number in range(step * options.accumulate, (step + 1) * options.accumulate):
        rng = np.random.default_rng((options.seed, number))
        torch.manual_seed(int(rng.integers(2**63)))
        loss, told = recipe.loss(next(batches), rng)
        (loss / options.accumulate).backward()
        for name, value in {"loss": loss, **told}.items():
            sums[name] = sums.get(name, 0.0) + value.detach() / options.accumulate
    torch.nn.utils.clip_grad_norm_(recipe.net.parameters(), options.clip_norm)
    recipe.optimizer.step()
    recipe.optimizer.zero_grad(set_to_none=True)
    return sums


def _numbers(losses: Mapping[str, Tensor], options: TrainOptions, step: int) -> dict[str, float]:
    found = {name: round(value.item(), 6) for name, value in losses.items()}
    if not math.isfinite(found["loss"]):
        raise TrainingDiverged(
            f"the loss is {found['loss']} at step {step}; go on from the last checkpoint in {options.out}, "
            "or begin anew, with a lower learning rate"
        )
    return found


def _evaluation(recipe: Recipe[Any]) -> Any:
    recipe.net.eval()
    with torch.no_grad():
        return recipe.evaluate()


def _batches(recipe: Recipe[B], options: TrainOptions, schedule: Schedule, pool: Executor) -> Iterator[B]:
    """From where the run stands on; each part is made while the one before is used."""

    def order(number: int) -> Future[Sequence[B]] | None:
        begins = schedule.progress_at(-(-number * recipe.batches_per_part // options.accumulate))
        is_needed = options.steps is None or begins < 1
        return pool.submit(recipe.part(number, begins)) if is_needed else None

    number, used = divmod(schedule.step * options.accumulate, recipe.batches_per_part)
    part = order(number)
    while part is not None:
        batches, part = part.result(), order(number + 1)
        if len(batches) != recipe.batches_per_part:
            raise ValueError(
                f"part {number} of the data has {len(batches)} batches, batches_per_part says "
                f"{recipe.batches_per_part}; without as many, a resumed run would not know which come next"
            )
        yield from batches[used:]
        number, used = number + 1, 0
