"""Gaussian positions for decoders of Hugging Face transformers: a mean and a spread per entry, on a model as it is.

A decoder of transformers asks one module, ``rotary_emb``, for the cosines and sines of all its layers. A hook on that
module gives it those of ``Positions`` instead: phases of the means, times exp(-w^2 sigma^2 / 2). Queries and keys are
both turned with them, so attention scores become expectations, as in ``positional.rotary``.

The means replace ``position_ids`` in that module only. What else the model makes of them stays its own: the causal
mask (an entry sees those that are read before it, wherever they stand), the cache, packed sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mm_megacontext.errors import AttachmentError, UnsupportedModel
from mm_megacontext.positional import AXES, Positions

NATIVE_BELOW = 2**20
"""Whole positions below this get the model's own phases, rounding included; with it, a spread of 0 changes no bit.

There its float32 angles are off by up to 0.03 rad, which it was trained with; far beyond they lose their meaning.
"""
_ROWS = tuple(AXES.index(axis) for axis in ("t", "y", "x"))
"""Rows of ``position_ids`` of multimodal models: time, height, width."""
_MARK = "_mm_megacontext_gaussian_rope"
_ROUNDING = 1e-5
"""Cosines of small positions in float32, however they are computed."""
_SUPPORTED = (
    "supported are decoders of transformers with one module rotary_emb that holds inv_freq and returns (cos, sin): "
    "Llama, Mistral, Qwen2, Qwen3, Qwen2-VL, Qwen2.5-VL, Qwen3-VL, SmolVLM and others built like them"
)


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


class _Source(Protocol):
    """Hands out the positions of each forward."""

    def take(self, n_entries: int) -> Positions: ...


@dataclass(frozen=True, slots=True)
class _Same:
    """The same positions for every forward."""

    positions: Positions

    def take(self, n_entries: int) -> Positions:
        if n_entries != len(self.positions):
            raise ValueError(
                f"positions of {len(self.positions)} entries were set, but this forward reads {n_entries}; "
                "set those of its own entries, or use along() for generate()"
            )
        return self.positions


@dataclass(slots=True)
class _Onward:
    """Each forward gets the positions that follow those of the one before."""

    positions: Positions
    taken: int = 0

    def take(self, n_entries: int) -> Positions:
        begin, end = self.taken, self.taken + n_entries
        if end > len(self.positions):
            raise ValueError(
                f"positions of {len(self.positions)} entries were set, but this forward reads up to entry {end}; "
                "set those of the prompt and of every token to generate"
            )
        self.taken = end
        return Positions(self.positions.mu[..., begin:end, :], self.positions.sigma[..., begin:end, :])


class GaussianRope:
    """Gaussian positions attached to a model; made by ``attach_gaussian_rope``.

    As a context manager, it removes itself at the end. While no positions are set, the model behaves as without it.

    Args:
        module: The model's rotary embedding.
        columns: Where the columns of its cosines come from.
        gain: (3,) factor on the spread per axis (t, x, y), or None for 1.
    """

    def __init__(self, module: nn.Module, columns: _Columns, gain: Float[Tensor, " axes"] | None) -> None:
        self.gain = gain
        self._module = module
        self._columns = columns
        self._source: _Source | None = None
        self._hook = module.register_forward_hook(self._replace)
        setattr(module, _MARK, self)

    @contextmanager
    def at(self, positions: Positions) -> Iterator[None]:
        """Every forward inside reads entries at these positions.

        With a cache, only the entries of that forward count: those in the cache were placed when they were read.

        Args:
            positions: (entries, 3) or (batch, entries, 3); a batch of 1 serves all. One-dimensional models use t alone.
                Multimodal ones use t as time, y as height and x as width; they expect text at t = y = x, which
                ``positions_of_ids`` gives. |mu| up to 1e9.

        Raises:
            AttachmentError: Removed before.
            ValueError: In the forward: it reads another number of entries, or another batch.
        """
        with self._reading(_Same(positions)):
            yield

    @contextmanager
    def along(self, positions: Positions) -> Iterator[None]:
        """The forwards inside read on along these positions, each from where the last one stopped: for ``generate``.

        Args:
            positions: As for ``at``, of the prompt and of every token to generate; what is left at the end is unused.
                (batch, entries, 3) counts the beams of beam search; ``generate`` must not take tokens back.

        Raises:
            AttachmentError: Removed before.
            ValueError: In the forward: there are no positions left for its entries, or its batch is another.
        """
        with self._reading(_Onward(positions)):
            yield

    def remove(self) -> None:
        """Put the model back as it was; a second time does nothing."""
        if self._is_attached():
            self._hook.remove()
            delattr(self._module, _MARK)

    def __enter__(self) -> GaussianRope:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _is_attached(self) -> bool:
        return getattr(self._module, _MARK, None) is self

    @contextmanager
    def _reading(self, source: _Source) -> Iterator[None]:
        if not self._is_attached():
            raise AttachmentError("positions were set on a model that they were removed from; attach them again")
        before, self._source = self._source, source
        try:
            yield
        finally:
            self._source = before

    def _replace(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> tuple[Tensor, Tensor] | None:
        """Forward hook: cosines and sines of the positions that are set, in the place of the model's own."""
        if self._source is None:
            return None
        plain: Tensor = output[0]
        positions = _batched(self._source.take(plain.shape[-2]), plain.device, args[0].shape[0])
        cos, sin = _phases(module, self._columns, positions)
        damping = _damping(module, self._columns, positions, self.gain)
        return (cos * damping).to(plain.dtype), (sin * damping).to(plain.dtype)


