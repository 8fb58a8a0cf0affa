"""Pages as PyMuPDF paints them: whole, without their text, and their letters alone, neither cut nor covered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, clean_text
from mm_megacontext.layout.engines.protocol import CLOSE, Glyph, Patch, occurrences
from mm_megacontext.layout.engines.pymupdf_library import mupdf, pymupdf

_TEXT = ("fill_text", "stroke_text")
_BESIDE_TEXT = (
    *("fill_path", "stroke_path", "fill_shade", "fill_image", "fill_image_mask", "begin_tile", "end_tile"),
    *("clip_path", "clip_stroke_path", "clip_text", "clip_stroke_text", "clip_image_mask", "pop_clip"),
    *("begin_mask", "end_mask", "begin_group", "end_group"),
)
"""What a device does beside painting text. What a device has no function for, it does not do."""
_REACH = 0.5  # points beside its box where a letter may stand: boxes and places are rounded apart


class PyMuPdfInk:
    """The pixels of one page, one a point; what is painted is found out once.

    Args:
        page: The page, which stays open.
        without_drawn_letters: The same page without the letters that its fonts draw instead of naming (Type 3), where
            it has such.
    """

    def __init__(self, page: Any, without_drawn_letters: Callable[[], Any] | None = None) -> None:
        self._page = page
        self._without_drawn_letters = without_drawn_letters

    def colours(self, without_text: bool) -> npt.NDArray[np.uint8]:
        """The page in colour, annotations included, or as if it had no text: (height, width, 3)."""
        return self._painted(_white_pixmap(self._area), 1, without_text=without_text)

    def patch(self, box: Box, without_text: bool) -> Patch:
        """The page in and around a box."""
        x0, y0, x1, y1 = box
        around = mupdf.FzRect(*((edge + by) * CLOSE for edge, by in ((x0, -1), (y0, -1), (x1, 1), (y1, 1))))
        area = mupdf.fz_intersect_irect(mupdf.fz_round_rect(around), self._close_area)
        if mupdf.fz_is_empty_irect(area):
            return Patch(0, 0, np.zeros((0, 0, 3), dtype=np.uint8))
        pixels = self._painted(_white_pixmap(area), CLOSE, without_text=without_text)
        return Patch(area.x0, area.y0, pixels)

    def coverage(self) -> npt.NDArray[np.uint8]:
        """How much of each pixel all text would cover if it alone were painted, in full: (height, width)."""
        return _run(self._list, _coverage_pixmap(self._area), 1, _BESIDE_TEXT)[..., 0]

    def glyphs(self, box: Box, text: str) -> list[Glyph] | None:
        """The letters of a word, in the order of its text; None where they are not found."""
        x0, y0, x1, y1 = box
        here = [
            letter
            for letter in self._letters
            if x0 - _REACH <= letter.x <= x1 + _REACH and y0 - _REACH <= letter.y <= y1 + _REACH
        ]
        places = occurrences([letter.text for letter in here], text)
        if not places:
            return None
        first, last = min(places, key=lambda place: abs(here[place[0]].x - x0) + abs(here[place[0]].y - y1))
        return [self._glyph(letter) for letter in here[first : last + 1] if letter.text]

    @cached_property
    def _list(self) -> Any:
        return _list_of(self._page)

    @cached_property
    def _letters(self) -> list[_Letter]:
        """All letters of the page in the order in which they are painted, even those that are cut away."""
        listener = _Listener()
        mupdf.fz_run_page(_page_of(self._page), listener, mupdf.FzMatrix(), mupdf.FzCookie())
        mupdf.fz_close_device(listener)
        return [letter for painted in listener.found for letter in _letters(painted)]

    @cached_property
    def _undrawn(self) -> Any:
        """What is painted but for drawn letters."""
        return self._list if self._without_drawn_letters is None else _list_of(self._without_drawn_letters())

    @cached_property
    def _area(self) -> Any:
        rect = self._page.rect.irect
        return mupdf.FzIrect(rect.x0, rect.y0, rect.x1, rect.y1)

    @cached_property
    def _close_area(self) -> Any:
        area = self._area
        return mupdf.FzIrect(area.x0 * CLOSE, area.y0 * CLOSE, area.x1 * CLOSE, area.y1 * CLOSE)

    def _painted(self, pixmap: Any, scale: int, *, without_text: bool) -> npt.NDArray[np.uint8]:
        return _run(self._undrawn, pixmap, scale, _TEXT) if without_text else _run(self._list, pixmap, scale, ())

    def _glyph(self, letter: _Letter) -> Glyph:
        text = mupdf.FzText()
        mupdf.fz_show_glyph(text, letter.font, letter.trm, letter.gid, letter.ucs, 0, 0, 0, 0)
        ctm = mupdf.fz_concat(letter.ctm, mupdf.fz_scale(CLOSE, CLOSE))
        stroke = letter.stroke.m_internal if letter.stroke else None
        bounds = mupdf.FzRect(mupdf.ll_fz_bound_text(text.m_internal, stroke, ctm.internal()))
        area = mupdf.fz_intersect_irect(mupdf.fz_round_rect(bounds), self._close_area)
        if mupdf.fz_is_empty_irect(area):
            return Glyph(letter.text, 0, 0, np.zeros((0, 0), dtype=np.uint8))
        pixmap = _coverage_pixmap(area)
        device = mupdf.fz_new_draw_device(mupdf.FzMatrix(), pixmap)
        no_space, opaque = mupdf.FzColorspace(), (1.0, mupdf.FzColorParams())
        if letter.is_filled:
            mupdf.fz_fill_text(device, text, ctm, no_space, (), *opaque)
        if letter.stroke:
            mupdf.fz_stroke_text(device, text, letter.stroke, ctm, no_space, None, *opaque)
        mupdf.fz_close_device(device)
        return Glyph(letter.text, area.x0, area.y0, _pixels(pixmap)[..., 0])


class _Painted(NamedTuple):
    """Text as it is painted."""

    text: Any
    stroke: Any
    ctm: Any
    is_filled: bool


class _Letter(NamedTuple):
    """One glyph, what it stands for, and where its origin is."""

    text: str
    x: float
    y: float
    font: Any
    trm: Any
    gid: int
    ucs: int
    ctm: Any
    stroke: Any
    is_filled: bool


class _Listener(mupdf.FzDevice2):  # type: ignore[misc]  # the library has no types
    """A device that keeps what text is painted and paints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.use_virtual_fill_text()
        self.use_virtual_stroke_text()
        self.use_virtual_clip_text()
        self.use_virtual_clip_stroke_text()
        self.found: list[_Painted] = []

    def fill_text(self, _context: Any, text: Any, ctm: Any, *_: Any) -> None:
        self._keep(text, None, ctm)

    def stroke_text(self, _context: Any, text: Any, stroke: Any, ctm: Any, *_: Any) -> None:
        self._keep(text, stroke, ctm)

    def clip_text(self, _context: Any, text: Any, ctm: Any, *_: Any) -> None:
        self._keep(text, None, ctm)

    def clip_stroke_text(self, _context: Any, text: Any, stroke: Any, ctm: Any, *_: Any) -> None:
        self._keep(text, stroke, ctm)

    def _keep(self, text: Any, stroke: Any, ctm: Any) -> None:
        """Text that is filled, stroked and cut out by turns is one."""
        if self.found and int(self.found[-1].text.m_internal.this) == int(text.this):
            if stroke is None or self.found[-1].stroke is not None:
                return
            self.found.pop()
            is_filled = True
        else:
            is_filled = stroke is None
        kept = None if stroke is None else mupdf.FzStrokeState(mupdf.ll_fz_keep_stroke_state(stroke))
        matrix = mupdf.FzMatrix(ctm.a, ctm.b, ctm.c, ctm.d, ctm.e, ctm.f)
        self.found.append(_Painted(mupdf.FzText(mupdf.ll_fz_keep_text(text)), kept, matrix, is_filled))


