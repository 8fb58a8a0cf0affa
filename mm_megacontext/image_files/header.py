"""What an image file says of itself, before any of its pixels is decoded, and what will read them."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import ExifTags, Image

from mm_megacontext.errors import IngestError, LimitExceeded, first_line
from mm_megacontext.image_files.deep_zoom import is_deep_zoom, read_deep_zoom
from mm_megacontext.image_files.scale import PhysicalScale, scale_from_dpi
from mm_megacontext.image_files.tiff_pages import SIGNATURES as TIFF_SIGNATURES
from mm_megacontext.image_files.tiff_pages import TiffPage, check_whole, document_pages, read_tiff_pages
from mm_megacontext.limits import IngestLimits

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF",
    "WEBP",
)  # fmt: skip
"""Formats that are read. Left out on purpose: those that start other programs (EPS), that refer to other files, or
whose decoders can be made to run for minutes by a small file (FLI, PSD, DDS, BLP)."""

DEEP_ZOOM = "Deep Zoom"
"""The format of DZI descriptors, which only this project calls an image format."""

Reader = Literal["pillow", "vips", "openslide", "deep zoom"]
"""What reads the pixels: Pillow what fits in memory; libvips what does not; OpenSlide, through libvips, the slides
that only it understands."""

_VIPS_FORMATS = {"JPEG", "JPEG2000", "MPO", "PNG", "TIFF"}
"""What libvips reads without holding the whole image."""
_PIECEWISE_FORMATS = {"JPEG2000"}
"""What it reads from anywhere, as it reads tiled TIFF; the others it decodes to a temporary file first."""
TURNED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_HEAD_BYTES = 4096
_SIGNATURE_BYTES = 16  # what Pillow shows its formats
_ANY_TILE_PX = 1 << 20
"""Tiles of a TIFF up to this size are no danger, whatever the limits say of whole images."""
_BITS = {"1": 1, "L": 8, "P": 8, "LA": 16, "PA": 16, "I;16": 16, "I;16B": 16, "RGB": 24}
_OTHER_BITS = 32

_pillow_settings = threading.Lock()
"""Pillow's pixel limit and Python's warning filters are global to the process."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of an image file without decoding it.

    Attributes:
        size: Width and height as stored, before the orientation is applied.
        decoded_bytes: What its samples take.
        scale: As stored, too.
        is_in_pieces: Any part of it can be decoded without the rest.
        pages: Its directories, if it is a TIFF.
        directory: The one of them that is read, from 0.
    """

    path: Path
    format: str
    size: tuple[int, int]
    decoded_bytes: int
    scale: PhysicalScale | None
    is_in_pieces: bool = False
    pages: tuple[TiffPage, ...] = ()
    directory: int = 0

    @property
    def tiff_page(self) -> TiffPage | None:
        """The directory that is read, if it is a TIFF."""
        return self.pages[self.directory] if self.pages else None


@contextmanager
def pillow_limited_to(max_pixels: int | None) -> Iterator[None]:
    """Make Pillow raise above ``max_pixels``, if given, and keep quiet about oddities in a file's metadata."""
    with _pillow_settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a decoded Pillow image, 1 to 8; damaged metadata means 1: as stored."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def supported_formats() -> list[str]:
    """Those of ``FORMATS`` that this build of Pillow can open."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def image_format(path: Path, *, has_signature: bool) -> str | None:
    """The format of an image file, or None where it is none of ``FORMATS`` and no Deep Zoom descriptor.

    Args:
        has_signature: Try the formats known by their first bytes; else those without a signature (such as TGA),
            which take other binary files for images if asked first.
    """
    if has_signature:
        with path.open("rb") as file:
            known = known_by_signature(file.read(_HEAD_BYTES))
        if known in ("TIFF", DEEP_ZOOM, None):
            return known
    formats = [name for name in supported_formats() if (Image.OPEN[name][1] is not None) == has_signature]
    try:
        with pillow_limited_to(None), Image.open(path, formats=formats) as image:
            return image.format or "image"
    except Exception:  # format parsers raise anything on foreign bytes
        return None


def known_by_signature(head: bytes) -> str | None:
    """What a file that starts so may be, by the signatures of formats alone: one of ``FORMATS``, Deep Zoom, or None."""
    if head.startswith(TIFF_SIGNATURES):
        return "TIFF"
    if is_deep_zoom(head):
        return DEEP_ZOOM
    return next((name for name in supported_formats() if _accepts(name, head[:_SIGNATURE_BYTES])), None)


def _accepts(name: str, signature: bytes) -> bool:
    """Whether Pillow looks further into a file that starts so; it says a text where the format was not built in."""
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and accept(signature) is True
    except Exception:  # the file is shorter than its signature
        return False


def read_header(path: Path, format_name: str, page: int = 1) -> ImageHeader:
    """Read what an image file says of itself, or of one of its pages.

    Args:
        path: The file.
        format_name: What ``image_format`` says it is.
        page: From 1; only a TIFF has more than one.

    Raises:
        IngestError: The header is damaged, or there is no such page.
    """
    if format_name != "TIFF" and page != 1:
        raise IngestError(f"there is no page {page}", source=str(path))
    if format_name == DEEP_ZOOM:
        size = read_deep_zoom(path).size
        return ImageHeader(path, format_name, size, 3 * math.prod(size), None, is_in_pieces=True)
    if format_name == "TIFF":
        pages = read_tiff_pages(path)
        directory = dict(enumerate(document_pages(pages), 1)).get(page)
        if directory is None:
            raise IngestError(f"there is no page {page}", source=str(path))
        return header_of_directory(path, pages, directory)
    try:
        with pillow_limited_to(None), Image.open(path, formats=[format_name]) as image:
            size, mode, density = image.size, image.mode, image.info.get("dpi")
    except Exception as e:
        raise IngestError(
            f"the {format_name} image is truncated or damaged ({first_line(e)}): export it anew", source=str(path)
        ) from e
    decoded = (size[0] * _BITS.get(mode, _OTHER_BITS) + 7) // 8 * size[1]
    return ImageHeader(path, format_name, size, decoded, _scale(density), format_name in _PIECEWISE_FORMATS)


def header_of_directory(path: Path, pages: tuple[TiffPage, ...], directory: int) -> ImageHeader:
    """The header of a TIFF of which one directory is read, from 0."""
    found = pages[directory]
    is_tiled = found.tile_size is not None
    return ImageHeader(path, "TIFF", found.size, found.decoded_bytes, found.scale, is_tiled, pages, directory)


def _is_for_pillow(header: ImageHeader) -> bool:
    """Whether Pillow reads an image of this kind; libvips reads kinds of TIFF that Pillow does not."""
    if header.format != "TIFF":
        return True
    try:
        with pillow_limited_to(None), Image.open(header.path, formats=["TIFF"]) as image:
            image.seek(header.directory)
            return True
    except Exception:
        return False


def _scale(density: Any) -> PhysicalScale | None:
    try:
        return scale_from_dpi(float(density[0]), float(density[1]))
    except (TypeError, ValueError, IndexError, ZeroDivisionError):  # no pair of numbers
        return None


def choose_reader(header: ImageHeader, limits: IngestLimits) -> Reader:
    """What will read an image, by its header alone.

    Raises:
        LimitExceeded: The image is larger than ``limits`` allow; the message names the limit.
        IngestError: It is a TIFF whose pixels go on behind the end of the file.
    """
    if header.format == DEEP_ZOOM:
        _check_any(header, limits)
        return "deep zoom"
    is_slide = header.tiff_page is not None and header.tiff_page.needs_openslide
    if not is_slide and math.prod(header.size) <= limits.max_decoded_pixels and _is_for_pillow(header):
        _check_any(header, limits)
        return "pillow"
    return choose_vips_reader(header, limits)


def choose_vips_reader(header: ImageHeader, limits: IngestLimits) -> Reader:
    """What reads an image through libvips: "vips" or "openslide". Raises as ``choose_reader`` does."""
    _check_any(header, limits)
    if header.tiff_page is not None and header.tiff_page.needs_openslide:
        return "openslide"
    _check_large(header, limits)
    return "vips"


def _check_any(header: ImageHeader, limits: IngestLimits) -> None:
    refusal = limits.refusal(header.size, header.decoded_bytes, _file_bytes(header))
    if refusal is not None:
        raise LimitExceeded(refusal, source=str(header.path))
    tile = (header.tiff_page.tile_size if header.tiff_page is not None else None) or (0, 0)
    if math.prod(tile) > limits.max_decoded_pixels and math.prod(tile) > _ANY_TILE_PX:
        raise LimitExceeded(
            f"tiles of {tile[0]} x {tile[1]} pixels are more than the limit of {limits.max_decoded_pixels} pixels that "
            "are decoded at once: raise max_decoded_pixels, or export it with smaller tiles",
            source=str(header.path),
        )


def _file_bytes(header: ImageHeader) -> int:
    """Bytes of the file; of the Deep Zoom descriptor's tiles nothing is known, so they count as they decode."""
    return header.decoded_bytes if header.format == DEEP_ZOOM else header.path.stat().st_size


def _check_large(header: ImageHeader, limits: IngestLimits) -> None:
    width, height = header.size
    if header.format not in _VIPS_FORMATS:
        raise LimitExceeded(
            f"{width} x {height} pixels are more than the limit of {limits.max_decoded_pixels} for a {header.format} "
            "image, which is decoded in memory: raise max_decoded_pixels, or convert it to a tiled TIFF",
            source=str(header.path),
        )
    scratch_bytes = max(header.decoded_bytes, width * height)
    if not header.is_in_pieces and scratch_bytes > limits.max_scratch_bytes:
        raise LimitExceeded(
            f"{width} x {height} pixels without tiles take {scratch_bytes} bytes of temporary disk space, more than "
            f"the limit of {limits.max_scratch_bytes}: raise max_scratch_bytes, or convert it to a tiled TIFF",
            source=str(header.path),
            code="limit_size",
        )
    if header.tiff_page is not None:
        check_whole(header.tiff_page, header.path)
