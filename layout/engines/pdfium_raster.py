"""Pages of a PDF as RGB pixels through PDFium; runs in the worker, which alone touches the file."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium_c

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.passwords import wrong_password
from mm_megacontext.layout.engines.pdfium_file import is_password_error, open_pdfium

_WHITE = 0xFFFFFFFF


class RasterFile:
    """A PDF open for rendering; keeps the last page.

    Args:
        path: The file.
        password: For encrypted files.

    Raises:
        IngestError: The file is damaged or not a PDF, or the password is wrong or missing.
    """

    def __init__(self, path: str, password: str | None) -> None:
        self._path = path
        try:
            self._document = open_pdfium(path, password)
        except pypdfium2.PdfiumError as e:
            if is_password_error(e):
                raise wrong_password(path, password) from e
            raise IngestError(f"cannot be opened as a PDF ({e})", source=path) from e
        self._number = 0
        self._page: pypdfium2.PdfPage | None = None

    @property
    def n_pages(self) -> int:
        return len(self._document)

    def measure(self, number: int) -> tuple[float, float]:
        """Width and height of page ``number``, from 1, in points. Raises IngestError."""
        width, height = self._open(number).get_size()
        return float(width), float(height)

    def render(self, number: int, rect: tuple[int, int, int, int], px_per_pt: float) -> bytes:
        """A rectangle (x, y, width, height) of page ``number`` as RGB, row by row. Raises IngestError.

        The matrix call places the page exactly (since pypdfium2 5; before, it rounded the page's size to whole points);
        PDFium's plain call stretches the page to a whole number of pixels.
        """
        x, y, width, height = rect
        try:
            bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_BGRx)
            pdfium_c.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, _WHITE)
            matrix = pdfium_c.FS_MATRIX(px_per_pt, 0, 0, px_per_pt, -x, -y)
            clip = pdfium_c.FS_RECTF(0, 0, width, height)
            flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
            pdfium_c.FPDF_RenderPageBitmapWithMatrix(bitmap, self._open(number), matrix, clip, flags)
            rgb: bytes = bitmap.to_numpy()[:, :, :3].tobytes()
            bitmap.close()
        except pypdfium2.PdfiumError as e:
            raise IngestError(f"the page cannot be rendered ({e})", source=self._path, page=number) from e
        return rgb

    def close(self) -> None:
        """Release the file."""
        self._close_page()
        self._document.close()

    def _open(self, number: int) -> pypdfium2.PdfPage:
        if number != self._number or self._page is None:
            self._close_page()
            try:
                self._page = self._flattened(number - 1)
            except pypdfium2.PdfiumError as e:
                raise IngestError(f"the page is damaged ({e})", source=self._path, page=number) from e
            self._number = number
        return self._page

    def _flattened(self, index: int) -> pypdfium2.PdfPage:
        """The page with form fields and annotations drawn into it (in memory): rendering alone leaves fields out."""
        page = self._document[index]
        if pdfium_c.FPDFPage_GetAnnotCount(page) == 0:
            return page
        pdfium_c.FPDFPage_Flatten(page, pdfium_c.FLAT_NORMALDISPLAY)
        page.close()
        return self._document[index]

    def _close_page(self) -> None:
        if self._page is not None:
            self._page.close()
            self._page = None
