"""Weights of modules: where random ones come from, and the files of trained ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights made inside depend on ``seed`` alone; the caller's generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def save_module(module: nn.Module, config: Mapping[str, Any], directory: str | Path) -> None:
    """Write config and weights; the weights are replaced whole."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    partial = folder / f"{WEIGHTS}.partial"
    save_file({name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}, str(partial))
    partial.replace(folder / WEIGHTS)


def read_config(directory: str | Path) -> dict[str, Any]:
    """The config that ``save_module`` wrote."""
    config: dict[str, Any] = json.loads((Path(directory) / CONFIG).read_text(encoding="utf-8"))
    return config


def load_weights(module: nn.Module, directory: str | Path) -> None:
    """Read the weights that ``save_module`` wrote; all must be there and fit."""
    module.load_state_dict(load_file(str(Path(directory) / WEIGHTS)))
