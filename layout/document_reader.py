"""A file as a document whose pages are read by worker processes, a few ahead of the one that is wanted.

A page that one engine cannot read, or that its worker does not survive, goes to the next engine. What none can read is
a failed page that says why; the pages after it go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from mm_megacontext.document import Document, FileFormat, LayoutMethod, Page
from mm_megacontext.errors import IngestError, LimitExceeded, MissingExtra
from mm_megacontext.layout.across_pages.continued_tables import join_tables, name_tables
from mm_megacontext.layout.across_pages.hyphens import join_hyphens
from mm_megacontext.layout.across_pages.pages_ahead import PagesAhead
from mm_megacontext.layout.across_pages.running_titles import settle_running_titles
from mm_megacontext.layout.engines.protocol import candidates, layout_of
from mm_megacontext.layout.formats import NO_PYMUPDF, TYPESET_KINDS, can_set_pages
from mm_megacontext.layout.page.ocr import Ocr, Tesseract
from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import SourceFile
from mm_megacontext.workers.client import ask, flow_file, pdf_pages
from mm_megacontext.workers.messages import Count, Counted, DocumentFile

_SAME_FOR_ALL = (
    None,
    "limit_pixels",
    "limit_size",
    "ocr_unavailable",
    "ocr_failed",
    "layout_model_failed",
    "text_layer_disagrees",
    "text_illegible",
)
"""What another engine would say, too, or cannot mend."""


def read_pdf(
    source: SourceFile,
    engine: str,
    layout: LayoutMethod,
    password: str | None,
    ocr: Ocr | None,
    limits: IngestLimits,
) -> Document:
    """A PDF whose pages are read when they are asked for. Arguments and errors are those of ``reader.read``."""
    names = candidates(engine, layout)
    # A model that was asked for and cannot be had is an error; a page that it cannot read goes to those after it.
    openers = names if layout == "geometric" else names[:1]
    path = source.path
    chosen, counted = _choose_engine(path, password, openers, limits)
    files = tuple(pdf_pages(path, password, name) for name in names[names.index(chosen) :])
    reading = _Reading(files, counted.n_pages, _wanted_ocr(ocr), limits, _joined)
    return Document(str(path), "pdf", "pt", counted.n_pages, source.content_hash, reading.pages, chosen)


def read_flow(source: SourceFile, file_format: FileFormat, ocr: Ocr | None, limits: IngestLimits) -> Document:
    """A file of another format, set on pages by PyMuPDF. Arguments and errors are those of ``reader.read``."""
    path = source.path
    if not can_set_pages():
        raise IngestError(f"a file of this kind {NO_PYMUPDF}", source=str(path), code="missing_extra")
    file = flow_file(path, file_format)
    counted = _count(path, file, limits)
    tables = name_tables if counted.kind in TYPESET_KINDS else _joined
    reading = _Reading((file,), counted.n_pages, _wanted_ocr(ocr), limits, tables)
    return Document(str(path), counted.kind, "pt", counted.n_pages, source.content_hash, reading.pages)


def _joined(pages: Iterable[Page]) -> Iterator[Page]:
    """The pages with what goes on over the end of a line or page told."""
    return join_hyphens(join_tables(pages))


def _wanted_ocr(ocr: Ocr | None) -> tuple[str, str] | None:
    if ocr is None:
        return None
    return (ocr.executable, ocr.languages) if isinstance(ocr, Tesseract) else ("", "")


def _choose_engine(path: Path, password: str | None, names: list[str], limits: IngestLimits) -> tuple[str, Counted]:
    """The first engine that opens the file and finds a page in it, and how many; else the first failure."""
    first: Exception | None = None
    for name in names:
        try:
            return name, _count(path, pdf_pages(path, password, name), limits)
        except (IngestError, MissingExtra) as e:
            first = first or e
    assert first is not None, "candidates() names at least one engine"
    raise first


def _count(path: Path, file: DocumentFile, limits: IngestLimits) -> Counted:
    """The number of pages, at least one. Raises IngestError, MissingExtra."""
    counted: Counted = ask(Count(file), limits)
    if counted.n_pages < 1:
        what = (
            "the PDF has no pages, or is damaged" if file.format == "pdf" else "it has no pages: there is nothing in it"
        )
        raise IngestError(f"{what}: export it anew", source=str(path), code="zero_pages")
    if counted.n_pages > limits.max_pages:
        raise LimitExceeded(
            f"it has {counted.n_pages} pages, more than the limit of {limits.max_pages}: raise max_pages",
            source=str(path),
            code="limit_pages",
        )
    return counted


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the pages of one file are read: by the engine of the first of ``files``, where it fails by the others'.

    ``tables`` tells which tables go on over the end of a page, and which words over that of a line.
    """

    files: tuple[DocumentFile, ...]
    n_pages: int
    ocr: tuple[str, str] | None
    limits: IngestLimits
    tables: Callable[[Iterable[Page]], Iterator[Page]]

    def pages(self) -> Iterator[Page]:
        """The pages in order, as they are to be seen together; a worker is held while the generator lives."""
        with closing(self._single_pages()) as pages:
            yield from self.tables(settle_running_titles(pages, self.n_pages))

    def _single_pages(self) -> Generator[Page, None, None]:
        """Each page as it is alone."""
        ahead = PagesAhead(self.files[0], self.n_pages, self.ocr, self.limits)
        try:
            for number in range(1, self.n_pages + 1):
                yield self._page(ahead, number)
        finally:
            ahead.close()

    def _page(self, ahead: PagesAhead, number: int) -> Page:
        """A page by the first engine that can read it; all of them together may take as long as one."""
        begun = time.monotonic()
        page = ahead.page(number)
        if page.code in _SAME_FOR_ALL:
            return page
        for file in self.files[1:]:
            seconds = min(ahead.seconds_left, self.limits.page_seconds - (time.monotonic() - begun))
            if seconds <= 0:
                break
            again = self._once(file, number, ahead, seconds)
            if again.status == "ok" or (page.status == "failed" and again.status != "failed"):
                is_as_asked = layout_of(file.engine) == layout_of(self.files[0].engine)
                return again if is_as_asked else _without_model(again, page)
        return page

    def _once(self, file: DocumentFile, number: int, ahead: PagesAhead, seconds: float) -> Page:
        """A page by another engine, in another worker: that of the first reads on."""
        other = PagesAhead(file, number, self.ocr, self.limits)
        other.seconds_left = seconds
        try:
            return other.page(number)
        finally:
            other.close()
            ahead.seconds_left -= seconds - other.seconds_left


def _without_model(page: Page, tried: Page) -> Page:
    """A page as an engine without the model read it, which says why it is not as it was asked for."""
    if page.problem is not None:
        return page
    why = f"the layout model failed on it, its regions are those of geometry ({tried.problem})"
    return replace(page, problem=why, code="layout_model_failed")
