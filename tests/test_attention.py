"""Packed attention. Oracle: softmax written out query by query in NumPy; for xformers, its own masks made dense."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mm_megacontext import attention
from mm_megacontext.attention import Backend, Lengths, Setting, alibi, attend, backend_for, choose, visible
from mm_megacontext.errors import MissingExtra
from mm_megacontext.positional import Positions, alibi_slopes

FLOAT64 = 1e-12
FLOAT32 = 1e-5
"""Outputs of magnitude 1, sums of some hundred terms in another order."""
BFLOAT16 = 2.0**-6
"""Four roundings of a bfloat16: weights, values, output, and a bias of magnitude 1."""
FAR = 100_000
"""A value that would be seen anywhere if a hidden key leaked in."""

HEADS = st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 2), (3, 1)])
"""Numbers of query and of key heads."""


@st.composite
def lengths(draw: st.DrawFn, most: int = 5, longest: int = 24) -> Lengths:
    """Some sequences; several of one shape are likely."""
    keys = draw(st.lists(st.integers(1, longest) | st.sampled_from([1, 7]), min_size=1, max_size=most))
    return Lengths(tuple(draw(st.sampled_from([1, m]) | st.integers(1, m)) for m in keys), tuple(keys))


def tensors(
    at: Lengths, heads: tuple[int, int] = (4, 2), dim: int = 8, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random q, k and v."""
    g = torch.Generator().manual_seed(seed)
    shapes = (at.total_queries, heads[0], dim), (at.total_keys, heads[1], dim), (at.total_keys, heads[1], dim)
    q, k, v = (torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes)
    return q, k, v


