"""Gaussian positions for decoders of Hugging Face transformers: a mean and a spread per entry, on a model as it is.

A decoder of transformers asks one module, ``rotary_emb``, for the cosines and sines of all its layers. A hook on that
module gives it those of ``Positions`` instead: phases of the means, times exp(-w^2 sigma^2 / 2). Queries and keys are
both turned with them, so attention scores become expectations, as in ``positional.rotary``.

The means replace ``position_ids`` in that module only. What else the model makes of them stays its own: the causal
mask (an entry sees those that are read before it, wherever they stand), the cache, packed sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mm_megacontext.bases.rotary_module import NATIVE_BELOW as NATIVE_BELOW
from mm_megacontext.bases.rotary_module import LayerType, rotaries, rotary_module
from mm_megacontext.errors import AttachmentError
from mm_megacontext.positional import AXES, Positions

_MARK = "_mm_megacontext_gaussian_rope"


class _Source(Protocol):
    """Hands out the positions of each forward, once for each type of layer."""

    def take(self, n_entries: int, layer_type: LayerType) -> Positions: ...


@dataclass(frozen=True, slots=True)
class _Same:
    """The same positions for every forward."""

    positions: Positions

    def take(self, n_entries: int, layer_type: LayerType) -> Positions:
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
    taken: dict[LayerType, int] = field(default_factory=dict)

    def take(self, n_entries: int, layer_type: LayerType) -> Positions:
        begin = self.taken.get(layer_type, 0)
        end = begin + n_entries
        if end > len(self.positions):
            raise ValueError(
                f"positions of {len(self.positions)} entries were set, but this forward reads up to entry {end}; "
                "set those of the prompt and of every token to generate"
            )
        self.taken[layer_type] = end
        return Positions(self.positions.mu[..., begin:end, :], self.positions.sigma[..., begin:end, :])


class GaussianRope:
    """Gaussian positions attached to a model; made by ``attach_gaussian_rope``.

    As a context manager, it removes itself at the end. While no positions are set, the model behaves as without it.

    Args:
        module: The model's rotary embedding.
        gain: (3,) factor on the spread per axis (t, x, y), or None for 1.

    Raises:
        UnsupportedModel: The module is of no known kind.
    """

    def __init__(self, module: nn.Module, gain: Float[Tensor, " axes"] | None) -> None:
        self.gain = gain
        self._module = module
        self._rotaries = rotaries(module)
        self._source: _Source | None = None
        self._hook = module.register_forward_hook(self._replace, with_kwargs=True)
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

    def _replace(
        self, module: nn.Module, args: tuple[Any, ...], given: dict[str, Any], output: Any
    ) -> tuple[Tensor, Tensor] | None:
        """Forward hook: cosines and sines of the positions that are set, in the place of the model's own."""
        if self._source is None:
            return None
        plain: Tensor = output[0]
        layer_type = None if None in self._rotaries else given.get("layer_type", args[-1])
        taken = self._source.take(plain.shape[-2], layer_type)
        positions = _batched(taken, plain.device, args[0].shape[0])
        rotary = self._rotaries[layer_type]
        cos, sin = rotary.phases(positions)
        damping = rotary.damping(positions, self.gain)
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
    module = rotary_module(model)
    if hasattr(module, _MARK):
        raise AttachmentError(f"{type(model).__name__} has Gaussian positions already; remove() them first")
    return GaussianRope(module, gain)


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


def _batched(positions: Positions, device: torch.device, n_batch: int) -> Positions:
    """(batch, entries, 3) on ``device``, with a batch of 1 or ``n_batch``."""
    shape = positions.mu.shape
    if len(shape) > 3 or (len(shape) == 3 and shape[0] not in (1, n_batch)):
        raise ValueError(f"positions {tuple(shape)} do not fit a batch of {n_batch}")
    mu, sigma = (values.to(device).reshape(-1, *shape[-2:]) for values in (positions.mu, positions.sigma))
    return Positions(mu, sigma)
