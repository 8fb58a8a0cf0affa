"""Image files of any size through libvips, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.image_files.header import ImageHeader, Reader, choose_vips_reader, image_format, read_header
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.image_files.tiff_pages import page_roles
from mm_megacontext.image_files.vips_file import VipsFile
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.colour import (
    Encoding,
    Range,
    encoding_of,
    has_agreed_white,
    range_of,
    samples_to_srgb,
)
from mm_megacontext.vision.sources.source import LevelSource, Pixels, Rect, level_size

_RANGE_PX = 2048
"""The range of values is looked for in squares of this side."""


class VipsSource(LevelSource):
    """An image file that is never in memory whole; what is read is what ``PillowSource`` reads.

    Levels are computed from level 0, whatever reduced copies the file holds: those were made by its writer's filter.
    Reading a high level therefore decodes all that lies under the region, in bounded memory; ``read_overview`` is the
    quick look.

    Tiled TIFF, slides and JPEG 2000 are decoded where they are read. Formats without tiles (PNG, JPEG, TIFF in strips)
    are decoded once, to a file in the directory for temporary files (``TMPDIR``). Several threads may read; they take
    turns.

    Args:
        path: The file.
        page: Directory of a TIFF, from 0: another focal plane, channel, label. The first one is the image.
        limits: What is refused.

    Raises:
        LimitExceeded: The image is larger than ``limits`` allow.
        IngestError: The file is missing, damaged or truncated, or in a format or colour space that is not read.
        MissingExtra: libvips is not installed.
    """

    def __init__(self, path: str | Path, *, page: int = 0, limits: IngestLimits | None = None) -> None:
        limits = limits or IngestLimits()
        header = _header(Path(path))
        if not 0 <= page < max(1, len(header.pages)):
            raise IngestError(f"there is no page {page}; the file has {max(1, len(header.pages))}", source=str(path))
        self._open(header, choose_vips_reader(header, limits), page=page, subpage=-1)
        if self.size[0] * self.size[1] > limits.max_pixels:
            raise LimitExceeded(
                f"page {page} has {self.size[0]} x {self.size[1]} pixels, more than the limit of {limits.max_pixels}: "
                "raise max_pixels",
                source=str(path),
            )

    @classmethod
    def of(cls, header: ImageHeader, reader: Reader, *, page: int = 0, subpage: int = -1) -> VipsSource:
        """The image of a header that was read and found within its limits. Raises as the class does."""
        source = cls.__new__(cls)
        source._open(header, reader, page=page, subpage=subpage)
        return source

    def _open(self, header: ImageHeader, reader: Reader, *, page: int, subpage: int) -> None:
        self._header, self._reader, self._page = header, reader, page
        self._file = VipsFile(header, reader, page=page, subpage=subpage)
        tags = header.pages[min(page, len(header.pages) - 1)] if header.pages else None
        extra = None if tags is None else tags.extra_samples
        self._nodata = None if tags is None else tags.nodata
        encoding = encoding_of(self._file.interpretation, self._file.n_bands, None if reader == "openslide" else extra)
        if encoding is None or not (has_agreed_white(self._file.dtype, encoding) or encoding == Encoding("L")):
            raise IngestError(
                f"{self._file.n_bands} bands of {np.dtype(self._file.dtype)} as {self._file.interpretation} are not "
                "read from an image of this size: convert it to 8-bit sRGB",
                source=str(header.path),
            )
        self._encoding = encoding

    @property
    def size(self) -> tuple[int, int]:
        return self._file.size

    @property
    def scale(self) -> PhysicalScale | None:
        """Micrometres per pixel, if the file says so."""
        return self._file.scale(self._header.scale)

    def read_overview(self, level: int) -> Pixels:
        """The whole image at about ``level``, quickly: for people to look at, not for gists.

        Where the file holds a reduced copy of at least this size, that copy is taken and fitted to the size of the
        level; its pixels are those of its writer's filter and may even show another state of the image. Without one,
        a format without tiles is shrunk while it is decoded, once from top to bottom and without the temporary file
        that ``read`` makes. Anything else is ``read``.

        Returns:
            As many pixels as the level has.
        """
        width, height = level_size(self.size, level)
        reduced = [copy for copy in self._reduced() if _holds(copy.size, (width, height))]
        if not reduced:
            if (
                level
                and self._reader == "vips"
                and not self._header.is_in_pieces
                and has_agreed_white(self._file.dtype, self._encoding)
            ):
                return samples_to_srgb(self._file.shrunk(1 << level), self._encoding, None)
            return self.read((0, 0, width, height), level)
        copy = min(reduced, key=lambda copy: copy.size)
        step = max(k for k in range(copy.n_levels) if k == 0 or _holds(level_size(copy.size, k), (width, height)))
        near = copy.read((0, 0, *level_size(copy.size, step)), step)
        return np.asarray(Image.fromarray(near).resize((width, height), Image.Resampling.BOX))

    def _reduced(self) -> Iterator[VipsSource]:
        """The reduced copies of the image that the file holds."""
        if self._reader == "openslide":
            places = [(level, -1) for level in range(1, int(self._file.field("openslide.level-count") or 1))]
        elif self._page == 0:
            places = [(i, -1) for i, role in enumerate(page_roles(self._header.pages)) if role == "level"]
            places += [(0, i) for i in range(int(self._file.field("n-subifds") or 0))]
        else:
            places = []
        for page, subpage in places:
            try:
                yield VipsSource.of(self._header, self._reader, page=page, subpage=subpage)
            except IngestError:  # a damaged copy is as good as none
                continue

    def _read_inside(self, region: Rect) -> Pixels:
        samples = self._file.read(*region)
        value_range = None if has_agreed_white(samples.dtype, self._encoding) else self._range
        return samples_to_srgb(samples, self._encoding, value_range, self._nodata)

    @cached_property
    def _range(self) -> Range | None:
        """The finite minimum and maximum of the image: one pass over all of it."""
        firsts = (self._file.read(*block)[:, :, :1] for block in self._blocks())
        ranges = [found for first in firsts if (found := range_of(first, self._nodata))]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None

    def _blocks(self) -> Iterator[Rect]:
        width, height = self.size
        for y in range(0, height, _RANGE_PX):
            for x in range(0, width, _RANGE_PX):
                yield x, y, min(_RANGE_PX, width - x), min(_RANGE_PX, height - y)


def _holds(size: tuple[int, int], smaller: tuple[int, int]) -> bool:
    return size[0] >= smaller[0] and size[1] >= smaller[1]


def _header(path: Path) -> ImageHeader:
    if not path.is_file():
        raise IngestError("no such file", source=str(path), code="not_found")
    name = image_format(path, has_signature=True)
    if name is None:
        raise IngestError("not an image in a format that libvips reads here", source=str(path), code="unsupported")
    return read_header(path, name)