def biases(at: Lengths, heads: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    g = torch.Generator().manual_seed(1)
    shapes = zip(at.queries, at.keys, strict=True)
    return [torch.randn(heads, n, m, generator=g, dtype=torch.float64).to(dtype) for n, m in shapes]


def naive(q: Tensor, k: Tensor, v: Tensor, at: Lengths, bias: Sequence[Tensor] | None = None) -> Tensor:
    """Query by query, head by head, over exactly the keys it sees."""
    queries, keys, values = (x.double().numpy() for x in (q, k, v))
    out = np.zeros_like(queries)
    group = queries.shape[1] // keys.shape[1]
    ends = zip(np.cumsum(at.queries), np.cumsum(at.keys), at.queries, at.keys, strict=True)
    for sequence, (q_end, k_end, n, m) in enumerate(ends):
        for i in range(n):
            seen = slice(k_end - m, k_end - n + i + 1)
            for head in range(queries.shape[1]):
                scores = keys[seen, head // group] @ queries[q_end - n + i, head] / math.sqrt(queries.shape[2])
                if bias is not None:
                    scores = scores + bias[sequence][head, i, : len(scores)].double().numpy()
                weights = np.exp(scores - scores.max())
                out[q_end - n + i, head] = weights @ values[seen, head // group] / weights.sum()
    return torch.from_numpy(out)


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), atol=tolerance, rtol=0)


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
class TestEveryBackend:
    @settings(max_examples=60)
    @given(at=lengths(), heads=HEADS, seed=st.integers(0, 1000))
    def test_is_the_naive_loop(self, backend: Backend, at: Lengths, heads: tuple[int, int], seed: int) -> None:
        q, k, v = tensors(at, heads, seed=seed)
        close(attend(q, k, v, at, backend=backend), naive(q, k, v, at), FLOAT64)

    @settings(max_examples=40)
    @given(at=lengths(), heads=HEADS)
    def test_adds_biases(self, backend: Backend, at: Lengths, heads: tuple[int, int]) -> None:
        q, k, v = tensors(at, heads)
        bias = biases(at, heads[0])
        close(attend(q, k, v, at, bias=bias, backend=backend), naive(q, k, v, at, bias), FLOAT64)

    @settings(max_examples=40)
    @given(at=lengths(most=4, longest=200), heads=HEADS, seed=st.integers(0, 1000))
    def test_packed_is_one_by_one(self, backend: Backend, at: Lengths, heads: tuple[int, int], seed: int) -> None:
        q, k, v = tensors(at, heads, dtype=torch.float32, seed=seed)
        parts = zip(q.split(at.queries), k.split(at.keys), v.split(at.keys), strict=True)
        alone = [attend(*part, Lengths((len(part[0]),), (len(part[1]),)), backend=backend) for part in parts]
        close(attend(q, k, v, at, backend=backend), torch.cat(alone), FLOAT32)

    @settings(max_examples=40)
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.data())
    def test_behind_a_cache_is_the_last_rows(self, backend: Backend, totals: list[int], data: st.DataObject) -> None:
        whole = Lengths.full(totals)
        q, k, v = tensors(whole, dtype=torch.float32)
        expected = attend(q, k, v, whole, backend=backend).split(totals)
        new = [data.draw(st.integers(1, total)) for total in totals]
        last = torch.cat([part[-n:] for part, n in zip(q.split(totals), new, strict=True)])
        found = attend(last, k, v, Lengths(tuple(new), whole.keys), backend=backend)
        close(found, torch.cat([part[-n:] for part, n in zip(expected, new, strict=True)]), FLOAT32)

    def test_hidden_keys_and_other_sequences_count_for_nothing(self, backend: Backend) -> None:
        at = Lengths((3, 2), (5, 2))
        q, k, v = tensors(at)
        expected = attend(q, k, v, at, backend=backend)
        k[4:], v[4:] = FAR, FAR  # the last key of the first sequence, and all of the second
        changed = attend(q, k, v, at, backend=backend)
        torch.testing.assert_close(changed[:2], expected[:2], atol=0, rtol=0)
        assert not torch.allclose(changed[2], expected[2])

    @pytest.mark.parametrize("biased", [False, True])
    def test_gradients(self, backend: Backend, biased: bool) -> None:
        at = Lengths((3, 1, 2, 3), (3, 4, 4, 3))
        inputs = [x.requires_grad_() for x in (*tensors(at, (2, 1), dim=4), *(biases(at, 2) if biased else []))]

        def run(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> Tensor:
            return attend(q, k, v, at, bias=bias or None, backend=backend)

        assert torch.autograd.gradcheck(run, inputs)

    def test_bfloat16(self, backend: Backend) -> None:
        at = Lengths((40, 1, 9), (40, 60, 70))
        q, k, v = tensors(at, dtype=torch.bfloat16)
        bias = biases(at, 4, torch.bfloat16)
        found = attend(q, k, v, at, bias=bias, backend=backend)
        assert found.dtype == torch.bfloat16
        close(found, naive(q, k, v, at, bias), BFLOAT16)

    def test_alibi_of_running_text(self, backend: Backend) -> None:
        at = Lengths((4, 1), (4, 6))
        q, k, v = tensors(at, (4, 4))
        mu_q = torch.cat((Positions.tokens(4).mu, Positions.tokens(1, start=5).mu))
        mu_k = torch.cat((Positions.tokens(4).mu, Positions.tokens(6).mu))
        slope = alibi_slopes(4).double()[:, None, None]
        expected = [
            -slope * (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs(),
            -slope * (5.0 - torch.arange(6.0)).abs(),
        ]
        bias = alibi(Positions.exact(mu_q), Positions.exact(mu_k), at, 4)
        close(attend(q, k, v, at, bias=bias, backend=backend), naive(q, k, v, at, expected), FLOAT32)

    def test_layout_in_memory_does_not_matter(self, backend: Backend) -> None:
        at = Lengths((3, 2), (4, 2))
        q, k, v = tensors(at)
        qs, ks, vs = (x.permute(2, 1, 0).contiguous().permute(2, 1, 0) for x in (q, k, v))
        close(attend(qs, ks, vs, at, backend=backend), attend(q, k, v, at, backend=backend), FLOAT64)


@settings(max_examples=40)
@given(at=lengths(most=4, longest=60), heads=HEADS)
def test_float32_backends_agree(at: Lengths, heads: tuple[int, int]) -> None:
    q, k, v = tensors(at, heads, dtype=torch.float32)
    close(attend(q, k, v, at, backend="sdpa"), attend(q.double(), k.double(), v.double(), at, backend="eager"), FLOAT32)


class TestBadInput:
    @pytest.mark.parametrize(
        ("queries", "keys", "message"),
        [
            ((), (), "at least one sequence"),
            ((1, 2), (2,), "got 2 and 1 lengths"),
            ((2, 0), (2, 3), "sequence 1 has 0 queries"),
            ((3,), (2,), "sequence 0 has 3 queries and 2 keys"),
        ],
    )
    def test_lengths(self, queries: tuple[int, ...], keys: tuple[int, ...], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Lengths(queries, keys)

    def test_lengths_must_add_up(self) -> None:
        q, k, v = tensors(Lengths((2,), (3,)))
        with pytest.raises(ValueError, match="add up to 2 queries and 4 keys, but there are 2 and 3"):
            attend(q, k, v, Lengths((2,), (4,)))

    @pytest.mark.parametrize("heads", [(4, 3), (2, 4)])
    def test_heads_must_divide(self, heads: tuple[int, int]) -> None:
        at = Lengths((2,), (3,))
        with pytest.raises(ValueError, match="multiple of kv_heads"):
            attend(*tensors(at, heads), at)

    def test_dtypes_must_agree(self) -> None:
        at = Lengths((2,), (3,))
        q, k, v = tensors(at)
        with pytest.raises(ValueError, match="share dtype"):
            attend(q, k, v.float(), at)

    def test_biases_must_fit(self) -> None:
        at = Lengths((2,), (3,))
        with pytest.raises(ValueError, match=r"shapes \[\(4, 2, 3\)\].*got \[\(1, 2, 3\)\]"):
            attend(*tensors(at), at, bias=[torch.zeros(1, 2, 3)])

    def test_unknown_backend(self) -> None:
        at = Lengths((2,), (3,))
        with pytest.raises(ValueError, match="no attention backend 'flash'; there are xformers, sdpa, eager"):
            attend(*tensors(at), at, backend="flash")  # type: ignore[arg-type]

    def test_xformers_on_the_cpu(self) -> None:
        at = Lengths((2,), (3,))
        with pytest.raises(ValueError, match="needs a CUDA device, not cpu"):
            attend(*tensors(at), at, backend="xformers")


H100 = Setting(
    device_type="cuda",
    capability=(9, 0),
    dtype=torch.bfloat16,
    head_dim=64,
    is_biased=False,
    is_deterministic=False,
    xformers="ready",
)


class TestDispatch:
    @pytest.mark.parametrize(
        ("changes", "expected", "reason"),
        [
            ({}, "xformers", ""),
            ({"dtype": torch.float32}, "xformers", ""),
            ({"dtype": torch.float32, "is_deterministic": True}, "xformers", ""),
            ({"head_dim": 512}, "xformers", ""),
            ({"capability": (7, 5), "dtype": torch.float16}, "xformers", ""),
            ({"capability": (12, 0)}, "xformers", ""),
            ({"device_type": "cpu", "capability": None, "xformers": None}, "sdpa", "CUDA device, not cpu"),
            ({"device_type": "mps", "capability": None, "xformers": None}, "sdpa", "CUDA device, not mps"),
            ({"xformers": "missing"}, "sdpa", r"mm-megacontext\[gpu\]"),
            ({"xformers": "unloadable"}, "sdpa", "python -m xformers.info"),
            ({"is_biased": True}, "sdpa", "no bias"),
            ({"head_dim": 20}, "sdpa", "multiple of 8"),
            ({"dtype": torch.float64}, "sdpa", "not torch.float64"),
            ({"capability": (7, 5)}, "sdpa", "this GPU has 7.5"),
            ({"capability": (12, 0), "dtype": torch.float32}, "sdpa", "only FlashAttention on compute capability 12.0"),
            ({"capability": (12, 0), "head_dim": 512}, "sdpa", "only FlashAttention"),
            ({"is_deterministic": True}, "sdpa", "no deterministic backward pass"),
        ],
    )
    def test_table(self, changes: dict[str, Any], expected: Backend, reason: str) -> None:
        setting = dataclasses.replace(H100, **changes)
        assert backend_for(setting) == choose(setting, None) == expected
        assert choose(setting, "sdpa") == "sdpa"
        assert choose(setting, "eager") == "eager"
        if expected == "xformers":
            assert choose(setting, "xformers") == "xformers"
        else:
            with pytest.raises(MissingExtra if setting.xformers == "missing" else ValueError, match=reason):
                choose(setting, "xformers")

    def test_cpu_is_not_worth_an_import_of_xformers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attention, "find_xformers", lambda: pytest.fail("looked for xformers"))
        assert backend_for(Setting.on(torch.device("cpu"), torch.float32, 64)) == "sdpa"

    def test_absent_xformers_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        attention.find_xformers.cache_clear()
        assert attention.find_xformers() == "missing"
        attention.find_xformers.cache_clear()

    def test_xformers_is_ready_if_its_operators_think_so(self, xformers: Any) -> None:
        attention.find_xformers.cache_clear()
        assert (attention.find_xformers() == "ready") == xformers.fmha.common._built_with_cuda


@pytest.fixture
def xformers() -> Any:
    """The module, where it is installed; its kernels need CUDA, its masks do not."""
    return pytest.importorskip("xformers.ops")


class TestXFormers:
    @settings(max_examples=60)
    @given(at=lengths())
    def test_mask_is_ours(self, at: Lengths) -> None:
        pytest.importorskip("xformers.ops")
        found = attention.xformers_mask(at, torch.device("cpu")).materialize((at.total_queries, at.total_keys))
        blocks = [visible(n, m, torch.device("cpu")) for n, m in zip(at.queries, at.keys, strict=True)]
        assert torch.equal(found == 0, torch.block_diag(*blocks).bool())
        assert torch.equal(found == -torch.inf, ~torch.block_diag(*blocks).bool())

    @pytest.mark.parametrize("heads", [(4, 4), (6, 2), (3, 1)])
    @pytest.mark.parametrize("needs_gradients", [False, True])
    def test_inputs_mean_the_same(
        self, xformers: Any, monkeypatch: pytest.MonkeyPatch, heads: tuple[int, int], needs_gradients: bool
    ) -> None:
        """All but the kernel, for which its documented formula stands in, dense."""
        at = Lengths((3, 1, 5), (4, 9, 5))
        q, k, v = (x.requires_grad_(needs_gradients) for x in tensors(at, heads))
        monkeypatch.setattr(xformers, "memory_efficient_attention", dense)
        found = attention._BACKENDS["xformers"](q, k, v, at, None)
        close(found.detach(), naive(q.detach(), k.detach(), v.detach(), at), FLOAT64)

    @pytest.mark.parametrize("heads", [(4, 4), (6, 2)])
    @pytest.mark.parametrize("needs_gradients", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
    def test_inputs_suit_its_kernels(
        self, xformers: Any, heads: tuple[int, int], needs_gradients: bool, dtype: torch.dtype
    ) -> None:
        """Its own checks find no fault but the device and what comes with that."""
        at = Lengths((3, 1, 5), (4, 9, 5))
        q, k, v = (x.requires_grad_(needs_gradients) for x in tensors(at, heads, dim=16, dtype=dtype))
        inputs = attention.xformers_inputs(q, k, v)
        given = xformers.fmha.Inputs(*inputs, attn_bias=attention.xformers_mask(at, q.device))
        given.validate_inputs()
        kernel = xformers.fmha.flash if dtype == torch.float16 else xformers.fmha.cutlass
        for operator in (kernel.FwOp, *((kernel.BwOp,) if needs_gradients else ())):
            faults = operator.not_supported_reasons(given)
            assert [fault for fault in faults if not fault.startswith(("device=", "operator wasn't built"))] == []

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    @pytest.mark.parametrize("heads", [(4, 4), (8, 2)])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2 * BFLOAT16), (torch.float32, 1e-3)])
    def test_kernels_against_eager(self, heads: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
        """Values, and gradients; float32 is TF32 in parts."""
        if attention.find_xformers() != "ready":
            pytest.skip("xformers is not installed, or does not load")
        at = Lengths((130, 1, 7, 64), (130, 300, 50, 64))
        kernel = [x.cuda().requires_grad_() for x in tensors(at, heads, dim=64, dtype=dtype)]
        oracle = [x.detach().clone().requires_grad_() for x in kernel]
        found = attend(kernel[0], kernel[1], kernel[2], at, backend="xformers")
        expected = attend(oracle[0], oracle[1], oracle[2], at, backend="eager")
        close(found, expected, tolerance)
        with torch.inference_mode():
            q, k, v = (x.detach() for x in kernel)
            grouped = attend(q, k, v, at, backend="xformers")
        close(grouped, expected, tolerance)
        found.backward(torch.ones_like(found))
        expected.backward(torch.ones_like(expected))
        for ours, theirs in zip(kernel, oracle, strict=True):
            assert ours.grad is not None
            assert theirs.grad is not None
            close(ours.grad, theirs.grad, 4 * tolerance * float(theirs.grad.abs().max()))


def dense(q: Tensor, k: Tensor, v: Tensor, attn_bias: Any) -> Tensor:
    """What ``memory_efficient_attention`` documents, for 4 or 5 axes: (1, entries, *heads, head_dim)."""
    scores = torch.einsum("bq...d,bk...d->b...qk", q, k) * q.shape[-1] ** -0.5
    mask = attn_bias.materialize((q.shape[1], k.shape[1]), dtype=q.dtype)
    return torch.einsum("b...qk,bk...d->bq...d", (scores + mask).softmax(-1), v)
