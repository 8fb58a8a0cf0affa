"""The shapes that signatures declare, held to by a type checker at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped

from mm_megacontext.positional import Positions, RotaryConfig, alibi_bias, phases, rotate, sincos_2d, turn

CONFIG = RotaryConfig(head_dim=20, pairs=(3, 2, 4))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    wrapped: Callable[..., Any] = jaxtyped(typechecker=beartype)(function)
    return wrapped


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_declared_shapes_hold(batch: tuple[int, ...]) -> None:
    positions = Positions.exact(torch.rand(*batch, 5, 3).double())
    q, k = torch.rand(*batch, 4, 5, 20), torch.rand(*batch, 2, 5, 20)
    turned = checked(rotate)(q, k, positions, CONFIG, torch.ones(3))
    assert [x.shape for x in turned] == [q.shape, k.shape]
    assert checked(turn)(q, phases(positions, CONFIG)).shape == q.shape
    assert checked(alibi_bias)(positions, positions, 4).shape == (*batch, 4, 5, 5)
    assert checked(sincos_2d)(positions, 8).shape == (*batch, 5, 8)
    assert phases(positions, CONFIG).cos.shape == (*batch, 5, 9)


def test_other_shapes_are_refused() -> None:
    positions = Positions.tokens(5)
    with pytest.raises(TypeCheckError):
        checked(rotate)(torch.rand(4, 5, 20), torch.rand(4, 6, 20), positions, CONFIG)
    with pytest.raises(TypeCheckError):
        checked(phases)(positions, CONFIG, torch.ones(2))
