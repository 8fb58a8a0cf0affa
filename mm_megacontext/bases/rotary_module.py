"""The module of a decoder of transformers that makes cosines and sines of positions: what it computes, found by asking.

Most decoders have one set of frequencies for all layers. Gemma 3 and others have one for each type of layer (with a
window, without), and its module is asked once for each.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.positional import AXES, Positions

NATIVE_BELOW = 2**20
"""Whole positions below this get the model's own phases, rounding included; with it, a spread of 0 changes no bit.

There its float32 angles are off by up to 0.03 rad, which it was trained with; far beyond they lose their meaning.
"""
ROWS = tuple(AXES.index(axis) for axis in ("t", "y", "x"))
"""Rows of ``position_ids`` of multimodal models: time, height, width."""
_ROUNDING = 1e-5
"""Cosines of small positions in float32, however they are computed."""
_SUPPORTED = (
    "supported are decoders of transformers with one module rotary_emb that holds inv_freq and returns (cos, sin): "
    "Llama, Mistral, Qwen2, Qwen3, Gemma 3, Qwen2-VL, Qwen2.5-VL, Qwen3-VL, SmolVLM and others built like them"
)

LayerType = str | None
"""Which layers a module is asked for; None where all have the same frequencies."""


class _Columns(NamedTuple):
    """Where the columns of a module's cosines come from.

    (columns,); or (rows, columns), where one is returned for each row of ``position_ids`` and the attention picks, as
    Qwen2-VL does in transformers 4.

    Attributes:
        axis: Index into the axes (t, x, y).
        pair: Index into ``inv_freq``.
    """

    axis: Int[Tensor, "*rows columns"]
    pair: Int[Tensor, "*rows columns"]


class Rotary:
    """What a module computes for one type of layer.

    Args:
        module: The model's rotary embedding.
        layer_type: Which layers.

    Raises:
        UnsupportedModel: It is of no known kind.
    """

    def __init__(self, module: nn.Module, layer_type: LayerType = None) -> None:
        self._module = module
        self._layer_type = layer_type
        missing = [name for name in map(self._named, ("inv_freq", "attention_scaling")) if not hasattr(module, name)]
        if missing:
            raise UnsupportedModel(f"{type(module).__name__} holds no {' and no '.join(missing)}; {_SUPPORTED}")
        self._columns = self._found_columns()
        device = self._frequencies.device
        self._check(torch.tensor([[[2.0, 5.0, 3.0]]], dtype=torch.float64, device=device))

    @torch.no_grad()
    def phases(self, positions: Positions) -> tuple[Tensor, Tensor]:
        """Float32 cosines and sines of the means, shaped as the module shapes its own."""
        mu = positions.mu
        is_native = (mu == mu.round()) & (mu.abs() < NATIVE_BELOW)
        own = self._own(self._as_ids(mu.where(is_native, 0)))
        exact = self._exact(mu)
        chosen = self._by_column(is_native)
        return torch.where(chosen, own[0], exact[0]), torch.where(chosen, own[1], exact[1])

    def damping(self, positions: Positions, gain: Tensor | None) -> Tensor:
        """exp(-w^2 sigma^2 / 2) in float32, shaped as the cosines; exactly 1 without spread."""
        sigma = positions.sigma.float()
        spread = sigma if gain is None else sigma * gain.float().to(sigma.device)
        return torch.exp(-0.5 * (self._by_column(spread) * self._column_frequencies(sigma.device)) ** 2)

    def _named(self, name: str) -> str:
        return name if self._layer_type is None else f"{self._layer_type}_{name}"

    @property
    def _frequencies(self) -> Float[Tensor, " pairs"]:
        """Radians per unit; read anew each time, since some kinds of rotary embedding change them as sequences grow."""
        found = getattr(self._module, self._named("inv_freq"))
        assert isinstance(found, Tensor)
        return found.float()

    @property
    def _scaling(self) -> Any:
        return getattr(self._module, self._named("attention_scaling"))

    def _own(self, ids: Tensor) -> Any:
        """What the module itself returns, in float32; past its hooks, ours among them."""
        of_layers = () if self._layer_type is None else (self._layer_type,)
        return self._module.forward(torch.empty(0, device=ids.device), ids.long(), *of_layers)

    def _exact(self, mu: Float[Tensor, "batch entries 3"]) -> tuple[Tensor, Tensor]:
        """As ``_own``, of any means: float64 angles with the whole turns taken off, then float32."""
        angle = self._by_column(mu) * self._column_frequencies(mu.device).double()
        turned = torch.remainder(angle, 2 * math.pi).float()
        return turned.cos() * self._scaling, turned.sin() * self._scaling

    def _found_columns(self) -> _Columns:
        """Of entries at 1 on one axis each, the columns of that axis show the sines of frequencies."""
        output = self._own(self._as_ids(torch.eye(3, device=self._frequencies.device).unsqueeze(0)))
        if not isinstance(output, tuple) or len(output) != 2:
            raise UnsupportedModel(f"{type(self._module).__name__} does not return (cos, sin); {_SUPPORTED}")
        sines, axis = output[1].squeeze(-3).max(dim=-2)
        expected = self._frequencies.sin() * self._scaling  # as they are now: asking may have changed them
        return _Columns(axis, (sines.unsqueeze(-1) - expected).abs().argmin(dim=-1))

    def _check(self, mu: Float[Tensor, "batch entries 3"]) -> None:
        """Compare with the module's own cosines and sines."""
        for ours, own in zip(self._exact(mu), self._own(self._as_ids(mu)), strict=True):
            if ours.shape != own.shape or not torch.allclose(ours, own, rtol=0, atol=_ROUNDING):
                name = type(self._module).__name__
                raise UnsupportedModel(f"{name} computes other phases than w * position; {_SUPPORTED}")

    def _as_ids(self, mu: Float[Tensor, "batch entries 3"]) -> Float[Tensor, "*rows batch entries"]:
        """``position_ids`` as the module expects them: (batch, entries), or (3, batch, entries) if multimodal."""
        return mu[..., ROWS].movedim(-1, 0) if self._is_multimodal else mu[..., 0]

    @property
    def _is_multimodal(self) -> bool:
        """Newer versions of transformers tell by the module, older ones by its config."""
        scaling = getattr(self._module.config, "rope_scaling", None) or {}
        return hasattr(self._module, "mrope_section") or "mrope_section" in scaling

    def _by_column(self, values: Tensor) -> Tensor:
        """(batch, entries, 3) values of axes as (*rows, batch, entries, columns)."""
        axis = self._columns.axis
        found = values[..., axis]
        return found if axis.dim() == 1 else found.movedim(-2, 0)

    def _column_frequencies(self, device: torch.device) -> Tensor:
        """(*rows, 1, 1, columns) radians per unit."""
        return self._frequencies.to(device)[self._columns.pair][..., None, None, :]


