"""The one conversion to sRGB, whatever decoded the file.

Transparency is composited on white; 16 bits of a colour become 8 by dropping the low byte; greyscale, palette, CMYK and
YCbCr go through Pillow's formulas. Greyscale with more than 8 bits a pixel, integer or float, has no agreed white: its
values are stretched from their finite minimum .. maximum to 0 .. 255. What a GeoTIFF says is no data is left out of
that, and black. Colour profiles are not applied.

libvips only decodes; its samples become a Pillow image, piece by piece, and go through the same formulas. So both ways
give the same pixels wherever both decoders give the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from mm_megacontext.image_files.vips_file import Samples
from mm_megacontext.vision.sources.source import Pixels

Range = tuple[float, float]
"""Smallest and largest finite value of a whole image."""


def to_srgb(image: Image.Image, nodata: float | None = None) -> Image.Image:
    """Convert any Pillow image to mode RGB by the rules at the top of this file.

    Args:
        image: Decoded.
        nodata: The value of greyscale samples that hold nothing.

    Raises:
        ValueError: Pillow has no conversion for the image's mode.
    """
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image)
        values = values.astype(np.uint16) if image.mode.startswith("I;16") else values
        return _grey(levels_of(values, range_of(values, nodata), nodata))
    if image.mode == "LAB":
        return _lab_to_srgb(image)
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _grey(levels: npt.NDArray[np.integer]) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def range_of(values: Samples, nodata: float | None = None) -> Range | None:
    """The finite minimum and maximum of what is data, None if nothing is."""
    finite = values[np.isfinite(values) & ~_is_nodata(values, nodata)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _is_nodata(values: Samples, nodata: float | None) -> npt.NDArray[np.bool_]:
    """Which values hold nothing; a float is compared as its own type has it."""
    if nodata is None:
        return np.zeros(values.shape, dtype=np.bool_)
    alike = np.float32(nodata) if values.dtype == np.float32 else nodata
    return np.asarray(values == alike)


def levels_of(values: Samples, value_range: Range | None, nodata: float | None = None) -> npt.NDArray[np.uint8]:
    """Grey of 0 to 255 for values without an agreed white, by the rules at the top of this file.

    Args:
        values: Integers or floats.
        value_range: Of the whole image, of which ``values`` may be a part.
        nodata: The value of those that hold nothing.
    """
    if value_range is None:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = value_range
    if low == high:  # nothing but one value: a blank page of 16 bits stays white or black
        one = int(low) >> 8 if values.dtype == np.uint16 else 0
        return np.where(_is_nodata(values, nodata), 0, one).astype(np.uint8)
    exact = values.astype(np.float64)  # what is not finite goes to the nearer end, NaN to the lower one
    bounded = np.clip(np.nan_to_num(exact, nan=low, posinf=high, neginf=low), low, high)
    levels = np.asarray(np.rint((bounded - low) / (high - low) * 255.0), dtype=np.uint8)
    return np.where(_is_nodata(values, nodata), np.uint8(0), levels)


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # None only when asked to work in place
    return converted


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return canvas


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the bands of decoded samples are: colours, then perhaps opacity, then bands that mean nothing here."""

    colours: Literal["L", "RGB", "CMYK"]
    has_alpha: bool = False

    @property
    def n_colours(self) -> int:
        """Bands that are colours."""
        return {"L": 1, "RGB": 3, "CMYK": 4}[self.colours]


_COLOURS: dict[str, Literal["L", "RGB", "CMYK"]] = {
    "b-w": "L", "grey16": "L", "multiband": "L", "srgb": "RGB", "rgb": "RGB", "rgb16": "RGB", "cmyk": "CMYK",
}  # fmt: skip
_ALPHA = {1, 2}
"""Extra samples of a TIFF that are opacity: premultiplied, which libvips undoes when it loads, and straight."""


def encoding_of(interpretation: str, n_bands: int, extra_samples: tuple[int, ...] | None) -> Encoding | None:
    """What samples of libvips are, None where this project has no conversion for them.

    Args:
        interpretation: As libvips names it.
        n_bands: Samples of a pixel.
        extra_samples: Of a TIFF, what the bands beyond the colours are; None for formats whose only extra is opacity.

    Example:
        >>> encoding_of("srgb", 4, (0,)), encoding_of("b-w", 2, None)
        (Encoding(colours='RGB', has_alpha=False), Encoding(colours='L', has_alpha=True))
    """
    colours = _COLOURS.get(interpretation)
    if colours is None or n_bands < Encoding(colours).n_colours:
        return None
    n_extra = n_bands - Encoding(colours).n_colours
    if interpretation == "multiband" and n_extra > 1:  # bands of which nothing is said: the first is shown
        return Encoding("L")
    if n_extra == 0 or colours == "CMYK":
        return Encoding(colours)
    if not extra_samples:  # of a TIFF that does not say, Pillow takes the fourth band of colours for opacity, too
        return Encoding(colours, has_alpha=extra_samples is None or colours == "RGB")
    return Encoding(colours, has_alpha=extra_samples[0] in _ALPHA)


def has_agreed_white(dtype: npt.DTypeLike, encoding: Encoding) -> bool:
    """Whether samples of a type need no look at the whole image to be converted."""
    return dtype == np.uint8 or (dtype == np.uint16 and encoding != Encoding("L"))


def samples_to_srgb(
    samples: Samples, encoding: Encoding, value_range: Range | None = None, nodata: float | None = None
) -> Pixels:
    """Decoded samples as sRGB.

    Args:
        samples: (height, width, bands).
        encoding: What the bands are.
        value_range: Of the whole image; needed where ``has_agreed_white`` is false.
        nodata: The value of greyscale samples that hold nothing.
    """
    n_used = encoding.n_colours + encoding.has_alpha
    used = samples[:, :, :n_used]
    if not has_agreed_white(used.dtype, encoding):
        return np.repeat(levels_of(used[:, :, :1], value_range, nodata), 3, axis=2)
    levels = np.asarray(np.right_shift(used, 8) if used.dtype == np.uint16 else used, dtype=np.uint8)
    mode = encoding.colours + "A" * encoding.has_alpha
    if mode == "RGB":
        return levels
    if mode == "L":
        return np.repeat(levels, 3, axis=2)
    return np.asarray(to_srgb(Image.frombytes(mode, levels.shape[1::-1], levels.tobytes())))
