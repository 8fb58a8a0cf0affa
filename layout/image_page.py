"""A raster image as a document of one page, in pixels, with one figure region that covers it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.document import Document, Page, Region

MAX_PIXELS = 178_956_970
"""Largest image that is decoded: Pillow's own limit against decompression bombs."""

# Vector and container formats that Pillow only opens with another program's help, and formats without pixels.
_REFUSED = {"BUFR", "EPS", "FPX", "GRIB", "HDF5", "IPTC", "MIC", "MPEG", "WMF"}
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_JPEG_DRAFT = 8  # JPEG decodes at an eighth of the size, and still reads every byte


@cache
def _formats() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Pillow's formats: those known by their first bytes, and those it can only try."""
    Image.init()
    names = [name for name in Image.OPEN if name not in _REFUSED]
    known = tuple(name for name in names if Image.OPEN[name][1] is not None)
    return known, tuple(name for name in names if name not in known)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings on odd metadata and large images: what matters is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def image_format(path: Path, *, has_signature: bool) -> str | None:
    """Pillow's name of the image format of ``path``, or None where it is no image that Pillow opens.

    Args:
        has_signature: Try the formats known by their first bytes; else those without a signature (such as TGA),
            which take other binary files for images if asked first.

    Raises:
        LimitExceeded: The image is larger than Pillow opens at all.
    """
    known, tried = _formats()
    try:
        with _quietly(), Image.open(path, formats=known if has_signature else tried) as image:
            return image.format or "image"
    except Image.DecompressionBombError as e:
        raise LimitExceeded(f"{e}: convert it to a smaller image", source=str(path)) from e
    except Exception:  # format parsers raise anything on foreign bytes
        return None


def read_image(path: Path, content_hash: str, image_format: str, *, max_pixels: int = MAX_PIXELS) -> Document:
    """An image file as a document of one page.

    The image is decoded once, to know that it can be, and let go. Of several frames, the first one counts.

    Args:
        max_pixels: Larger images raise LimitExceeded; at most ``MAX_PIXELS``.

    Raises:
        IngestError: The image is truncated or damaged.
    """
    size = _checked_size(path, image_format, max_pixels)
    region = Region(kind="figure", bbox=(0.0, 0.0, *size))
    page = Page(number=1, size=size, regions=(region,), engine="pillow")
    return Document(str(path), "image", "px", 1, content_hash, lambda: iter((page,)))


def _checked_size(path: Path, image_format: str, max_pixels: int) -> tuple[float, float]:
    """Width and height as shown, after the EXIF orientation."""
    try:
        with _quietly(), Image.open(path, formats=[image_format]) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise LimitExceeded(
                    f"{width} x {height} pixels are more than the limit of {max_pixels}: shrink it or raise max_pixels",
                    source=str(path),
                )
            turned = _orientation(image) in _TURNED
            if image_format == "JPEG":
                image.draft(image.mode, (max(1, width // _JPEG_DRAFT), max(1, height // _JPEG_DRAFT)))
            image.load()
    except IngestError:
        raise
    except Image.DecompressionBombError as e:
        raise LimitExceeded(f"{e}: convert it to a smaller image", source=str(path)) from e
    except UnidentifiedImageError as e:
        raise IngestError(f"cannot be opened as {image_format}: export it anew", source=str(path)) from e
    except Exception as e:  # decoders raise anything on damaged data
        what = (str(e).splitlines() or [type(e).__name__])[0]
        raise IngestError(
            f"the {image_format} image is truncated or damaged ({what}): export it anew", source=str(path)
        ) from e
    return (float(height), float(width)) if turned else (float(width), float(height))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata does not make the pixels unreadable
        return 1
    return value if isinstance(value, int) else 1
