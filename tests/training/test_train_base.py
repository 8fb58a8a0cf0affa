"""The recipe of the base, on a model and a curriculum so small that it takes seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_model, save_model
from mm_megacontext.training import train_base as recipe
from mm_megacontext.training.data.contexts import Batch, ContextConfig, CorpusBatches, corpus_batches
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import lookup_losses
from mm_megacontext.training.schedule import Schedule
from mm_megacontext.training.train_base import CURRICULUM, Stage, TrainBaseConfig, Trainer, train_base
from tests.tiny import CONFIG, random_model, tokenizer

CONTEXT = ContextConfig(pages=(1,), n_facts=(1, 2), length=96, batch=4, n_questions=4)
MODEL = NativeConfig(name="smoke", dim=32, n_layers=1, n_heads=2, mlp_dim=32, rotary_pairs=(2, 2, 2))


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    n = torch.get_num_threads()
    yield
    torch.set_num_threads(n)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small corpora, made here: the other process takes longer to start than this test may run."""
    stages_met.clear()

    def corpus(config: ContextConfig, seed: str, split: Split, n_batches: int) -> CorpusBatches:
        return corpus_batches(tokenizer(), config, seed, split, n_batches=n_batches, n_pages=3)

    def batches(config: TrainBaseConfig, progress: Any) -> Iterator[tuple[CorpusBatches, Batch]]:
        made = corpus(config.curriculum[0].context, "smoke", "train", 6)
        while progress() < 1:
            for batch in made.batches:
                stages_met.append(progress())
                if progress() < 1:
                    yield made, batch

    monkeypatch.setattr(recipe, "_corpus", corpus)
    monkeypatch.setattr(recipe, "_batches", batches)


stages_met: list[float] = []


def config(out: Path, **changes: Any) -> TrainBaseConfig:
    settings: dict[str, Any] = {
        "out": out,
        "steps": 60,
        "threads": 1,
        "compile": False,
        "learning_rate": 2e-2,
        "evaluate_every": 30,
        "model": MODEL,
        "curriculum": (Stage(until=1.0, context=CONTEXT),),
    }
    return TrainBaseConfig(**{**settings, **changes})


def log_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "train.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("in_process")
def test_a_run_learns_and_writes_a_base(tmp_path: Path) -> None:
    model = train_base(config(tmp_path))
    log = log_of(tmp_path)
    train = [record["train"]["answer"] for record in log if "train" in record]
    dev = [record["dev"][0]["answer"] for record in log if "dev" in record]
    assert [record["step"] for record in log if "train" in record] == [25, 50]
    assert train[-1] < train[0]
    assert dev[-1] < 8, "less than ln(4096) = 8.3, what guessing costs"
    assert {"checkpoint.json", "checkpoint.safetensors", "config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert not list(tmp_path.glob("*.partial"))
    base = NativeBase.from_pretrained(tmp_path)
    assert base.model.config == MODEL
    for a, b in zip(model.state_dict().values(), base.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert base.tokenizer.encode("Rent 1,234") == tokenizer().encode("Rent 1,234")


@pytest.mark.usefixtures("in_process")
def test_a_run_can_be_resumed(tmp_path: Path) -> None:
    """Half of the steps, then the others: it goes on where it stood, with weights and optimizer."""
    train_base(config(tmp_path, steps=20))
    n_lines = len(log_of(tmp_path))
    before = load_model(tmp_path)
    stopped = Trainer.start(config(tmp_path, steps=20, resume=True))
    assert stopped.schedule.step == 20
    assert stopped.schedule.progress >= 1
    for a, b in zip(before.state_dict().values(), stopped.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    moments = [state["exp_avg"] for state in stopped.optimizer.state_dict()["state"].values()]
    assert len(moments) == len(list(before.parameters()))
    assert any(float(moment.abs().max()) > 0 for moment in moments)
    train_base(config(tmp_path, steps=20, resume=True))
    assert len(log_of(tmp_path)) == n_lines + 1, "a run that is over has nothing more to do"


@pytest.mark.usefixtures("in_process")
def test_an_interrupted_run_takes_the_steps_it_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = lookup_losses
    calls = 0

    def dies(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == 16:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(recipe, "lookup_losses", dies)
        with pytest.raises(KeyboardInterrupt):
            train_base(config(tmp_path, steps=20, evaluate_every=10))
    resumed = Trainer.start(config(tmp_path, steps=20, resume=True))
    assert resumed.schedule.step == 10
    assert resumed.schedule.progress == pytest.approx(0.5)
    train_base(config(tmp_path, steps=20, evaluate_every=10, resume=True))
    assert log_of(tmp_path)[-1]["step"] == 20


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        Trainer.start(config(tmp_path, resume=True))


def test_given_weights_are_begun_with(tmp_path: Path) -> None:
    save_model(random_model(5), tmp_path / "given")
    trainer = Trainer.start(config(tmp_path, init=tmp_path / "given", init_progress=0.4))
    for a, b in zip(random_model(5).state_dict().values(), trainer.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert trainer.model.config == CONFIG
    assert trainer.schedule.progress == pytest.approx(0.4)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_schedule_by_steps(start: float) -> None:
    schedule = Schedule(minutes=1, steps=200, start=start)
    assert schedule.progress == start
    rates = []
    for step in range(200):
        schedule.step = step
        rates.append(schedule.rate(1.0))
    assert rates[0] == pytest.approx(0.01 * min(1, (1 - start) / 0.6))
    assert np.argmax(rates) < 120
    schedule.step = 200
    assert schedule.progress == 1
    assert schedule.rate(1.0) == 0
    assert (np.diff(rates[120:]) < 0).all()


def test_the_curriculum_covers_the_run() -> None:
    ends = [stage.until for stage in CURRICULUM]
    assert ends == sorted(ends)
    assert ends[-1] == 1.0
    with_answer = CURRICULUM[-1].context
    assert max(with_answer.pages) > 32, "deep trees are met"


@pytest.mark.slow
def test_batches_of_the_other_process_are_those_of_this_one(tmp_path: Path) -> None:
    steps = 0

    def progress() -> float:
        return steps / 3

    run = config(tmp_path, batches_per_corpus=2)
    made = []
    for corpus, batch in recipe._batches(run, progress):
        made.append((corpus, batch))
        steps += 1
    assert len(made) == 3, "the second corpus is begun"
    here = corpus_batches(tokenizer(), CONTEXT, "0-0.000000-1", "train", n_batches=2)
    np.testing.assert_array_equal(made[0][0].tokens, here.tokens)
    for (_, batch), own in zip(made, here.batches, strict=False):
        for name in Batch.__slots__:
            np.testing.assert_array_equal(getattr(batch, name), getattr(own, name))
    assert made[2][0] is not made[0][0]
    assert TINY_DIR.is_dir()
