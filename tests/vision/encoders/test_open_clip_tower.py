"""Oracle: open_clip itself: another model of the same weights, its own transform, its own forward up to pooling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mm_megacontext.errors import WeightsUnavailable
from mm_megacontext.vision.encoders import create_encoder
from mm_megacontext.vision.encoders.tower import TowerEncoder
from tests.vision.encoders.contract import Bomb, EncoderContract, random_tiles

open_clip = pytest.importorskip("open_clip")

SAME = 1e-5
"""The acceptance bound; features are of size about one."""


class OpenClipContract(EncoderContract):
    """Subclasses name a model and say what its own forward makes of images before pooling."""

    model = ""
    grid = (8, 8)
    native_dim = 0

    @classmethod
    def make(cls) -> TowerEncoder:
        encoder = create_encoder(f"open_clip:{cls.model}", 48, pretrained=False)
        assert isinstance(encoder, TowerEncoder)
        return encoder

    def own_features(self, visual: Any, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def test_grid_and_dim_are_as_declared(self, encoder: TowerEncoder) -> None:
        assert encoder.tower.input_px == 128
        assert encoder.native_grid == self.grid
        assert encoder.native_dim == self.native_dim

    def test_features_equal_open_clips_own(self, encoder: TowerEncoder) -> None:
        model = open_clip.create_model(
            self.model, force_image_size=128, text_cfg={"layers": 1, "width": 64, "heads": 1}
        )
        visual = model.visual.eval()
        own = encoder.tower.module.state_dict()
        found = visual.load_state_dict({k: v for k, v in own.items() if not k.startswith("attnpool")}, strict=False)
        assert not [name for name in found.missing_keys if not name.startswith("attnpool")]  # not on the way
        transform = open_clip.image_transform(128, is_train=False, mean=visual.image_mean, std=visual.image_std)
        tiles = random_tiles(2)
        images = torch.stack([transform(Image.fromarray(tile.transpose(1, 2, 0))) for tile in tiles])
        with torch.inference_mode():
            expected = self.own_features(visual, images)
        np.testing.assert_allclose(encoder.features(tiles), expected.numpy(), atol=SAME)


class TestVit(OpenClipContract):
    model = "ViT-S-16"
    native_dim = 384

    def own_features(self, visual: Any, images: torch.Tensor) -> torch.Tensor:
        visual.output_tokens = True
        _, tokens = visual(images)
        return torch.as_tensor(tokens).reshape(len(images), 8, 8, -1)


class TestResNet(OpenClipContract):
    model = "RN50"
    grid = (4, 4)
    native_dim = 2048

    def own_features(self, visual: Any, images: torch.Tensor) -> torch.Tensor:
        x = visual.stem(images)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        return torch.as_tensor(x).permute(0, 2, 3, 1)


@pytest.mark.parametrize(("model", "native_grid"), [("PE-Core-T-16-384", (8, 8)), ("MobileCLIP-S1", (4, 4))])
def test_towers_that_are_timms_are_resized_too(model: str, native_grid: tuple[int, int]) -> None:
    encoder = create_encoder(f"open_clip:{model}", 64, pretrained=False)
    assert isinstance(encoder, TowerEncoder)
    assert (encoder.tower.input_px, encoder.native_grid) == (128, native_grid)
    assert encoder.encode(random_tiles(1)).shape == (1, 8, 8, 64)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model of the smallest transformer, as open_clip saves it."""
    path = tmp_path_factory.mktemp("open_clip") / "model.safetensors"
    torch.manual_seed(5)
    save_file(open_clip.create_model("ViT-S-16").state_dict(), path)
    return path


def test_a_local_checkpoint_is_loaded_and_its_positions_resampled(checkpoint: Path) -> None:
    """Oracles: the tensors in the file; open_clip's own loading at that size."""
    encoder = create_encoder("open_clip:ViT-S-16", 384, pretrained=checkpoint)
    assert isinstance(encoder, TowerEncoder)
    saved = {k.removeprefix("visual."): v for k, v in load_file(checkpoint).items() if k.startswith("visual.")}
    own = encoder.tower.module.state_dict()
    assert set(own) == set(saved)
    for name, value in own.items():
        if name != "positional_embedding":
            assert torch.equal(value, saved[name]), name
    theirs = open_clip.create_model("ViT-S-16", pretrained=str(checkpoint), force_image_size=128).visual
    assert torch.equal(own["positional_embedding"], theirs.positional_embedding)


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "exploded")}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsUnavailable, match=r"bomb.pt could not be loaded \(UnpicklingError|RuntimeError"):
        create_encoder("open_clip:ViT-S-16", 48, pretrained=tmp_path / "bomb.pt")
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_of_another_model_is_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"could not be loaded .*pretrained=False"):
        create_encoder("open_clip:RN50", 384, pretrained=checkpoint)


def test_which_of_several_weights_must_be_said() -> None:
    with pytest.raises(ValueError, match=r"several weights; pass pretrained=TAG with one of: .*openai"):
        create_encoder("open_clip:RN50", 384, pretrained=True)
    with pytest.raises(WeightsUnavailable, match="ViT-S-16 has no weights of its own"):
        create_encoder("open_clip:ViT-S-16", 384, pretrained=True)
    with pytest.raises(WeightsUnavailable, match="there is no checkpoint laion9b"):
        create_encoder("open_clip:RN50", 384, pretrained="laion9b")


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"open_clip has no model 'ViT-XXS'; .*mmctx encoders 'open_clip:\*'"):
        create_encoder("open_clip:ViT-XXS", 384, pretrained=False)


def test_an_input_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="takes multiples of 16 pixels, input_px is 100"):
        create_encoder("open_clip:ViT-S-16", 384, pretrained=False, input_px=100)
