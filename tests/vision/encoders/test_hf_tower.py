"""Oracle: transformers itself: the same weights, its own image processors, its own forward."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mm_megacontext.errors import UnsupportedModel, WeightsUnavailable
from mm_megacontext.vision.encoders import TowerOptions, create_encoder
from mm_megacontext.vision.encoders.preprocess import Preprocess
from mm_megacontext.vision.encoders.tower import TowerEncoder
from tests.vision.encoders.contract import EncoderContract, random_tiles

transformers = pytest.importorskip("transformers")
hf_tower = pytest.importorskip("mm_megacontext.vision.encoders.hf_tower")

SAME = 1e-5
"""The acceptance bound; features are of size about one."""
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = SMALL | {"vocab_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 64}


def save(config: Any, folder: Path, processor: str = "CLIPImageProcessor", **settings: Any) -> Path:
    """A model with random weights, as transformers saves it."""
    torch.manual_seed(5)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        getattr(transformers, processor)(**settings).to_json_string(), encoding="utf-8"
    )
    return folder


def load(folder: Path, dim: int = 48, **options: Any) -> TowerEncoder:
    encoder = create_encoder(f"hf:{folder}", dim, **({"pretrained": True} | options))
    assert isinstance(encoder, TowerEncoder)
    return encoder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = transformers.SiglipVisionConfig(**SMALL, patch_size=16, image_size=96)
    return save(config, tmp_path_factory.mktemp("siglip"), "SiglipImageProcessor", image_std=[0.25, 0.5, 0.75])


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vision: dict[str, Any] = {"depth": 2, "hidden_size": 32, "num_heads": 2, "patch_size": 16, "spatial_merge_size": 2}
    vision |= {"out_hidden_size": 48, "intermediate_size": 32, "num_position_embeddings": 16}
    vision |= {"deepstack_visual_indexes": [0]}
    text = TEXT | {"head_dim": 16, "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2]}}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision)
    sizes = {"patch_size": 16, "size": {"shortest_edge": 32 * 32, "longest_edge": 512 * 512}}
    return save(config, tmp_path_factory.mktemp("qwen"), "Qwen2VLImageProcessor", **sizes)


class TestSiglip(EncoderContract):
    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _at(cls, siglip: Path) -> None:
        cls.folder = siglip

    @classmethod
    def make(cls) -> TowerEncoder:
        return load(cls.folder)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, siglip: Path) -> TowerEncoder:
        return load(siglip)

    def test_features_equal_transformers_own(self, encoder: TowerEncoder) -> None:
        assert (encoder.tower.input_px, encoder.native_grid, encoder.native_dim) == (128, (8, 8), 32)
        tiles = random_tiles(2)
        processor = transformers.SiglipImageProcessor.from_pretrained(self.folder)
        images = processor(
            [Image.fromarray(t.transpose(1, 2, 0)) for t in tiles],
            size={"height": 128, "width": 128},
            return_tensors="pt",
        )
        net = transformers.SiglipVisionModel.from_pretrained(self.folder).eval()
        with torch.inference_mode():
            expected = net(images["pixel_values"], interpolate_pos_encoding=True).last_hidden_state
        np.testing.assert_allclose(encoder.features(tiles), expected.reshape(2, 8, 8, 32).numpy(), atol=SAME)


class TestQwen3(TestSiglip):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _at(cls, qwen: Path) -> None:
        cls.folder = qwen

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, qwen: Path) -> TowerEncoder:
        return load(qwen)

    def test_features_equal_transformers_own(self, encoder: TowerEncoder) -> None:
        assert (encoder.tower.input_px, encoder.native_grid, encoder.native_dim) == (128, (4, 4), 48)
        assert encoder.projection is None, "what is merged has the length of the language model's embeddings"
        tiles = random_tiles(2)
        processor = transformers.Qwen2VLImageProcessor.from_pretrained(self.folder)
        images = processor([Image.fromarray(t.transpose(1, 2, 0)) for t in tiles], return_tensors="pt")
        assert images["image_grid_thw"].tolist() == [[1, 8, 8]] * 2
        net = transformers.AutoModel.from_pretrained(self.folder).eval()
        with torch.inference_mode():
            made = net.visual(images["pixel_values"], grid_thw=images["image_grid_thw"]).pooler_output
        np.testing.assert_allclose(encoder.features(tiles), made.reshape(2, 4, 4, 48).numpy(), atol=SAME)


def test_class_and_register_tokens_are_dropped(tmp_path: Path) -> None:
    config = transformers.Dinov2WithRegistersConfig(**SMALL, patch_size=14, image_size=42, num_register_tokens=4)
    folder = save(config, tmp_path, "BitImageProcessor", image_mean=[0.5] * 3)
    encoder = load(folder, 32)
    assert (encoder.tower.input_px, encoder.native_grid) == (126, (9, 9))
    net = transformers.AutoModel.from_pretrained(folder).eval()
    pixels = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        tokens = net(encoder.tower.preprocess(pixels, 126)).last_hidden_state
        torch.testing.assert_close(encoder.native(pixels), tokens[:, 5:].reshape(1, 9, 9, 32), atol=SAME, rtol=0)


def test_the_tower_of_a_vision_language_model_is_found(tmp_path: Path) -> None:
    vision = transformers.CLIPVisionConfig(**SMALL, patch_size=16, image_size=32)
    config = transformers.LlavaConfig(vision_config=vision, text_config=transformers.LlamaConfig(**TEXT))
    folder = save(config, tmp_path)
    encoder = load(folder)
    saved = {k: v for k, v in load_file(folder / "model.safetensors").items() if "vision_tower" in k}
    own = {k: v for k, v in encoder.tower.module.state_dict().items() if not k.endswith("position_ids")}
    assert len(saved) == len(own) > 10
    for name, value in own.items():
        assert torch.equal(value, next(v for k, v in saved.items() if k.endswith(name))), name
    assert encoder.native_grid == (8, 8)


def test_a_map_of_features_is_taken_as_it_is(tmp_path: Path) -> None:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    encoder = load(save(config, tmp_path, "ConvNextImageProcessor"))
    assert (encoder.tower.input_px, encoder.native_grid, encoder.native_dim) == (128, (4, 4), 32)


class Rigid(torch.nn.Module):
    """As models of transformers that refuse images of other sizes than their own."""

    config = SimpleNamespace(patch_size=16, image_size=96, model_type="rigid")

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        if pixel_values.shape[-1] != 96:
            raise ValueError("Input image size doesn't match model")
        return SimpleNamespace(last_hidden_state=torch.nn.functional.avg_pool2d(pixel_values, 16).flatten(2).mT)


def test_a_model_of_one_size_gets_images_of_that_size() -> None:
    plain = Preprocess((0.0,) * 3, (1.0,) * 3, "bilinear")
    tower = hf_tower._plain_tower("hf:rigid", Rigid(), TowerOptions(pretrained=False), plain)
    encoder = TowerEncoder(tower, 3)
    assert (encoder.tower.input_px, encoder.native_grid) == (96, (6, 6))
    tiles = random_tiles(1)
    np.testing.assert_allclose(encoder.encode(tiles).mean((1, 2)), tiles.mean((2, 3)) / 255, atol=2e-3)
    with pytest.raises(ValueError, match="takes images of 96 pixels only, input_px is 128"):
        hf_tower._plain_tower("hf:rigid", Rigid(), TowerOptions(pretrained=False, input_px=128), plain)


def test_random_weights_come_from_the_config_alone(siglip: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((siglip / "config.json").read_bytes())
    first, second = (load(tmp_path, pretrained=False, seed=seed) for seed in (0, 1))
    assert first.name == load(tmp_path, pretrained=False).name != second.name
    assert first.tower.preprocess.mean == (0.5, 0.5, 0.5)


def test_the_name_does_not_depend_on_the_directory(siglip: Path, tmp_path: Path) -> None:
    shutil.copytree(siglip, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").name == load(siglip).name
    assert load(siglip).name.startswith("hf:siglip_vision_model-128px-48d-")


def test_normalisation_is_that_of_the_model(siglip: Path) -> None:
    assert load(siglip).tower.preprocess.std == (0.25, 0.5, 0.75)


def test_weights_without_a_processor_are_refused(siglip: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((siglip / name).read_bytes())
    with pytest.raises(WeightsUnavailable, match=r"no preprocessor_config.json says how its images are normalised"):
        load(tmp_path)


def test_a_checkpoint_that_is_not_whole_is_refused(siglip: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((siglip / name).read_bytes())
    state = load_file(siglip / "model.safetensors")
    lacking = {name: value for name, value in state.items() if "layers.1" not in name}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsUnavailable, match=r"does not hold \d+ of its weights, .*layers\.1"):
        load(tmp_path)


def test_a_place_without_a_model_is_one_line(tmp_path: Path) -> None:
    for pretrained in (True, False):
        with pytest.raises(WeightsUnavailable, match=f"hf:{tmp_path}: ") as caught:
            load(tmp_path, pretrained=pretrained)
        assert "\n" not in str(caught.value)


def test_a_path_of_weights_belongs_into_the_name(siglip: Path) -> None:
    with pytest.raises(ValueError, match="the path of the weights is the name"):
        load(siglip, pretrained=siglip)


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    transformers.LlamaConfig(**TEXT).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel, match=r"LlamaModel takes .*and no images"):
        load(tmp_path, pretrained=False)
