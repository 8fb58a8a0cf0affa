"""The recipe of the finder. Oracles: losses by hand, a run that learns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mm_megacontext.bases.finder import Finder
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.cli.main import main
from mm_megacontext.training import run as loop
from mm_megacontext.training.data.scenes import KINDS
from mm_megacontext.training.train_finder import (
    TRAITS,
    FinderRecipe,
    TrainFinderConfig,
    _there_loss,
    _where_loss,
    train_finder,
    unions,
)
from tests.training import small_runs


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "data_process", small_runs.here)
    n = torch.get_num_threads()
    yield
    torch.set_num_threads(n)


def config(out: Path, **changes: Any) -> TrainFinderConfig:
    return small_runs.finder_options(out, TINY_DIR, **{"steps": 2, "scenes": 2, **changes})


def test_unions_hold_what_their_members_hold() -> None:
    rng = np.random.default_rng(0)
    gists = torch.eye(10)
    labels = torch.from_numpy(rng.integers(-1, 2, (10, 5)).astype(np.int8))
    found = dict(zip((1, 4), unions(gists, labels, rng), strict=True))  # of 10 tiles there are none of 16
    assert len(found[4][0]) == 2
    for gist, label in zip(*found[4], strict=True):
        members = gist.nonzero()[:, 0].tolist()
        assert len(members) == 4
        assert (label[(labels[members] == 1).any(0)] == 1).all()


def test_what_is_hardly_there_counts_neither_way() -> None:
    logits = torch.tensor([[2.0, -1.0, 9.0]])
    labels = torch.tensor([[1, 0, -1]], dtype=torch.int8)
    hit, alarm = np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0))
    assert _there_loss(logits, labels).item() == pytest.approx((20 * hit + alarm) / 21, rel=1e-5)


def test_where_loss_is_the_softmax_over_gists() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [9.0, 0.0]])
    labels = torch.tensor([[1, 0], [0, 0], [-1, 0]], dtype=torch.int8)
    assert _where_loss(logits, labels).item() == pytest.approx(np.log1p(np.exp(-1.0)), rel=1e-5)


def test_kinds_differ_in_their_traits() -> None:
    assert len({tuple(row) for row in TRAITS.tolist()}) == len(KINDS)


def test_a_run_goes_on_from_its_checkpoint_and_the_finder_can_be_loaded(tmp_path: Path) -> None:
    """With more steps than it was begun with it goes on in a longer schedule."""
    train_finder(config(tmp_path))
    first = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert main(["train", "finder", "--out", str(tmp_path), "--steps", "3", "--threads", "1", "--resume"]) == 0
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[: len(first)] == first
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records if "dev" in record] == [2, 3]
    assert records[-1]["dev"].keys() >= {"top1", "top1_cosine", "recall", "alarms", "shape", "colour", "mark", "kinds"}
    assert Finder.from_pretrained(tmp_path).dim == 160


def test_it_learns(tmp_path: Path) -> None:
    """A dozen steps on one batch bring the loss down by a tenth."""
    recipe = FinderRecipe(config(tmp_path))
    batch = recipe.part(0, 0.0)()[0]
    losses = []
    for _ in range(12):
        recipe.optimizer.zero_grad()
        loss, told = recipe.loss(batch, np.random.default_rng(5))
        assert loss.item() == pytest.approx(sum(part.item() for part in told.values()))
        loss.backward()
        recipe.optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
