"""Image files as documents of one page, through workers: no byte of theirs is decoded in this process.

What is decided here is decided by the first bytes, compared with the signatures of formats.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from mm_megacontext.document import Document, Page
from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.image_files.header import DEEP_ZOOM, known_by_signature
from mm_megacontext.layout.page.ocr import Ocr, Tesseract
from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import SourceFile
from mm_megacontext.workers.client import ask, image_file
from mm_megacontext.workers.messages import CountImage, Identify, ReadImage


def identify(file: SourceFile, limits: IngestLimits, *, has_signature: bool) -> str | None:
    """The format of an image file, see ``header.image_format``; None where it is none.

    Args:
        file: Where no format is known by its first bytes, it is not opened.
        limits: Of the worker.
        has_signature: Try the formats known by their first bytes, or those without a signature.

    Raises:
        IngestError: A worker that looked at it crashed or took too long or too much.
    """
    if has_signature:
        known = known_by_signature(file.head)
        if known in ("TIFF", DEEP_ZOOM, None):
            return known
    found: str | None = ask(Identify(image_file(file.path, limits), has_signature), limits).format
    return found


def read_image(file: SourceFile, image_format: str, ocr: Ocr | None, limits: IngestLimits) -> Document:
    """An image file as a document of one page, or of as many as a TIFF has. Of frames of other files the first counts.

    Args:
        file: The file.
        image_format: What ``identify`` says it is.
        ocr: What reads the words on it, if anything. Without Tesseract an image is a picture, and no problem.
        limits: What is refused, and what reading may take.

    Raises:
        LimitExceeded: The image is larger, or takes longer or more memory, than ``limits`` allow; the message names
            the limit.
        IngestError: It is truncated or damaged, or needs libvips, which is not installed; or its decoder crashed.
    """
    wanted = (ocr.executable, ocr.languages) if isinstance(ocr, Tesseract) else None
    first: Page = ask(ReadImage(image_file(file.path, limits), image_format, wanted), limits)
    n_pages = _count(file, limits) if image_format == "TIFF" else 1

    def pages() -> Iterator[Page]:
        yield first
        seconds_left = limits.document_seconds
        for number in range(2, n_pages + 1):
            begun = time.monotonic()
            page = _page(file, number, wanted, limits) if seconds_left > 0 else _late(number, limits)
            seconds_left -= time.monotonic() - begun
            yield page

    return Document(str(file.path), "image", "px", n_pages, file.content_hash, pages)


def _count(file: SourceFile, limits: IngestLimits) -> int:
    """The pages of a TIFF. Raises LimitExceeded where they are too many, IngestError."""
    n_pages: int = ask(CountImage(image_file(file.path, limits), "TIFF"), limits).n_pages
    if n_pages > limits.max_pages:
        raise LimitExceeded(
            f"it has {n_pages} pages, more than the limit of {limits.max_pages}: raise max_pages",
            source=str(file.path),
            code="limit_pages",
        )
    return n_pages


def _late(number: int, limits: IngestLimits) -> Page:
    why = f"the pages before it took more than the limit of {limits.document_seconds:g} s: raise document_seconds"
    return Page(number, (0.0, 0.0), (), problem=why, code="limit_time")


def _page(file: SourceFile, number: int, ocr: tuple[str, str] | None, limits: IngestLimits) -> Page:
    """A page of a TIFF behind the first; what is wrong with it is its problem, not the file's."""
    try:
        page: Page = ask(ReadImage(image_file(file.path, limits, page=number), "TIFF", ocr), limits, number)
    except IngestError as e:
        return Page(number, (0.0, 0.0), (), problem=e.reason.removeprefix(f"page {number}: "), code=e.code)
    return page
