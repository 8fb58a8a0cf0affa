"""Checkpoints of a training run: weights, optimizer state and where the run stands, in one safetensors file. No pickle.

What is random in a run comes from its seed and the number of the step, so that no state of a generator is kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mm_megacontext.errors import NoCheckpoint

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stands.

    Attributes:
        tensors: Weights as ``model.NAME``, optimizer state as ``optimizer.PARAMETER.NAME``.
        step: Updates made.
        seconds: Time they took, evaluations included.
    """

    tensors: dict[str, Tensor]
    step: int
    seconds: float

    @classmethod
    def of(cls, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> Checkpoint:
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()})
        return cls({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, step, seconds)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put everything back; the optimizer must be of the same model."""
        model.load_state_dict({k.removeprefix("model."): v for k, v in self.tensors.items() if k.startswith("model.")})
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def write_checkpoint(checkpoint: Checkpoint, directory: Path) -> None:
    """Replace the checkpoint of ``directory`` at one stroke: who is killed meanwhile leaves the one before."""
    partial = directory / f"{CHECKPOINT}.partial"
    place = {"step": str(checkpoint.step), "seconds": repr(checkpoint.seconds)}
    save_file(checkpoint.tensors, str(partial), metadata=place)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(directory / CHECKPOINT)


def read_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint of ``directory``.

    Raises:
        NoCheckpoint: There is none, or none that says where the run stands.
    """
    path = directory / CHECKPOINT
    if not path.is_file():
        raise NoCheckpoint(f"{directory} holds no checkpoint; start the run without resuming")
    with safe_open(str(path), framework="pt") as file:
        place = file.metadata() or {}
        if not {"step", "seconds"} <= place.keys():
            raise NoCheckpoint(f"{path} does not say at which step it was written; start the run without resuming")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return Checkpoint(tensors, int(place["step"]), float(place["seconds"]))
