"""Image files of any kind as sources: what is in them decides what reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.image_files.header import FORMATS, choose_reader, image_format, read_header
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.deep_zoom import DeepZoomSource
from mm_megacontext.vision.sources.raster import PillowSource
from mm_megacontext.vision.sources.source import ImageSource, Pixels, level_size
from mm_megacontext.vision.sources.vips import VipsSource

LOOKED_AT_PIXELS = 16 << 20
"""Images of up to so many pixels are decoded whole even for a look: in a moment, and in 250 MB."""


class ImageFileSource(ImageSource, Protocol):
    """An image source that comes from a file, and knows how large a pixel is if the file does."""

    @property
    def scale(self) -> PhysicalScale | None:
        """Micrometres per pixel."""
        ...


@runtime_checkable
class HasOverview(Protocol):
    """A source that knows a quick way to all of itself."""

    def read_overview(self, level: int) -> Pixels:
        """The whole image at ``level``; its pixels may differ from those of ``read``."""
        ...


def open_image(path: str | Path, limits: IngestLimits | None = None, page: int = 1) -> ImageFileSource:
    """Open an image file: through Pillow if it fits in memory, else through libvips, piece by piece.

    The file's content and ``limits`` alone decide; what is installed does not.

    Args:
        path: The file, of any name.
        limits: What is refused, and where memory ends.
        page: From 1; only a TIFF has more than one.

    Raises:
        LimitExceeded: The image is larger than ``limits`` allow; the message names the limit.
        IngestError: The file is missing, damaged, or no image that is read.
        MissingExtra: It is for libvips, which is not installed.
    """
    path, limits = Path(path), limits or IngestLimits()
    if not path.is_file():
        raise IngestError("no such file", source=str(path), code="not_found")
    name = image_format(path, has_signature=True) or image_format(path, has_signature=False)
    if name is None:
        raise IngestError(
            f"not an image in a format that is read ({', '.join(FORMATS)}, DZI)", source=str(path), code="unsupported"
        )
    header = read_header(path, name, page)
    reader = choose_reader(header, limits)
    if reader == "pillow":
        return PillowSource(path, max_pixels=limits.max_decoded_pixels, page=page)
    if reader == "deep zoom":
        return DeepZoomSource(path, limits=limits)
    return VipsSource.of(header, reader, page=header.directory)


def open_to_look_at(path: str | Path, limits: IngestLimits | None = None, page: int = 1) -> ImageFileSource:
    """An image file of which only little is read: piece by piece from ``LOOKED_AT_PIXELS`` on, where libvips can.

    The pixels are those of ``open_image``; what is spared is the memory for the rest of the image. Raises as that does.
    """
    limits = limits or IngestLimits()
    sparing = replace(limits, max_decoded_pixels=min(limits.max_decoded_pixels, LOOKED_AT_PIXELS))
    try:
        return open_image(path, sparing, page)
    except (IngestError, MissingExtra):  # a format that libvips does not read, no libvips, or the file is at fault
        return open_image(path, limits, page)


def read_overview(source: ImageSource, level: int) -> Pixels:
    """A whole level for people to look at; of huge files quickly, see ``VipsSource.read_overview``."""
    if isinstance(source, HasOverview):
        return source.read_overview(level)
    return source.read((0, 0, *level_size(source.size, level)), level)
