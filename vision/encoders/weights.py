"""What all libraries have in common when weights are loaded: one error that says what to pass instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from mm_megacontext.errors import WeightsUnavailable, first_words


@contextmanager
def loading(spec: str, pretrained: bool | str | Path | None) -> Iterator[None]:
    """Whatever the library raises while it fetches or reads weights becomes one error that says what to do.

    Raises:
        WeightsUnavailable: The library raised something, and weights were asked for.
    """
    try:
        yield
    except Exception as error:  # libraries raise whatever their HTTP client, file format or state dict raises
        if pretrained is False or isinstance(error, WeightsUnavailable):
            raise
        what = "its own weights" if pretrained is True else f"the weights of {pretrained}"
        raise WeightsUnavailable(
            f"{spec}: {what} could not be loaded ({first_words(error)}); pass pretrained=PATH of a "
            "local checkpoint (.safetensors), or pretrained=False for random weights"
        ) from error


def checkpoint(spec: str, path: str | Path) -> Path:
    """``path`` if there is a file or directory.

    Raises:
        WeightsUnavailable: There is none.
    """
    found = Path(path)
    if not found.exists():
        raise WeightsUnavailable(
            f"{spec}: there is no checkpoint {found}; pass the path of one (.safetensors), pretrained=True for its own "
            "weights, or pretrained=False for random ones"
        )
    return found


def check_all_loaded(spec: str, path: Path, loaded: nn.Module, fresh: nn.Module) -> None:
    """Refuse a checkpoint that left weights as they began.

    Libraries drop heads that are not needed, and with them the check that everything else is there. A weight that the
    checkpoint did not set is still what it is in ``fresh``, the same model made with the same seed.

    Raises:
        WeightsUnavailable: Some trainable weight is as random as before.
    """
    begun = dict(fresh.named_parameters())
    missed = [
        name
        for name, value in loaded.named_parameters()
        if value.requires_grad and value.shape == begun[name].shape and _is_untouched(value, begun[name])
    ]
    if missed:
        raise WeightsUnavailable(
            f"{spec}: the checkpoint {path} does not hold {len(missed)} of its weights, {missed[0]} among them; "
            "pass one of this model"
        )


def _is_untouched(value: torch.Tensor, begun: torch.Tensor) -> bool:
    """Equal and not constant: zeros and ones are what many weights both begin and end with."""
    return bool(torch.equal(value, begun)) and bool((value != value.flatten()[0]).any())
