"""Rotary, ALiBi and sine-cosine embeddings against those of transformers, and against formulas from the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mm_megacontext.positional import Positions, RotaryConfig, alibi_bias, alibi_slopes, phases, rotate, sincos_2d

pytest.importorskip("transformers")

from transformers import LlamaConfig, Qwen2VLTextConfig, Qwen3VLTextConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

FURTHEST = 32_768
HEAD_DIM, N_HEADS = 32, 2
N_PAIRS = HEAD_DIM // 2
THETA = 1e6
HALF_ULP = 2.0**-24
"""Relative rounding of a float32."""
REFERENCE_ANGLE = 4 * HALF_ULP
"""Relative error of an angle of transformers: one ulp for the power, half of one for its inverse and the product."""
FLOAT32 = 1e-6
"""A few ulps of values of order 1."""

SIZES = {"hidden_size": HEAD_DIM * N_HEADS, "num_attention_heads": N_HEADS, "head_dim": HEAD_DIM}
ROPE = {"rope_type": "default", "rope_theta": THETA}


def llama() -> tuple[torch.nn.Module, RotaryConfig]:
    ours = RotaryConfig(head_dim=HEAD_DIM, pairs=(N_PAIRS, 0, 0), theta=(THETA,) * 3, layout="chunked")
    return LlamaRotaryEmbedding(LlamaConfig(**SIZES, rope_parameters=ROPE)), ours


def qwen2_vl() -> tuple[torch.nn.Module, RotaryConfig]:
    """Six pairs of time, seven of height, three of width."""
    theirs = Qwen2VLTextConfig(**SIZES, rope_parameters=ROPE | {"mrope_section": [6, 7, 3]})
    ours = RotaryConfig(head_dim=HEAD_DIM, pairs=(6, 3, 7), theta=(THETA,) * 3, layout="chunked", order=("t", "y", "x"))
    return Qwen2VLRotaryEmbedding(theirs), ours


def qwen3_vl() -> tuple[torch.nn.Module, RotaryConfig]:
    """Seven pairs of time, five of height, four of width."""
    theirs = Qwen3VLTextConfig(**SIZES, rope_parameters=ROPE | {"mrope_section": [7, 5, 4]})
    ours = RotaryConfig(
        head_dim=HEAD_DIM, pairs=(7, 4, 5), theta=(THETA,) * 3, layout="interleaved", order=("t", "y", "x")
    )
    return Qwen3VLTextRotaryEmbedding(theirs), ours


Family = Callable[[], tuple[torch.nn.Module, RotaryConfig]]
FAMILIES = pytest.mark.parametrize("family", [llama, qwen2_vl, qwen3_vl])


def random_ids(family: Family, n: int = 500) -> tuple[Tensor, Positions]:
    """``position_ids`` of a batch of two as the family takes them, and the same as positions."""
    t, y, x = torch.randint(FURTHEST, (3, 2, n), generator=torch.Generator().manual_seed(0))
    positions = Positions.exact(torch.stack((t, x, y), dim=-1).double())
    return t if family is llama else torch.stack((t, y, x)), positions


def reference(rotary: torch.nn.Module, ids: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, entries, head_dim) cosines and sines."""
    cos, sin = rotary(torch.empty(0), ids)
    return cos, sin


@FAMILIES
def test_rotated_queries_and_keys_are_those_of_transformers(family: Family) -> None:
    """Equal, not only close: a model that was trained with rounded phases gets them."""
    rotary, config = family()
    ids, positions = random_ids(family)
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(2, heads, 500, HEAD_DIM, generator=generator) for heads in (N_HEADS, 1))
    expected = apply_rotary_pos_emb(q, k, *reference(rotary, ids))
    for ours, theirs in zip(rotate(q, k, positions, replace(config, precision="float32")), expected, strict=True):
        assert torch.equal(ours, theirs)


