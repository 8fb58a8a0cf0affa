"""Weights of modules: where random ones come from, and the files of trained ones."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mm_megacontext.errors import MegaContextError, WeightsUnavailable, first_words

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_REMEDY = "train it anew, or fetch it again"

M = TypeVar("M", bound=nn.Module)


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
    """The config that ``save_module`` wrote. Raises WeightsUnavailable where it is none, FileNotFoundError."""
    file = Path(directory) / CONFIG
    with telling(file):
        config = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise WeightsUnavailable(f"{file} is no config: {_REMEDY}")
    return config


def load_module(make: Callable[[dict[str, Any]], M], directory: str | Path) -> M:
    """A module of which config and weights lie in a directory, in evaluation mode; anybody may have written them.

    Nothing of the size that the config says is made before the weights are known to have it.

    Args:
        make: Makes it of the config.
        directory: As ``save_module`` leaves it.

    Raises:
        WeightsUnavailable: The config is none, or the weights do not fit it, are no numbers, or are damaged.
        FileNotFoundError: One of them is not there.
    """
    folder = Path(directory)
    config = read_config(folder)
    with telling(folder / CONFIG), torch.device("meta"):
        expected = make(dict(config)).state_dict()
    _check_header(folder / WEIGHTS, expected)
    with telling(folder / CONFIG):
        module = make(dict(config))
    with telling(folder / WEIGHTS):
        module.load_state_dict(load_file(str(folder / WEIGHTS)))
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise WeightsUnavailable(f"{folder / WEIGHTS}: {name} holds values that are no numbers: {_REMEDY}")
    return module.eval()


def _check_header(file: Path, expected: Mapping[str, Tensor]) -> None:
    """Whether a file holds weights of these names, shapes and kinds, by its header alone."""
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    with telling(file), safe_open(str(file), framework="pt") as stored:
        parts = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118  # it is no dictionary
        found = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}
    odd = sorted(found.keys() ^ expected.keys())
    if odd:
        where = "only in the file" if odd[0] in found else "not in the file"
        raise WeightsUnavailable(f"{file} does not fit {CONFIG} ({odd[0]!r} is {where}): {_REMEDY}")
    for name, value in expected.items():
        shape, kind = found[name]
        if shape != tuple(value.shape) or kind.startswith(("F", "BF")) != value.is_floating_point():
            raise WeightsUnavailable(
                f"{file} does not fit {CONFIG} ({name} is {list(shape)} of {kind}, not {list(value.shape)} of "
                f"{str(value.dtype).removeprefix('torch.')}): {_REMEDY}"
            )


@contextmanager
def telling(file: Path) -> Iterator[None]:
    """What goes wrong inside with a file of a model: WeightsUnavailable, on one line."""
    try:
        yield
    except (MegaContextError, OSError, MemoryError):
        raise
    except Exception as e:
        raise WeightsUnavailable(f"{file} is damaged ({first_words(e)}): {_REMEDY}") from e
