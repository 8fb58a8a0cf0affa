"""Gaussian positions in models of transformers. Oracles: the untouched model, and formulas written out in float64."""

from __future__ import annotations

import math
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mm_megacontext.bases.gaussian_rope import NATIVE_BELOW, GaussianRope, attach_gaussian_rope, positions_of_ids
from mm_megacontext.errors import AttachmentError, UnsupportedModel
from mm_megacontext.positional import Positions

pytest.importorskip("transformers")

from transformers import Gemma3TextConfig, Gemma3TextModel, GPT2Config, GPT2Model, Llama4TextConfig, Llama4TextModel

from tests.bases import tiny_transformers as tiny

DTYPES = [torch.float32, torch.bfloat16]
ROUNDING = 2e-6
"""Cosines and attention weights of order 1 in float32; angles below 6.3 rad are rounded by 2.4e-7 rad."""
NATIVE_ANGLES = 3e-5
"""Whole positions below 400 keep the float32 angles of the model, off by up to 400 * 2^-24 rad."""
FAR_LOGITS = 5e-4
"""Logits of order 10 after two layers, for phases that differ by ``NATIVE_ANGLES``."""
CACHED = 1e-4
"""The same logits from matrix products of other shapes."""


def inputs(n: int, batch: int = 2, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(batch, n, tiny.TEXT["hidden_size"], generator=torch.Generator().manual_seed(seed)).to(dtype)


def random_ids(family: str, n: int, batch: int = 2, below: int = 400) -> Tensor:
    """(3, batch, entries) for multimodal families, else (batch, entries)."""
    shape = (3, batch, n) if family in tiny.MULTIMODAL else (batch, n)
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(1))


def random_positions(n: int, batch: int = 2) -> Positions:
    """Means between entries, some with a spread."""
    generator = torch.Generator().manual_seed(2)
    mu = 300 * torch.rand(batch, n, 3, generator=generator, dtype=torch.float64)
    return Positions(mu, (4 * torch.rand(batch, n, 3, generator=generator) - 1).clamp(min=0))


def moved(positions: Positions, by: tuple[float, float, float]) -> Positions:
    return Positions(positions.mu + torch.tensor(by, dtype=torch.float64), positions.sigma)


