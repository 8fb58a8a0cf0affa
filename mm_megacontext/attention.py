"""Attention over packed sequences of different lengths, with one meaning on every backend.

Sequences stand one after the other, without padding. Each is causal from its END: of n queries and m keys, query i
sees the first ``m - n + i + 1`` keys, so that queries behind a cache of m - n entries see all of it.

Backends: ``xformers`` runs one fused kernel for all sequences (CUDA, extra ``gpu``); ``sdpa`` calls
``torch.nn.functional.scaled_dot_product_attention`` once for all sequences of one shape; ``eager`` is written out, for
any device and dtype, and is what the others are tested against.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mm_megacontext.errors import MissingExtra
from mm_megacontext.positional import Positions, alibi_bias

Backend = Literal["xformers", "sdpa", "eager"]
XFormers = Literal["ready", "missing", "unloadable"]
Bias = Sequence[Float[Tensor, "heads queries keys"]]

_HALVES = (torch.float16, torch.bfloat16)
_ALIGNMENT = 8
"""Dimensions of a head must be a multiple of it: kernels read 16 bytes at a time."""
_FLASH_DIM, _FLASH_CAPABILITY = 256, (8, 0)
"""Largest head and oldest GPU of FlashAttention 2, the kernel for half precision."""
_CUTLASS_CAPABILITY = (9, 0)
"""Newest GPU of the CUTLASS kernel, which does the rest."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many queries and keys each sequence has, in the order in which they are packed.

    Raises:
        ValueError: There is no sequence, or one without queries, or with more queries than keys.

    Example:
        >>> Lengths.full([3, 5])
        Lengths(queries=(3, 5), keys=(3, 5))
        >>> Lengths(queries=(1, 2), keys=(40, 17)).total_keys
        57
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.queries or len(self.queries) != len(self.keys):
            raise ValueError(
                f"need queries and keys of at least one sequence, got {len(self.queries)} and {len(self.keys)} lengths"
            )
        for i, (n, m) in enumerate(zip(self.queries, self.keys, strict=True)):
            if not 1 <= n <= m:
                raise ValueError(
                    f"sequence {i} has {n} queries and {m} keys: leave empty ones out, and give at least as many keys"
                )

    @classmethod
    def full(cls, lengths: Iterable[int]) -> Lengths:
        """Sequences that attend to themselves and to nothing before them."""
        lengths = tuple(lengths)
        return cls(lengths, lengths)

    @property
    def total_queries(self) -> int:
        return sum(self.queries)

    @property
    def total_keys(self) -> int:
        return sum(self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that decides which backends can run.

    Attributes:
        device_type: As ``torch.device.type`` says it.
        capability: CUDA compute capability, None for other devices.
        dtype: Of queries, keys and values.
        head_dim: Size of a head.
        is_biased: Whether something is added to the scores.
        is_deterministic: Whether ``torch.use_deterministic_algorithms`` is on.
        xformers: What there is of it; None for other devices than CUDA, where nobody looks.
    """

    device_type: str
    capability: tuple[int, int] | None
    dtype: torch.dtype
    head_dim: int
    is_biased: bool
    is_deterministic: bool
    xformers: XFormers | None

    @classmethod
    def on(cls, device: torch.device, dtype: torch.dtype, head_dim: int, bias: Bias | None = None) -> Setting:
        """The setting of a call on ``device`` here and now."""
        is_cuda = device.type == "cuda"
        return cls(
            device_type=device.type,
            capability=torch.cuda.get_device_capability(device) if is_cuda else None,
            dtype=dtype,
            head_dim=head_dim,
            is_biased=bias is not None,
            is_deterministic=torch.are_deterministic_algorithms_enabled(),
            xformers=find_xformers() if is_cuda else None,
        )


def attend(
    q: Float[Tensor, "total_q heads head_dim"],
    k: Float[Tensor, "total_kv kv_heads head_dim"],
    v: Float[Tensor, "total_kv kv_heads head_dim"],
    lengths: Lengths,
    *,
    bias: Bias | None = None,
    backend: Backend | None = None,
) -> Float[Tensor, "total_q heads head_dim"]:
    """Causal softmax attention of every sequence by itself, scores scaled by ``head_dim ** -0.5``.

    Args:
        q: Queries of all sequences.
        k: Keys; query head h reads head ``h * kv_heads // heads`` (grouped queries, Ainslie et al. 2023).
        v: Values.
        lengths: Where sequences begin and end.
        bias: Added to the scaled scores, one tensor per sequence; ``alibi`` makes them.
        backend: By name, or None for the fastest that can run (see ``backend_for``).

    Returns:
        In the dtype of ``q``; differentiable with respect to q, k, v and bias.

    Raises:
        ValueError: Shapes, dtypes or devices do not fit, or the backend cannot run here.
        MissingExtra: The backend is not installed.

    Example:
        >>> q, k = torch.randn(3, 4, 8), torch.randn(12, 2, 8)
        >>> attend(q, k, k, Lengths(queries=(1, 2), keys=(7, 5))).shape
        torch.Size([3, 4, 8])
    """
    _check_tensors(q, k, v, lengths)
    if bias is not None:
        _check_bias(bias, q.shape[1], lengths)
    setting = Setting.on(q.device, q.dtype, q.shape[-1], bias)
    return _BACKENDS[choose(setting, backend)](q, k, v, lengths, bias)


def alibi(queries: Positions, keys: Positions, lengths: Lengths, n_heads: int) -> list[Float[Tensor, "heads q k"]]:
    """Linear biases over t for ``attend``; see ``positional.alibi_bias``.

    Args:
        queries: Positions of all queries, (total_q,).
        keys: Positions of all keys, (total_kv,).
        lengths: Where sequences begin and end.
        n_heads: Number of query heads.
    """
    pairs = zip(_split_positions(queries, lengths.queries), _split_positions(keys, lengths.keys), strict=True)
    return [alibi_bias(q, k, n_heads) for q, k in pairs]


def _split_positions(positions: Positions, lengths: tuple[int, ...]) -> list[Positions]:
    parts = zip(positions.mu.split(lengths), positions.sigma.split(lengths), strict=True)
    return [Positions(mu, sigma) for mu, sigma in parts]


def choose(setting: Setting, backend: Backend | None) -> Backend:
    """``backend`` if it can run, or the fastest if none was named.

    Raises:
        ValueError: There is no such backend, or it cannot run in this setting.
        MissingExtra: It is not installed.
    """
    if backend is None:
        return backend_for(setting)
    if backend not in _BACKENDS:
        raise ValueError(f"no attention backend {backend!r}; there are {', '.join(_BACKENDS)}")
    obstacle = why_not_xformers(setting) if backend == "xformers" else None
    if obstacle is None:
        return backend
    message = f"attention backend 'xformers' {obstacle}; leave the backend out to have one chosen"
    raise MissingExtra(message) if setting.xformers == "missing" else ValueError(message)


def backend_for(setting: Setting) -> Backend:
    """The fastest backend that can run in a setting."""
    return "xformers" if why_not_xformers(setting) is None else "sdpa"


def why_not_xformers(setting: Setting) -> str | None:
    """What keeps xformers from running in a setting, None if nothing does.

    Source: ``not_supported_reasons`` of the operators in ``xformers.ops.fmha`` 0.0.35, as far as they concern
    ``BlockDiagonalCausalFromBottomRightMask``. Where only some of their kernels can run, this says no.
    """
    if setting.device_type != "cuda":
        return f"needs a CUDA device, not {setting.device_type}"
    if setting.xformers == "missing":
        return "is not installed: pip install 'mm-megacontext[gpu]'"
    if setting.xformers == "unloadable":
        return "cannot load its CUDA library beside this PyTorch: `python -m xformers.info` says why"
    if setting.is_biased:
        return "takes no bias for packed sequences"  # its kernels take either a block-diagonal mask or a tensor
    return _why_no_kernel(setting)


def _why_no_kernel(setting: Setting) -> str | None:
    assert setting.capability is not None
    if setting.head_dim % _ALIGNMENT:
        return f"needs heads of a multiple of {_ALIGNMENT} dimensions, not {setting.head_dim}"
    if setting.dtype not in (*_HALVES, torch.float32):
        return f"computes in float16, bfloat16 and float32, not {setting.dtype}"
    if setting.dtype == torch.bfloat16 and setting.capability < _FLASH_CAPABILITY:
        return f"needs compute capability 8.0 for bfloat16, and this GPU has {_dotted(setting.capability)}"
    has_flash = setting.dtype in _HALVES and setting.head_dim <= _FLASH_DIM and setting.capability >= _FLASH_CAPABILITY
    if not has_flash and setting.capability > _CUTLASS_CAPABILITY:
        return (
            f"has only FlashAttention on compute capability {_dotted(setting.capability)}: "
            f"half precision and heads of at most {_FLASH_DIM} dimensions"
        )
    if has_flash and setting.is_deterministic:
        return "has no deterministic backward pass in half precision"
    return None


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


@lru_cache(maxsize=1)
def find_xformers() -> XFormers:
    """Whether xformers is installed and its CUDA library loads; imports it, which takes seconds."""
    if importlib.util.find_spec("xformers") is None:
        return "missing"
    from xformers import _cpp_lib  # where all its operators look; its public names do not tell

    return "ready" if _cpp_lib._built_with_cuda else "unloadable"


def _check_tensors(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths) -> None:
    if q.dim() != 3 or k.dim() != 3 or k.shape != v.shape or q.shape[-1] != k.shape[-1] or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"need q (total_q, heads, head_dim), and k and v (total_kv, kv_heads, head_dim) with heads a multiple of "
            f"kv_heads; got {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if (len(q), len(k)) != (lengths.total_queries, lengths.total_keys):
        raise ValueError(
            f"lengths add up to {lengths.total_queries} queries and {lengths.total_keys} keys, "
            f"but there are {len(q)} and {len(k)}"
        )
    if {(x.dtype, x.device) for x in (k, v)} != {(q.dtype, q.device)}:
        raise ValueError(
            "q, k and v must share dtype and device, got " + ", ".join(f"{x.dtype} on {x.device}" for x in (q, k, v))
        )


def _check_bias(bias: Bias, heads: int, lengths: Lengths) -> None:
    needed = [(heads, n, m) for n, m in zip(lengths.queries, lengths.keys, strict=True)]
    found = [tuple(one.shape) for one in bias]
    if found != needed:
        raise ValueError(f"need biases of shapes {needed}, one per sequence, got {found}")


def visible(n: int, m: int, device: torch.device) -> Bool[Tensor, "{n} {m}"]:
    """Which of m keys each of n queries sees."""
    return torch.ones(n, m, dtype=torch.bool, device=device).tril(m - n)


def _eager(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, bias: Bias | None) -> Tensor:
    """Written out, sequence by sequence; in float32 or wider."""
    wide = torch.promote_types(q.dtype, torch.float32)
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))  # (total_kv, heads, head_dim)
    queries = q.to(wide).split(lengths.queries)
    keys, values = k.to(wide).split(lengths.keys), v.to(wide).split(lengths.keys)
    found = []
    for i, (n, m) in enumerate(zip(lengths.queries, lengths.keys, strict=True)):
        scores = torch.einsum("qhd,khd->hqk", queries[i], keys[i]) * q.shape[-1] ** -0.5
        scores = scores if bias is None else scores + bias[i]
        weights = scores.masked_fill(~visible(n, m, q.device), -torch.inf).softmax(dim=-1)
        found.append(torch.einsum("hqk,khd->qhd", weights, values[i]))
    return torch.cat(found).to(q.dtype)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, bias: Bias | None) -> Tensor:
    """One batched call for all sequences of one shape."""
    members = _by_shape(lengths)
    if len(members) == 1:
        return _sdpa_equal(q, k, v, len(lengths.queries), bias)
    parts = q.split(lengths.queries), k.split(lengths.keys), v.split(lengths.keys)
    found: dict[int, Tensor] = {}
    for own in members.values():
        q, k, v = (torch.cat([of_all[i] for i in own]) for of_all in parts)
        attended = _sdpa_equal(q, k, v, len(own), None if bias is None else [bias[i] for i in own])
        found.update(zip(own, attended.chunk(len(own)), strict=True))
    return torch.cat([found[i] for i in range(len(parts[0]))])


def _by_shape(lengths: Lengths) -> dict[tuple[int, int], list[int]]:
    """Numbers of queries and keys, to the sequences that have them."""
    found: dict[tuple[int, int], list[int]] = {}
    for i, shape in enumerate(zip(lengths.queries, lengths.keys, strict=True)):
        found.setdefault(shape, []).append(i)
    return found


def _sdpa_equal(q: Tensor, k: Tensor, v: Tensor, n_sequences: int, bias: Bias | None) -> Tensor:
    """Of sequences that all have one shape, which are a batch as they lie."""
    n, m = len(q) // n_sequences, len(k) // n_sequences
    q, k, v = (x.unflatten(0, (n_sequences, -1)).transpose(1, 2) for x in (q, k, v))  # (sequences, heads, entries, dim)
    mask = _sdpa_mask(n, m, q.device) if bias is None else _sdpa_bias(bias, q)
    attended = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None and n > 1, enable_gqa=q.shape[1] != k.shape[1]
    )
    return attended.transpose(1, 2).flatten(0, 1)


def _sdpa_mask(n: int, m: int, device: torch.device) -> Tensor | None:
    """None where all keys are seen, or PyTorch's own causal mask, aligned to the beginning, is the same."""
    return None if n in (1, m) else visible(n, m, device)


def _sdpa_bias(biases: Bias, q: Tensor) -> Tensor:
    """(sequences, heads, n, m) in the dtype of ``q``, minus infinity where nothing is seen."""
    n, m = biases[0].shape[-2:]
    return torch.stack([*biases]).to(q.device, q.dtype).masked_fill(~visible(n, m, q.device), -torch.inf)


def _xformers(q: Tensor, k: Tensor, v: Tensor, lengths: Lengths, bias: Bias | None) -> Tensor:
    """One kernel for all sequences."""
    assert bias is None, "xformers was chosen for a biased setting"
    from xformers import ops

    found: Tensor = ops.memory_efficient_attention(
        *xformers_inputs(q, k, v), attn_bias=xformers_mask(lengths, q.device)
    )
    return found.reshape(q.shape)


def xformers_inputs(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as xformers takes them, a batch of one.

    Returns:
        Each (1, total, heads, head_dim), or (1, total, kv_heads, heads / kv_heads, head_dim) for grouped queries
        without gradients, where the keys of a group are one memory.
    """
    q, k, v = (x.contiguous()[None] for x in (q, k, v))  # kernels want unit strides and aligned rows
    kv_heads, group = k.shape[2], q.shape[2] // k.shape[2]
    if group == 1:
        return q, k, v
    # Its groups have no backward pass, and it prepares one even under no_grad if an input asks for gradients.
    if any(x.requires_grad for x in (q, k, v)):
        return q, k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
    k, v = (x.unsqueeze(3).expand(-1, -1, -1, group, -1) for x in (k, v))
    return q.unflatten(2, (kv_heads, group)), k, v


@lru_cache(maxsize=16)
def xformers_mask(lengths: Lengths, device: torch.device) -> Any:
    """The mask that all layers share: making it copies to the device.

    Returns:
        A ``BlockDiagonalCausalFromBottomRightMask``.
    """
    from xformers.ops.fmha.attn_bias import BlockDiagonalCausalFromBottomRightMask

    with torch.inference_mode(False):
        return BlockDiagonalCausalFromBottomRightMask.from_seqlens(lengths.queries, lengths.keys, device=device)


_BACKENDS: dict[Backend, Callable[[Tensor, Tensor, Tensor, Lengths, Bias | None], Tensor]] = {
    "xformers": _xformers,
    "sdpa": _sdpa,
    "eager": _eager,
}
