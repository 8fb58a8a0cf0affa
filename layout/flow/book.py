"""XPS, FictionBook and MOBI files through PyMuPDF: pages as the library makes them, read like those of a PDF."""

from __future__ import annotations

from typing import Any, Literal

from mm_megacontext.errors import IngestError, first_line
from mm_megacontext.layout.engines.protocol import RawPage
from mm_megacontext.layout.engines.pymupdf import PyMuPdfFile
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.flow.pagination import PAGE_HEIGHT, PAGE_WIDTH

BookKind = Literal["xps", "fb2", "mobi"]

_FONT_PT = 11


class BookFile:
    """A file held open in memory; one without pages of its own is laid out on pages of 612 x 792 points.

    Raises:
        IngestError: It cannot be opened.
    """

    def __init__(self, data: bytes, kind: BookKind, source: str) -> None:
        self._source = source
        try:
            self._book: Any = pymupdf.open(stream=data, filetype=kind)
            if self._book.is_reflowable:
                self._book.layout(width=PAGE_WIDTH, height=PAGE_HEIGHT, fontsize=_FONT_PT)
            self._pages = PyMuPdfFile(self._book, int(self._book.page_count))
        except Exception as e:
            raise IngestError(
                f"cannot be opened as {kind.upper()} ({first_line(e)}): export it anew", source=source
            ) from e

    @property
    def n_pages(self) -> int:
        return self._pages.n_pages

    def page(self, number: int) -> RawPage:
        """What stands on page ``number``, from 1."""
        return self._pages.page(number)

    def measure(self, number: int) -> tuple[float, float]:
        """Width and height of a page in points. Raises IngestError."""
        if not 1 <= number <= self.n_pages:
            raise IngestError(f"no such page; it has {self.n_pages}", source=self._source, page=number)
        rect = self._book.load_page(number - 1).rect
        return float(rect.width), float(rect.height)

    def render(self, number: int, rect: tuple[int, int, int, int], px_per_pt: float) -> bytes:
        """A rectangle (x, y, width, height) of a page as RGB, row by row."""
        x, y, width, height = rect
        area = pymupdf.IRect(x, y, x + width, y + height)
        pixmap = pymupdf.Pixmap(pymupdf.csRGB, area, False)
        pixmap.clear_with(255)
        device = pymupdf.mupdf.fz_new_draw_device(pymupdf.mupdf.FzMatrix(), pixmap.this)
        matrix = pymupdf.mupdf.FzMatrix(px_per_pt, 0, 0, px_per_pt, 0, 0)
        page = self._book.load_page(number - 1)
        pymupdf.mupdf.fz_run_page(page.this, device, matrix, pymupdf.mupdf.FzCookie())
        pymupdf.mupdf.fz_close_device(device)
        return bytes(pixmap.samples_mv)

    def close(self) -> None:
        """Release it."""
        self._pages.close()
