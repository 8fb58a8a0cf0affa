"""Optimizers of the native base, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["adamw", "muon"]

_BETAS = (0.9, 0.98)
_DECAY = 0.05  # of the matrices of the layers; embeddings and vectors do not decay
_MUON_RATE = 10.0  # of a matrix whose updates are orthogonal, times the rate of the rest
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """AdamW whose groups with ``orthogonal`` set are updated by momentum made orthogonal instead.

    The same update as ``torch.optim.Muon`` with its defaults (Jordan et al. 2024, kellerjordan.github.io/posts/muon),
    computed in the dtype of the gradients: that one multiplies in bfloat16, which takes several times as long as
    everything else of a step on a processor without instructions for it.
    """

    momentum = 0.95

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; gradients of the orthogonal groups are used up."""
        for group in self.param_groups:
            if group.get("orthogonal"):
                for matrix in group["params"]:
                    if matrix.grad is not None:
                        self._update(matrix, group["lr"], group["weight_decay"])
                        matrix.grad = None  # so that AdamW passes it over
        loss: float | None = super().step(closure)
        return loss

    def _update(self, matrix: Tensor, rate: float, decay: float) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
            state["step"] = torch.tensor(0.0)  # AdamW looks for it in every state that it loads
        assert matrix.grad is not None
        momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - self.momentum)
        update = orthogonal(matrix.grad.lerp(momentum, self.momentum))
        matrix.mul_(1 - rate * decay)
        matrix.add_(update, alpha=-rate * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1])))


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Roughly the nearest matrix with orthonormal rows or columns: singular values become 0.7 to 1.2.

    A Newton-Schulz iteration of fifth order (Jordan et al. 2024).

    Args:
        matrix: (m, n).
        steps: Iterations.

    Returns:
        (m, n), in the same dtype.
    """
    a, b, c = _NEWTON_SCHULZ
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x if matrix.shape[0] <= matrix.shape[1] else x.T
    return found


def make_optimizer(name: OptimizerName, model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """The optimizer of a model with ``layers``; each group begins with its highest rate."""
    return _OPTIMIZERS[name](model, rate)


def _adamw(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    matrices, others = _split(model)
    groups = [_group(matrices, rate, _DECAY), _group(others, rate, 0.0)]
    return torch.optim.AdamW(groups, lr=rate, betas=_BETAS, fused=True)


def _muon(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Weights of linear maps in the layers become orthogonal, taps of convolutions do not."""
    matrices, others = _split(model)
    maps = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    groups = [
        {**_group([p for p in matrices if id(p) in maps], _MUON_RATE * rate, _DECAY), "orthogonal": True},
        _group([p for p in matrices if id(p) not in maps], rate, _DECAY),
        _group(others, rate, 0.0),
    ]
    return Muon(groups, lr=rate, betas=_BETAS, fused=True)


_OPTIMIZERS = {"adamw": _adamw, "muon": _muon}


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices of the layers, and everything else."""
    inside = {name: p.ndim == 2 and "layers" in name for name, p in model.named_parameters()}
    named = dict(model.named_parameters())
    return [named[n] for n, is_in in inside.items() if is_in], [named[n] for n, is_in in inside.items() if not is_in]


def _group(parameters: list[nn.Parameter], peak: float, decay: float) -> dict[str, Any]:
    return {"params": parameters, "lr": peak, "weight_decay": decay}
