"""Image files as documents of one page, through workers: no byte of theirs is decoded in this process.

What is decided here is decided by the first bytes, compared with the signatures of formats.
"""

from __future__ import annotations

from mm_megacontext.document import Document, Page
from mm_megacontext.image_files.header import DEEP_ZOOM, known_by_signature
from mm_megacontext.layout.page.ocr import Ocr, Tesseract
from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import SourceFile
from mm_megacontext.workers.client import ask, image_file
from mm_megacontext.workers.messages import Identify, ReadImage


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
    """An image file as a document of one page. Of several frames, the first one counts.

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
    page: Page = ask(ReadImage(image_file(file.path, limits), image_format, wanted), limits)
    return Document(str(file.path), "image", "px", 1, file.content_hash, lambda: iter((page,)))
