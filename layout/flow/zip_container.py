"""Documents that are zip archives: which kind they are, and their members, read within bounds and never unpacked."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from typing import Literal
from urllib.parse import unquote

from mm_megacontext.errors import IngestError, LimitExceeded

ZipKind = Literal["epub", "xps", "docx", "xlsx", "pptx"]

MOST_UNPACKED_BYTES = 512 << 20
"""Of all members together, as the archive declares them; no member gives more than it declares."""
_MOST_MEMBERS = 50_000
_MOST_TYPE_BYTES = 4 << 20
_EPUB_MIMETYPE = b"application/epub+zip"
_CONTENT_TYPES = "[Content_Types].xml"
_MAIN_PARTS: tuple[tuple[bytes, ZipKind], ...] = (
    (b"wordprocessingml.document.main+xml", "docx"),
    (b"wordprocessingml.template.main+xml", "docx"),
    (b"ms-word.document.macroEnabled.main+xml", "docx"),
    (b"spreadsheetml.sheet.main+xml", "xlsx"),
    (b"spreadsheetml.template.main+xml", "xlsx"),
    (b"ms-excel.sheet.macroEnabled.main+xml", "xlsx"),
    (b"presentationml.presentation.main+xml", "pptx"),
    (b"presentationml.slideshow.main+xml", "pptx"),
    (b"ms-powerpoint.presentation.macroEnabled.main+xml", "pptx"),
    (b"fixeddocumentsequence+xml", "xps"),
)
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


class ZipContainer:
    """A zip archive in memory.

    Args:
        data: Its bytes.
        source: The file's name, for errors.

    Raises:
        IngestError: It is damaged.
        LimitExceeded: It would unpack to more than ``MOST_UNPACKED_BYTES``, or has too many members.
    """

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as e:
            raise IngestError(f"the zip container is damaged ({e}): export it anew", source=source) from e
        members = self._archive.infolist()
        n_bytes = sum(member.file_size for member in members)
        if len(members) > _MOST_MEMBERS or n_bytes > MOST_UNPACKED_BYTES:
            raise LimitExceeded(
                f"it unpacks to {n_bytes} bytes in {len(members)} files, more than {MOST_UNPACKED_BYTES} in "
                f"{_MOST_MEMBERS}: split it",
                source=source,
                code="limit_size",
            )
        self._members = {member.filename: member for member in members}

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises KeyError where there is none, IngestError where it cannot be read."""
        member = self._members[name]
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as e:
            what = "is encrypted" if member.flag_bits & 1 else f"is damaged ({e})"
            raise IngestError(f"{name} in it {what}: export it anew", source=self._source) from e

    def find(self, base: str, address: str) -> str | None:
        """The name of the member that ``address`` means in the member ``base``; None for all that is not in here."""
        path, _, _ = unquote(address).partition("#")
        if not path or ":" in path.split("/")[0] or path.startswith("//"):
            return None
        name = posixpath.normpath(posixpath.join(posixpath.dirname(base), path)).lstrip("/")
        return name if name in self._members else None

    @property
    def kind(self) -> ZipKind:
        """Which document it is. Raises IngestError where it is none that is read."""
        mimetype = self._start_of("mimetype").strip()
        if mimetype == _EPUB_MIMETYPE or "META-INF/container.xml" in self._members:
            return "epub"
        types = self._start_of(_CONTENT_TYPES)
        for mark, kind in _MAIN_PARTS:
            if mark in types:
                return kind
        if mimetype.startswith(b"application/vnd.oasis.opendocument"):
            raise IngestError(
                "unsupported: this is an OpenDocument file: export it as PDF, DOCX or XLSX",
                source=self._source,
                code="unsupported",
            )
        raise IngestError(
            "unsupported: this is a zip archive, and no EPUB, XPS, DOCX, XLSX or PPTX: unpack it",
            source=self._source,
            code="unsupported",
        )

    def refuse_doctypes(self) -> None:
        """Office files have no document types; one in them can only be an attack on a parser. Raises IngestError."""
        for name in self._members:
            if name.lower().endswith((".xml", ".rels", ".vml")):
                data = self.read(name)
                if any(mark in data for mark in _DOCTYPES):
                    raise IngestError(
                        f"{name} in it declares a document type, which office files must not: export it anew",
                        source=self._source,
                    )

    def _start_of(self, name: str) -> bytes:
        member = self._members.get(name)
        return self.read(name) if member is not None and member.file_size <= _MOST_TYPE_BYTES else b""
