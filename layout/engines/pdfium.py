"""The PDFium engine: Apache/BSD licensed, a core dependency; slower than PyMuPDF and stricter with broken files."""

from __future__ import annotations

import ctypes
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box, HiddenReason, Rgb, union
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.corrections import corrected_copy
from mm_megacontext.layout.engines.passwords import wrong_password
from mm_megacontext.layout.engines.pdfium_file import is_password_error, open_pdfium
from mm_megacontext.layout.engines.pdfium_graphics import PageSpace, paint_order, read_graphics
from mm_megacontext.layout.engines.pdfium_ink import PdfiumInk
from mm_megacontext.layout.engines.pdfium_marks import read_marks
from mm_megacontext.layout.engines.pdfium_unshown import address, find_layered_off, take_actual_text
from mm_megacontext.layout.engines.protocol import (
    MAX_ASKEW,
    NO_MARKS,
    OpenPdf,
    RawPage,
    RawWord,
    drawn_text,
    is_outside,
    quarter_turns,
)
from mm_megacontext.layout.engines.scripts import Part, scripted, with_scripts
from mm_megacontext.layout.engines.unshown import not_shown

# It would warn of forms of a kind (XFA) that this build cannot draw; their fields are read all the same.
logging.getLogger("pypdfium2").setLevel(logging.ERROR)

_LINE_BREAK_HYPHEN = 0x02  # PDFium's mark for a hyphen at the end of a line
_BOLD_WEIGHT = 600
_UNPAINTED, _FILLED, _CLIPPING = 3, (0, 2, 4, 6), (4, 5, 6, 7)  # text render modes
_LEVEL = 0.1  # of a character's height: how far others may be off it
_JUMP_EM = 1.5  # characters further apart than this cannot belong to one word


