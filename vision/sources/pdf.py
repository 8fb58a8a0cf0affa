"""Pages of a document as images, rendered on demand at 144 dpi, by a process that is expendable.

Frame: the page as ``document`` describes it (top-left origin, y down, crop box and rotation applied), with two
pixels to the point, so that a 16 px patch is 8 pt. Rendering is cut into fixed cells of the page: a pixel is the same
whether it is read through its page or through a figure on it, now or when it is read again.

PDFs are rendered by PDFium, what is no PDF by PyMuPDF, which set it. PDFium has no notion of the page attribute
UserUnit: such pages come at their unscaled size.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from mm_megacontext.document import SourceKind
from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.limits import IngestLimits
from mm_megacontext.tree.nodes import PATCH_PT, PATCH_PX
from mm_megacontext.vision.sources.frame import SNAP_PX
from mm_megacontext.vision.sources.source import LevelSource, Pixels, Rect
from mm_megacontext.workers.client import ask, drawn_document
from mm_megacontext.workers.messages import Count, Measure, Render, Request
from mm_megacontext.workers.process import WorkerFailed

PX_PER_PT = PATCH_PX / PATCH_PT
"""144 dpi."""

CELL_PX = 2048
"""A page of ordinary size is one cell; larger ones are rendered piece by piece."""
_CACHED_CELLS = 4


class PdfRenderer:
    """A document that is rendered by workers; shared by the sources of its pages. It holds nothing open.

    Args:
        path: The file.
        password: For encrypted files.
        limits: Of the workers; ``document_seconds`` is what all rendering together may be waited for, and
            ``max_decoded_pixels`` the most pixels of a page.
        kind: Of the source; one that has pages.

    Raises:
        IngestError: The file is missing, damaged or not a PDF, or the password is wrong or missing.
    """

    def __init__(
        self,
        path: str | Path,
        password: str | None = None,
        limits: IngestLimits | None = None,
        kind: SourceKind = "pdf",
    ) -> None:
        self.path = str(path)
        self.limits = limits or IngestLimits()
        self._seconds_left = self.limits.document_seconds
        self._lost: dict[int, IngestError] = {}
        self._file = drawn_document(path, password, kind)
        self._n_pages: int = self._ask(Count(self._file), None).n_pages

    def __len__(self) -> int:
        """Number of pages."""
        return self._n_pages

    def measure(self, number: int) -> tuple[float, float]:
        """Width and height of page ``number``, from 1, in points. Raises IngestError."""
        if not 1 <= number <= self._n_pages:
            raise IngestError(f"no such page; the file has {self._n_pages}", source=self.path, page=number)
        measured = self._ask(Measure(self._file, number), number)
        return measured.width, measured.height

    def render(self, number: int, rect: Rect) -> Pixels:
        """A rectangle of page ``number``, from 1, in its pixels. Raises IngestError."""
        rgb = self._ask(Render(self._file, number, rect, PX_PER_PT), number).rgb
        return np.frombuffer(rgb, dtype=np.uint8).reshape(rect[3], rect[2], 3)

    def _ask(self, request: Request, page: int | None) -> Any:
        """The answer of a worker. A page that cost one its life is not tried again."""
        if page in self._lost:
            raise self._lost[page]
        if self._seconds_left <= 0:
            raise LimitExceeded(
                f"rendering it took more than the limit of {self.limits.document_seconds:g} s: raise document_seconds",
                source=self.path,
                page=page,
                code="limit_time",
            )
        begun = time.monotonic()
        try:
            return ask(request, self.limits, page)
        except IngestError as e:
            if page is not None and isinstance(e.__cause__, WorkerFailed):
                self._lost[page] = e
            raise
        finally:
            self._seconds_left -= time.monotonic() - begun


class PdfPageSource(LevelSource):
    """A page of a PDF as an image.

    Args:
        path: The file.
        page_number: From 1.
        engine: The file, opened already; by default this source opens it for itself.

    Raises:
        LimitExceeded: The page has more pixels than the engine's limits allow.
        IngestError: The page cannot be opened.
    """

    def __init__(self, path: str | Path, page_number: int, engine: PdfRenderer | None = None) -> None:
        self._number = page_number
        self._engine = engine or PdfRenderer(path)
        width_pt, height_pt = self._engine.measure(page_number)
        self._size = _pixels_of(width_pt), _pixels_of(height_pt)
        max_pixels = self._engine.limits.max_decoded_pixels
        if math.prod(self._size) > max_pixels:
            raise LimitExceeded(
                f"the page is {width_pt:.0f} x {height_pt:.0f} pt, more than {max_pixels} pixels at 144 dpi",
                source=str(path),
                page=page_number,
            )
        self._cells: OrderedDict[Rect, Pixels] = OrderedDict()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _read_inside(self, region: Rect) -> Pixels:
        """Put a region together from the cells it touches."""
        left, top, width, height = region
        out = np.empty((height, width, 3), dtype=np.uint8)
        for cell_y in range(top // CELL_PX * CELL_PX, top + height, CELL_PX):
            for cell_x in range(left // CELL_PX * CELL_PX, left + width, CELL_PX):
                cell = self._cell(cell_x, cell_y)
                x0, y0 = max(left, cell_x), max(top, cell_y)
                x1, y1 = min(left + width, cell_x + cell.shape[1]), min(top + height, cell_y + cell.shape[0])
                shared = cell[y0 - cell_y : y1 - cell_y, x0 - cell_x : x1 - cell_x]
                out[y0 - top : y1 - top, x0 - left : x1 - left] = shared
        return out

    def _cell(self, x: int, y: int) -> Pixels:
        rect = x, y, min(CELL_PX, self._size[0] - x), min(CELL_PX, self._size[1] - y)
        if rect not in self._cells:
            if len(self._cells) == _CACHED_CELLS:
                self._cells.popitem(last=False)
            self._cells[rect] = self._engine.render(self._number, rect)
        self._cells.move_to_end(rect)
        return self._cells[rect]


def _pixels_of(length_pt: float) -> int:
    """Whole pixels that hold a length; at least one."""
    return max(1, math.ceil(length_pt * PX_PER_PT - SNAP_PX))
