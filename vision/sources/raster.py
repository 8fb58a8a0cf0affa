"""Image files that fit in memory, through Pillow. The conversion to sRGB is that of ``colour``.

EXIF orientation is applied. Only the first frame of an animation is read.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mm_megacontext.errors import IngestError, LimitExceeded, first_words
from mm_megacontext.image_files.header import (
    FORMATS,
    TURNED,
    orientation_of,
    pillow_limited_to,
    read_header,
    supported_formats,
)
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.vision.sources.colour import to_srgb
from mm_megacontext.vision.sources.source import DEFAULT_MAX_PIXELS, ArraySource, Pixels


class PillowSource(ArraySource):
    """An image file that fits in memory, decoded once when opened.

    Args:
        path: The file.
        max_pixels: Refuse images with more pixels than this, before they are decoded.
        page: From 1; only a TIFF has more than one.

    Raises:
        LimitExceeded: The image declares more than ``max_pixels``.
        IngestError: The file is missing, not an image of one of ``FORMATS``, damaged or truncated.
    """

    def __init__(self, path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, page: int = 1) -> None:
        decoded = _decode(Path(path), max_pixels, page)
        super().__init__(decoded.pixels)
        self._path, self._format, self._is_turned = Path(path), decoded.format_name, decoded.is_turned
        self._page = page

    @cached_property
    def scale(self) -> PhysicalScale | None:
        """Micrometres per pixel, if the file says so."""
        header = read_header(self._path, self._format, self._page)
        is_turned = header.tiff_page.orientation in TURNED if header.tiff_page is not None else self._is_turned
        return header.scale.turned if header.scale is not None and is_turned else header.scale


class _Decoded(NamedTuple):
    pixels: Pixels
    format_name: str
    is_turned: bool
    """Width and height were swapped; not known of a TIFF, which Pillow turns before it can be asked."""


def _decode(path: Path, max_pixels: int, page: int) -> _Decoded:
    try:
        with pillow_limited_to(max_pixels), Image.open(path, formats=supported_formats()) as image:
            nodata = None
            if image.format == "TIFF":
                header = read_header(path, "TIFF", page)
                image.seek(header.directory)
                nodata = header.tiff_page.nodata if header.tiff_page is not None else None
            image.load()  # first: Pillow turns a TIFF while it loads it, and then drops the tag
            pixels = np.asarray(to_srgb(_upright(image), nodata))
            return _Decoded(pixels, image.format or "", orientation_of(image) in TURNED)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise LimitExceeded(
            f"the image has more than the {max_pixels} pixels allowed; raise max_pixels if you trust the file",
            source=str(path),
        ) from e
    except FileNotFoundError as e:
        raise IngestError("no such file", source=str(path), code="not_found") from e
    except UnidentifiedImageError as e:
        raise IngestError(
            f"not an image in a format that is read ({', '.join(FORMATS)})", source=str(path), code="unsupported"
        ) from e
    except (IngestError, MemoryError):
        raise
    except Exception as e:  # a decoder fed with a damaged file can raise anything
        raise IngestError(f"the image is damaged or truncated ({first_words(e)})", source=str(path)) from e


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Unreadable EXIF is common in the wild and means: no orientation."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image
