"""``read``: any supported file as a Document, told apart by what is in it and not by its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mm_megacontext.document import Document, Layout, SourceKind
from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.image_files.deep_zoom import belongs_to_deep_zoom
from mm_megacontext.image_files.header import DEEP_ZOOM
from mm_megacontext.layout.formats import BOOK_SUFFIXES, HTML_SUFFIXES, ZIP_SUFFIXES, format_of
from mm_megacontext.layout.image_reader import identify, read_image
from mm_megacontext.layout.ocr import find_ocr
from mm_megacontext.layout.pdf_reader import read_flow, read_pdf
from mm_megacontext.layout.text.plain_text import read_text, text_encoding
from mm_megacontext.limits import IngestLimits

_HEAD_BYTES = 4096
_PDF_MARK = b"%PDF-"
_PDF_MARK_WITHIN = 1024  # readers accept garbage of this length before the PDF header
_HASH_BYTES = 1 << 20

_PDF_SUFFIXES = {".pdf"}
_MARKDOWN_SUFFIXES = {".md", ".markdown"}
_TEXT_SUFFIXES = {".txt", ".text", ".csv", ".tsv", ".log", ".rst", *_MARKDOWN_SUFFIXES}
_SLIDE_SUFFIXES = {".svs", ".ndpi", ".scn", ".bif"}
_IMAGE_SUFFIXES = {
    ".png",
    ".jpg",
    ".jpeg",
    ".jp2",
    ".tif",
    ".tiff",
    ".btf",
    ".webp",
    ".gif",
    ".bmp",
    ".dzi",
} | _SLIDE_SUFFIXES

_SET_SUFFIXES = HTML_SUFFIXES | ZIP_SUFFIXES | BOOK_SUFFIXES

SUPPORTED_SUFFIXES = _PDF_SUFFIXES | _TEXT_SUFFIXES | _IMAGE_SUFFIXES | _SET_SUFFIXES
"""Names that are looked at when a directory is read; a file named directly may be called anything."""

_UNSUPPORTED = (
    (b"%!PS", "PostScript: convert it to PDF"),
    (b"\xc5\xd0\xd3\xc6", "EPS: convert it to PDF"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old office document: export it as PDF"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it"),
    (b"{\\rtf", "RTF: export it as PDF"),
)


def read(
    path: str | Path,
    *,
    engine: str = "auto",
    layout: Layout = "geometric",
    password: str | None = None,
    ocr: str = "auto",
    limits: IngestLimits | None = None,
) -> Document:
    """Open a file as a document: a PDF, an image, a text, Markdown, HTML, a book or an office file.

    Args:
        path: The file. Its content decides what it is; an extension that names another kind of file is an error.
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
    path, limits = Path(path), limits or IngestLimits()
    head, digest = _head_and_hash(path)
    if _PDF_MARK in head[:_PDF_MARK_WITHIN]:
        _check_suffix(path, "a PDF", "pdf", _TEXT_SUFFIXES | _IMAGE_SUFFIXES | _SET_SUFFIXES)
        _check_bytes(path, limits)
        return read_pdf(path, digest, engine, layout, password, find_ocr(ocr), limits)
    file_format = format_of(head, path.suffix.lower())
    if file_format is not None:
        _check_bytes(path, limits)
        document = read_flow(path, digest, file_format, find_ocr(ocr), limits)
        _check_suffix(
            path, f"{_article(document.kind)} {document.kind.upper()} file", document.kind, _wrong(document.kind)
        )
        return document
    _refuse_unsupported(path, head)
    name = identify(path, head, limits, has_signature=True)
    if name is None:
        encoding = text_encoding(path, head)
        if encoding is not None:
            _check_suffix(path, "plain text", "txt", _PDF_SUFFIXES | _IMAGE_SUFFIXES | _SET_SUFFIXES)
            _check_bytes(path, limits)
            is_markdown = path.suffix.lower() in _MARKDOWN_SUFFIXES
            return read_text(path, digest, encoding, is_markdown=is_markdown)
        name = identify(path, head, limits, has_signature=False)
    if name is None:
        raise IngestError(
            f"unsupported file ({_guess(path, head)}): give a PDF, image, book, office file, HTML or UTF-8 text",
            source=str(path),
            code="unsupported",
        )
    suffix = "dzi" if name == DEEP_ZOOM else name.lower()
    _check_suffix(path, f"{_article(name)} {name} image", suffix, _PDF_SUFFIXES | _TEXT_SUFFIXES | _SET_SUFFIXES)
    return read_image(path, digest, name, find_ocr(ocr), limits)


