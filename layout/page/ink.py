"""The ink of a page as its pixels show it: how much contrast there is in a box, and how much of that is its text's.

What text leaves on a page is what changes when the page is rendered without it. That tells a word from the rule, the
pattern or the picture in the same place, and needs no knowledge of how it was covered, cut away or made transparent.
What it should leave is what its letters look like when they alone are painted, whole and uncut: a word is seen as far
as the page changes where these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import CLOSE, Glyph, Patch, RawPage

MIN_CONTRAST = 12
"""Of 255: what differs less from its surroundings is not seen."""

_WEIGHTS = np.array([0.6, 1.0, 0.25], dtype=np.float32)
"""Of red, green and blue: a change of grey counts whole, of blue alone a quarter, as people see it."""
_MOST, _CLEAR = 255, 60
_FULL_PER_CONTRAST = _MOST // MIN_CONTRAST
_LEAST_CHANGE = np.array(
    [-(-n // _FULL_PER_CONTRAST) if n >= MIN_CONTRAST else 0 for n in range(_MOST + 1)], dtype=np.uint8
)
"""By how much ink of the least contrast changes a pixel, by how much it covers of it; too little is no ink."""
_WHOLE = 0.6
"""Of the most that a letter covers of a pixel: what it covers so much of has its colour."""

_AROUND = CLOSE // 2
"""Pixels around a letter that it is to stand out from."""

Plane = tuple[float, npt.NDArray[np.uint8]]
"""What one colour of a page counts, and its values (height, width)."""


class OwnInk(NamedTuple):
    """Of a letter: all its ink, what of it is its own alone, and what of that is seen."""

    whole: float
    alone: float
    seen: float


class Ink:
    """The pixels of a page, rendered when they are asked for.

    Raises:
        ValueError: The engine cannot render the page.
    """

    def __init__(self, page: RawPage) -> None:
        if page.colours is None and page.raster is None:
            raise ValueError("the engine cannot render the page")
        self._page = page

    @property
    def tells_text(self) -> bool:
        """Whether the page can be looked at without its text."""
        return self._page.colours is not None

    def contrast(self, box: Box) -> float:
        """Difference between the pixels of a box, 0 to 255."""
        return self._contrast(self._planes, box)

    def beside_text(self, box: Box) -> float:
        """The contrast that the box would have without text."""
        return self._contrast(_planes(self._textless), box)

    def of_text(self, box: Box, without: Iterable[Box] = ()) -> float:
        """The most that text changes a pixel of a box, 0 to 255; boxes that are left out are not looked at."""
        change = self._crop(self._change, box)
        return float(change.max()) if not without else float(change[self._outside(box, without)].max(initial=0.0))

    def text_size(self, box: Box, least: int = _CLEAR) -> tuple[int, int]:
        """Columns and rows of a box's pixels, one of them a point wide, that text changes by so much."""
        clear = self._crop(self._change >= least, box)
        return int(clear.any(axis=0).sum()), int(clear.any(axis=1).sum())

    def share_outside(self, box: Box, others: Iterable[Box]) -> float:
        """The share of a box's pixels that lie in none of the others."""
        return float(self._outside(box, others).mean())

    def shown(self, boxes: Sequence[Box]) -> list[float | None] | None:
        """The share of the ink of all letters in each of the boxes that is seen; None where there should be none.

        None for all where the engine cannot tell letters. Most ink of most pages is seen: what is not is counted.
        """
        if self._page.letters is None:
            return None
        height, width = self._least_change.shape
        edges = (
            np.array(boxes, dtype=np.float64).reshape(-1, 4) * np.tile((width, height), 2) / np.tile(self._page.size, 2)
        )
        corners = np.stack([np.floor(edges[:, :2]), np.rint(edges[:, 2:])], axis=1).astype(np.intp).clip(0)
        unseen = self._unseen
        is_all_seen = not unseen.any()
        found: list[float | None] = []
        for (x0, y0), (x1, y1) in corners.tolist():
            here = slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))
            if not self._least_change[here].any():
                found.append(None)
            elif is_all_seen or not unseen[here].any():
                found.append(1.0)
            else:
                ink = np.where(self._least_change[here] > 0, self._coverage[here], 0)
                found.append(float(ink[~unseen[here]].sum() / ink.sum()))
        return found

    def near(self, box: Box) -> NearInk:
        """A close look at a box, for pages whose engine tells letters."""
        assert self._page.letters is not None, "the caller has asked"
        return NearInk(self._page.letters.patch(box, False), self._page.letters.patch(box, True))

    @cached_property
    def _whole(self) -> npt.NDArray[np.uint8]:
        if self._page.colours is not None:
            return self._page.colours(False)
        assert self._page.raster is not None, "asked in the constructor"
        return self._page.raster(1.0)[..., None]

    @cached_property
    def _textless(self) -> npt.NDArray[np.uint8]:
        assert self._page.colours is not None, "the caller has asked"
        return self._page.colours(True)

    @cached_property
    def _change(self) -> npt.NDArray[np.uint8]:
        return _change_of(self._whole, self._textless)

    @cached_property
    def _coverage(self) -> npt.NDArray[np.uint8]:
        """How much letters should cover of each pixel."""
        assert self._page.letters is not None, "the caller has asked"
        return self._page.letters.coverage()

    @cached_property
    def _least_change(self) -> npt.NDArray[np.uint8]:
        """By how much text is to change each pixel to be seen there: as ink of the least contrast would."""
        return np.take(_LEAST_CHANGE, self._coverage)

    @cached_property
    def _unseen(self) -> npt.NDArray[np.bool_]:
        """Where there should be ink and none is seen."""
        whole, textless = self._whole[..., 1], self._textless[..., 1]
        unseen: npt.NDArray[np.bool_] = np.maximum(whole, textless) - np.minimum(whole, textless) < self._least_change
        if unseen.any():  # else what is seen in green, which counts most, is enough to know
            unseen = self._change < self._least_change
        return unseen

    @cached_property
    def _planes(self) -> list[Plane]:
        return _planes(self._whole)

    def _contrast(self, planes: Sequence[Plane], box: Box) -> float:
        """The largest difference of two pixels in one colour; colours that count less are looked at where they may."""
        found = 0.0
        for weight, plane in planes:
            if found < _MOST * weight:
                crop = self._crop(plane, box)
                found = max(found, weight * (int(crop.max()) - int(crop.min())))
        return found

    def _crop(self, pixels: npt.NDArray[np.generic], box: Box) -> npt.NDArray[np.generic]:
        x0, y0, x1, y1 = self._pixel_box(pixels.shape[1], pixels.shape[0], box)
        return pixels[y0:y1, x0:x1]

    def _pixel_box(self, width: int, height: int, box: Box) -> tuple[int, int, int, int]:
        """At least one pixel."""
        across, along = width / self._page.size[0], height / self._page.size[1]
        x0, x1 = int(box[0] * across), round(box[2] * across)
        y0, y1 = int(box[1] * along), round(box[3] * along)
        x0, y0 = min(max(0, x0), width - 1), min(max(0, y0), height - 1)
        return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)

    def _outside(self, box: Box, others: Iterable[Box]) -> npt.NDArray[np.bool_]:
        height, width = self._change.shape
        left, top, right, bottom = self._pixel_box(width, height, box)
        outside = np.ones(self._change[top:bottom, left:right].shape, dtype=np.bool_)
        for other in others:
            x0, y0, x1, y1 = self._pixel_box(width, height, other)
            outside[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = False
        return outside


class NearInk:
    """A part of a page looked at closely, letter by letter.

    Args:
        whole: As it is.
        textless: As if there were no text.
    """

    def __init__(self, whole: Patch, textless: Patch) -> None:
        self._left, self._top, self._whole = whole
        self._change = _change_of(self._whole, textless.pixels)

    def own(self, glyph: Glyph, others: Sequence[Glyph]) -> OwnInk:
        """A letter's ink, what of it lies where no other has any, and what of that is seen."""
        glyph = self._within(glyph)
        own = np.where(glyph.coverage >= MIN_CONTRAST, glyph.coverage, 0).astype(np.float32)
        alone = np.where(_coverage_of(others, glyph) < MIN_CONTRAST, own, 0)
        y, x = glyph.top - self._top, glyph.left - self._left
        change = self._change[y : y + own.shape[0], x : x + own.shape[1]]
        is_shown = change.astype(np.float32) * _FULL_PER_CONTRAST >= own
        return OwnInk(*(float(ink.sum()) / _MOST for ink in (own, alone, alone[is_shown])))

    def outline(self, glyph: Glyph) -> float:
        """How much what is in a letter's place differs from what is around it, as most pixels go: 0 to 255."""
        glyph = self._within(glyph)
        covered = glyph.coverage
        if not covered.size or covered.max() < MIN_CONTRAST:
            return 0.0
        y, x = glyph.top - self._top, glyph.left - self._left
        top, left = max(0, y - _AROUND), max(0, x - _AROUND)
        around = self._whole[top : y + covered.shape[0] + _AROUND, left : x + covered.shape[1] + _AROUND]
        inside = np.zeros(around.shape[:2], dtype=np.uint8)
        inside[y - top : y - top + covered.shape[0], x - left : x - left + covered.shape[1]] = covered
        letter, paper = inside >= _WHOLE * covered.max(), inside < MIN_CONTRAST
        if not paper.any():
            return 0.0
        difference = np.abs(np.median(around[letter], axis=0) - np.median(around[paper], axis=0))
        return float((difference * _WEIGHTS).max())

    def _within(self, glyph: Glyph) -> Glyph:
        """A letter as far as it is in the patch."""
        height, width = self._whole.shape[:2]
        x, y = max(0, self._left - glyph.left), max(0, self._top - glyph.top)
        right, bottom = self._left + width - glyph.left, self._top + height - glyph.top
        return glyph._replace(
            left=glyph.left + x, top=glyph.top + y, coverage=glyph.coverage[y : max(0, bottom), x : max(0, right)]
        )


def _change_of(whole: npt.NDArray[np.uint8], textless: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The most that text changes each pixel in one of the colours, each as it counts."""
    difference = np.maximum(whole, textless) - np.minimum(whole, textless)
    red, green, blue = (difference[..., c] for c in range(3))
    reds = ((red.astype(np.uint16) * int(256 * _WEIGHTS[0])) >> 8).astype(np.uint8)
    change: npt.NDArray[np.uint8] = np.maximum(np.maximum(reds, green), blue >> 2)
    return change


def _planes(pixels: npt.NDArray[np.uint8]) -> list[Plane]:
    """Grey, or the colours, those that count most first."""
    if pixels.shape[2] == 1:
        return [(1.0, pixels[..., 0])]
    by_weight = sorted(range(len(_WEIGHTS)), key=lambda c: -_WEIGHTS[c])
    return [(float(_WEIGHTS[c]), np.ascontiguousarray(pixels[..., c])) for c in by_weight]


def _coverage_of(others: Sequence[Glyph], place: Glyph) -> npt.NDArray[np.float32]:
    """How much other letters cover of the pixels of one."""
    height, width = place.coverage.shape
    covered = np.zeros((height, width), dtype=np.float32)
    for other in others:
        x0, y0 = max(other.left, place.left), max(other.top, place.top)
        x1 = min(other.left + other.coverage.shape[1], place.left + width)
        y1 = min(other.top + other.coverage.shape[0], place.top + height)
        if x0 < x1 and y0 < y1:
            here = covered[y0 - place.top : y1 - place.top, x0 - place.left : x1 - place.left]
            theirs = other.coverage[y0 - other.top : y1 - other.top, x0 - other.left : x1 - other.left]
            np.maximum(here, theirs, out=here)
    return covered