def rotaries(module: nn.Module) -> dict[LayerType, Rotary]:
    """What a module computes, by type of layer; under None where it is the same for all.

    Raises:
        UnsupportedModel: It is of no known kind.
    """
    if hasattr(module, "inv_freq"):
        return {None: Rotary(module)}
    ending = "_inv_freq"
    types = [name.removesuffix(ending) for name, _ in module.named_buffers() if name.endswith(ending)]
    of_layers: list[LayerType] = [name for name in types if not name.endswith("_original")]
    return {layer_type: Rotary(module, layer_type) for layer_type in of_layers or [None]}


def rotary_module(model: nn.Module) -> nn.Module:
    """The one rotary embedding of a decoder; copies in numbered layers, which transformers 4 kept, are not asked.

    Gemma 3 had a second one in transformers 4, ``rotary_emb_local``, for layers with a window.

    Raises:
        UnsupportedModel: There is none, or more than one.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if name.rpartition(".")[2].startswith("rotary_emb") and not any(map(str.isdigit, name.split(".")))
    }
    if len(found) != 1:
        has = f"several, pass the part that is meant: {', '.join(found)}" if found else "none"
        raise UnsupportedModel(f"asked for the module rotary_emb of {type(model).__name__}, it has {has}; {_SUPPORTED}")
    module: nn.Module = next(iter(found.values()))
    if not hasattr(module, "config"):
        raise UnsupportedModel(f"{type(module).__name__} holds no config; {_SUPPORTED}")
    return module
