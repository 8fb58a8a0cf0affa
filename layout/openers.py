"""Documents in the process that is expendable: PDFs read by an engine, PDFs drawn, other files set on pages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from mm_megacontext.document import Page, SourceKind
from mm_megacontext.errors import IngestError, MissingExtra, first_words
from mm_megacontext.layout.engines.protocol import BUILT_IN, OpenPdf, load_engine
from mm_megacontext.layout.page.from_pdf import read_page
from mm_megacontext.layout.page.ocr import TIMEOUT_SECONDS, NoOcr, Ocr, Tesseract
from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import (
    Count,
    Counted,
    DocumentFile,
    DocumentRequest,
    Measure,
    Measured,
    PixelRows,
    ReadImage,
    ReadPage,
    Render,
)

_OCR_SHARE = 0.8  # of the time for a page: what OCR did not finish shall leave time to keep the page as a picture


class Drawn(Protocol):
    """A document whose pages can be drawn."""

    @property
    def n_pages(self) -> int: ...

    def measure(self, number: int) -> tuple[float, float]: ...

    def render(self, number: int, rect: tuple[int, int, int, int], px_per_pt: float) -> bytes: ...

    def close(self) -> None: ...


@runtime_checkable
class PageReader(Protocol):
    """A file whose pages come with their regions: it says itself what is a heading or a table."""

    def read_page(self, number: int) -> Page: ...


class PdfPagesOpener:
    """PDFs, read by a layout engine."""

    def preload(self, engine: str) -> None:
        """Import an engine of ours. One of others is imported by the workers: what it starts may not survive a fork."""
        if engine in BUILT_IN:
            load_engine(engine)

    def open(self, file: DocumentFile, settings: WorkerSettings) -> _PdfPages:
        """Open a PDF. Raises IngestError, MissingExtra."""
        path = _path_of(file)
        try:
            engine = load_engine(file.engine)
        except MissingExtra:
            raise
        except Exception as e:
            raise IngestError(
                f"the layout engine {file.engine} cannot be loaded ({first_words(e)})",
                source=str(path),
                code="engine_crash",
            ) from e
        return _PdfPages(engine.open(path, _password_of(file)), engine.name, settings)


class PdfPixelsOpener:
    """PDFs, drawn by PDFium."""

    def preload(self, engine: str) -> None:
        """Import PDFium."""
        import_module("pypdfium2")

    def open(self, file: DocumentFile, settings: WorkerSettings) -> _DrawnFile:
        """Open a PDF. Raises IngestError."""
        from mm_megacontext.layout.engines.pdfium_raster import RasterFile  # not for those who read with another engine

        return _DrawnFile(RasterFile(str(_path_of(file)), _password_of(file)), "pdf")


class FlowOpener:
    """Files without pages of their own: set, read and drawn by PyMuPDF."""

    def preload(self, engine: str) -> None:
        """Import the readers of all formats."""
        import mm_megacontext.layout.open_document  # noqa: F401  # not for those who only read PDFs

    def open(self, file: DocumentFile, settings: WorkerSettings) -> _SetFile:
        """Open a file. Raises IngestError."""
        from mm_megacontext.layout.open_document import open_document

        opened = open_document(_path_of(file), file.format, settings.max_decoded_pixels)
        return _SetFile(opened.reader, opened.kind, settings)


@dataclass(frozen=True, slots=True)
class _PdfPages:
    """A PDF that an engine has open."""

    pdf: OpenPdf
    engine: str
    settings: WorkerSettings

    def answer(self, request: Count | ReadPage) -> Counted | Page:
        if isinstance(request, Count):
            return Counted(self.pdf.n_pages)
        ocr = wanted_ocr(request, self.settings)
        return read_page(self.pdf, self.engine, request.number, ocr, self.settings.max_decoded_pixels)

    def close(self) -> None:
        self.pdf.close()


@dataclass(frozen=True, slots=True)
class _DrawnFile:
    """A document that is drawn."""

    drawn: Drawn
    kind: SourceKind

    def answer(self, request: Count | Measure | Render) -> Counted | Measured | PixelRows:
        return _drawing(self.drawn, self.kind, request)

    def close(self) -> None:
        self.drawn.close()


@dataclass(frozen=True, slots=True)
class _SetFile:
    """A document that is read and drawn by what set it."""

    drawn: Drawn
    kind: SourceKind
    settings: WorkerSettings

    def answer(self, request: DocumentRequest) -> Counted | Page | Measured | PixelRows:
        if not isinstance(request, ReadPage):
            return _drawing(self.drawn, self.kind, request)
        if isinstance(self.drawn, PageReader):
            return self.drawn.read_page(request.number)
        assert isinstance(self.drawn, OpenPdf), "a book is read as a PDF is"
        ocr = wanted_ocr(request, self.settings)
        return read_page(self.drawn, "pymupdf", request.number, ocr, self.settings.max_decoded_pixels)

    def close(self) -> None:
        self.drawn.close()


def _drawing(drawn: Drawn, kind: SourceKind, request: Count | Measure | Render) -> Counted | Measured | PixelRows:
    if isinstance(request, Count):
        return Counted(drawn.n_pages, kind)
    if isinstance(request, Measure):
        return Measured(*drawn.measure(request.number))
    return PixelRows(drawn.render(request.number, request.rect, request.px_per_pt))


def wanted_ocr(request: ReadPage | ReadImage, settings: WorkerSettings) -> Ocr | None:
    """What reads scans, as a request wants it; it may take its share of the time for a page."""
    if request.ocr is None:
        return None
    executable, languages = request.ocr
    seconds = min(TIMEOUT_SECONDS, _OCR_SHARE * settings.seconds)
    return Tesseract(executable, languages, seconds) if executable else NoOcr()


def _path_of(file: DocumentFile) -> Path:
    return Path(os.fsdecode(file.path))


def _password_of(file: DocumentFile) -> str | None:
    return None if file.password is None else file.password.decode("utf-8", "surrogatepass")
