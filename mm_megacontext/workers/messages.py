"""What a worker is asked of a document or an image, and what it answers; a page comes back as ``document.Page``.

Every request names its file, so that any worker can serve it, and a new one after a crash. Paths and passwords are
bytes: what is text is cleaned on its way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mm_megacontext.document import FileFormat, SourceKind
from mm_megacontext.errors import ErrorCode
from mm_megacontext.limits import IngestLimits

EXIT_NO_MEMORY = 71
"""Exit code of a worker whose memory ran out outside a page."""
MOST_REQUEST_BYTES = 1 << 16
_BESIDE_BYTES = 1 << 14  # failures say what is wrong


OpenerName = Literal["pdf pages", "pdf pixels", "flow", "image"]
"""What a worker is made for: see ``openers``."""

Stamp = tuple[int, int, int, int]
"""Device, inode, bytes and time of change (ns): another file of that name has another one."""


class Purpose(NamedTuple):
    """What a worker is made for, and for pages of PDFs by which layout engine."""

    opener: OpenerName
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFile:
    """A document as one of its readers opens it.

    Attributes:
        path: Absolute, as ``os.fsencode`` gives it.
        stamp: Tells it from another file of that name.
        password: UTF-8, or None.
        opener: What opens it: PDFs are read by a layout engine and drawn by PDFium, all others are set, read and drawn
            by one that makes pages of them.
        engine: Name of the layout engine that reads the pages of a PDF; empty for others.
        format: What it is opened as.
    """

    path: bytes
    stamp: Stamp
    password: bytes | None
    opener: Literal["pdf pages", "pdf pixels", "flow"]
    engine: str = ""
    format: FileFormat = "pdf"

    @property
    def purpose(self) -> Purpose:
        """What its workers are made for."""
        return Purpose(self.opener, self.engine)

    @property
    def identity(self) -> tuple[bytes, Stamp]:
        """What all readers of one file have in common."""
        return self.path, self.stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image file and what is refused of it.

    Attributes:
        path: Absolute, as ``os.fsencode`` gives it.
        stamp: Tells it from another file of that name.
        max_pixels, max_decoded_pixels, max_scratch_bytes, max_expansion: See ``IngestLimits``.
        is_looked_at: Only little of it is read: see ``vision.sources.files.open_to_look_at``.
        page: From 1; only a TIFF has more than one.
    """

    path: bytes
    stamp: Stamp
    max_pixels: int
    max_decoded_pixels: int
    max_scratch_bytes: int
    max_expansion: int
    is_looked_at: bool = False
    page: int = 1

    @property
    def purpose(self) -> Purpose:
        """What its workers are made for."""
        return Purpose("image")

    @property
    def identity(self) -> tuple[bytes, Stamp]:
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


@dataclass(frozen=True, slots=True)
class Count:
    """How many pages are there?"""

    file: DocumentFile


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What stands on a page, from 1?

    Attributes:
        ocr: Tesseract's path and languages; an empty path where it is not installed; None to leave scans alone.
    """

    file: DocumentFile
    number: int
    ocr: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Measure:
    """How large is a page, from 1?"""

    file: DocumentFile
    number: int


@dataclass(frozen=True, slots=True)
class Render:
    """A rectangle (x, y, width, height) of a page, from 1, in its pixels at so many a point."""

    file: DocumentFile
    number: int
    rect: tuple[int, int, int, int]
    px_per_pt: float


@dataclass(frozen=True, slots=True)
class Identify:
    """In which format is it? Asked of those with a signature, or of those without: see ``header.image_format``."""

    file: ImageFile
    has_signature: bool


@dataclass(frozen=True, slots=True)
class CountImage:
    """How many pages has an image file of this format?"""

    file: ImageFile
    format: str


@dataclass(frozen=True, slots=True)
class ReadImage:
    """What is on it, on the page that ``file`` names?

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


DocumentRequest = Count | ReadPage | Measure | Render
ImageRequest = Identify | CountImage | ReadImage | OpenPixels | ReadPixels | ReadOverview
Request = DocumentRequest | ImageRequest
REQUESTS = (Count, ReadPage, Measure, Render, Identify, CountImage, ReadImage, OpenPixels, ReadPixels, ReadOverview)


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
class Identified:
    """The format; None where it is none that is read."""

    format: str | None


@dataclass(frozen=True, slots=True)
class PixelsOpened:
    """Width and height in pixels; the micrometres a pixel is wide and high, if known."""

    width: int
    height: int
    scale: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class PixelRows:
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
