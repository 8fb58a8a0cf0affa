"""What names weights: a digest of all of them and of every setting that changes what they do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

DIGITS = 12


def digest(modules: Iterable[nn.Module], settings: Mapping[str, Any]) -> str:
    """Names weights and settings: twelve hexadecimal digits; about 1 GB/s.

    Args:
        modules: Every parameter and buffer of their state counts, with its name, type and shape.
        settings: JSON values: the configuration, the ids of what else takes part.
    """
    found = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=DIGITS // 2)
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(_bytes(value))
    return found.hexdigest()


def _bytes(value: Tensor) -> memoryview:
    flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    view: memoryview = flat.numpy().data
    return view
