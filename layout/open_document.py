"""Files other than PDFs as the process opens them that reads them: from memory, with no way to any other file.

A file is read whole. Then, but for XPS, whose scans may be read by Tesseract, the process can open nothing any more: no
file and no connection, whatever a document asks for and whatever libraries make of it.
"""

from __future__ import annotations

import codecs
import importlib
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mm_megacontext.document import FileFormat, SourceKind
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.flow.book import BookFile
from mm_megacontext.layout.flow.flow import Flow
from mm_megacontext.layout.flow.html.epub import epub_flow
from mm_megacontext.layout.flow.html.flow import page_flow
from mm_megacontext.layout.flow.html.source import decode_html
from mm_megacontext.layout.flow.typeset import TypesetFile
from mm_megacontext.layout.flow.zip_container import ZipContainer, ZipKind
from mm_megacontext.registry import Registry

_OFFICE: dict[ZipKind, str | None] = {"docx": "mammoth", "xlsx": None, "pptx": None}
"""The library that each office format needs beside those that everything needs."""
FLOWS = Registry[Callable[[ZipContainer, bytes], Flow]](
    "reader of office files",
    group="mm_megacontext.office_flows",
    built_in={kind: f"mm_megacontext.layout.flow.{kind}.flow:{kind}_flow" for kind in _OFFICE},
)
_ENCODINGS = (
    "utf-8 utf-16 utf-16-le utf-16-be cp866 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 "
    "iso8859-9 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-roman cp874 cp1250 cp1251 "
    "cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 mac-cyrillic gbk gb18030 gb2312 big5 big5hkscs euc-jp iso2022-jp "
    "shift-jis euc-kr cp437 idna"
).split()
"""Of pages on the web, and of names in archives: Python loads each from a file when it is first used."""
for _name in _ENCODINGS:
    codecs.lookup(_name)

_NO_MEMORY = re.compile(r"\b[mc]alloc\b|\brealloc\b|out of memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """A file that is held open, and what it turned out to be."""

    reader: TypesetFile | BookFile
    kind: SourceKind


def open_document(path: Path, file_format: FileFormat, max_pixels: int) -> OpenDocument:
    """Open a file that is no PDF.

    Args:
        path: The file.
        file_format: What its first bytes say, see ``formats``.
        max_pixels: The most pixels of a page at one a point, and of a picture.

    Raises:
        IngestError: It cannot be read. Libraries may raise anything else on damaged files.
        MemoryError: Reading it takes too much.
    """
    pymupdf.TOOLS.set_icc(False)  # pictures on screens are sRGB: their colours stay as they are
    try:
        return _opened(path.read_bytes(), str(path), file_format, max_pixels)
    except IngestError:
        raise
    except Exception as e:
        if _NO_MEMORY.search(str(e)):  # MuPDF says so in an exception of its own
            raise MemoryError from e
        raise


def _opened(data: bytes, source: str, file_format: FileFormat, max_pixels: int) -> OpenDocument:
    if file_format == "fb2" or file_format == "mobi":
        _close_the_door()
        return OpenDocument(BookFile(data, file_format, source), file_format)
    if file_format == "html":
        _close_the_door()
        flow = page_flow(decode_html(data), lambda address: None)
        return OpenDocument(TypesetFile(flow, source, max_pixels), "html")
    container = ZipContainer(data, source)
    kind = container.kind
    if kind == "xps":
        return OpenDocument(BookFile(data, "xps", source), kind)
    flow_of = _office_reader(kind, source) if kind in _OFFICE else None
    _close_the_door()
    flow = epub_flow(container, source) if flow_of is None else flow_of(container, data)
    return OpenDocument(TypesetFile(flow, source, max_pixels), kind)


def _office_reader(kind: ZipKind, source: str) -> Callable[[ZipContainer, bytes], Flow]:
    """What makes a flow of an office file. Raises IngestError where its library is not installed."""
    library = _OFFICE[kind]
    try:
        if library is not None:
            importlib.import_module(library)
    except ImportError as e:
        raise IngestError(
            f"{kind.upper()} files are read by {library}, which is not installed: pip install 'mm-megacontext[office]'",
            source=source,
            code="missing_extra",
        ) from e
    return FLOWS.get(kind)


def _close_the_door() -> None:
    """From here on this process can open neither files nor connections; what is open stays open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
