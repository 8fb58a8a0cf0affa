"""The recipe of the finder. Oracles: labels from boxes by hand, losses by hand, a run that learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mm_megacontext.bases.finder import Finder
from mm_megacontext.cli.main import main
from mm_megacontext.training.checkpoint import read_checkpoint, write_checkpoint
from mm_megacontext.training.data.scenes import KINDS, Plain, Scene, Thing
from mm_megacontext.training.train_finder import (
    SIDE,
    TRAITS,
    FinderTrainer,
    TrainFinderConfig,
    _there_loss,
    _where_loss,
    cut,
    train_finder,
    unions,
)

WHITE = Plain((255, 255, 255))


def config(out: Path, steps: int = 2) -> TrainFinderConfig:
    return TrainFinderConfig(out=out, steps=steps, scenes=2, threads=1, evaluate_every=steps, unseen_scenes=2)


def labels_of(things: list[Thing]) -> np.ndarray:
    tiles = cut([Scene((SIDE, SIDE), things, WHITE)], np.random.default_rng(0), empty=1.0)
    assert tiles.pixels.shape == (64, 128, 128, 3)
    return tiles.labels.reshape(8, 8, len(KINDS))


def test_an_object_is_where_a_tenth_of_it_is() -> None:
    """40 pixels wide, from 120: 8 columns of it, a fifth, in the first tile, the rest in the second."""
    labels = labels_of([Thing(7, 120, 200, 40)])
    assert np.argwhere(labels == 1).tolist() == [[1, 0, 7], [1, 1, 7]]
    labels = labels_of([Thing(7, 125, 200, 40)])  # 3 of 40 columns: hardly there
    assert np.argwhere(labels == 1).tolist() == [[1, 1, 7]]
    assert np.argwhere(labels == -1).tolist() == [[1, 0, 7]]


def test_of_two_of_a_kind_in_a_tile_the_one_that_is_there_counts() -> None:
    labels = labels_of([Thing(7, 125, 200, 40), Thing(7, 20, 200, 40)])
    assert labels[1, 0, 7] == 1


def test_most_tiles_without_objects_are_left_out() -> None:
    scene = Scene((SIDE, SIDE), [Thing(7, 10, 10, 40)], WHITE)
    tiles = cut([scene] * 20, np.random.default_rng(0), empty=0.1)
    assert (tiles.labels == 1).any(axis=1).sum() == 20
    assert 60 < len(tiles.labels) - 20 < 200


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


def test_a_patch_is_on_the_object_that_its_middle_lies_on() -> None:
    """From x = 120, y = 200, 40 wide: middles 120 to 152 across, 200 to 232 down."""
    at = cut([Scene((SIDE, SIDE), [Thing(7, 120, 200, 40)], WHITE)], np.random.default_rng(0), empty=1.0).at
    on = np.argwhere(at.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64) == 7)
    assert on.tolist() == [[row, column] for row in (12, 13, 14) for column in (7, 8, 9)]
    assert (at[at != 7] == -1).all()


def test_a_run_goes_on_from_its_checkpoint_and_the_finder_can_be_loaded(tmp_path: Path) -> None:
    train_finder(config(tmp_path))
    first = json.loads((tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert first["step"] == 2
    write_checkpoint(replace(read_checkpoint(tmp_path), progress=0.5), tmp_path)  # as if it had been cut off
    assert main(["train", "finder", "--out", str(tmp_path), "--steps", "3", "--threads", "1", "--resume"]) == 0
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == first
    assert json.loads(lines[-1])["step"] == 3
    assert Finder.from_pretrained(tmp_path).dim == 160


def test_it_learns(tmp_path: Path) -> None:
    """A dozen steps on one batch bring the loss down by a tenth."""
    trainer = FinderTrainer(config(tmp_path))
    losses = []
    for _ in range(12):
        trainer.rng = np.random.default_rng(5)
        losses.append(trainer.step(2e-3))
    assert losses[-1] < 0.9 * losses[0]
