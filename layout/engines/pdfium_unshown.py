"""What a page tells beside its glyphs, through PDFium: ActualText, which it would read instead of them, and layers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box, clean_text
from mm_megacontext.layout.engines.pdfium_graphics import WHOLE_DEPTH, PageSpace, walk_objects
from mm_megacontext.layout.engines.protocol import RawWord

_KEY = b"ActualText"
_LAYER = "OC"  # names a mark of optional content


def take_actual_text(page: pdfium.PdfPage, frame: PageSpace) -> list[RawWord]:
    """The words of ActualText where they would stand; from then on the text of the page is that of its glyphs.

    Nothing is written: the marks are taken from the page as it is held in memory.
    """
    words: list[RawWord] = []
    for item, matrix in walk_objects(page, WHOLE_DEPTH):
        if item.type != pdfium_c.FPDF_PAGEOBJ_TEXT:
            continue
        for mark in list(_marks(item)):
            if _has(mark, _KEY.decode()):
                text = _text(mark, _KEY) or ""  # PDFium would read one, too, that stands apart in the file
                pdfium_c.FPDFPageObj_RemoveMark(item, mark)
                words += _spread(text, frame.whole_box(*matrix.on_rect(*item.get_bounds())), -1 - len(words))
    return words


def find_layered_off(page: pdfium.PdfPage, frame: PageSpace) -> frozenset[int]:
    """Addresses of the texts in layers that paint nothing even where nothing else is painted.

    PDFium does not tell which layers are on, but it paints by them: the texts of each are painted alone. Those in forms
    are left out: they are told by their contrast, as all other text.
    """
    items = list(page.get_objects(max_depth=1))
    layers: dict[str, list[pdfium.PdfObject]] = {}
    for item in items:
        if item.type == pdfium_c.FPDF_PAGEOBJ_TEXT:
            for mark in _marks(item):
                if _name(mark) == _LAYER:
                    layers.setdefault(_text(mark, b"Name") or "", []).append(item)
    off = frozenset[int]()
    for layer in layers.values():
        off |= _without_ink(page, frame, items, layer)
    return off


def address(item: Any) -> int:
    """Of an object of PDFium, whoever holds it."""
    return ctypes.cast(item, ctypes.c_void_p).value or 0


def _without_ink(
    page: pdfium.PdfPage, frame: PageSpace, items: list[pdfium.PdfObject], chosen: list[pdfium.PdfObject]
) -> frozenset[int]:
    """Those of the chosen objects that leave no ink when they alone are painted."""
    kept = {address(item.raw) for item in chosen}
    others = [item for item in items if address(item.raw) not in kept]
    for item in others:
        pdfium_c.FPDFPageObj_SetIsActive(item, False)
    try:
        grey = page.render(scale=1, grayscale=True, draw_annots=False, may_draw_forms=False).to_numpy()
    finally:
        for item in others:
            pdfium_c.FPDFPageObj_SetIsActive(item, True)
    return frozenset(address(item.raw) for item in chosen if _is_blank(grey, frame.whole_box(*item.get_bounds())))


def _is_blank(grey: npt.NDArray[np.uint8], box: Box) -> bool:
    x0, y0, x1, y1 = (max(0, int(edge)) for edge in box)
    return bool(grey[y0 : y1 + 1, x0 : x1 + 1].min(initial=255) == 255)


def _marks(item: pdfium.PdfObject) -> Iterator[Any]:
    for i in range(pdfium_c.FPDFPageObj_CountMarks(item)):
        yield pdfium_c.FPDFPageObj_GetMark(item, i)


def _name(mark: Any) -> str:
    return _filled(lambda buffer, size, needed: pdfium_c.FPDFPageObjMark_GetName(mark, buffer, size, needed)) or ""


def _has(mark: Any, key: str) -> bool:
    get = pdfium_c.FPDFPageObjMark_GetParamKey
    return any(
        _filled(lambda buffer, size, needed, i=i: get(mark, i, buffer, size, needed)) == key  # type: ignore[misc]
        for i in range(pdfium_c.FPDFPageObjMark_CountParams(mark))
    )


def _text(mark: Any, key: bytes) -> str | None:
    """What a mark says under a key, None where it says nothing."""
    get = pdfium_c.FPDFPageObjMark_GetParamStringValue
    return _filled(lambda buffer, size, needed: get(mark, key, buffer, size, needed))


def _filled(fill: Callable[[Any, int, Any], int]) -> str | None:
    n_bytes = ctypes.c_ulong()
    if not fill(None, 0, n_bytes):
        return None
    buffer = (ctypes.c_ushort * (n_bytes.value // 2 + 1))()
    fill(buffer, n_bytes.value, n_bytes)
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
