"""What a worker is asked of an image file, and what it answers; its page comes back as ``document.Page``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mm_megacontext.errors import IngestError
from mm_megacontext.limits import IngestLimits

IMAGES = "images"
"""Stands for an engine where a file is an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image file and what is refused of it.

    Attributes:
        path: Absolute, as ``os.fsencode`` gives it.
        stamp: Device, inode, bytes and time of change (ns): another file of that name has another one.
        max_pixels, max_decoded_pixels, max_scratch_bytes, max_expansion: See ``IngestLimits``.
        is_looked_at: Only little of it is read: see ``vision.files.open_to_look_at``.
    """

    path: bytes
    stamp: tuple[int, int, int, int]
    max_pixels: int
    max_decoded_pixels: int
    max_scratch_bytes: int
    max_expansion: int
    is_looked_at: bool = False

    @property
    def engine(self) -> str:
        """What its workers are made for."""
        return IMAGES

    @property
    def identity(self) -> tuple[bytes, tuple[int, int, int, int]]:
        """What all who read one file have in common."""
        return self.path, self.stamp

    @property
    def limits(self) -> IngestLimits:
        """Those of its pixels."""
        return IngestLimits(
            max_pixels=self.max_pixels,
            max_decoded_pixels=self.max_decoded_pixels,
            max_scratch_bytes=self.max_scratch_bytes,
            max_expansion=self.max_expansion,
        )


def image_file(path: str | Path, limits: IngestLimits, *, is_looked_at: bool = False) -> ImageFile:
    """How a worker is told of a file. Raises IngestError where it is gone."""
    if not Path(path).is_file():
        raise IngestError("no such file", source=str(path), code="not_found")
    stat = os.stat(path)
    return ImageFile(
        path=os.fsencode(os.path.abspath(path)),
        stamp=(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns),
        max_pixels=limits.max_pixels,
        max_decoded_pixels=limits.max_decoded_pixels,
        max_scratch_bytes=limits.max_scratch_bytes,
        max_expansion=limits.max_expansion,
        is_looked_at=is_looked_at,
    )


@dataclass(frozen=True, slots=True)
class Identify:
    """In which format is it? Asked of those with a signature, or of those without: see ``image_format``."""

    file: ImageFile
    has_signature: bool


@dataclass(frozen=True, slots=True)
class ReadImage:
    """What is on it?

    Attributes:
        format: What it was identified as.
        ocr: Tesseract's path and languages; None to leave words alone.
    """

    file: ImageFile
    format: str
    ocr: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class OpenPixels:
    """How large is it, upright, and how large are its pixels?"""

    file: ImageFile


@dataclass(frozen=True, slots=True)
class ReadPixels:
    """A rectangle (x, y, width, height) inside the image."""

    file: ImageFile
    rect: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ReadOverview:
    """All of it at a level, of this width and height, for people to look at."""

    file: ImageFile
    level: int
    size: tuple[int, int]


ImageRequest = Identify | ReadImage | OpenPixels | ReadPixels | ReadOverview
IMAGE_REQUESTS = (Identify, ReadImage, OpenPixels, ReadPixels, ReadOverview)


@dataclass(frozen=True, slots=True)
class Identified:
    """The format; None where it is none that is read."""

    format: str | None


@dataclass(frozen=True, slots=True)
class PixelsOpened:
    """Width and height in pixels; the micrometres a pixel is wide and high, if known."""

    width: int
    height: int
    scale: tuple[float, float] | None
