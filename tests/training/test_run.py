"""The training loop. Oracles: runs that nothing interrupts, rates and averages by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mm_megacontext.bases.native_files import save_model
from mm_megacontext.errors import NoCheckpoint, TrainingDiverged
from mm_megacontext.training import run as loop
from mm_megacontext.training.run import TrainOptions, run
from tests.tiny import random_base, tokenizer
from tests.training import small_runs

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "data_process", small_runs.here)
    n = torch.get_num_threads()
    yield
    torch.set_num_threads(n)


def log_of(directory: Path) -> list[dict[str, Any]]:
    """Records of losses and evaluations, without the time they were made at."""
    lines = (directory / "train.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records if "options" not in record]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    save_model(random_base().model, path)
    tokenizer().save(path / "tokenizer.json")
    return path


@pytest.fixture(scope="module")
def killed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of all recipes that were killed."""
    out = tmp_path_factory.mktemp("killed")
    subprocess.run(
        [sys.executable, "-m", "tests.training.small_runs", str(base), str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    return out


@pytest.mark.parametrize("name", small_runs.RECIPES)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(name: str, base: Path, killed: Path, tmp_path: Path) -> None:
    """The same rates, losses, evaluations and weights, to the last bit."""
    whole = small_runs.train(name, tmp_path, base)
    assert log_of(killed / name)[-1]["step"] == small_runs.KILLED_AT, "it was killed behind its last checkpoint"
    resumed = small_runs.train(name, killed / name, base, resume=True)
    assert log_of(killed / name) == log_of(tmp_path)
    assert [r["step"] for r in log_of(tmp_path) if "train" in r] == list(range(1, small_runs.STEPS + 1))
    state, expected = resumed.net.state_dict(), whole.net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))
    assert len(files) > 1
    for file in files:
        ours, theirs = load_file(killed / name / file), load_file(tmp_path / file)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs.keys() | ours.keys()), file


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions(TrainOptions):
    batch: int = 1
    fails_at: int | None = None
    noise: float = 0.0


class Line:
    """Fits a line: as small as a recipe can be."""

    points_per_part = 6

    def __init__(self, options: LineOptions) -> None:
        self.options = options
        self.batches_per_part = self.points_per_part // options.batch
        self.net = nn.Linear(1, 1)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=options.learning_rate)
        self.steps = 0
        self.modes: list[bool] = []

    def part(self, number: int, progress: float) -> Callable[[], list[Tensor]]:
        points = torch.randn(self.points_per_part, 2, generator=torch.Generator().manual_seed(number))
        return partial(list, points.split(self.options.batch))

    def loss(self, batch: Tensor, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert self.net.training
        if self.steps == self.options.fails_at:
            raise KeyboardInterrupt
        self.steps += 1
        drawn = self.options.noise * (torch.rand(()) + rng.random())
        return (self.net(batch[:, :1]) - batch[:, 1:] + drawn).square().mean(), {"drawn": drawn + torch.zeros(())}

    def evaluate(self) -> float:
        self.modes.append(self.net.training or torch.is_grad_enabled())
        return torch.rand(3).sum().item()

    def save(self) -> None:
        (self.options.out / "weights").write_text(str(self.net.weight.item()), encoding="utf-8")


def options(out: Path, **changes: Any) -> LineOptions:
    return LineOptions(**{"out": out, "steps": 12, "threads": 1, "log_every": 1, "learning_rate": 0.5, **changes})


def test_a_run_resumed_half_way_has_half_of_its_schedule_left(tmp_path: Path) -> None:
    """500 of 1,000 steps: the rate has been falling since 400, to zero at 1,000."""
    with pytest.raises(KeyboardInterrupt):
        run(Line, options(tmp_path, steps=1000, save_every=500, fails_at=510))
    run(Line, options(tmp_path, steps=1000, save_every=500, resume=True))
    log = log_of(tmp_path)
    at = {record["step"]: record for record in log if "train" in record}
    assert list(at) == list(range(1, 1001)), "each step is logged once"
    assert at[500]["progress"] == 0.5
    assert at[501]["rate"] == pytest.approx(0.5 / 0.6, abs=1e-6)
    assert at[1]["rate"] == 0.01
    assert at[1000]["rate"] == pytest.approx(0.001 / 0.6, abs=1e-6)


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    one = run(Line, options(tmp_path / "large", batch=3))
    accumulated = run(Line, options(tmp_path / "accumulated", accumulate=3))
    torch.testing.assert_close(accumulated.net.state_dict(), one.net.state_dict())
    losses = [
        [r["train"]["loss"] for r in log_of(tmp_path / name) if "train" in r] for name in ("large", "accumulated")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=2e-6)


def test_an_accumulating_run_goes_on_within_a_part(tmp_path: Path) -> None:
    """Two batches of four are used of the second part at step 2."""
    whole = run(Line, options(tmp_path / "whole", accumulate=4, save_every=2, noise=1.0))
    with pytest.raises(KeyboardInterrupt):
        run(Line, options(tmp_path / "cut", accumulate=4, save_every=2, noise=1.0, fails_at=13))
    resumed = run(Line, options(tmp_path / "cut", accumulate=4, save_every=2, noise=1.0, resume=True))
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")
    assert torch.equal(resumed.net.weight, whole.net.weight)


def test_a_part_of_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "points_per_part", 7)
    with pytest.raises(ValueError, match="part 0 of the data has 4 batches, batches_per_part says 3"):
        run(Line, options(tmp_path, batch=2))


def test_evaluation_changes_nothing(tmp_path: Path) -> None:
    """It draws random numbers of its own; without an interval it takes place once."""
    often = run(Line, options(tmp_path / "often", evaluate_every=1, noise=1.0))
    once = run(Line, options(tmp_path / "once", evaluate_every=None, noise=1.0))
    assert torch.equal(often.net.weight, once.net.weight)
    assert often.modes == [False] * 12
    assert once.modes == [False]
    drawn = [record["train"]["drawn"] for record in log_of(tmp_path / "once") if "train" in record]
    assert len(set(drawn)) == 12, "each step draws anew"


def test_a_run_that_is_over_has_nothing_more_to_do(tmp_path: Path) -> None:
    run(Line, options(tmp_path))
    log, weights = log_of(tmp_path), (tmp_path / "weights").read_text(encoding="utf-8")
    again = run(Line, options(tmp_path, resume=True))
    assert again.steps == 0
    assert log_of(tmp_path) == log
    assert str(again.net.weight.item()) == weights
    assert not again.net.training


def test_a_loss_that_is_no_number_ends_the_run_before_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"the loss is (inf|nan) at step \d+; go on from the last checkpoint"):
        run(Line, options(tmp_path, learning_rate=1e30, clip_norm=1e38, log_every=50, save_every=12))
    assert not list(tmp_path.glob("checkpoint*"))


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(NoCheckpoint, match="holds no checkpoint"):
        run(Line, options(tmp_path / "none", resume=True))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("steps", 0), ("accumulate", 0), ("minutes", 0.0)])
def test_options_that_cannot_be(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        options(tmp_path, **{name: value})
