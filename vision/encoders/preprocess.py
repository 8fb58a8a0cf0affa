"""Pixels as a backbone was trained to see them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.vision.encoders.protocol import TilePixels

INTERPOLATIONS = ("bilinear", "bicubic")
"""Ways of resizing that torch does as Pillow, with antialiasing; their names are those of timm and open_clip."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resampling and normalisation, from the backbone's own configuration.

    Attributes:
        mean, std: Per channel R, G, B, of values from 0 to 1.
        interpolation: How a tile is resized.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str

    def to_json(self) -> dict[str, object]:
        """As part of an encoder's identity."""
        return asdict(self)

    def __call__(self, pixels: Float[Tensor, "tiles 3 height width"], side: int) -> Float[Tensor, "tiles 3 side side"]:
        """Resize values from 0 to 1 to a square, with antialiasing and clipped as Pillow does, and normalise them.

        Raises:
            UnsupportedModel: It must be resized in a way that torch does not know.
        """
        if pixels.shape[-2:] != (side, side):
            pixels = _resize(pixels, side, self.interpolation)
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (pixels - mean) / std


def unit_pixels(pixels: TilePixels, device: torch.device) -> Float[Tensor, "tiles 3 height width"]:
    """Values from 0 to 255 as float32 from 0 to 1."""
    return torch.from_numpy(pixels).to(device).float() / 255


def _resize(pixels: Tensor, side: int, interpolation: str) -> Tensor:
    if interpolation not in INTERPOLATIONS:
        raise UnsupportedModel(
            f"its images are resized with {interpolation!r}, known are {', '.join(INTERPOLATIONS)}; "
            "give an input_px of 128, which needs no resizing"
        )
    return F.interpolate(pixels, size=(side, side), mode=interpolation, antialias=True).clamp(0.0, 1.0)
