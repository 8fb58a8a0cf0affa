"""Oracle: torchvision's transforms, as timm and open_clip compose them; Pillow for resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.vision.encoders.preprocess import Preprocess, unit_pixels
from tests.vision.encoders.contract import random_tiles

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BYTE = 1.25 / 255
"""Pillow rounds to bytes after each of two passes; the second makes the error of the first up to 1.5 times larger."""


def test_without_resizing_it_is_to_tensor_and_normalize() -> None:
    from torchvision.transforms import Compose, Normalize, ToTensor

    tile = random_tiles(1)
    expected = Compose([ToTensor(), Normalize(MEAN, STD)])(Image.fromarray(tile[0].transpose(1, 2, 0)))
    found = Preprocess(MEAN, STD, "bicubic")(unit_pixels(tile, torch.device("cpu")), 128)
    torch.testing.assert_close(found[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [126, 112, 224])
def test_resizing_is_pillows_up_to_its_rounding(interpolation: str, side: int) -> None:
    tile = random_tiles(1) // 2 + 64  # away from black and white, where Pillow clips what overshoots in each pass
    resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    resized = Image.fromarray(tile[0].transpose(1, 2, 0)).resize((side, side), resample)
    found = Preprocess((0.0,) * 3, (1.0,) * 3, interpolation)(unit_pixels(tile, torch.device("cpu")), side)
    np.testing.assert_allclose(found[0].numpy(), np.asarray(resized).transpose(2, 0, 1) / 255, atol=BYTE)


def test_a_way_of_resizing_that_torch_lacks_is_refused_only_where_it_is_needed() -> None:
    preprocess = Preprocess(MEAN, STD, "lanczos")
    pixels = torch.zeros(1, 3, 128, 128)
    assert preprocess(pixels, 128).shape == (1, 3, 128, 128)
    with pytest.raises(UnsupportedModel, match=r"'lanczos', known are bilinear, bicubic; .*input_px of 128"):
        preprocess(pixels, 112)
