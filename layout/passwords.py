"""Passwords of PDF files as people type them and as programs stored them."""

from __future__ import annotations

import stringprep
import unicodedata

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def spellings(password: str) -> list[str]:
    """What to try: the password as it is, then as SASLprep (RFC 4013) writes it, which PDF 2.0 asks for.

    Programs that write PDF files follow that or do not; two people who type the same may send different characters.

    Example:
        >>> spellings("plain")
        ['plain']
        >>> spellings("Ⅸ")
        ['Ⅸ', 'IX']
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )  # other spaces become spaces, soft hyphens and their like nothing
    prepared = unicodedata.normalize("NFKC", mapped)
    is_allowed = not any(is_prohibited(c) for c in prepared for is_prohibited in _PROHIBITED)
    return [password, prepared] if is_allowed and prepared != password else [password]


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