def logits(model: nn.Module, **arguments: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(**arguments).logits
    return found


def logits_at(model: nn.Module, positions: Positions, **arguments: Any) -> Tensor:
    with attach_gaussian_rope(model) as rope, rope.at(positions):
        return logits(model, **arguments)


def rotary(model: nn.Module) -> nn.Module:
    (module,) = (m for name, m in model.named_modules() if name.endswith(".rotary_emb"))
    assert isinstance(module, nn.Module)
    return module


def axis_of_pair(family: str) -> list[int]:
    """From the papers, by hand: Qwen2-VL shares the pairs in runs, Qwen3-VL in turn; (t, x, y) are 0, 1, 2."""
    if family not in tiny.MULTIMODAL:
        return [0] * (tiny.HEAD_DIM // 2)
    if family == "qwen3-vl":
        return [0, 2, 1, 0, 2, 1, 0, 0]
    return [0, 0, 0, 0, 2, 2, 1, 1]


def expected_phases(family: str, positions: Positions) -> tuple[np.ndarray, np.ndarray]:
    """(batch, entries, pairs) damped cosines and sines in float64."""
    w = tiny.THETA ** (-2 * np.arange(tiny.HEAD_DIM // 2) / tiny.HEAD_DIM)
    mu, sigma = (values.double().numpy()[..., axis_of_pair(family)] for values in (positions.mu, positions.sigma))
    damping = np.exp(-0.5 * (w * sigma) ** 2)
    return np.cos(w * mu) * damping, np.sin(w * mu) * damping


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_without_spread_no_bit_changes(family: str, dtype: torch.dtype) -> None:
    model, x = tiny.build(family, dtype), inputs(40, dtype=dtype)
    ids = random_ids(family, 40)
    assert torch.equal(
        logits_at(model, positions_of_ids(ids), inputs_embeds=x), logits(model, inputs_embeds=x, position_ids=ids)
    )
    counted = positions_of_ids(torch.arange(40)[None])
    assert torch.equal(logits_at(model, counted, inputs_embeds=x), logits(model, inputs_embeds=x))


@pytest.mark.parametrize("family", ["llama", "qwen2-vl", "qwen3-vl"])
def test_no_bit_changes_after_a_cast_either(family: str) -> None:
    """``model.to`` rounds the frequencies as well; loading in bfloat16 does not."""
    model, x, ids = tiny.build(family).to(torch.bfloat16), inputs(9, dtype=torch.bfloat16), random_ids(family, 9)
    own = logits(model, inputs_embeds=x, position_ids=ids)
    assert torch.equal(logits_at(model, positions_of_ids(ids), inputs_embeds=x), own)


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "linear", "factor": 4.0},
        {"rope_type": "dynamic", "factor": 4.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128,
        },
    ],
    ids=lambda scaling: str(scaling["rope_type"]),
)
def test_no_bit_changes_with_scaled_frequencies(scaling: dict[str, Any]) -> None:
    parameters = {"rope_theta": tiny.THETA, **scaling}
    model = tiny.build("llama", max_position_embeddings=200, rope_parameters=parameters)
    x, ids = inputs(9), random_ids("llama", 9)
    own = logits(model, inputs_embeds=x, position_ids=ids)
    assert torch.equal(logits_at(model, positions_of_ids(ids), inputs_embeds=x), own)


def test_an_image_goes_through_as_without() -> None:
    """Positions from the model's own index of an image of 2 by 4 merged patches, through its vision tower."""
    model: Any = tiny.build("qwen2-vl")
    ids = torch.tensor([[5, tiny.VISION_START] + [tiny.IMAGE] * 8 + [7, 8]])
    kinds = (ids == tiny.IMAGE).int()
    grid = torch.tensor([[1, 4, 8]])
    image: dict[str, Any] = {
        "input_ids": ids,
        "mm_token_type_ids": kinds,
        "image_grid_thw": grid,
        "pixel_values": torch.randn(32, 3 * 2 * 4 * 4, generator=torch.Generator().manual_seed(3)),
    }
    own, _ = model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grid)
    plain = logits(model, **image)
    positions = positions_of_ids(own)
    assert positions.mu[0, 2:10].unique(dim=0).shape == (8, 3)
    assert torch.equal(logits_at(model, positions, **image), plain)
    blurred = Positions(positions.mu, positions.sigma + 1)
    assert not torch.allclose(logits_at(model, blurred, **image), plain, atol=CACHED)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_phases_against_the_formula(family: str) -> None:
    model, positions = tiny.build(family), random_positions(30)
    with attach_gaussian_rope(model) as rope, rope.at(positions):
        found = rotary(model)(inputs(30), random_ids(family, 30))
    for ours, expected in zip(found, expected_phases(family, positions), strict=True):
        np.testing.assert_allclose(ours.numpy(), np.concatenate((expected, expected), axis=-1), atol=ROUNDING)


