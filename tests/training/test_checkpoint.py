"""Checkpoints. Oracle: what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mm_megacontext.errors import NoCheckpoint
from mm_megacontext.training import checkpoint as checkpoints
from mm_megacontext.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint


def some(step: int) -> Checkpoint:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    return Checkpoint.of(net, optimizer, step, 0.1 + step)


def is_same(a: Checkpoint, b: Checkpoint) -> bool:
    return (a.step, a.seconds, a.tensors.keys()) == (b.step, b.seconds, b.tensors.keys()) and all(
        torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors
    )


def test_round_trip(tmp_path: Path) -> None:
    first, second = some(1), some(2)
    assert not is_same(first, second)
    for each in (first, second):
        write_checkpoint(each, tmp_path)
        assert is_same(read_checkpoint(tmp_path), each)
    assert {name.split(".")[0] for name in first.tensors} == {"model", "optimizer"}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize(("owner", "name"), [(checkpoints, "save_file"), (os, "fsync"), (Path, "replace")])
def test_a_checkpoint_that_is_not_finished_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    before = some(1)
    write_checkpoint(before, tmp_path)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(some(2), tmp_path)
    assert is_same(read_checkpoint(tmp_path), before)


def test_a_file_that_does_not_say_where_the_run_stands_is_none(tmp_path: Path) -> None:
    save_file({"model.weight": torch.ones(2)}, str(tmp_path / "checkpoint.safetensors"))
    with pytest.raises(NoCheckpoint, match="does not say at which step"):
        read_checkpoint(tmp_path)
