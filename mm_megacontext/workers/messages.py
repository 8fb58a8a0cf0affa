"""What a PDF worker is asked, and what it answers; a page comes back as ``document.Page``.

Every request names its file, so that any worker can serve it, and a new one after a crash. Paths and passwords are
bytes: what is text is cleaned on its way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mm_megacontext.document import SourceKind
from mm_megacontext.errors import ErrorCode
from mm_megacontext.layout.formats import FileFormat
from mm_megacontext.layout.image_messages import (
    IMAGE_REQUESTS,
    ImageRequest,
    ReadImage,
    ReadOverview,
    ReadPixels,
)

EXIT_NO_MEMORY = 71
"""Exit code of a worker whose memory ran out outside a page."""
RENDERER = "pdfium for pixels"
"""Stands for an engine where a file is opened to be rendered."""
SETTER = "pymupdf for pages"
"""Stands for an engine where what is no PDF is set, read and drawn."""
MOST_REQUEST_BYTES = 1 << 16
_BESIDE_BYTES = 1 << 14  # failures say what is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfFile:
    """A file as one reader opens it.

    Attributes:
        path: Absolute, as ``os.fsencode`` gives it.
        stamp: Device, inode, bytes and time of change (ns): another file of that name has another one.
        password: UTF-8, or None.
        engine: Name of a layout engine, or ``RENDERER``; ``SETTER`` for all files that are no PDFs.
        format: What it is opened as.
    """

    path: bytes
    stamp: tuple[int, int, int, int]
    password: bytes | None
    engine: str
    format: FileFormat = "pdf"

    @property
    def identity(self) -> tuple[bytes, tuple[int, int, int, int]]:
        """What all readers of one file have in common."""
        return self.path, self.stamp


@dataclass(frozen=True, slots=True)
class Count:
    """How many pages are there?"""

    file: PdfFile


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What stands on a page, from 1?

    Attributes:
        ocr: Tesseract's path and languages; an empty path where it is not installed; None to leave scans alone.
    """

    file: PdfFile
    number: int
    ocr: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Measure:
    """How large is a page, from 1?"""

    file: PdfFile
    number: int


@dataclass(frozen=True, slots=True)
class Render:
    """A rectangle (x, y, width, height) of a page, from 1, in its pixels at so many a point."""

    file: PdfFile
    number: int
    rect: tuple[int, int, int, int]
    px_per_pt: float


PdfRequest = Count | ReadPage | Measure | Render
Request = PdfRequest | ImageRequest
REQUESTS = (Count, ReadPage, Measure, Render, *IMAGE_REQUESTS)


def most_bytes(request: Request) -> int:
    """The longest answer that is taken: what is unpacked of a few bytes may be sixty times as large.

    A page of 20 000 words takes a MiB.
    """
    if isinstance(request, ReadPage | ReadImage):
        return 8 << 20
    return 3 * math.prod(asked_size(request) or (0,)) + _BESIDE_BYTES


def asked_size(request: Request) -> tuple[int, int] | None:
    """Width and height of the pixels that are asked for; None where none are."""
    if isinstance(request, Render | ReadPixels):
        return request.rect[2:]
    return request.size if isinstance(request, ReadOverview) else None


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of pages, and what the file is: of an archive, only who opens it can tell."""

    n_pages: int
    kind: SourceKind = "pdf"


@dataclass(frozen=True, slots=True)
class Measured:
    """Width and height in points."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Pixels:
    """RGB, row by row."""

    rgb: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """The file or page cannot be read.

    ``kind`` is what is raised of it: IngestError, or MissingExtra where the engine is not installed.
    """

    kind: Literal["ingest", "missing extra"]
    code: ErrorCode
    message: str