def test_attention_weights_against_the_formula() -> None:
    """One layer of Llama by hand: q.k is the sum over pairs of Re(conj(q) k e^(iwd)) e^(-w^2 (sq^2 + sk^2) / 2)."""
    n, positions = 12, random_positions(12, batch=1)
    model = tiny.build("llama", attn_implementation="eager")
    layer = model.get_submodule("model.layers.0")
    x = inputs(n, batch=1)
    with torch.no_grad(), attach_gaussian_rope(model) as rope, rope.at(positions):
        found = model(inputs_embeds=x, output_attentions=True).attentions[0][0].numpy()
    hidden = x[0].double().numpy()
    hidden = hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + model.config.rms_norm_eps)
    q, k = (
        (hidden @ layer.get_submodule(f"self_attn.{name}_proj").weight.detach().double().numpy().T).reshape(
            n, -1, tiny.HEAD_DIM
        )
        for name in "qk"
    )
    half = tiny.HEAD_DIM // 2
    q, k = q[..., :half] + 1j * q[..., half:], k[..., :half] + 1j * k[..., half:]
    w = tiny.THETA ** (-np.arange(half) / half)
    mu, variance = positions.mu[0, :, 0].numpy(), positions.sigma[0, :, 0].double().numpy() ** 2
    turned = np.exp(1j * w * (mu[None, :, None] - mu[:, None, None]))
    turned = turned * np.exp(-0.5 * w**2 * (variance[None, :, None] + variance[:, None, None]))
    scores = np.einsum("qhp,kp,qkp->hqk", q.conj(), k[:, 0], turned).real / math.sqrt(tiny.HEAD_DIM)
    weights = np.exp(np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf))
    np.testing.assert_allclose(found, weights / weights.sum(-1, keepdims=True), atol=ROUNDING)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_key_without_place_is_the_same_everywhere(family: str) -> None:
    model, x = tiny.build(family), inputs(10)
    here = random_positions(10)
    here.sigma[:, 4] = 1e6
    there = Positions(here.mu.clone(), here.sigma)
    there.mu[:, 4] += torch.tensor([31.7, 8.0, 5.5])
    assert torch.equal(logits_at(model, here, inputs_embeds=x), logits_at(model, there, inputs_embeds=x))
    sharp_here, sharp_there = (Positions.exact(p.mu) for p in (here, there))
    assert not torch.allclose(
        logits_at(model, sharp_here, inputs_embeds=x), logits_at(model, sharp_there, inputs_embeds=x), atol=CACHED
    )


@pytest.mark.parametrize("far", [1e9, 1e7 + 0.5, -3e8])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_far_out_is_as_near(family: str, far: float) -> None:
    model, x = tiny.build(family), inputs(20)
    here = positions_of_ids(random_ids(family, 20))
    near, distant = (logits_at(model, p, inputs_embeds=x) for p in (here, moved(here, (far, 0, 0))))
    assert (near - distant).abs().max() < FAR_LOGITS


def test_three_steps_far_out_are_three_steps() -> None:
    """The model's own float32 cannot tell 1e9 from 1e9 + 3."""
    model, x = tiny.build("llama"), inputs(2, batch=1)
    near, far, together = (
        logits_at(model, Positions.exact(torch.tensor([[a, 0, 0], [b, 0, 0]], dtype=torch.float64)), inputs_embeds=x)
        for a, b in ((0, 3), (1e9, 1e9 + 3), (1e9, 1e9))
    )
    assert (near - far).abs().max() < FAR_LOGITS
    assert (far - together).abs().max() > 100 * FAR_LOGITS


@pytest.mark.parametrize("t", [400.0, NATIVE_BELOW - 1.0, NATIVE_BELOW + 0.0])
def test_native_and_exact_phases_meet(t: float) -> None:
    """Beside each other they differ by the rounding of the model's float32 angles, w t 2^-24, and no more."""
    model = tiny.build("llama")
    mu = torch.tensor([[t, 0, 0], [t + 1e-7, 0, 0]], dtype=torch.float64)
    with attach_gaussian_rope(model) as rope, rope.at(Positions.exact(mu)):
        cos, sin = rotary(model)(inputs(2, batch=1), torch.tensor([[0, 1]]))
    for found in (cos[0], sin[0]):
        assert (found[0] - found[1]).abs().max() <= t * 2.0**-24 + ROUNDING


@pytest.mark.parametrize("family", ["llama", "qwen2-vl"])
def test_gradients_reach_gain_and_spread(family: str) -> None:
    """Against finite differences; the means of text and the weights of the model are none of its business."""
    model, x, positions = tiny.build(family).requires_grad_(requires_grad=False), inputs(8), random_positions(8)
    positions.sigma.requires_grad_()
    gain = torch.tensor([0.5, 0.8, 0.6], requires_grad=True)

    def loss() -> Tensor:
        return torch.as_tensor(model(inputs_embeds=x).logits.square().mean())

    with attach_gaussian_rope(model, gain) as rope, rope.at(positions):
        loss().backward()
        slopes = torch.stack([slope(loss, gain, i) for i in range(3)])
    assert gain.grad is not None
    assert positions.sigma.grad is not None
    torch.testing.assert_close(gain.grad, slopes, rtol=1e-2, atol=1e-2)
    assert bool(gain.grad[1:].any()) == (family in tiny.MULTIMODAL)
    assert positions.sigma.grad[positions.sigma > 0].any()