def content_hash(path: Path) -> str:
    """The hash that the document of a file has, without opening it. Raises IngestError where it cannot be read."""
    return _head_and_hash(path)[1]


def is_pdf(path: Path) -> bool:
    """Whether a file would be read as a PDF; False where it cannot be read at all."""
    try:
        with path.open("rb") as stream:
            return _PDF_MARK in stream.read(_PDF_MARK_WITHIN)
    except OSError:
        return False


def is_image_name(path: Path) -> bool:
    """Whether a file is named like an image."""
    return path.suffix.lower() in _IMAGE_SUFFIXES


def is_supported_name(path: Path) -> bool:
    """Whether a file in a directory looks like one that can be read, and is no tile of another one."""
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not belongs_to_deep_zoom(path)


def _head_and_hash(path: Path) -> tuple[bytes, str]:
    """The first bytes of a file and the sha256 of all of them."""
    digest = hashlib.sha256()
    head = b""
    try:
        if path.is_dir():
            raise IngestError(
                "is a directory: give a file, or ingest the directory", source=str(path), code="not_found"
            )
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "no such file: check the path"
            raise IngestError(what, source=str(path), code="not_found")
        with path.open("rb") as stream:
            while chunk := stream.read(_HASH_BYTES):
                head = head or chunk[:_HEAD_BYTES]
                digest.update(chunk)
    except (OSError, ValueError) as e:
        if isinstance(e, IngestError):
            raise
        reason = getattr(e, "strerror", None) or str(e)
        raise IngestError(f"cannot be read ({reason})", source=str(path), code="not_found") from e
    if not head:
        raise IngestError("the file is empty", source=str(path), code="empty")
    return head, digest.hexdigest()


def _check_bytes(path: Path, limits: IngestLimits) -> None:
    n_bytes = path.stat().st_size
    if n_bytes > limits.max_file_bytes:
        raise LimitExceeded(
            f"the file has {n_bytes} bytes, more than the limit of {limits.max_file_bytes}: raise max_file_bytes",
            source=str(path),
            code="limit_size",
        )


def _check_suffix(path: Path, what: str, right_suffix: str, wrong: set[str]) -> None:
    if path.suffix.lower() in wrong:
        raise IngestError(
            f"the extension says {path.suffix[1:].lower()} but the content is {what}: rename it to .{right_suffix}",
            source=str(path),
            code="misnamed",
        )


_SUFFIXES: dict[SourceKind, set[str]] = {
    "html": HTML_SUFFIXES,
    "epub": {".epub"},
    "xps": {".xps", ".oxps"},
    "fb2": {".fb2"},
    "mobi": {".mobi", ".azw", ".prc"},
    "docx": {".docx", ".docm", ".dotx"},
    "xlsx": {".xlsx", ".xlsm", ".xltx"},
    "pptx": {".pptx", ".pptm", ".ppsx"},
}


def _wrong(kind: SourceKind) -> set[str]:
    """Names that a file of ``kind`` must not have, as it would be taken for another."""
    return (_PDF_SUFFIXES | _TEXT_SUFFIXES | _IMAGE_SUFFIXES | _SET_SUFFIXES) - _SUFFIXES[kind]


def _refuse_unsupported(path: Path, head: bytes) -> None:
    for mark, what in _UNSUPPORTED:
        if head.startswith(mark):
            raise IngestError(f"unsupported: this is {what}", source=str(path), code="unsupported")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg")) and b"<svg" in start:
        raise IngestError("unsupported: this is SVG: convert it to PNG or PDF", source=str(path), code="unsupported")


def _guess(path: Path, head: bytes) -> str:
    if path.suffix.lower() in _PDF_SUFFIXES:
        return "it is named .pdf but has no PDF header"
    return f"it starts with bytes {head[:4].hex(' ')} and is neither UTF-8 nor a known image"


def _article(name: str) -> str:
    return "an" if name[:1].upper() in "AEIO" or name[:2].lower() in ("ht", "fb", "mo", "xp", "xl") else "a"