def attach_gaussian_rope(model: nn.Module, gain: Float[Tensor, " axes"] | None = None) -> GaussianRope:
    """Let a decoder of transformers read entries at Gaussian positions.

    Phases of whole means below ``NATIVE_BELOW`` are the model's own, so that a spread of 0 gives its very logits. Those
    of other means, between entries or far out, are right to 1e-6 rad up to 1e9, with the model's own frequencies.
    Gradients reach ``gain`` and ``Positions.sigma``; means get none.

    Args:
        model: A causal or vision-language model, or its decoder alone. Vision towers are left as they are.
        gain: Learnable factor on the spread per axis (t, x, y), or None for 1.

    Returns:
        What positions are set with: ``at`` for forwards, ``along`` for ``generate``.

    Raises:
        AttachmentError: Attached before and not removed.
        UnsupportedModel: The model has no rotary embedding of a known kind, or more than one.
        ValueError: ``gain`` is not (3,).

    Example:
        >>> from transformers import LlamaConfig, LlamaModel
        >>> sizes = dict(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        >>> model, x = LlamaModel(LlamaConfig(**sizes)), torch.ones(1, 2, 8)
        >>> gist_and_token = Positions.spans(torch.tensor([[0, 0, 0], [1e9, 0, 0]], dtype=torch.float64),
        ...                                  torch.tensor([[8, 0, 0], [1e9, 0, 0]], dtype=torch.float64))
        >>> with attach_gaussian_rope(model) as rope, rope.at(gist_and_token):
        ...     model(inputs_embeds=x).last_hidden_state.shape
        torch.Size([1, 2, 8])
    """
    if gain is not None and gain.shape != (3,):
        raise ValueError(f"gain must be (3,), one factor for each of {AXES}, got {tuple(gain.shape)}")
    module = _rotary_module(model)
    if hasattr(module, _MARK):
        raise AttachmentError(f"{type(model).__name__} has Gaussian positions already; remove() them first")
    return GaussianRope(module, _columns(module), gain)


def positions_of_ids(position_ids: Int[Tensor, "*rows batch entries"]) -> Positions:
    """Where a model itself would put its entries, as points.

    Args:
        position_ids: (batch, entries), the same on every axis, as for text; or (3, batch, entries) of time, height and
            width, as ``get_rope_index`` of multimodal models gives them.

    Returns:
        (batch, entries, 3), without spread.

    Raises:
        ValueError: ``position_ids`` has another shape.

    Example:
        >>> positions_of_ids(torch.tensor([[[4, 4]], [[1, 2]], [[7, 8]]])).mu.tolist()
        [[[4.0, 7.0, 1.0], [4.0, 8.0, 2.0]]]
    """
    if position_ids.dim() not in (2, 3) or (position_ids.dim() == 3 and len(position_ids) != 3):
        raise ValueError(
            f"position_ids must be (batch, entries) or (3, batch, entries), got {tuple(position_ids.shape)}"
        )
    t, y, x = position_ids.expand(3, *position_ids.shape[-2:])
    return Positions.exact(torch.stack((t, x, y), dim=-1).double())


