"""The native model's parts and files. Oracles: slow formulas, and the same sequence read another way."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mm_megacontext.bases.native import CopyHead, Inputs, Layer, NativeModel, ShortConvolution, contiguity, times_of
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_model, load_tokenizer, save_model
from mm_megacontext.bases.native_state import State, read_on
from mm_megacontext.positional import Positions
from tests.tiny import CONFIG, random_inputs, random_model


def test_config_goes_through_json() -> None:
    for config in (NativeConfig(), CONFIG, NativeConfig(dim=64, n_heads=2, rotary_pairs=(0, 5, 1), gist_slots=2)):
        assert NativeConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_config_must_fit_its_heads() -> None:
    with pytest.raises(ValueError, match="dim 30"):
        NativeConfig(dim=30, n_heads=4)


def test_saved_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    model = random_model(3)
    save_model(model, tmp_path / "new" / "base")
    loaded = load_model(tmp_path / "new" / "base")
    assert loaded.config == model.config
    assert not loaded.training
    for (name, a), (other, b) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    assert sorted(p.name for p in (tmp_path / "new" / "base").iterdir()) == ["config.json", "model.safetensors"]


def test_the_packaged_base_is_small_and_whole() -> None:
    config = NativeConfig.from_json(json.loads((TINY_DIR / "config.json").read_text(encoding="utf-8")))
    n_parameters = sum(t.numel() for t in load_file(str(TINY_DIR / "model.safetensors")).values())
    assert n_parameters <= 10_000_000
    assert config.name == "mmctx-tiny"
    assert load_tokenizer(TINY_DIR).vocab_size <= config.vocab_size


def test_contiguity_by_hand() -> None:
    times = torch.tensor([[math.nan, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, math.nan, 11.0]], dtype=torch.float64)
    found = contiguity(times, 4)[0]
    assert found.tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_contiguity_far_out() -> None:
    times = torch.tensor([[math.nan, math.nan, 0.0, 1.0, 3.0]], dtype=torch.float64)
    assert torch.equal(contiguity(times + 1e12, 3), contiguity(times, 3))


def test_gists_have_no_time() -> None:
    inputs = Inputs(*(torch.zeros(1, 3, 1) for _ in Inputs.__slots__))
    inputs.mu = torch.tensor([[[5.0, 1, 1], [6.0, 1, 1], [7.0, 1, 1]]], dtype=torch.float64)
    inputs.is_vector = torch.tensor([[False, True, False]])
    assert times_of(inputs).tolist() == [[5.0, pytest.approx(math.nan, nan_ok=True), 7.0]]


def test_short_convolution_against_a_loop() -> None:
    torch.manual_seed(0)
    convolution = ShortConvolution(5, 4)
    x, tail = torch.randn(2, 7, 5), torch.randn(2, 3, 5)
    taps = (torch.rand(2, 7, 3) < 0.6).float()
    found = convolution(x, taps, tail)
    sequence = torch.cat((tail, x), dim=1)
    for b in range(2):
        for i in range(7):
            expected = sequence[b, 3 + i] * convolution.weight[0]
            for k in range(1, 4):
                expected = expected + sequence[b, 3 + i - k] * convolution.weight[k] * taps[b, i, k - 1]
            torch.testing.assert_close(found[b, i], expected)


def test_copying_and_generating_share_one() -> None:
    torch.manual_seed(1)
    head = CopyHead(8)
    copyable = torch.tensor([[True, True, False, True], [False, False, False, False]])
    pointing, generating = head(torch.randn(2, 3, 8), torch.randn(2, 4, 8), copyable[:, None])
    torch.testing.assert_close(pointing.exp().sum(-1) + generating.exp(), torch.ones(2, 3))
    assert (pointing.exp()[0, :, 2] == 0).all()
    torch.testing.assert_close(generating[1].exp(), torch.ones(3))


@pytest.mark.parametrize(
    ("millions", "config"),
    [
        (1.9, NativeConfig()),
        (124, NativeConfig(vocab_size=50_000, dim=768, n_layers=12, n_heads=12, mlp_dim=2048, rotary_pairs=(16, 8, 8))),
        (
            1_100,
            NativeConfig(
                vocab_size=64_000,
                dim=2048,
                n_layers=22,
                n_heads=32,
                n_kv_heads=4,
                mlp_dim=5632,
                rotary_pairs=(16, 8, 8),
            ),
        ),
        (
            7_200,
            NativeConfig(
                vocab_size=64_000,
                dim=4096,
                n_layers=32,
                n_heads=32,
                n_kv_heads=8,
                mlp_dim=14336,
                rotary_pairs=(32, 16, 16),
            ),
        ),
    ],
)
def test_sizes_from_two_million_to_seven_billion(millions: float, config: NativeConfig) -> None:
    with torch.device("meta"):
        model = NativeModel(config)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.05)
    assert NativeConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_grouped_queries_are_repeated_keys() -> None:
    """One head of keys and values for four of queries is four equal heads."""
    grouped = NativeConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=1, mlp_dim=48, rotary_pairs=(2, 1, 1))
    few = random_model(1, grouped)
    many = random_model(1, dataclasses.replace(grouped, n_kv_heads=None))
    weights = few.state_dict()
    for name in [name for name in weights if name.endswith("qkv.weight")]:
        q, k, v = weights[name].split([32, 8, 8])
        weights[name] = torch.cat((q, k.repeat(4, 1), v.repeat(4, 1)))
    many.load_state_dict(weights)
    inputs = random_inputs(3, 20)
    with torch.inference_mode():
        found = [read_on(model, [inputs], [State.empty(model)])[0][0] for model in (few, many)]
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


def test_heads_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValueError, match="4 query heads cannot share 3"):
        NativeConfig(n_kv_heads=3)


@pytest.mark.parametrize("nowhere", [0.0, 7.0, 1e3])
def test_what_stands_nowhere_has_the_spread_that_the_configuration_says(nowhere: float) -> None:
    model = NativeModel(dataclasses.replace(CONFIG, nowhere=nowhere))
    mu = torch.tensor([[[5.0, 0.0, 0.0], [6.0, 1.5, 2.5]]], dtype=torch.float64)
    sigma = torch.tensor([[[0.0, math.inf, math.inf], [1.0, 2.0, 3.0]]])
    found = model.phases(Positions(mu, sigma))
    expected = model.phases(Positions(mu, torch.tensor([[[0.0, nowhere, nowhere], [1.0, 2.0, 3.0]]])))
    assert torch.equal(found.cos, expected.cos)
    assert torch.equal(found.sin, expected.sin)
    assert torch.isfinite(found.cos).all()


def test_the_damping_survives_the_norm_of_queries_and_keys() -> None:
    """Defect 7 of the origin: there, queries and keys were normalised after rotation, which undid it."""
    model = random_model(4)
    layer, config = model.layers[0], model.config
    assert isinstance(layer, Layer)
    mixed = torch.randn(1, 6, config.dim, generator=torch.Generator().manual_seed(0))
    mu = torch.rand(1, 6, 3, dtype=torch.float64)
    n_rotated = 2 * sum(config.rotary_pairs)
    sizes = []
    with torch.inference_mode():
        for spread in (0.0, 1.0, 1e6):
            q, k, _ = layer.project(mixed, model.phases(Positions(mu, torch.full((1, 6, 3), spread))))
            sizes.append([float(x[..., :n_rotated].norm()) for x in (q, k)])
    for sharp, blurred, gone in zip(*sizes, strict=True):
        assert sharp > 1.1 * blurred > 0
        assert gone == 0
