"""Oracle: timm itself: another model of the same weights, its own transform, its own ``forward_features``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mm_megacontext.errors import WeightsUnavailable
from mm_megacontext.vision.encoders import create_encoder
from mm_megacontext.vision.encoders.tower import TowerEncoder
from tests.vision.encoders.contract import Bomb, EncoderContract, random_tiles

timm = pytest.importorskip("timm")

SAME = 1e-5
"""The acceptance bound; features are of size about one."""


def resized_as_before(images: torch.Tensor, config: dict[str, Any], side: int) -> torch.Tensor:
    """Resize images that are normalised already. Oracle: torch, whose resizing is compared with Pillow's elsewhere."""
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    unit = torch.nn.functional.interpolate(
        images * std + mean, size=(side, side), mode=config["interpolation"], antialias=True
    )
    return (unit.clamp(0, 1) - mean) / std


class TimmContract(EncoderContract):
    """Subclasses name a model, what it makes of a tile, and how its own features lie in memory."""

    model = ""
    input_px = 128
    grid = (8, 8)
    native_dim = 0
    size: ClassVar[dict[str, Any]] = {}
    """How timm is told the size of the images, where it must be."""

    @classmethod
    def make(cls) -> TowerEncoder:
        encoder = create_encoder(f"timm:{cls.model}", 48, pretrained=False)
        assert isinstance(encoder, TowerEncoder)
        return encoder

    def own_features(self, net: Any, images: torch.Tensor) -> torch.Tensor:
        """(tiles, rows, columns, dim) of a transformer's tokens."""
        tokens: torch.Tensor = net.forward_features(images)[:, net.num_prefix_tokens :]
        return tokens.reshape(len(tokens), *net.patch_embed.grid_size, -1)

    def test_grid_and_dim_are_as_declared(self, encoder: TowerEncoder) -> None:
        net: Any = encoder.tower.module
        declared = net.feature_info[-1]
        assert encoder.tower.input_px == self.input_px
        assert encoder.native_grid == self.grid == (self.input_px // declared["reduction"],) * 2
        assert encoder.native_dim == self.native_dim == declared["num_chs"]

    def test_features_equal_timms_own(self, encoder: TowerEncoder) -> None:
        net = timm.create_model(self.model, num_classes=0, **self.size).eval()
        net.load_state_dict(encoder.tower.module.state_dict())
        tiles = random_tiles(2)
        with torch.inference_mode():
            expected = self.own_features(net, self.as_timm_sees(tiles, net))
        np.testing.assert_allclose(encoder.features(tiles), expected.numpy(), atol=SAME)

    def as_timm_sees(self, tiles: npt.NDArray[np.uint8], net: Any) -> torch.Tensor:
        config = timm.data.resolve_model_data_config(net)
        transform = timm.data.create_transform(
            (3, 128, 128),
            is_training=False,
            crop_pct=1.0,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
        )
        images = torch.stack([transform(Image.fromarray(tile.transpose(1, 2, 0))) for tile in tiles])
        return self.resized(images, config)

    def resized(self, images: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
        assert self.input_px == 128
        return images


class TestVit(TimmContract):
    model = "vit_tiny_patch16_224"
    native_dim = 192
    size: ClassVar[dict[str, Any]] = {"img_size": 128}


class TestDinoWithRegisters(TimmContract):
    model = "vit_small_patch14_reg4_dinov2"
    input_px = 126
    grid = (9, 9)
    native_dim = 384
    size: ClassVar[dict[str, Any]] = {"img_size": 126}

    def resized(self, images: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
        return resized_as_before(images, config, 126)

    def test_there_are_registers_to_drop(self, encoder: TowerEncoder) -> None:
        assert encoder.tower.module.num_prefix_tokens == 5


class TestConvNext(TimmContract):
    model = "convnext_atto"
    grid = (4, 4)
    native_dim = 320

    def own_features(self, net: Any, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = net.forward_features(images).permute(0, 2, 3, 1)
        return features


class TestSwin(TimmContract):
    model = "swin_tiny_patch4_window7_224"
    grid = (4, 4)
    native_dim = 768
    size: ClassVar[dict[str, Any]] = {"img_size": 128, "window_size": 4}

    def own_features(self, net: Any, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = net.forward_features(images)  # rows and columns come before dimensions
        return features


class TestEva(TimmContract):
    model = "eva02_tiny_patch14_224"
    input_px = 126
    grid = (9, 9)
    native_dim = 192
    size: ClassVar[dict[str, Any]] = {"img_size": 126}
    resized = TestDinoWithRegisters.resized


def test_a_model_of_one_size_that_leaves_normalisation_to_its_classifier() -> None:
    encoder = create_encoder("timm:hiera_tiny_224", 48, pretrained=False)
    assert isinstance(encoder, TowerEncoder)
    assert (encoder.tower.input_px, encoder.native_grid, encoder.native_dim) == (224, (7, 7), 768)
    pixels = torch.rand(1, 3, 128, 128)
    net: Any = encoder.tower.module
    with torch.inference_mode():
        tokens = net.forward_features(encoder.tower.preprocess(pixels, 224))
        torch.testing.assert_close(encoder.native(pixels), tokens.reshape(1, 7, 7, 768), atol=SAME, rtol=0)


def test_random_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = create_encoder("timm:convnext_atto", 48, pretrained=False).name
    state = torch.random.get_rng_state()
    assert create_encoder("timm:convnext_atto", 48, pretrained=False).name == first
    assert create_encoder("timm:convnext_atto", 48, pretrained=False, seed=1).name != first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_another_input_size_can_be_asked_for() -> None:
    encoder = create_encoder("timm:vit_tiny_patch16_224", 192, pretrained=False, input_px=224)
    assert isinstance(encoder, TowerEncoder)
    assert (encoder.native_grid, encoder.projection) == ((14, 14), None)
    assert encoder.encode(random_tiles(1)).shape == (1, 8, 8, 192)
    with pytest.raises(ValueError, match="takes multiples of 16 pixels, input_px is 100"):
        create_encoder("timm:vit_tiny_patch16_224", 192, pretrained=False, input_px=100)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"timm has no model 'vit_nano'; list .* mmctx encoders 'timm:\*'"):
        create_encoder("timm:vit_nano", 192, pretrained=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    torch.manual_seed(5)
    save_file(timm.create_model("convnext_atto").state_dict(), path)
    return path


def test_a_local_checkpoint_is_loaded(checkpoint: Path) -> None:
    """Oracle: the tensors in the file."""
    from safetensors.torch import load_file

    encoder = create_encoder("timm:convnext_atto", 48, pretrained=checkpoint)
    assert isinstance(encoder, TowerEncoder)
    saved = load_file(checkpoint)
    own = encoder.tower.module.state_dict()
    assert {name for name in saved if not name.startswith("head.fc")} == set(own)
    for name, value in own.items():
        assert torch.equal(value, saved[name]), name


def test_a_directory_of_timm_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = timm.create_model("convnext_atto")
    timm.models.save_for_hf(net, tmp_path, model_config={"pretrained_cfg": {"mean": [0.1, 0.2, 0.3]}})
    encoder = create_encoder(f"timm:local-dir:{tmp_path}", 48, pretrained=True)
    assert isinstance(encoder, TowerEncoder)
    for name, value in encoder.tower.module.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), name
    assert encoder.tower.preprocess.mean == (0.1, 0.2, 0.3)
    assert encoder.name.startswith("timm:convnext_atto-128px-48d-"), "no path of this machine"


def test_a_checkpoint_that_is_not_whole_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(checkpoint)
    lacking = {name: value for name, value in state.items() if not name.startswith("stages.3.blocks")}
    save_file(lacking, tmp_path / "part.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"does not hold \d+ of its weights, stages\.3\.blocks"):
        create_encoder("timm:convnext_atto", 48, pretrained=tmp_path / "part.safetensors")


@pytest.mark.parametrize("content", [b"", b"no tensors"])
def test_a_broken_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        WeightsUnavailable, match=r"broken.safetensors could not be loaded .*pretrained=False"
    ) as caught:
        create_encoder("timm:convnext_atto", 48, pretrained=path)
    assert "\n" not in str(caught.value)


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "exploded")}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsUnavailable, match=r"bomb.pt could not be loaded \(UnpicklingError|RuntimeError"):
        create_encoder("timm:convnext_atto", 48, pretrained=tmp_path / "bomb.pt")
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_of_another_model_is_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="timm:convnext_femto"):
        create_encoder("timm:convnext_femto", 48, pretrained=checkpoint)


def test_a_missing_checkpoint_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"there is no checkpoint .*pretrained=True .*pretrained=False"):
        create_encoder("timm:convnext_atto", 48, pretrained=tmp_path / "nowhere.safetensors")


def test_without_network_the_error_says_what_to_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"its own weights could not be loaded .*pretrained=PATH") as caught:
        create_encoder("timm:convnext_atto", 48, pretrained=True)
    assert "\n" not in str(caught.value)


def test_weights_that_were_never_published_are_an_error() -> None:
    with pytest.raises(WeightsUnavailable, match="its own weights could not be loaded"):
        create_encoder("timm:lcnet_035", 48, pretrained=True)