def _rotary_module(model: nn.Module) -> nn.Module:
    """The one rotary embedding of a decoder; copies in numbered layers, which transformers 4 kept, are not asked.

    Gemma 3 had a second one in transformers 4, ``rotary_emb_local``, for layers with a window.
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
    missing = [name for name in ("inv_freq", "attention_scaling", "config") if not hasattr(module, name)]
    if missing:
        raise UnsupportedModel(f"{type(module).__name__} holds no {' and no '.join(missing)}; {_SUPPORTED}")
    return module


def _columns(module: nn.Module) -> _Columns:
    """Found by asking: of entries at 1 on one axis each, the columns of that axis show the sines of frequencies."""
    device = _frequencies(module).device
    output = _own(module, _as_ids(module, torch.eye(3, device=device).unsqueeze(0)))
    if not isinstance(output, tuple) or len(output) != 2:
        raise UnsupportedModel(f"{type(module).__name__} does not return (cos, sin); {_SUPPORTED}")
    sines, axis = output[1].squeeze(-3).max(dim=-2)
    expected = _frequencies(module).sin() * _scaling(module)
    columns = _Columns(axis, (sines.unsqueeze(-1) - expected).abs().argmin(dim=-1))
    _check(module, columns, torch.tensor([[[2.0, 5.0, 3.0]]], dtype=torch.float64, device=device))
    return columns


def _check(module: nn.Module, columns: _Columns, mu: Float[Tensor, "batch entries 3"]) -> None:
    """Compare with the module's own cosines and sines."""
    for ours, own in zip(_exact(module, columns, mu), _own(module, _as_ids(module, mu)), strict=True):
        if ours.shape != own.shape or not torch.allclose(ours, own, rtol=0, atol=_ROUNDING):
            raise UnsupportedModel(f"{type(module).__name__} computes other phases than w * position; {_SUPPORTED}")


def _batched(positions: Positions, device: torch.device, n_batch: int) -> Positions:
    """(batch, entries, 3) on ``device``, with a batch of 1 or ``n_batch``."""
    shape = positions.mu.shape
    if len(shape) > 3 or (len(shape) == 3 and shape[0] not in (1, n_batch)):
        raise ValueError(f"positions {tuple(shape)} do not fit a batch of {n_batch}")
    mu, sigma = (values.to(device).reshape(-1, *shape[-2:]) for values in (positions.mu, positions.sigma))
    return Positions(mu, sigma)


@torch.no_grad()
def _phases(module: nn.Module, columns: _Columns, positions: Positions) -> tuple[Tensor, Tensor]:
    """Float32 cosines and sines of the means, shaped as the module shapes its own."""
    mu = positions.mu
    is_native = (mu == mu.round()) & (mu.abs() < NATIVE_BELOW)
    own = _own(module, _as_ids(module, mu.where(is_native, 0)))
    exact = _exact(module, columns, mu)
    chosen = _by_column(is_native, columns)
    return torch.where(chosen, own[0], exact[0]), torch.where(chosen, own[1], exact[1])


def _own(module: nn.Module, ids: Tensor) -> Any:
    """What the module itself returns, in float32; past its hooks, ours among them."""
    return module.forward(torch.empty(0, device=ids.device), ids.long())


def _as_ids(module: nn.Module, mu: Float[Tensor, "batch entries 3"]) -> Float[Tensor, "*rows batch entries"]:
    """``position_ids`` as the module expects them: (batch, entries), or (3, batch, entries) if it is multimodal."""
    return mu[..., _ROWS].movedim(-1, 0) if _is_multimodal(module) else mu[..., 0]


def _is_multimodal(module: nn.Module) -> bool:
    """Newer versions of transformers tell by the module, older ones by its config."""
    scaling = getattr(module.config, "rope_scaling", None) or {}
    return hasattr(module, "mrope_section") or "mrope_section" in scaling


def _exact(module: nn.Module, columns: _Columns, mu: Float[Tensor, "batch entries 3"]) -> tuple[Tensor, Tensor]:
    """As ``_own``, of any means: float64 angles with the whole turns taken off, then float32."""
    angle = _by_column(mu, columns) * _column_frequencies(module, columns, mu.device).double()
    turned = torch.remainder(angle, 2 * math.pi).float()
    return turned.cos() * _scaling(module), turned.sin() * _scaling(module)


def _damping(module: nn.Module, columns: _Columns, positions: Positions, gain: Tensor | None) -> Tensor:
    """exp(-w^2 sigma^2 / 2) in float32, shaped as the cosines; exactly 1 without spread."""
    sigma = positions.sigma.float()
    spread = sigma if gain is None else sigma * gain.float().to(sigma.device)
    return torch.exp(-0.5 * (_by_column(spread, columns) * _column_frequencies(module, columns, sigma.device)) ** 2)


def _by_column(values: Tensor, columns: _Columns) -> Tensor:
    """(batch, entries, 3) values of axes as (*rows, batch, entries, columns)."""
    found = values[..., columns.axis]
    return found if columns.axis.dim() == 1 else found.movedim(-2, 0)


def _column_frequencies(module: nn.Module, columns: _Columns, device: torch.device) -> Tensor:
    """(*rows, 1, 1, columns) radians per unit."""
    return _frequencies(module).to(device)[columns.pair][..., None, None, :]


def _frequencies(module: nn.Module) -> Float[Tensor, " pairs"]:
    """Radians per unit; read anew each time, since some kinds of rotary embedding change them as sequences grow."""
    assert isinstance(module.inv_freq, Tensor)
    return module.inv_freq.float()


def _scaling(module: nn.Module) -> Any:
    return module.attention_scaling