@FAMILIES
def test_exact_phases_differ_by_the_rounding_of_transformers(family: Family) -> None:
    rotary, config = family()
    ids, positions = random_ids(family)
    allowed = FURTHEST * config.frequencies() * REFERENCE_ANGLE + FLOAT32
    for ours, theirs in zip(phases(positions, config), reference(rotary, ids), strict=True):
        assert ((ours - theirs[..., :N_PAIRS]).abs().amax(dim=(0, 1)) <= allowed).all()


@FAMILIES
def test_exact_phases_are_those_of_float64(family: Family) -> None:
    """What the reference is off by is its own: a plain float64 formula agrees with ours."""
    _, config = family()
    _, positions = random_ids(family)
    w = THETA ** (-torch.arange(N_PAIRS, dtype=torch.float64) / N_PAIRS)
    angle = positions.mu[..., config.axis_of_pair()] * w
    ours = phases(positions, config)
    torch.testing.assert_close(ours.cos.double(), angle.cos(), atol=FLOAT32, rtol=0)
    torch.testing.assert_close(ours.sin.double(), angle.sin(), atol=FLOAT32, rtol=0)


@pytest.mark.parametrize("stretch", [1.0, 2.0, 7.5])
def test_ntk_stretch_by_the_formula(stretch: float) -> None:
    """The base becomes theta s^(d / (d - 2)): the fastest pair stays and the slowest is s times slower (bloc97)."""
    _, config = llama()
    base = THETA * stretch ** (HEAD_DIM / (HEAD_DIM - 2))
    expected = base ** (-2 * torch.arange(N_PAIRS, dtype=torch.float64) / HEAD_DIM)
    found = replace(config, stretch=(stretch, 1.0, 1.0)).frequencies()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert float(found[0]) == 1
    assert float(found[-1]) == pytest.approx(float(config.frequencies()[-1]) / stretch, rel=1e-12)


def test_ntk_stretch_is_the_dynamic_scaling_of_transformers() -> None:
    """Twice the length it was made for, at factor 4, is a stretch of 4 * 2 - 3."""
    theirs = LlamaConfig(
        **SIZES, max_position_embeddings=512, rope_parameters=ROPE | {"rope_type": "dynamic", "factor": 4.0}
    )
    expected, _ = ROPE_INIT_FUNCTIONS["dynamic"](theirs, torch.device("cpu"), seq_len=1024)
    found = replace(llama()[1], stretch=(5.0, 1.0, 1.0)).frequencies_float32()
    torch.testing.assert_close(found, expected, rtol=REFERENCE_ANGLE, atol=0)


@pytest.mark.parametrize("n_heads", [1, 2, 6, 8, 12, 16, 71])
def test_alibi_against_bloom_and_mpt(n_heads: int) -> None:
    """Both write the bias for the last query; Bloom leaves out what is the same for all keys."""
    n = 30
    ours = alibi_bias(Positions.tokens(1, start=n - 1), Positions.tokens(n), n_heads)
    mpt = build_mpt_alibi_tensor(n_heads, n)
    bloom = build_alibi_tensor(torch.ones(1, n), n_heads, torch.float32)
    torch.testing.assert_close(ours, mpt, rtol=FLOAT32, atol=0)
    torch.testing.assert_close(ours + alibi_slopes(n_heads)[:, None, None] * (n - 1), bloom, rtol=FLOAT32, atol=1e-5)


def test_sincos_against_vit_mae() -> None:
    """Patches of ViT-MAE are counted from 0, where ours stand at their centres; its weights have x before y."""
    height, width, dim = 5, 7, 32
    y_first = build_2d_sinusoidal_position_embedding(height, width, dim)
    theirs = torch.cat((y_first[:, dim // 2 :], y_first[:, : dim // 2]), dim=-1)
    counted = Positions.exact(Positions.grid(0.0, height, width).mu - torch.tensor([0.0, 0.5, 0.5]))
    torch.testing.assert_close(sincos_2d(counted, dim), theirs, rtol=0, atol=FLOAT32)