def _letters(painted: _Painted) -> Iterator[_Letter]:
    """The glyphs of one painting; characters without a glyph belong to the glyph before them."""
    raw = painted.text.m_internal.head
    ctm = painted.ctm
    while raw:
        span = mupdf.FzTextSpan(raw)
        font, trm = span.font(), span.m_internal.trm
        pending: _Letter | None = None
        for i in range(span.m_internal.len):
            item = span.items(i)
            text = clean_text(chr(item.ucs)) if item.ucs > 0 else ""
            if item.gid < 0:
                pending = pending and pending._replace(text=pending.text + text.strip())
                continue
            if pending is not None:
                yield pending
            matrix = mupdf.FzMatrix(trm.a, trm.b, trm.c, trm.d, item.x, item.y)
            x, y = item.x * ctm.a + item.y * ctm.c + ctm.e, item.x * ctm.b + item.y * ctm.d + ctm.f
            look = (ctm, painted.stroke, painted.is_filled)
            pending = _Letter(text.strip(), x, y, font, matrix, item.gid, max(0, item.ucs), *look)
        if pending is not None:
            yield pending
        raw = raw.next


def _run(display_list: Any, pixmap: Any, scale: int, left_out: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """What is painted on a pixmap by a device without some of its functions: (height, width, channels)."""
    device = mupdf.fz_new_draw_device(mupdf.FzMatrix(), pixmap)
    for function in left_out:
        setattr(device.m_internal, function, None)
    area = mupdf.FzRect(mupdf.fz_pixmap_bbox(pixmap))
    mupdf.fz_run_display_list(display_list, device, mupdf.fz_scale(scale, scale), area, mupdf.FzCookie())
    mupdf.fz_close_device(device)
    return _pixels(pixmap)


def _page_of(page: Any) -> Any:
    return page.this if isinstance(page.this, mupdf.FzPage) else mupdf.FzPage(page.this)


def _list_of(page: Any) -> Any:
    return mupdf.fz_new_display_list_from_page(_page_of(page))


def _white_pixmap(area: Any) -> Any:
    space = mupdf.FzColorspace(mupdf.FzColorspace.Fixed_RGB)
    pixmap = mupdf.fz_new_pixmap_with_bbox(space, area, mupdf.FzSeparations(), 0)
    mupdf.fz_clear_pixmap_with_value(pixmap, 255)
    return pixmap


def _coverage_pixmap(area: Any) -> Any:
    """Without colour: what is painted on it counts whatever its colour is."""
    pixmap = mupdf.fz_new_pixmap_with_bbox(mupdf.FzColorspace(), area, mupdf.FzSeparations(), 1)
    mupdf.fz_clear_pixmap(pixmap)
    return pixmap


def _pixels(pixmap: Any) -> npt.NDArray[np.uint8]:
    """(height, width, channels)."""
    whole = pymupdf.Pixmap("raw", pixmap)
    rows = np.frombuffer(whole.samples_mv, dtype=np.uint8).reshape(whole.height, whole.stride)
    return rows[:, : whole.n * whole.width].reshape(whole.height, whole.width, whole.n).copy()