class PdfiumEngine:
    """Opens PDF files with PDFium."""

    name = "pdfium"

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError."""
        try:
            pdf = open_pdfium(str(path), password)
            copy = corrected_copy(path, password)
            if copy is not None:
                pdf.close()
                pdf = pdfium.PdfDocument(copy)
            return _PdfiumFile(pdf)
        except pdfium.PdfiumError as e:
            if is_password_error(e):
                raise wrong_password(str(path), password) from e
            raise IngestError(f"PDFium cannot open it as a PDF ({e}): export it anew", source=str(path)) from e


class _PdfiumFile:
    def __init__(self, pdf: pdfium.PdfDocument) -> None:
        self._pdf = pdf
        self._pdf.init_forms()
        self._page: pdfium.PdfPage | None = None
        self._ink: PdfiumInk | None = None

    @property
    def n_pages(self) -> int:
        return len(self._pdf)

    def page(self, number: int) -> RawPage:
        self._close_page()
        self._page = self._pdf[number - 1]
        marks, error = NO_MARKS, None
        try:
            marks = read_marks(self._pdf, self._page)
        except Exception as e:
            error = e.with_traceback(None)
        # Text of form fields and annotations is no page content until it is flattened into it (in memory only).
        if pdfium_c.FPDFPage_GetAnnotCount(self._page) > 0:
            pdfium_c.FPDFPage_Flatten(self._page, pdfium_c.FLAT_NORMALDISPLAY)
            self._page.close()
            self._page = self._pdf[number - 1]
        self._ink = PdfiumInk(self._page, partial(self._pdf.get_page, number - 1))
        return replace(_read_page(self._page, number, self._ink), marks=marks, marks_error=error)

    def _close_page(self) -> None:
        """A page stays open until the next one is read: it may yet be rendered."""
        if self._ink is not None:
            self._ink.close()
            self._ink = None
        if self._page is not None:
            self._page.close()
            self._page = None

    def close(self) -> None:
        self._close_page()
        self._pdf.close()


def _read_page(page: pdfium.PdfPage, number: int, ink: PdfiumInk) -> RawPage:
    frame = PageSpace.of(page)
    told, off = take_actual_text(page, frame), find_layered_off(page, frame)
    text_page = page.get_textpage()
    try:
        words = list(_words(text_page, frame, off))
    finally:
        text_page.close()
    words += not_shown(words, told, "only in ActualText")
    rules, images, drawings = read_graphics(page, frame)
    return RawPage(
        number,
        frame.size,
        words,
        rules,
        images,
        drawings,
        raster=ink.raster,
        colours=ink.colours,
        letters=ink,
        paint_order=partial(paint_order, page, frame),
    )


def _words(text_page: pdfium.PdfTextPage, frame: PageSpace, off: frozenset[int]) -> Iterator[RawWord]:
    """Words split at white space, line breaks, and jumps that PDFium does not mark."""
    rect = pdfium_c.FS_RECTF()
    where = ctypes.byref(rect)
    get_unicode, get_box, handle = pdfium_c.FPDFText_GetUnicode, pdfium_c.FPDFText_GetLooseCharBox, text_page.raw
    units: list[int] = []
    box = (0.0, 0.0, 0.0, 0.0)
    height = 0.0  # of the word's first character
    is_level = True  # whether all characters of the word have this height and stand on its line
    first = line = 0
    for i in range(text_page.count_chars()):
        code = get_unicode(handle, i)
        if (code <= 32 and code != _LINE_BREAK_HYPHEN) or code in (0xA0, 0x2028, 0x3000) or 0x2000 <= code <= 0x200A:
            if units:
                yield from _word(text_page, units, box, first, line, frame, off, None if is_level else i)
                units = []
            line += code == 10
            continue
        get_box(handle, i, where)
        left, bottom, right, top = rect.left, rect.bottom, rect.right, rect.top
        if units and _jumps(box, (left, bottom, right, top)):
            yield from _word(text_page, units, box, first, line, frame, off, None if is_level else i)
            units = []
            line += 1
        if units:
            slack = _LEVEL * height
            is_level = is_level and abs(bottom - box[1]) <= slack and abs(top - bottom - height) <= slack
            box = (min(box[0], left), min(box[1], bottom), max(box[2], right), max(box[3], top))
        else:
            box, first, height, is_level = (left, bottom, right, top), i, top - bottom, True
        units.append(0x2D if code == _LINE_BREAK_HYPHEN else code)
    if units:
        yield from _word(text_page, units, box, first, line, frame, off, None if is_level else text_page.count_chars())


def _jumps(box: Box, other: Box) -> bool:
    """Whether a character (``other``) is too far from the word so far (``box``) to belong to it."""
    em = max(box[3] - box[1], other[3] - other[1], other[2] - other[0])
    across = max(other[0] - box[2], box[0] - other[2])
    along = max(other[1] - box[3], box[1] - other[3])
    return across > _JUMP_EM * em or (along > 0 and along > 0.1 * em)


def _word(
    text_page: pdfium.PdfTextPage,
    units: list[int],
    bounds: Box,
    first: int,
    line: int,
    frame: PageSpace,
    off: frozenset[int],
    end: int | None,
) -> Iterator[RawWord]:
    """A word, in pieces where characters of it stand above or below its line.

    ``end`` is where its characters end, if these are not all of one height and on one line.
    """
    raw = b"".join(unit.to_bytes(2, "little") if unit < 0x10000 else b"" for unit in units)
    text = drawn_text(raw.decode("utf-16-le", errors="ignore"))
    whole = frame.whole_box(*bounds)
    if not text or not all(map(math.isfinite, whole)):
        return
    box = frame.box(*bounds)
    size, bold, upright, turn = _look(text_page, first, frame.rotation)
    hidden, ink, apart = _painting(text_page, first, off)
    if box is None or is_outside(whole, frame.size):
        box, hidden = whole, "outside the page"
    word = RawWord(*box, text, size or box[3] - box[1], bold, upright, line, hidden, None, ink, apart, turn)
    raised = scripted(_parts(text_page, first, end, frame)) if end is not None else ()
    if not raised:
        yield word
        return
    yield from with_scripts(word._replace(size=max(size, *(part.size for part in raised))), raised)


def _parts(text_page: pdfium.PdfTextPage, first: int, end: int, frame: PageSpace) -> list[Part]:
    """The characters of a word as runs of one size on one baseline."""
    runs: list[Part] = []
    rect, x, y = pdfium_c.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    for i in range(first, end):
        pdfium_c.FPDFText_GetLooseCharBox(text_page, i, rect)
        pdfium_c.FPDFText_GetCharOrigin(text_page, i, x, y)
        matrix = pdfium_c.FS_MATRIX()
        known = pdfium_c.FPDFText_GetMatrix(text_page, i, matrix)
        size = pdfium_c.FPDFText_GetFontSize(text_page, i) * (math.hypot(matrix.c, matrix.d) if known else 1.0)
        angle = pdfium_c.FPDFText_GetCharAngle(text_page, i)
        dx, dy = math.cos(angle), math.sin(angle)  # the angle is clockwise, y goes up
        baseline, start = -y.value * dx - x.value * dy, x.value * dx - y.value * dy
        box = frame.whole_box(rect.left, rect.bottom, rect.right, rect.top)
        width = (rect.right - rect.left) * abs(dx) + (rect.top - rect.bottom) * abs(dy)
        text = chr(pdfium_c.FPDFText_GetUnicode(text_page, i))
        last = runs[-1] if runs else None
        if last is not None and abs(last.size - size) < 0.1 and abs(last.baseline - baseline) < 0.1:
            runs[-1] = last._replace(text=last.text + text, end=start + width, box=union([last.box, box]))
        else:
            runs.append(Part(box, text, size, baseline, start, start + width))
    return runs


def _painting(
    text_page: pdfium.PdfTextPage, index: int, off: frozenset[int]
) -> tuple[HiddenReason | None, Rgb | None, bool]:
    """Why a character leaves no ink, if it leaves none; its colour, if it is filled; whether it cuts something out."""
    owner = pdfium_c.FPDFText_GetTextObject(text_page, index)
    if off and owner and address(owner) in off:
        return "in a layer that is off", None, False
    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(owner) if owner else 0
    if mode == _UNPAINTED:
        return "not painted", None, False
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    known = pdfium_c.FPDFText_GetFillColor(text_page, index, red, green, blue, alpha)
    if not known or mode not in _FILLED:
        return None, None, mode in _CLIPPING
    why: HiddenReason | None = "transparent" if alpha.value == 0 else None
    return why, (red.value, green.value, blue.value), mode in _CLIPPING


def _look(text_page: pdfium.PdfTextPage, index: int, rotation: int) -> tuple[float, bool, bool, int]:
    """Font size in points, boldness, and on the page as shown whether the character is upright, and its turn."""
    matrix = pdfium_c.FS_MATRIX()
    size = pdfium_c.FPDFText_GetFontSize(text_page, index)
    if pdfium_c.FPDFText_GetMatrix(text_page, index, matrix):
        size *= math.hypot(matrix.c, matrix.d)
    angle = math.degrees(pdfium_c.FPDFText_GetCharAngle(text_page, index))
    turned = (angle + rotation + 180) % 360 - 180
    return size, _is_bold(text_page, index), abs(turned) < MAX_ASKEW, quarter_turns(turned)


def _is_bold(text_page: pdfium.PdfTextPage, index: int) -> bool:
    if pdfium_c.FPDFText_GetFontWeight(text_page, index) >= _BOLD_WEIGHT:
        return True
    name = ctypes.create_string_buffer(64)
    flags = ctypes.c_int()
    n = pdfium_c.FPDFText_GetFontInfo(text_page, index, name, len(name), flags)
    return n > 0 and (b"Bold" in name.raw or b"-Bd" in name.raw or b"Medi" in name.raw)


def create() -> PdfiumEngine:
    """The engine, for the registry."""
    return PdfiumEngine()