def slope(loss: Any, values: Tensor, i: int, step: float = 4e-3) -> Tensor:
    """Central difference; the step is large because logits are float32."""
    with torch.no_grad():
        values[i] += step
        above = loss()
        values[i] -= 2 * step
        below = loss()
        values[i] += step
    return torch.as_tensor((above - below) / (2 * step))


def test_gain_is_a_factor_on_the_spread() -> None:
    model, x, positions = tiny.build("qwen3-vl"), inputs(8), random_positions(8)
    gain = torch.tensor([2.0, 0.25, 0.0])
    with attach_gaussian_rope(model, gain) as rope, rope.at(positions):
        found = logits(model, inputs_embeds=x)
    assert torch.equal(found, logits_at(model, Positions(positions.mu, positions.sigma * gain), inputs_embeds=x))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_reading_on_with_a_cache(family: str) -> None:
    """Entries in the cache stay where they were put; new ones are placed by the forward that reads them."""
    model, x, positions = tiny.build(family), inputs(12), random_positions(12)
    cache = tiny.cache_name(model)
    at_once = logits_at(model, positions, inputs_embeds=x)
    first, second = (Positions(positions.mu[:, part], positions.sigma[:, part]) for part in (slice(8), slice(8, 12)))
    with torch.no_grad(), attach_gaussian_rope(model) as rope:
        with rope.at(first):
            read = model(inputs_embeds=x[:, :8], use_cache=True)
        with rope.at(second):
            rest = model(inputs_embeds=x[:, 8:], **{cache: getattr(read, cache)}).logits
    torch.testing.assert_close(torch.cat((read.logits, rest), dim=1), at_once, atol=CACHED, rtol=CACHED)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_generation_along_positions(family: str, dtype: torch.dtype) -> None:
    """Own positions give the plain answer; with none set, generation is plain."""
    model, options = tiny.build(family, dtype), {"max_new_tokens": 6, "do_sample": False}
    prompt = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(4))
    plain = model.generate(prompt, **options)
    with attach_gaussian_rope(model) as rope:
        assert torch.equal(model.generate(prompt, **options), plain)
        with rope.along(positions_of_ids(torch.arange(13)[None])):
            assert torch.equal(model.generate(prompt, **options), plain)


@pytest.mark.parametrize("family", ["llama", "qwen2.5-vl"])
def test_generation_with_a_spread(family: str) -> None:
    """Each token is the likeliest of a forward over everything before it, without a cache."""
    model, positions = tiny.build(family), random_positions(13)
    prompt = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(4))
    with attach_gaussian_rope(model) as rope:
        with rope.along(positions):
            found = model.generate(prompt, max_new_tokens=6, do_sample=False)
        for end in range(7, 13):
            with rope.at(Positions(positions.mu[:, :end], positions.sigma[:, :end])):
                likeliest = logits(model, input_ids=found[:, :end])[:, -1].argmax(-1)
            assert torch.equal(found[:, end], likeliest)


