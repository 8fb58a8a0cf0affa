"""Several contexts in one forward, one behind the other, none seeing another.

A way of attention is registered with transformers under a name of ours and asked for during such a forward only. Layers
that are causal and nothing else go to ``mm_megacontext.attention``: one fused kernel of xformers on CUDA, one call of
SDPA per length elsewhere. Others, with windows or with pictures that see themselves, get the model's own mask, cut into
blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import and_masks, causal_mask_function, sdpa_mask

from mm_megacontext.attention import Lengths, attend
from mm_megacontext.bases.hf.decoder import Decoder, new_cache
from mm_megacontext.bases.hf.embedded import Embedded, joined

NAME = "mm_megacontext_packed"
_LENGTHS: ContextVar[Lengths] = ContextVar(NAME)


def prefill(decoder: Decoder, contexts: Sequence[Embedded]) -> list[tuple[Float[Tensor, " vocabulary"], Any]]:
    """Read several contexts in one forward.

    Args:
        decoder: Reads.
        contexts: At least one; none empty.

    Returns:
        For each what may follow it, and its own cache, as if it had been read alone.
    """
    lengths = Lengths.full(map(len, contexts))
    cache, ends = new_cache(), torch.tensor(lengths.keys).cumsum(0) - 1
    with _packing(decoder.model, lengths):
        logits = decoder.logits(joined(contexts), cache, kept=ends)
    return list(zip(logits, _split(cache, lengths), strict=True))


@contextmanager
def _packing(model: Any, lengths: Lengths) -> Iterator[None]:
    """Attention of a decoder as ours."""
    config = model.get_decoder().config
    own, token = config._attn_implementation, _LENGTHS.set(lengths)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = own
        _LENGTHS.reset(token)


def _mask(*, mask_function: Any, device: torch.device, **told: Any) -> Tensor | None:
    """None where a layer is causal and nothing else."""
    if mask_function is causal_mask_function:
        return None
    lengths = _LENGTHS.get()
    own = torch.repeat_interleave(torch.tensor(lengths.keys, device=device))

    def is_one(batch: Any, head: Any, query: Any, key: Any) -> Any:
        return own[query] == own[key]

    told["allow_is_causal_skip"] = False
    found: Tensor = sdpa_mask(mask_function=and_masks(mask_function, is_one), device=device, **told)
    return found


def _attend(
    module: Any,
    query: Float[Tensor, "1 heads entries dim"],
    key: Float[Tensor, "1 kv_heads entries dim"],
    value: Float[Tensor, "1 kv_heads entries dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **told: Any,
) -> tuple[Float[Tensor, "1 entries heads dim"], None]:
    if attention_mask is not None:
        attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **told)
        return attended, None
    own = query.shape[-1] ** -0.5  # by which ``attend`` scales
    queries = query if scaling is None or scaling == own else query * (scaling / own)
    q, k, v = (x[0].transpose(0, 1) for x in (queries, key, value))  # (entries, heads, dim)
    return attend(q, k, v, _LENGTHS.get())[None], None


def _split(cache: Any, lengths: Lengths) -> list[Any]:
    """One cache for each context; its keys and values are copied, so that the whole can be let go."""
    caches = [new_cache() for _ in lengths.keys]
    for number, layer in enumerate(cache.layers):
        keys, values = (x.split(lengths.keys, dim=2) for x in (layer.keys, layer.values))
        for own, k, v in zip(caches, keys, values, strict=True):
            own.update(k.clone(), v.clone(), number)
    return caches


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _mask)
