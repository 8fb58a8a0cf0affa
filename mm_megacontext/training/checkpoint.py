"""Checkpoints of a training run: weights and optimizer state as safetensors, the rest as JSON. No pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

TENSORS, STATE = "checkpoint.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stands.

    Attributes:
        tensors: Weights as ``model.NAME``, optimizer state as ``optimizer.PARAMETER.NAME``.
        step: Updates made.
        progress: Share of the schedule that is over.
    """

    tensors: dict[str, Tensor]
    step: int
    progress: float

    @classmethod
    def of(cls, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, progress: float) -> Checkpoint:
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()})
        return cls({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, step, progress)

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
    """Replace the checkpoint of ``directory``; the JSON, written last, belongs to the tensors beside it."""
    partial = directory / f"{TENSORS}.partial"
    save_file(checkpoint.tensors, str(partial))
    partial.replace(directory / TENSORS)
    state = {"step": checkpoint.step, "progress": checkpoint.progress}
    (directory / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")


def read_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint of ``directory``.

    Raises:
        FileNotFoundError: There is none.
    """
    if not (directory / STATE).is_file():
        raise FileNotFoundError(f"{directory} holds no checkpoint; start the run without resuming")
    state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    return Checkpoint(load_file(str(directory / TENSORS)), int(state["step"]), float(state["progress"]))