def test_one_row_of_positions_serves_all_beams() -> None:
    model, prompt = tiny.build("llama"), torch.tensor([[5, 6, 7]])
    options = {"max_new_tokens": 4, "num_beams": 3, "do_sample": False}
    plain = model.generate(prompt, **options)
    with attach_gaussian_rope(model) as rope, rope.along(Positions.tokens(7)):
        assert torch.equal(model.generate(prompt, **options), plain)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_removal_leaves_nothing(family: str) -> None:
    model, x = tiny.build(family), inputs(8)
    plain, module = logits(model, inputs_embeds=x), rotary(model)
    before = {name: (type(value), str(value)) for name, value in vars(module).items()}
    modules, state = list(model.modules()), list(model.state_dict())
    rope = attach_gaussian_rope(model)
    assert list(model.state_dict()) == state
    with rope.at(random_positions(8)):
        assert not torch.equal(logits(model, inputs_embeds=x), plain)
    assert torch.equal(logits(model, inputs_embeds=x), plain)
    rope.remove()
    rope.remove()
    assert {name: (type(value), str(value)) for name, value in vars(module).items()} == before
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
    assert torch.equal(logits(model, inputs_embeds=x), plain)


def test_positions_are_set_for_the_block_alone() -> None:
    """Also when it fails, and when one block stands within another."""
    model, x = tiny.build("llama"), inputs(8)
    plain, outer, inner = logits(model, inputs_embeds=x), random_positions(8), Positions.tokens(8, start=0.5)
    with attach_gaussian_rope(model) as rope:
        with pytest.raises(ZeroDivisionError), rope.at(outer):
            raise ZeroDivisionError
        assert torch.equal(logits(model, inputs_embeds=x), plain)
        with rope.at(outer):
            expected = logits(model, inputs_embeds=x)
            with rope.at(inner):
                assert not torch.equal(logits(model, inputs_embeds=x), expected)
            assert torch.equal(logits(model, inputs_embeds=x), expected)


def test_attaching_twice_is_refused() -> None:
    model = tiny.build("llama")
    with (
        attach_gaussian_rope(model),
        pytest.raises(AttachmentError, match=r"LlamaModel has Gaussian positions already; remove\(\)"),
    ):
        attach_gaussian_rope(model.get_submodule("model"))
    with attach_gaussian_rope(model) as again:
        assert isinstance(again, GaussianRope)


def test_a_removed_one_is_refused() -> None:
    rope = attach_gaussian_rope(tiny.build("llama"))
    rope.remove()
    with pytest.raises(AttachmentError, match="attach them again"), rope.at(Positions.tokens(3)):
        pass


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (Positions.tokens(5), r"positions of 5 entries .* this forward reads 8; .* along\(\)"),
        (random_positions(8, batch=3), r"\(3, 8, 3\) do not fit a batch of 2"),
        (Positions.exact(torch.zeros(1, 2, 8, 3).double()), r"\(1, 2, 8, 3\) do not fit"),
    ],
)
def test_positions_must_be_those_of_the_forward(positions: Positions, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        logits_at(tiny.build("llama"), positions, inputs_embeds=inputs(8))


def test_generation_needs_positions_for_every_token() -> None:
    model, prompt = tiny.build("llama"), torch.tensor([[5, 6, 7]])
    with (
        attach_gaussian_rope(model) as rope,
        rope.along(Positions.tokens(4)),
        pytest.raises(ValueError, match=r"reads up to entry 5; .*every token to generate"),
    ):
        model.generate(prompt, max_new_tokens=4)


@pytest.mark.parametrize("shape", [(5,), (4, 1, 5), (1, 3, 1, 5)])
def test_position_ids_must_have_a_known_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        positions_of_ids(torch.zeros(shape, dtype=torch.long))


def test_gain_must_be_one_factor_per_axis() -> None:
    with pytest.raises(ValueError, match=r"gain must be \(3,\).*got \(1,\)"):
        attach_gaussian_rope(tiny.build("llama"), torch.ones(1))


def test_models_without_a_known_rotary_embedding_are_refused() -> None:
    sizes = {"num_hidden_layers": 1, "head_dim": 16, "hidden_size": 16, "num_attention_heads": 1, "vocab_size": 9}
    small = sizes | {"num_key_value_heads": 1, "intermediate_size": 16, "intermediate_size_mlp": 16}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    two = nn.ModuleDict({"a": tiny.build("llama"), "b": tiny.build("qwen2")})
    local = nn.ModuleDict({"rotary_emb": RotaryOfTransformers4(), "rotary_emb_local": RotaryOfTransformers4()})
    for model, message in (
        (GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, **ids)), "of GPT2Model, it has none"),
        (Llama4TextModel(Llama4TextConfig(**small, **ids, num_local_experts=1)), "does not return"),
        (local, r"several, .*: rotary_emb, rotary_emb_local"),
        (two, r"several, .*: a\.model\.rotary_emb, b\.model\.rotary_emb"),
    ):
        with pytest.raises(UnsupportedModel, match=message) as raised:
            attach_gaussian_rope(model)
        assert "supported are" in str(raised.value)


