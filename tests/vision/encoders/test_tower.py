"""A backbone that is a mean over squares, so that what an encoder must give can be written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.vision.encoders import tower as towers
from mm_megacontext.vision.encoders.preprocess import Preprocess
from mm_megacontext.vision.encoders.projection import Projection, ProjectionConfig
from mm_megacontext.vision.encoders.protocol import PatchEncoder
from mm_megacontext.vision.encoders.tower import Tower, TowerEncoder, drop_prefix
from tests.vision.encoders.contract import FLOAT32, EncoderContract, random_tiles

PLAIN = Preprocess((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear")


class Mixer(nn.Module):
    """Red, green and blue of each square of 32 pixels, mixed by a matrix."""

    def __init__(self, dim: int = 5, seed: int = 0) -> None:
        super().__init__()
        weight = np.random.default_rng(seed).normal(size=(3, dim)).astype(np.float32)
        self.weight = nn.Parameter(torch.from_numpy(weight))

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 32).permute(0, 2, 3, 1) @ self.weight


def make_tower(module: Mixer | None = None, spec: str = "test:mixer", preprocess: Preprocess = PLAIN) -> Tower:
    module = module or Mixer()
    return Tower(spec=spec, module=module, feature_map=module, input_px=128, preprocess=preprocess)


class TestWithoutProjection(EncoderContract):
    @classmethod
    def make(cls) -> PatchEncoder:
        return TowerEncoder(make_tower(), 5)


class TestWithProjection(EncoderContract):
    @classmethod
    def make(cls) -> PatchEncoder:
        return TowerEncoder(make_tower(), 24, seed=7)


def test_features_are_the_backbones_own_and_vectors_are_those_repeated_and_projected() -> None:
    encoder = TowerEncoder(make_tower(), 24)
    tiles = random_tiles(2)
    assert (encoder.native_grid, encoder.native_dim) == ((4, 4), 5)
    squares = tiles.reshape(2, 3, 4, 32, 4, 32).mean(axis=(3, 5)).transpose(0, 2, 3, 1) / 255
    assert isinstance(encoder.tower.module, Mixer)
    expected = squares @ encoder.tower.module.weight.detach().numpy()
    np.testing.assert_allclose(encoder.features(tiles), expected, atol=FLOAT32)
    assert encoder.projection is not None
    whole = expected.repeat(2, axis=1).repeat(2, axis=2) @ encoder.projection.weight.detach().numpy()
    np.testing.assert_allclose(encoder.encode(tiles), whole, atol=FLOAT32)


def test_the_mean_of_a_tile_is_the_mean_of_the_backbones_features() -> None:
    encoder = TowerEncoder(make_tower(), 5)
    tiles = random_tiles(2)
    np.testing.assert_allclose(encoder.encode(tiles).mean((1, 2)), encoder.features(tiles).mean((1, 2)), atol=FLOAT32)


def test_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TowerEncoder(make_tower(), 24)
    tiles = random_tiles(5)
    whole = encoder.encode(tiles)
    monkeypatch.setattr(towers, "BATCH_TILES", 2)
    np.testing.assert_allclose(encoder.encode(tiles), whole, atol=FLOAT32)


def test_the_name_changes_with_everything_that_changes_vectors() -> None:
    names = [
        TowerEncoder(make_tower(), 24).name,
        TowerEncoder(make_tower(), 24, seed=1).name,
        TowerEncoder(make_tower(), 5).name,
        TowerEncoder(make_tower(Mixer(seed=1)), 24).name,
        TowerEncoder(make_tower(spec="test:other"), 24).name,
        TowerEncoder(make_tower(preprocess=Preprocess((0.5,) * 3, (1.0,) * 3, "bilinear")), 24).name,
    ]
    assert len(set(names)) == len(names)
    assert names[0].startswith("test:mixer-128px-24d-")


def test_the_name_is_that_of_the_weights_as_they_are_now() -> None:
    encoder = TowerEncoder(make_tower(), 24)
    before = encoder.name
    assert encoder.projection is not None
    with torch.no_grad():
        encoder.projection.weight[0, 0] += 1e-3
    assert encoder.name != before


def test_it_can_be_trained_through() -> None:
    encoder = TowerEncoder(make_tower(), 24)
    encoder(torch.rand(2, 3, 128, 128)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_projection_of_ones_own_is_used_and_must_fit() -> None:
    own = Projection(ProjectionConfig(in_dim=5, out_dim=24, seed=99))
    assert TowerEncoder(make_tower(), 24, projection=own).projection is own
    with pytest.raises(ValueError, match="leads from 5 to 24 dimensions, needed is 5 to 25"):
        TowerEncoder(make_tower(), 25, projection=own)


def test_in_training_mode_nothing_is_encoded() -> None:
    encoder = TowerEncoder(make_tower(), 24)
    encoder.train()
    with pytest.raises(RuntimeError, match=r"test:mixer is in training mode; call eval\(\)"):
        encoder.encode(random_tiles(1))


def test_only_whole_tiles_are_taken() -> None:
    with pytest.raises(ValueError, match=r"whole tiles \(n, 3, 128, 128\), got \(1, 3, 16, 16\)"):
        TowerEncoder(make_tower(), 5).encode(np.zeros((1, 3, 16, 16), dtype=np.uint8))


def test_what_gives_no_map_is_refused() -> None:
    module = nn.Flatten()
    vector = Tower(spec="test:flat", module=module, feature_map=module, input_px=128, preprocess=PLAIN)
    with pytest.raises(UnsupportedModel, match="test:flat gives no map of features"):
        TowerEncoder(vector, 5)


def test_prefix_tokens_are_dropped() -> None:
    tokens = torch.arange(2 * 9 * 1).reshape(2, 9, 1)
    assert drop_prefix(tokens, (2, 4))[0, :, :, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    with pytest.raises(UnsupportedModel, match="9 tokens are no map of 4 x 4"):
        drop_prefix(tokens, (4, 4))
