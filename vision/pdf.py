"""Pages of a PDF as images, rendered on demand through pypdfium2 at 144 dpi.

Frame: the page as layout.document describes it (top-left origin, y down, crop box and rotation applied), with two
pixels to the point, so that a 16 px patch is 8 pt. Rendering is cut into fixed cells of the page: a pixel is the same
whether it is read through its page or through a figure on it, now or when it is read again.

PDFium has no notion of the page attribute UserUnit: such pages come at their unscaled size.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from pathlib import Path
from types import TracebackType

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium_c

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.passwords import open_pdfium
from mm_megacontext.tree import PATCH_PT, PATCH_PX
from mm_megacontext.vision.source import DEFAULT_MAX_PIXELS, Pixels, Rect, count_levels, read_padded
from mm_megacontext.vision.tiles import SNAP_PX

PX_PER_PT = PATCH_PX / PATCH_PT
"""144 dpi."""

_CELL_PX = 2048
"""A page of ordinary size is one cell; larger ones are rendered piece by piece."""
_CACHED_CELLS = 4

_WHITE = 0xFFFFFFFF

_pdfium = threading.RLock()
"""PDFium may be called by one thread at a time."""


class PdfRenderer:
    """A PDF open for rendering; shared by the sources of its pages. Close it when they are no longer read.

    Args:
        path: The file.
        password: For encrypted files.

    Raises:
        IngestError: The file is missing, damaged or not a PDF, or the password is wrong or missing.
    """

    def __init__(self, path: str | Path, password: str | None = None) -> None:
        self.path = str(path)
        if not Path(path).is_file():
            raise IngestError("no such file", source=self.path)
        try:
            with _pdfium:
                self._document = open_pdfium(self.path, password)
        except pypdfium2.PdfiumError as e:
            raise IngestError(f"cannot be opened as a PDF ({e})", source=self.path) from e

    def __len__(self) -> int:
        """Number of pages."""
        with _pdfium:
            return len(self._document)

    def open_page(self, number: int) -> pypdfium2.PdfPage:
        """The page numbered from 1."""
        with _pdfium:
            if not 1 <= number <= len(self._document):
                raise IngestError(f"no such page; the file has {len(self._document)}", source=self.path, page=number)
            try:
                return self._flattened(number - 1)
            except pypdfium2.PdfiumError as e:
                raise IngestError(f"the page is damaged ({e})", source=self.path, page=number) from e

    def _flattened(self, index: int) -> pypdfium2.PdfPage:
        """The page with form fields and annotations drawn into it (in memory): rendering alone leaves fields out."""
        page = self._document[index]
        if pdfium_c.FPDFPage_GetAnnotCount(page) == 0:
            return page
        pdfium_c.FPDFPage_Flatten(page, pdfium_c.FLAT_NORMALDISPLAY)
        page.close()
        return self._document[index]

    def close(self) -> None:
        """Release the file; its pages cannot be read any more."""
        with _pdfium:
            self._document.close()

    def __enter__(self) -> PdfRenderer:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class PdfPageSource:
    """A page of a PDF as an image.

    Args:
        path: The file.
        page_number: From 1.
        engine: The file, opened already; by default this source opens it for itself.
        max_pixels: Refuse pages with more pixels than this.

    Raises:
        LimitExceeded: The page has more than ``max_pixels``.
        IngestError: The page cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        page_number: int,
        engine: PdfRenderer | None = None,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self._uri, self._number = str(path), page_number
        self._engine = engine or PdfRenderer(path)
        self._page = self._engine.open_page(page_number)
        with _pdfium:
            width_pt, height_pt = self._page.get_size()
        self._size = _pixels_of(width_pt), _pixels_of(height_pt)
        if math.prod(self._size) > max_pixels:
            raise LimitExceeded(
                f"the page is {width_pt:.0f} x {height_pt:.0f} pt, more than {max_pixels} pixels at 144 dpi",
                source=self._uri,
                page=page_number,
            )
        self._cells: OrderedDict[Rect, Pixels] = OrderedDict()

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def n_levels(self) -> int:
        return count_levels(self._size)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        return read_padded(self._read_inside, self._size, region, level)

    def _read_inside(self, region: Rect) -> Pixels:
        """Put a region together from the cells it touches."""
        left, top, width, height = region
        out = np.empty((height, width, 3), dtype=np.uint8)
        for cell_y in range(top // _CELL_PX * _CELL_PX, top + height, _CELL_PX):
            for cell_x in range(left // _CELL_PX * _CELL_PX, left + width, _CELL_PX):
                cell = self._cell(cell_x, cell_y)
                x0, y0 = max(left, cell_x), max(top, cell_y)
                x1, y1 = min(left + width, cell_x + cell.shape[1]), min(top + height, cell_y + cell.shape[0])
                shared = cell[y0 - cell_y : y1 - cell_y, x0 - cell_x : x1 - cell_x]
                out[y0 - top : y1 - top, x0 - left : x1 - left] = shared
        return out

    def _cell(self, x: int, y: int) -> Pixels:
        rect = x, y, min(_CELL_PX, self._size[0] - x), min(_CELL_PX, self._size[1] - y)
        if rect not in self._cells:
            if len(self._cells) == _CACHED_CELLS:
                self._cells.popitem(last=False)
            self._cells[rect] = self._render(rect)
        self._cells.move_to_end(rect)
        return self._cells[rect]

    def _render(self, rect: Rect) -> Pixels:
        """Render a rectangle of the page, in its pixels.

        The matrix call places the page exactly (since pypdfium2 5; before, it rounded the page's size to whole points);
        PDFium's plain call stretches the page to a whole number of pixels.
        """
        x, y, width, height = rect
        try:
            with _pdfium:
                bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_BGRx)
                pdfium_c.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, _WHITE)
                matrix = pdfium_c.FS_MATRIX(PX_PER_PT, 0, 0, PX_PER_PT, -x, -y)
                clip = pdfium_c.FS_RECTF(0, 0, width, height)
                flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
                pdfium_c.FPDF_RenderPageBitmapWithMatrix(bitmap, self._page, matrix, clip, flags)
                pixels = np.array(bitmap.to_numpy()[:, :, :3])
                bitmap.close()
                return pixels
        except pypdfium2.PdfiumError as e:
            raise IngestError(f"the page cannot be rendered ({e})", source=self._uri, page=self._number) from e


def _pixels_of(length_pt: float) -> int:
    """Whole pixels that hold a length; at least one."""
    return max(1, math.ceil(length_pt * PX_PER_PT - SNAP_PX))
