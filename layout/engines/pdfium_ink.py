"""Pages as PDFium paints them: whole, without their text, and their letters alone, as if nothing cut or covered them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.pdfium_graphics import WHOLE_DEPTH, Frame, walk_objects
from mm_megacontext.layout.engines.pdfium_unshown import address, take_actual_text
from mm_megacontext.layout.engines.protocol import Glyph, clean_text

_WIDER = 1e4
"""How much wider clip paths are made, about their middle, to cut nothing away."""
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
        with _text_left_out(self._page) if without_text else nullcontext():
            pixels: npt.NDArray[np.uint8] = self._page.render(scale=1, rev_byteorder=True).to_numpy()
        return pixels[..., :3].copy()

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
    """A page that paints nothing but its letters, black and uncut.

    Args:
        page: A page of its own: it is changed, in memory, and closed with this.
    """

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._page = page
        self._frame = Frame.of(page)
        take_actual_text(page, self._frame)
        self._text_page = page.get_textpage()
        self._texts: dict[int, pdfium.PdfObject] = {}
        for item, _ in walk_objects(page, WHOLE_DEPTH):
            if item.type == pdfium_c.FPDF_PAGEOBJ_TEXT:
                self._texts[address(item.raw)] = item
                _blacken(item)
            else:
                pdfium_c.FPDFPageObj_SetIsActive(item, False)
        self._alone: dict[int, npt.NDArray[np.uint8]] = {}

    def coverage(self) -> npt.NDArray[np.uint8]:
        """In colours, as the page: in grey PDFium places letters otherwise."""
        pixels = self._page.render(scale=1, rev_byteorder=True, draw_annots=False, may_draw_forms=False).to_numpy()
        dark: npt.NDArray[np.uint8] = 255 - pixels[..., 1]
        return dark

    def glyphs(self, box: Box, text: str) -> list[Glyph] | None:
        x0, y0, x1, y1 = box
        here = []
        for letter in self._characters:
            x, y = (letter.box[0] + letter.box[2]) / 2, (letter.box[1] + letter.box[3]) / 2
            if x0 <= x <= x1 and y0 <= y <= y1:
                here.append(letter)
        start = "".join(letter.text for letter in here).find(text)
        if start < 0:
            return None
        found, at = [], 0
        for letter in here:
            if start - len(letter.text) < at < start + len(text) and letter.text:
                found.append(self._glyph(letter))
            at += len(letter.text)
        return found

    @cached_property
    def _characters(self) -> list[_Letter]:
        return list(_characters(self._text_page, self._frame))

    def _glyph(self, letter: _Letter) -> Glyph:
        alone = self._painted(letter.owner)
        height, width = alone.shape
        across, along = width / self._frame.size[0], height / self._frame.size[1]
        x0, y0, x1, y1 = letter.box
        left, right = max(0, int(x0 * across)), min(width, int(np.ceil(x1 * across)))
        top, bottom = max(0, int(y0 * along)), min(height, int(np.ceil(y1 * along)))
        return Glyph(letter.text, left, top, alone[top : max(top, bottom), left : max(left, right)])

    def _painted(self, owner: int) -> npt.NDArray[np.uint8]:
        """The coverage of one text object; of an unknown one, or of too many, that of all text."""
        if owner not in self._texts or len(self._alone) >= _MOST_OBJECTS:
            owner = 0
        if owner not in self._alone:
            others = [item for place, item in self._texts.items() if owner and place != owner]
            with _left_out(others):
                self._alone[owner] = self.coverage()
        return self._alone[owner]

    def close(self) -> None:
        self._text_page.close()
        self._page.close()


def _characters(text_page: pdfium.PdfTextPage, frame: Frame) -> Iterator[_Letter]:
    handle = text_page.raw
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    for i in range(text_page.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(handle, i)
        text = clean_text("-" if code == 2 else chr(code)).strip() if 0 < code < 0x110000 else ""
        if not text or not pdfium_c.FPDFText_GetCharBox(handle, i, left, right, bottom, top):
            continue
        owner = pdfium_c.FPDFText_GetTextObject(handle, i)
        box = frame.whole_box(left.value, bottom.value, right.value, top.value)
        if all(map(np.isfinite, box)):
            yield _Letter(text, box, address(owner) if owner else 0)


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
def _text_left_out(page: pdfium.PdfPage) -> Iterator[None]:
    """Within it, a page is rendered without its text."""
    items = walk_objects(page, WHOLE_DEPTH)
    with _left_out([item for item, _ in items if item.type == pdfium_c.FPDF_PAGEOBJ_TEXT]):
        yield


@contextmanager
def _left_out(items: list[pdfium.PdfObject]) -> Iterator[None]:
    for item in items:
        pdfium_c.FPDFPageObj_SetIsActive(item, False)
    try:
        yield
    finally:
        for item in items:
            pdfium_c.FPDFPageObj_SetIsActive(item, True)
