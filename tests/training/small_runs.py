"""Every recipe as small as it gets; as a script, runs of them that are killed in the middle of a step.

``python -m tests.training.small_runs BASE OUT`` trains all recipes into folders of OUT, each in a process that SIGKILL
ends at the beginning of step ``KILLED_AT``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.training import run as loop
from mm_megacontext.training.data.contexts import ContextConfig
from mm_megacontext.training.data.lens_data import LensDataConfig
from mm_megacontext.training.train_base import BaseRecipe, Stage, TrainBaseConfig
from mm_megacontext.training.train_finder import FinderRecipe, TrainFinderConfig
from mm_megacontext.training.train_lens import LensRecipe, TrainLensConfig

STEPS, SAVED_EVERY, KILLED_AT = 8, 3, 7
"""The last checkpoint is of step 6, in the middle of a part of the data, and the log goes one step further."""
MODEL = NativeConfig(name="smoke", dim=32, n_layers=1, n_heads=2, mlp_dim=32, rotary_pairs=(2, 2, 2))
CONTEXT = ContextConfig(pages=(1,), n_facts=(1, 2), length=96, batch=4, n_questions=4)
SHORTER = ContextConfig(pages=(1,), n_facts=(1, 2), length=64, batch=2, n_questions=2)
CUTS = LensDataConfig(pages=(1, 2), n_facts=(4, 8), batch=8, most_nodes=48)


class Here(Executor):
    """Makes data in the trainer's process, when it is ordered: another one takes longer to start than such a run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def here() -> Any:
    """In the place of ``data_process``."""
    yield Here()


def base_options(out: Path, base: Path, **changes: Any) -> TrainBaseConfig:
    settings: dict[str, Any] = {
        **_common(out),
        "compile": False,
        "batches_per_corpus": 4,
        "pages_per_corpus": 3,
        "model": MODEL,
        "curriculum": (Stage(until=0.4, context=SHORTER), Stage(until=1.0, context=CONTEXT)),
    }
    return TrainBaseConfig(**{**settings, **changes})


def lens_options(out: Path, base: Path, **changes: Any) -> TrainLensConfig:
    settings = {**_common(out), "base": base, "batches_per_corpus": 4, "pages_per_corpus": 5, "data": CUTS}
    return TrainLensConfig(**{**settings, **changes})


def finder_options(out: Path, base: Path, **changes: Any) -> TrainFinderConfig:
    settings = {**_common(out), "base": base, "scenes": 1, "unseen_scenes": 1}
    return TrainFinderConfig(**{**settings, **changes})


def _common(out: Path) -> dict[str, Any]:
    return {
        "out": out,
        "steps": STEPS,
        "threads": 1,
        "log_every": 1,
        "evaluate_every": SAVED_EVERY,
        "save_every": SAVED_EVERY,
    }


RECIPES: dict[str, tuple[Any, Any]] = {
    "base": (BaseRecipe, base_options),
    "lens": (LensRecipe, lens_options),
    "finder": (FinderRecipe, finder_options),
}


def train(name: str, out: Path, base: Path, **changes: Any) -> Any:
    """One run; returns the recipe."""
    recipe, options = RECIPES[name]
    return loop.run(recipe, options(out, base, **changes))


def train_until_killed(name: str, out: Path, base: Path) -> None:
    """A run that does not come to its end."""
    recipe, options = RECIPES[name]
    losses = recipe.loss
    calls = iter(range(STEPS))

    def killed(self: Any, batch: Any, rng: np.random.Generator) -> Any:
        if next(calls) == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses(self, batch, rng)

    recipe.loss = killed
    loop.run(recipe, options(out, base))


def main() -> None:
    base, out = (Path(argument) for argument in sys.argv[1:])
    vars(loop)["data_process"] = here
    for name in RECIPES:
        child = os.fork()  # nothing has been computed here yet, so that there are no threads
        if child == 0:
            try:
                train_until_killed(name, out / name, base)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, name


if __name__ == "__main__":
    main()
