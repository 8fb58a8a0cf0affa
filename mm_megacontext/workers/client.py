"""What those who need a file read use: a worker is borrowed, asked, and what it says is wrong is raised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mm_megacontext.document import FileFormat, SourceKind, format_of_kind
from mm_megacontext.errors import IngestError, LimitExceeded, MissingExtra
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers import pool
from mm_megacontext.workers.messages import DocumentFile, Failure, ImageFile, Request, Stamp
from mm_megacontext.workers.process import WorkerFailed


def ask(request: Request, limits: IngestLimits, page: int | None = None) -> Any:
    """The answer of a worker.

    Args:
        request: What is wanted of which file.
        limits: Of the worker.
        page: What the request is about, for messages.

    Raises:
        LimitExceeded, IngestError: The file is at fault, or its worker did not survive it; then that is the cause.
        MissingExtra: What reads the file is not installed.
    """
    source = os.fsdecode(request.file.path)
    try:
        with pool.borrowed(limits, request.file) as worker:
            worker.ask(request)
            answer = worker.answer()
    except WorkerFailed as e:
        raise failure_of(e, source, page) from e
    if isinstance(answer, Failure):
        raise failure_of(answer, source, page)
    return answer


def let_go(file: DocumentFile | ImageFile) -> None:
    """Give back what idle workers hold of a file: decoded pixels, in memory or on disk."""
    pool.end_idle(file)


def failure_of(error: Failure | WorkerFailed, source: str, page: int | None = None) -> IngestError | MissingExtra:
    """What is raised where a worker, or what became of it, says that a file or page cannot be read."""
    if isinstance(error, Failure) and error.kind == "missing extra":
        return MissingExtra(error.message)
    message = error.message if isinstance(error, Failure) else str(error)
    kind = LimitExceeded if error.code.startswith("limit_") else IngestError
    return kind(message, source=source, page=page, code=error.code)


def pdf_pages(path: str | Path, password: str | None, engine: str) -> DocumentFile:
    """A PDF whose pages a layout engine reads. Raises IngestError where it is gone."""
    name, stamp = _name_and_stamp(path)
    return DocumentFile(path=name, stamp=stamp, password=_in_bytes(password), opener="pdf pages", engine=engine)


def drawn_document(path: str | Path, password: str | None, kind: SourceKind) -> DocumentFile:
    """A document of some kind that is drawn. Raises IngestError where it is gone, ValueError where it has no pages."""
    if kind != "pdf":
        return flow_file(path, format_of_kind(kind))
    name, stamp = _name_and_stamp(path)
    return DocumentFile(path=name, stamp=stamp, password=_in_bytes(password), opener="pdf pixels")


def flow_file(path: str | Path, file_format: FileFormat) -> DocumentFile:
    """A file without pages of its own, which are made of it. Raises IngestError where it is gone."""
    name, stamp = _name_and_stamp(path)
    return DocumentFile(path=name, stamp=stamp, password=None, opener="flow", format=file_format)


def image_file(path: str | Path, limits: IngestLimits, *, is_looked_at: bool = False, page: int = 1) -> ImageFile:
    """An image file, or a page of one, and what is refused of it. Raises IngestError where it is gone."""
    name, stamp = _name_and_stamp(path)
    return ImageFile(
        path=name,
        stamp=stamp,
        max_pixels=limits.max_pixels,
        max_decoded_pixels=limits.max_decoded_pixels,
        max_scratch_bytes=limits.max_scratch_bytes,
        max_expansion=limits.max_expansion,
        is_looked_at=is_looked_at,
        page=page,
    )


def _name_and_stamp(path: str | Path) -> tuple[bytes, Stamp]:
    """The file as its workers are told of it."""
    if not Path(path).is_file():
        raise IngestError("no such file", source=str(path), code="not_found")
    stat = os.stat(path)
    return os.fsencode(os.path.abspath(path)), (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _in_bytes(password: str | None) -> bytes | None:
    return None if password is None else password.encode("utf-8", "surrogatepass")