class SquaredRotary(nn.Module):
    """Turns with the square of the position."""

    def __init__(self) -> None:
        super().__init__()
        self.inv_freq = nn.Buffer(torch.tensor([1.0, 0.1]))
        self.attention_scaling = 1.0
        self.config = None

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        angle = (position_ids[..., None].float() ** 2 * self.inv_freq).repeat(1, 1, 2)
        return angle.cos(), angle.sin()


def test_other_phases_are_refused() -> None:
    model = nn.ModuleDict({"rotary_emb": SquaredRotary()})
    with pytest.raises(UnsupportedModel, match="SquaredRotary computes other phases"):
        attach_gaussian_rope(model)


class RotaryOfTransformers4(nn.Module):
    """As Qwen2-VL had it in transformers 4: cosines of all three rows, which the attention picks from."""

    def __init__(self) -> None:
        super().__init__()
        self.inv_freq = nn.Buffer(torch.tensor([1.0, 0.3, 0.1, 0.03]))
        self.attention_scaling = 1.0
        self.config = SimpleNamespace(rope_scaling={"type": "mrope", "mrope_section": [2, 1, 1]})

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        angle = position_ids[..., None].float() * self.inv_freq
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


def test_cosines_of_every_row_are_damped_by_the_spread_of_their_axis() -> None:
    module, positions = RotaryOfTransformers4(), random_positions(6)
    with attach_gaussian_rope(nn.ModuleDict({"rotary_emb": module})) as rope, rope.at(positions):
        cos, sin = module(inputs(6), random_ids("qwen2-vl", 6))
    for row, axis in enumerate((0, 2, 1)):
        angle = positions.mu[..., axis, None] * module.inv_freq.double()
        damping = torch.exp(-0.5 * (positions.sigma[..., axis, None].double() * module.inv_freq.double()) ** 2)
        for found, expected in ((cos[row], angle.cos() * damping), (sin[row], angle.sin() * damping)):
            torch.testing.assert_close(found.double(), expected.repeat(1, 1, 2), atol=ROUNDING, rtol=0)


def test_layers_with_frequencies_of_their_own_are_damped_by_them() -> None:
    """Gemma 3 has two sets; its module is asked for each, by position or by name, and ``along`` counts them apart."""
    text = tiny.TEXT | {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
    module = Gemma3TextModel(Gemma3TextConfig(**text)).rotary_emb
    positions, x = random_positions(6), inputs(6)
    ids = random_ids("llama", 6)
    for layer_type, other in permutations(("sliding_attention", "full_attention")):
        plain = module(x, ids, layer_type)
        with attach_gaussian_rope(nn.ModuleDict({"rotary_emb": module})) as rope:
            with rope.at(positions_of_ids(ids)):
                assert torch.equal(module(x, ids, layer_type)[0], plain[0])
            with rope.along(positions):
                found = module(x[:, :4], ids[:, :4], layer_type)
                module(x[:, :4], ids[:, :4], other)
                last = module(x[:, 4:], ids[:, 4:], layer_type=layer_type)
        frequencies = module.get_buffer(f"{layer_type}_inv_freq").double()
        angle = positions.mu[..., 0, None] * frequencies
        damping = torch.exp(-0.5 * (positions.sigma[..., 0, None].double() * frequencies) ** 2)
        expected = (angle.cos() * damping).repeat(1, 1, 2)
        both = torch.cat([found[0], last[0]], dim=1)
        torch.testing.assert_close(both.double(), expected, atol=ROUNDING, rtol=0)
