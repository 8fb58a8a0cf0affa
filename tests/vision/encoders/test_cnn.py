"""Oracles: the contract of encoders; the same picture moved by a patch; convolutions of PyTorch, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.encoders.cnn import CnnEncoder, PatchCnn, PatchCnnConfig
from tests.vision.encoders.contract import EncoderContract

CONFIG = PatchCnnConfig(dim=24, widths=(4, 6, 8))
TOLERANCE = 1e-5


class TestCnn(EncoderContract):
    @classmethod
    def make(cls) -> PatchEncoder:
        return CnnEncoder(PatchCnn(CONFIG))


def noise(n: int = 2, side: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


def test_what_moves_by_a_patch_is_seen_a_patch_further() -> None:
    """Away from the edges, where zeros are padded."""
    encoder = CnnEncoder(PatchCnn(CONFIG))
    wide = noise(1, 160)
    here, there = encoder.encode(wide[..., :128, :128]), encoder.encode(wide[..., 16:144, 16:144])
    np.testing.assert_allclose(here[:, 3:7, 3:7], there[:, 2:6, 2:6], atol=TOLERANCE)


def test_it_is_four_convolutions() -> None:
    net = PatchCnn(CONFIG).eval()
    x = torch.from_numpy(noise()).double() / 127.5 - 1
    for stage in net.double().stages:
        assert isinstance(stage, nn.Sequential)
        convolution, norm = stage[0], stage[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        x = torch.nn.functional.conv2d(x, convolution.weight, stride=2, padding=convolution.kernel_size[0] // 2)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        x = (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
        x = torch.nn.functional.gelu(x)
    found = CnnEncoder(PatchCnn(CONFIG)).encode(noise())
    np.testing.assert_allclose(found, x.permute(0, 2, 3, 1).detach(), atol=TOLERANCE)


def test_the_name_tells_weights_apart_and_comes_back_with_them(tmp_path: Path) -> None:
    one, other = CnnEncoder(PatchCnn(CONFIG)), CnnEncoder(PatchCnn(PatchCnnConfig(dim=24, widths=(4, 6, 8), seed=1)))
    assert one.name != other.name
    other.net.save_pretrained(tmp_path)
    loaded = CnnEncoder(PatchCnn.from_pretrained(tmp_path))
    assert loaded.name == other.name
    np.testing.assert_array_equal(loaded.encode(noise()), other.encode(noise()))
