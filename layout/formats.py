"""Which files are read: their names, and what they are by their first bytes.

Nothing of a stranger's file is opened here. Archives are only told to be such: what they hold is for the process that
reads them, see ``flow.open_document``.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from mm_megacontext.document import FileFormat, SourceKind
from mm_megacontext.errors import IngestError
from mm_megacontext.image_files.deep_zoom import belongs_to_deep_zoom
from mm_megacontext.source_file import SourceFile

SUFFIXES: dict[SourceKind, tuple[str, ...]] = {
    "pdf": (".pdf",),
    "image": tuple(".png .jpg .jpeg .jp2 .tif .tiff .btf .webp .gif .bmp .dzi .svs .ndpi .scn .bif".split()),
    "text": (".txt", ".text", ".csv", ".tsv", ".log", ".rst"),
    "markdown": (".md", ".markdown"),
    "html": (".html", ".htm", ".xhtml", ".xht"),
    "epub": (".epub",),
    "xps": (".xps", ".oxps"),
    "fb2": (".fb2",),
    "mobi": (".mobi", ".azw", ".prc"),
    "docx": (".docx", ".docm", ".dotx"),
    "xlsx": (".xlsx", ".xlsm", ".xltx"),
    "pptx": (".pptx", ".pptm", ".ppsx"),
}
"""How files of each kind are named."""

SUPPORTED_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
"""Names that are looked at when a directory is read; a file named directly may be called anything."""

TYPESET_KINDS: frozenset[SourceKind] = frozenset({"html", "epub", "docx", "xlsx", "pptx"})
"""What has no pages of its own, and says itself what is a heading, a list or a table."""

NO_PYMUPDF = "is set by PyMuPDF, which is not installed: pip install 'mm-megacontext[pymupdf]'"

_SAME_CONTENT: tuple[frozenset[SourceKind], ...] = (frozenset({"text", "markdown"}),)
"""Kinds that only their names tell apart."""

_COMPOUND_MARK = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
"""What a compound file lists that is an office file under a password ([MS-OFFCRYPTO] 2.3.4.4)."""
_LIST_BYTES = 4096  # of a compound file's list of parts: those of a password are among the first

_UNSUPPORTED = (
    (b"%!PS", "PostScript: convert it to PDF"),
    (b"\xc5\xd0\xd3\xc6", "EPS: convert it to PDF"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (_COMPOUND_MARK, "an old office document: export it as PDF"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it"),
    (b"{\\rtf", "RTF: export it as PDF"),
)

_PDF_MARK = b"%PDF-"
_PDF_MARK_WITHIN = 1024  # readers accept garbage of this length before the PDF header
_MOBI_MARK, _MOBI_AT = b"BOOKMOBI", 60
_LEADING = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|<\?xml[^>]*\?>|<!--.*?-->)*", re.DOTALL)
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_TAG = re.compile(rb"<[a-zA-Z!?/][^>]*>")


def format_of(head: bytes, suffix: str) -> FileFormat | None:
    """What a file is that starts with ``head``; None for one that is read in another way, or not at all.

    Args:
        head: The first bytes.
        suffix: Of its name, in lower case: tells HTML from text that quotes it.
    """
    if _PDF_MARK in head[:_PDF_MARK_WITHIN]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[_MOBI_AT : _MOBI_AT + len(_MOBI_MARK)] == _MOBI_MARK:
        return "mobi"
    text = _in_ascii(head)
    start = text[_LEADING.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if b"<FictionBook" in start[:1024]:
        return "fb2"
    if suffix in SUFFIXES["html"]:
        return "html" if _TAG.search(text) and b"\x00" not in text else None
    return "html" if _HTML.match(start) and suffix in ("", ".asp", ".aspx", ".php", ".jsp") else None


def is_pdf(path: Path) -> bool:
    """Whether a file would be read as a PDF; False where it cannot be read at all."""
    try:
        with path.open("rb") as stream:
            return _PDF_MARK in stream.read(_PDF_MARK_WITHIN)
    except OSError:
        return False


def is_image_name(path: Path) -> bool:
    """Whether a file is named like an image."""
    return path.suffix.lower() in SUFFIXES["image"]


def is_supported_name(path: Path) -> bool:
    """Whether a file in a directory looks like one that can be read, and is no tile of another one."""
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not belongs_to_deep_zoom(path)


def can_set_pages() -> bool:
    """Whether there is what sets and draws documents without pages of their own."""
    return find_spec("pymupdf") is not None


def check_name(file: SourceFile, kind: SourceKind, what: str, right_suffix: str) -> None:
    """Refuse a name that says that a file is of another kind than it is.

    Args:
        file: Read as being of ``kind``.
        kind: What it is.
        what: What to call that in a message, without an article.
        right_suffix: What its name should end in, without the dot.

    Raises:
        IngestError: It has the name of another kind; other names are as good as any.
    """
    alike = next((kinds for kinds in _SAME_CONTENT if kind in kinds), {kind})
    if file.suffix in SUPPORTED_SUFFIXES.difference(*(SUFFIXES[other] for other in alike)):
        raise IngestError(
            f"the extension says {file.suffix[1:]} but the content is {what}: rename it to .{right_suffix}",
            source=str(file.path),
            code="misnamed",
        )


def refuse_unsupported(file: SourceFile) -> None:
    """Raises IngestError for a file of a kind that is known and not read; it says what to do with it."""
    if file.head.startswith(_COMPOUND_MARK) and _is_encrypted(file):
        raise IngestError(
            "the office file is protected by a password: save it without one, or export it as PDF",
            source=str(file.path),
            code="password_required",
        )
    for mark, what in _UNSUPPORTED:
        if file.head.startswith(mark):
            raise IngestError(f"unsupported: this is {what}", source=str(file.path), code="unsupported")
    start = file.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg")) and b"<svg" in start:
        raise IngestError(
            "unsupported: this is SVG: convert it to PNG or PDF", source=str(file.path), code="unsupported"
        )


def _is_encrypted(file: SourceFile) -> bool:
    """Whether a compound file is an office file under a password, by the list of its parts ([MS-CFB] 2.2)."""
    sector_bytes = 1 << min(12, int.from_bytes(file.head[0x1E:0x20], "little"))
    first = int.from_bytes(file.head[0x30:0x34], "little")
    try:
        with file.path.open("rb") as stream:
            stream.seek((first + 1) * sector_bytes)
            return _ENCRYPTED in stream.read(_LIST_BYTES)
    except OSError:
        return False


def unknown(file: SourceFile) -> IngestError:
    """What is raised for a file that is nothing that is read."""
    guess = (
        "it is named .pdf but has no PDF header"
        if file.suffix in SUFFIXES["pdf"]
        else f"it starts with bytes {file.head[:4].hex(' ')} and is neither UTF-8 nor a known image"
    )
    return IngestError(
        f"unsupported file ({guess}): give a PDF, image, book, office file, HTML or UTF-8 text",
        source=str(file.path),
        code="unsupported",
    )


def with_article(name: str) -> str:
    """A name with "a" or "an" before it, as it is spoken."""
    is_vowel = name[:1].upper() in "AEIO" or name[:2].lower() in ("ht", "fb", "mo", "xp", "xl")
    return f"{'an' if is_vowel else 'a'} {name}"


def _in_ascii(head: bytes) -> bytes:
    """The same without the zeros of UTF-16, where it is that."""
    return head.replace(b"\x00", b"") if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head
