"""What a file is, by its first bytes, as far as a process may say that opens no stranger's file.

Archives are only told to be such: what they hold is for the process that reads them, see ``document_file``.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

from mm_megacontext.document import FileFormat, SourceKind

TYPESET_KINDS: frozenset[SourceKind] = frozenset({"html", "epub", "docx", "xlsx", "pptx"})
"""What has no pages of its own, and says itself what is a heading, a list or a table."""

NO_PYMUPDF = "is set by PyMuPDF, which is not installed: pip install 'mm-megacontext[pymupdf]'"

HTML_SUFFIXES = {".html", ".htm", ".xhtml", ".xht"}
ZIP_SUFFIXES = {
    ".epub",
    ".docx",
    ".docm",
    ".dotx",
    ".xlsx",
    ".xlsm",
    ".xltx",
    ".pptx",
    ".pptm",
    ".ppsx",
    ".xps",
    ".oxps",
}
BOOK_SUFFIXES = {".fb2", ".mobi", ".azw", ".prc"}

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
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[_MOBI_AT : _MOBI_AT + len(_MOBI_MARK)] == _MOBI_MARK:
        return "mobi"
    text = _in_ascii(head)
    start = text[_LEADING.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    if b"<FictionBook" in start[:1024]:
        return "fb2"
    if suffix in HTML_SUFFIXES:
        return "html" if _TAG.search(text) and b"\x00" not in text else None
    return "html" if _HTML.match(start) and suffix in ("", ".asp", ".aspx", ".php", ".jsp") else None


def _in_ascii(head: bytes) -> bytes:
    """The same without the zeros of UTF-16, where it is that."""
    return head.replace(b"\x00", b"") if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head


def can_set_pages() -> bool:
    """Whether there is what sets and draws documents without pages of their own."""
    return find_spec("pymupdf") is not None
