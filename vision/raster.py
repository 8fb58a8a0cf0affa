"""Image files through Pillow, with one defined conversion to sRGB.

The conversion: EXIF orientation is applied; transparency is composited on white; 16 bits become 8 by dropping the low
byte (as Pillow does for 16-bit RGB); greyscale, palette, CMYK and YCbCr go through Pillow's formulas. Greyscale with
32 bits a pixel, integer or float, has no agreed white: values of 0 to 65535 in an integer image are 16-bit ones,
all others are stretched from their finite minimum .. maximum to 0 .. 255. Colour profiles are not applied.
Only the first frame of an animation or multi-page file is read.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.vision.source import DEFAULT_MAX_PIXELS, ArraySource, Pixels

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF",
    "WEBP",
)  # fmt: skip
"""Formats that are read. Left out on purpose: those that start other programs (EPS), that refer to other files, or
whose Pillow decoders can be made to run for minutes by a small file (FLI, PSD, DDS, BLP)."""

_pillow_settings = threading.Lock()
"""Pillow's pixel limit and Python's warning filters are global to the process."""


class PillowSource(ArraySource):
    """An image file that fits in memory, decoded once when opened.

    Args:
        path: The file.
        max_pixels: Refuse images with more pixels than this, before they are decoded.

    Raises:
        LimitExceeded: The image declares more than ``max_pixels``.
        IngestError: The file is missing, not an image of one of ``FORMATS``, damaged or truncated.
    """

    def __init__(self, path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        super().__init__(_decode(Path(path), max_pixels))


def _decode(path: Path, max_pixels: int) -> Pixels:
    try:
        with _limited(max_pixels), Image.open(path, formats=_supported()) as image:
            return _upright_srgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise LimitExceeded(
            f"the image has more than the {max_pixels} pixels allowed; raise max_pixels if you trust the file",
            source=str(path),
        ) from e
    except FileNotFoundError as e:
        raise IngestError("no such file", source=str(path)) from e
    except UnidentifiedImageError as e:
        raise IngestError(f"not an image in a format that is read ({', '.join(FORMATS)})", source=str(path)) from e
    except IngestError:
        raise
    except Exception as e:  # a decoder fed with a damaged file can raise anything
        raise IngestError(f"the image is damaged or truncated ({type(e).__name__}: {e})", source=str(path)) from e


def _supported() -> list[str]:
    """Those of ``FORMATS`` that this build of Pillow can open."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@contextmanager
def _limited(max_pixels: int) -> Iterator[None]:
    """Make Pillow raise above ``max_pixels`` and keep quiet about oddities in the file's metadata."""
    with _pillow_settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _upright_srgb(image: Image.Image) -> Pixels:
    image.load()  # first: Pillow turns a TIFF while it loads it, and then drops the tag
    return np.asarray(to_srgb(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Unreadable EXIF is common in the wild and means: no orientation."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow image to mode RGB by the rules at the top of this file.

    Raises:
        ValueError: Pillow has no conversion for the image's mode.
    """
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image).astype(np.uint16) >> 8)
    if image.mode == "I":
        return _grey(_integers_to_bytes(np.asarray(image)))
    if image.mode == "F":
        return _grey(_stretch(np.asarray(image).astype(np.float64)))
    if image.mode == "LAB":
        return _lab_to_srgb(image)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _grey(levels: npt.NDArray[np.integer]) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _integers_to_bytes(values: npt.NDArray[np.int32]) -> npt.NDArray[np.integer]:
    if values.min() >= 0 and values.max() <= 0xFFFF:
        return values >> 8
    return _stretch(values.astype(np.float64))


def _stretch(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Map the finite minimum .. maximum to 0 .. 255; what is not finite goes to the nearer end, NaN to 0."""
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.max() == finite.min():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = finite.min(), finite.max()
    bounded = np.clip(np.nan_to_num(values, nan=low, posinf=high, neginf=low), low, high)
    return np.asarray(np.rint((bounded - low) / (high - low) * 255.0), dtype=np.uint8)


def _lab_to_srgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # None only when asked to work in place
    return converted


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, (255, 255, 255))
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return canvas
