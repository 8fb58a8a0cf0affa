"""Pages as PDFium paints them: whole, without their text, and their letters alone, neither cut nor covered."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box, clean_text, union
from mm_megacontext.layout.engines.pdfium_graphics import WHOLE_DEPTH, PageSpace, walk_objects
from mm_megacontext.layout.engines.pdfium_unshown import address, take_actual_text
from mm_megacontext.layout.engines.protocol import CLOSE, Glyph, Patch, occurrences

_WHITE = 0xFFFFFFFF
_WIDER = 1e4
"""How much wider clip paths are made, about their middle, to cut nothing away."""
_STROKED = (1, 2, 5, 6)  # text render modes
_MOST_STROKE = 50.0  # points
_MOST_OBJECTS = 400
"""Of texts that are painted one by one on a page; more of them in one place are made to overwhelm readers."""


class PdfiumInk:
    """The pixels of one page, one a point.

    Args:
        page: The page, which stays open.
        reopen: Loads the page once more, to be changed freely.
    """

    def __init__(self, page: pdfium.PdfPage, reopen: Callable[[], pdfium.PdfPage]) -> None:
        self._page = page
        self._reopen = reopen

    def raster(self, scale: float) -> npt.NDArray[np.uint8]:
        """The page in grey, ``scale`` pixels a point, annotations included."""
        grey: npt.NDArray[np.uint8] = self._page.render(scale=scale, grayscale=True).to_numpy()
        return grey.reshape(grey.shape[:2]).copy()

    def colours(self, without_text: bool) -> npt.NDArray[np.uint8]:
        """The page in colour, or as if it had no text."""
        area = _area_of(self._page, 1)
        return self._letters.left_out(1, area) if without_text else _render(self._page, 1, area)

    def patch(self, box: Box, without_text: bool) -> Patch:
        """The page in and around a box."""
        area = _around(box, _area_of(self._page, CLOSE))
        pixels = self._letters.left_out(CLOSE, area) if without_text else _render(self._page, CLOSE, area)
        return Patch(area[0], area[1], pixels)

    def coverage(self) -> npt.NDArray[np.uint8]:
        """How much of each pixel all text would cover if it alone were painted, in full: (height, width)."""
        return self._letters.coverage()

    def glyphs(self, box: Box, text: str) -> list[Glyph] | None:
        """The letters of a word, in the order of its text; None where they are not found."""
        return self._letters.glyphs(box, text)

    @cached_property
    def _letters(self) -> _LettersAlone:
        return _LettersAlone(self._reopen())

    def close(self) -> None:
        """Close what was loaded for this alone."""
        if "_letters" in self.__dict__:
            self._letters.close()


class _Letter(NamedTuple):
    """A character, its place on the page, and the address of the text object it is part of."""

    text: str
    box: Box
    owner: int


class _LettersAlone:
    """A page that paints nothing but its letters, black and uncut, or all but them.

    Args:
        page: A page of its own: it is changed, in memory, and closed with this.
    """

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._page = page
        self._frame = PageSpace.of(page)
        self._text_page: pdfium.PdfTextPage | None = None
        self._texts: dict[int, pdfium.PdfObject] = {}
        self._others: list[pdfium.PdfObject] = []
        self._strokes: dict[int, float] = {}
        for item, matrix in walk_objects(page, WHOLE_DEPTH):
            if item.type == pdfium_c.FPDF_PAGEOBJ_TEXT:
                self._texts[address(item.raw)] = item
                self._strokes[address(item.raw)] = _stroke_reach(item, matrix)
                _blacken(item)
            else:
                self._others.append(item)
        self._alone: dict[int, Patch] = {}

    def coverage(self) -> npt.NDArray[np.uint8]:
        with _left_out(self._others):
            return _dark(_render(self._page, 1, _area_of(self._page, 1)))

    def left_out(self, scale: int, area: _Area) -> npt.NDArray[np.uint8]:
        """The page in colour without its letters, which alone are changed."""
        with _left_out(self._texts.values()):
            return _render(self._page, scale, area)

    def glyphs(self, box: Box, text: str) -> list[Glyph] | None:
        x0, y0, x1, y1 = box
        here = []
        for letter in self._characters:
            x, y = (letter.box[0] + letter.box[2]) / 2, (letter.box[1] + letter.box[3]) / 2
            if x0 <= x <= x1 and y0 <= y <= y1:
                here.append(letter)
        places = occurrences([letter.text for letter in here], text)
        if not places:
            return None
        first, last = min(places, key=lambda place: abs(here[place[0]].box[0] - x0) + abs(here[place[0]].box[3] - y1))
        return [self._glyph(letter) for letter in here[first : last + 1]]

    @cached_property
    def _characters(self) -> list[_Letter]:
        take_actual_text(self._page, self._frame)
        self._text_page = self._page.get_textpage()
        return list(_characters(self._text_page, self._frame))

    def _glyph(self, letter: _Letter) -> Glyph:
        """Of a text that is unknown, or of too many, all that is painted in the place of the letter."""
        box = _wider(letter.box, self._strokes.get(letter.owner, 0.0))
        left, top, right, bottom = _around(box, _area_of(self._page, CLOSE), margin=0)
        owner = letter.owner if letter.owner in self._texts and len(self._alone) < _MOST_OBJECTS else 0
        if owner not in self._alone:
            self._alone[owner] = self._painted(owner)
        patch = self._alone[owner]
        y, x = top - patch.top, left - patch.left
        coverage = patch.pixels[max(0, y) : max(0, bottom - patch.top), max(0, x) : max(0, right - patch.left), 0]
        return Glyph(letter.text, max(left, patch.left), max(top, patch.top), coverage)

    def _painted(self, owner: int) -> Patch:
        """The coverage of one text object around the characters that it has; of number 0, that of all text."""
        area = _area_of(self._page, CLOSE)
        own = [letter.box for letter in self._characters if letter.owner == owner]
        if owner and own:
            area = _around(_wider(union(own), self._strokes[owner]), area)
        others = [item for place, item in self._texts.items() if owner and place != owner]
        with _left_out([*others, *self._others]):
            return Patch(area[0], area[1], _dark(_render(self._page, CLOSE, area))[..., None])

    def close(self) -> None:
        if self._text_page is not None:
            self._text_page.close()
        self._page.close()


def _characters(text_page: pdfium.PdfTextPage, frame: PageSpace) -> Iterator[_Letter]:
    handle = text_page.raw
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for i in range(text_page.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(handle, i)
        text = clean_text("-" if code == 2 else chr(code)).strip() if 0 < code < 0x110000 else ""
        if not text or not pdfium_c.FPDFText_GetCharBox(handle, i, left, right, bottom, top):
            continue
        owner = pdfium_c.FPDFText_GetTextObject(handle, i)
        box = frame.whole_box(left.value, bottom.value, right.value, top.value)
        if all(map(math.isfinite, box)):
            yield _Letter(text, box, address(owner) if owner else 0)


_Area = tuple[int, int, int, int]
"""Pixels of a page: left, top, right, bottom."""


def _area_of(page: pdfium.PdfPage, scale: int) -> _Area:
    width, height = page.get_size()
    return 0, 0, math.ceil(width * scale), math.ceil(height * scale)


def _around(box: Box, whole: _Area, margin: int = 1) -> _Area:
    """The pixels in and around a box, so many points more on each side; at least one that is on the page."""
    left, top = (int((edge - margin) * CLOSE) for edge in box[:2])
    right, bottom = (math.ceil((edge + margin) * CLOSE) for edge in box[2:])
    left, top = min(max(0, left), whole[2] - 1), min(max(0, top), whole[3] - 1)
    return left, top, max(left + 1, min(right, whole[2])), max(top + 1, min(bottom, whole[3]))


def _render(page: pdfium.PdfPage, scale: int, area: _Area) -> npt.NDArray[np.uint8]:
    """Pixels of a page in colour. In grey PDFium would place letters otherwise."""
    left, top, right, bottom = area
    bitmap = pdfium.PdfBitmap.new_native(right - left, bottom - top, pdfium_c.FPDFBitmap_BGRx)
    pdfium_c.FPDFBitmap_FillRect(bitmap, 0, 0, right - left, bottom - top, _WHITE)
    _, _, width, height = _area_of(page, scale)
    flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
    pdfium_c.FPDF_RenderPageBitmap(bitmap, page, -left, -top, width, height, 0, flags)
    pixels: npt.NDArray[np.uint8] = bitmap.to_numpy()[..., :3].copy()
    bitmap.close()
    return pixels


def _dark(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    dark: npt.NDArray[np.uint8] = 255 - pixels[..., 1]
    return dark


def _wider(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _stroke_reach(text: pdfium.PdfObject, matrix: pdfium.PdfMatrix) -> float:
    """How many points the strokes of a text reach beyond its letters."""
    if pdfium_c.FPDFTextObj_GetTextRenderMode(text.raw) not in _STROKED:
        return 0.0
    width = ctypes.c_float()
    pdfium_c.FPDFPageObj_GetStrokeWidth(text.raw, width)
    whole = text.get_matrix().multiply(matrix)
    return min(_MOST_STROKE, width.value / 2 * max(1.0, math.hypot(whole.a, whole.b)))


def _blacken(text: pdfium.PdfObject) -> None:
    """Paint a text black and whole, even one that would only cut out what is painted next."""
    if pdfium_c.FPDFTextObj_GetTextRenderMode(text) == pdfium_c.FPDF_TEXTRENDERMODE_CLIP:
        pdfium_c.FPDFTextObj_SetTextRenderMode(text, pdfium_c.FPDF_TEXTRENDERMODE_FILL)
    pdfium_c.FPDFPageObj_SetFillColor(text, 0, 0, 0, 255)
    pdfium_c.FPDFPageObj_SetStrokeColor(text, 0, 0, 0, 255)
    pdfium_c.FPDFPageObj_SetBlendMode(text, b"Normal")
    corners = list(_clip_corners(pdfium_c.FPDFPageObj_GetClipPath(text)))
    if corners:
        xs, ys = zip(*corners, strict=True)
        x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
        pdfium_c.FPDFPageObj_TransformClipPath(text, _WIDER, 0, 0, _WIDER, x - _WIDER * x, y - _WIDER * y)


def _clip_corners(clip: Any) -> Iterator[tuple[float, float]]:
    x, y = ctypes.c_float(), ctypes.c_float()
    for path in range(max(0, pdfium_c.FPDFClipPath_CountPaths(clip))):
        for i in range(pdfium_c.FPDFClipPath_CountPathSegments(clip, path)):
            if pdfium_c.FPDFPathSegment_GetPoint(pdfium_c.FPDFClipPath_GetPathSegment(clip, path, i), x, y):
                yield x.value, y.value


@contextmanager
def _left_out(items: Collection[pdfium.PdfObject]) -> Iterator[None]:
    for item in items:
        pdfium_c.FPDFPageObj_SetIsActive(item, False)
    try:
        yield
    finally:
        for item in items:
            pdfium_c.FPDFPageObj_SetIsActive(item, True)
