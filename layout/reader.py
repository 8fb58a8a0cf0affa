"""``read``: any supported file as a Document, told apart by what is in it and not by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mm_megacontext.document import Document, LayoutMethod
from mm_megacontext.image_files.header import DEEP_ZOOM
from mm_megacontext.invisible_text import document_told_apart
from mm_megacontext.layout.document_reader import read_flow, read_pdf
from mm_megacontext.layout.formats import SUFFIXES, check_name, format_of, refuse_unsupported, unknown, with_article
from mm_megacontext.layout.image_reader import identify, read_image
from mm_megacontext.layout.page.ocr import Ocr, find_ocr
from mm_megacontext.layout.text.plain_text import read_text, text_encoding
from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import SourceFile, look_at


def read(
    path: str | Path | SourceFile,
    *,
    engine: str = "auto",
    layout: LayoutMethod = "geometric",
    password: str | None = None,
    ocr: str = "auto",
    limits: IngestLimits | None = None,
) -> Document:
    """Open a file as a document: a PDF, an image, a text, Markdown, HTML, a book or an office file.

    Args:
        path: The file, or what ``look_at`` made of it, so that it is not hashed again. Its content decides what it is;
            an extension that names another kind of file is an error.
        engine: How PDF files are read: ``"pymupdf"``, ``"pdfium"``, the name of a plug-in, or ``"auto"``: PyMuPDF
            where it is installed, PDFium where it is not or cannot open the file.
        layout: How regions of PDF pages and their order are found: by geometry, or ``"neural"``: by the model of
            PyMuPDF 2, which takes half a second to a second a page, see docs/benchmarks.md.
        password: For an encrypted PDF.
        ocr: How scanned pages and images become text, see ``ocr.find_ocr``: ``"auto"``, ``"off"``, or Tesseract's
            languages. Of images, those of at most ``image_words.MAX_OCR_PIXELS``.
        limits: What is refused, and what reading may take.

    Raises:
        IngestError: The file is missing, empty, damaged, encrypted, or of an unsupported kind.
        LimitExceeded: The file is larger or has more pages than ``limits`` allow, or opening it takes longer.
        MissingExtra: ``engine``, the model of the layout or what ``ocr`` names is not installed.
        ValueError: ``engine`` is unknown, or has no such layout.
    """
    file = path if isinstance(path, SourceFile) else look_at(path)
    how = _How(engine, layout, password, ocr, limits or IngestLimits())
    for reader in _READERS:
        document = reader(file, how)
        if document is not None:
            return document_told_apart(document)
    raise unknown(file)


@dataclass(frozen=True, slots=True)
class _How:
    """The arguments of ``read``."""

    engine: str
    layout: LayoutMethod
    password: str | None
    ocr: str
    limits: IngestLimits

    @property
    def reads_scans(self) -> Ocr | None:
        return find_ocr(self.ocr)


def _pdf(file: SourceFile, how: _How) -> Document | None:
    if format_of(file.head, file.suffix) != "pdf":
        return None
    check_name(file, "pdf", "a PDF", "pdf")
    file.check_size(how.limits)
    return read_pdf(file, how.engine, how.layout, how.password, how.reads_scans, how.limits)


def _flow(file: SourceFile, how: _How) -> Document | None:
    file_format = format_of(file.head, file.suffix)
    if file_format is None:
        return None
    file.check_size(how.limits)
    document = read_flow(file, file_format, how.reads_scans, how.limits)
    kind = document.kind  # of an archive, only who opened it can tell
    check_name(file, kind, f"{with_article(kind.upper())} file", kind)
    return document


def _image_with_signature(file: SourceFile, how: _How) -> Document | None:
    refuse_unsupported(file)
    return _image(file, how, has_signature=True)


def _text(file: SourceFile, how: _How) -> Document | None:
    encoding = text_encoding(file.path, file.head)
    if encoding is None:
        return None
    check_name(file, "text", "plain text", "txt")
    file.check_size(how.limits)
    return read_text(file, encoding, how.limits, is_markdown=file.suffix in SUFFIXES["markdown"])


def _image_without_signature(file: SourceFile, how: _How) -> Document | None:
    return _image(file, how, has_signature=False)


def _image(file: SourceFile, how: _How, *, has_signature: bool) -> Document | None:
    name = identify(file, how.limits, has_signature=has_signature)
    if name is None:
        return None
    check_name(file, "image", f"{with_article(name)} image", "dzi" if name == DEEP_ZOOM else name.lower())
    return read_image(file, name, how.reads_scans, how.limits)


_READERS: tuple[Callable[[SourceFile, _How], Document | None], ...] = (
    _pdf,
    _flow,
    _image_with_signature,
    _text,
    _image_without_signature,
)
"""In turn: the first that knows a file reads it. Text comes before images that any bytes may be."""
