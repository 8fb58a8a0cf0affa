"""How PDFium opens a PDF, whichever way its password is spelt."""

from __future__ import annotations

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.layout.engines.passwords import spellings


def open_pdfium(path: str, password: str | None) -> pdfium.PdfDocument:
    """Open a PDF with PDFium, with the spelling of the password that fits.

    Raises:
        PdfiumError: It cannot be opened; of several spellings, what PDFium says of the last.
    """
    *others, last = [None] if password is None else spellings(password)
    for spelling in others:
        try:
            return pdfium.PdfDocument(path, password=spelling)
        except pdfium.PdfiumError as e:
            if not is_password_error(e):
                raise
    return pdfium.PdfDocument(path, password=last)


def is_password_error(error: pdfium.PdfiumError) -> bool:
    """Whether PDFium wants another password."""
    return getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD or "assword" in str(error)
