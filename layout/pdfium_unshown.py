"""What a page tells beside its glyphs, through PDFium: ActualText, which it would read instead of them, and layers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.layout.document import Box
from mm_megacontext.layout.engines import RawWord, clean_text
from mm_megacontext.layout.pdfium_graphics import WHOLE_DEPTH, Frame, walk_objects

_KEY = b"ActualText"


def take_actual_text(page: pdfium.PdfPage, frame: Frame) -> list[RawWord]:
    """The words of ActualText where they would stand; from then on the text of the page is that of its glyphs.

    Nothing is written: the marks are taken from the page as it is held in memory.
    """
    words: list[RawWord] = []
    for item, matrix in walk_objects(page, WHOLE_DEPTH):
        if item.type != pdfium_c.FPDF_PAGEOBJ_TEXT:
            continue
        for mark in list(_marks(item)):
            text = _actual_text(mark)
            if text is not None:
                pdfium_c.FPDFPageObj_RemoveMark(item, mark)
                words += _spread(text, frame.whole_box(*matrix.on_rect(*item.get_bounds())), -1 - len(words))
    return words


def _marks(item: pdfium.PdfObject) -> Iterator[Any]:
    for i in range(pdfium_c.FPDFPageObj_CountMarks(item)):
        yield pdfium_c.FPDFPageObj_GetMark(item, i)


def _actual_text(mark: Any) -> str | None:
    """What a mark says instead of its glyphs, None where it does not."""
    n_bytes = ctypes.c_ulong()
    if not pdfium_c.FPDFPageObjMark_GetParamStringValue(mark, _KEY, None, 0, n_bytes):
        return None
    buffer = (ctypes.c_ushort * (n_bytes.value // 2 + 1))()
    pdfium_c.FPDFPageObjMark_GetParamStringValue(mark, _KEY, buffer, n_bytes.value, n_bytes)
    return bytes(buffer)[: n_bytes.value].decode("utf-16-le", errors="ignore").rstrip("\0")


def _spread(text: str, box: Box, line: int) -> Iterator[RawWord]:
    """The words of a text, each over its share of the box."""
    x0, y0, x1, y1 = box
    per_letter = (x1 - x0) / max(1, len(text))
    at = 0
    for word in text.split():
        at = text.index(word, at)
        left, right = x0 + at * per_letter, x0 + (at + len(word)) * per_letter
        at += len(word)
        cleaned = clean_text(word).strip()
        if cleaned:
            yield RawWord(left, y0, right, y1, cleaned, y1 - y0, False, True, line)
