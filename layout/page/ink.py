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
from mm_megacontext.layout.engines.protocol import Glyph, RawPage

MIN_CONTRAST = 12
"""Of 255: what differs less from its surroundings is not seen."""

_WEIGHTS = np.array([0.6, 1.0, 0.25], dtype=np.float32)
"""Of red, green and blue: a change of grey counts whole, of blue alone a quarter, as people see it."""
_MOST, _CLEAR = 255, 60
_FULL_PER_CONTRAST = _MOST // MIN_CONTRAST
_WHOLE = 0.6
"""Of the most that a letter covers of a pixel: what it covers so much of has its colour."""

Plane = tuple[float, npt.NDArray[np.uint8]]
"""What one colour of a page counts, and its values (height, width)."""


class Shown(NamedTuple):
    """Of boxes: how much ink the letters there should leave, in whole pixels, and what share of it is seen."""

    expected: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


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

    def shown(self, boxes: Sequence[Box]) -> Shown | None:
        """How much of the ink of all letters in each of the boxes is seen; None where the engine cannot tell them."""
        if self._page.letters is None:
            return None
        expected = self._expected
        height, width = expected.shape
        corners = np.array([self._pixel_box(width, height, box) for box in boxes], dtype=np.intp).reshape(-1, 4)
        amount = _sums(expected, corners)
        return Shown(amount / _MOST, _sums(np.where(self._is_shown, expected, 0), corners) / np.maximum(amount, 1))

    def own_ink(self, glyph: Glyph, others: Sequence[Glyph]) -> OwnInk:
        """A letter's ink, what of it lies where no other has any, and what of that is seen."""
        own = np.where(glyph.coverage >= MIN_CONTRAST, glyph.coverage, 0).astype(np.float32)
        alone = np.where(_coverage_of(others, glyph) < MIN_CONTRAST, own, 0)
        change = self._change[glyph.top : glyph.top + own.shape[0], glyph.left : glyph.left + own.shape[1]]
        is_shown = change.astype(np.float32) * _FULL_PER_CONTRAST >= own
        return OwnInk(float(own.sum()), float(alone.sum()), float(alone[is_shown].sum()))

    def outline(self, glyph: Glyph) -> float:
        """How much what is in a letter's place differs from what is around it, as most pixels go: 0 to 255."""
        covered = glyph.coverage
        if not covered.size or covered.max() < MIN_CONTRAST:
            return 0.0
        top, left = max(0, glyph.top - 1), max(0, glyph.left - 1)
        bottom, right = glyph.top + covered.shape[0] + 1, glyph.left + covered.shape[1] + 1
        around = self._whole[top:bottom, left:right].astype(np.float32)
        inside = np.zeros(around.shape[:2], dtype=np.float32)
        y, x = glyph.top - top, glyph.left - left
        inside[y : y + covered.shape[0], x : x + covered.shape[1]] = covered
        letter, paper = inside >= _WHOLE * covered.max(), inside < MIN_CONTRAST
        if not paper.any():
            return 0.0
        difference = np.abs(np.median(around[letter], axis=0) - np.median(around[paper], axis=0))
        return float((difference * _WEIGHTS[: len(difference)] if len(difference) > 1 else difference).max())

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
        """The most that text changes each pixel in one of the colours, each as it counts."""
        difference = np.maximum(self._whole, self._textless) - np.minimum(self._whole, self._textless)
        red, green, blue = (difference[..., c] for c in range(3))
        reds = ((red.astype(np.uint16) * int(256 * _WEIGHTS[0])) >> 8).astype(np.uint8)
        return np.maximum(np.maximum(reds, green), blue >> 2)

    @cached_property
    def _expected(self) -> npt.NDArray[np.uint8]:
        """How much letters should cover of each pixel; what is less than can be seen is left out."""
        assert self._page.letters is not None, "the caller has asked"
        coverage = self._page.letters.coverage()
        return np.where(coverage >= MIN_CONTRAST, coverage, np.uint8(0))

    @cached_property
    def _is_shown(self) -> npt.NDArray[np.bool_]:
        """Where text changes a pixel by as much as ink of the least contrast would that covers as much of it."""
        shown: npt.NDArray[np.bool_] = self._change.astype(np.uint16) * _FULL_PER_CONTRAST >= self._expected
        return shown

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


def _planes(pixels: npt.NDArray[np.uint8]) -> list[Plane]:
    """Grey, or the colours, those that count most first."""
    if pixels.shape[2] == 1:
        return [(1.0, pixels[..., 0])]
    by_weight = sorted(range(len(_WEIGHTS)), key=lambda c: -_WEIGHTS[c])
    return [(float(_WEIGHTS[c]), np.ascontiguousarray(pixels[..., c])) for c in by_weight]


def _sums(values: npt.NDArray[np.uint8], corners: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """The sums over boxes (n, 4) of pixels, from the sums of all that lies above and left of each pixel."""
    height, width = values.shape
    total = np.zeros((height + 1, width + 1), dtype=np.uint32)
    np.cumsum(np.cumsum(values, axis=0, dtype=np.uint32), axis=1, out=total[1:, 1:])
    x0, y0, x1, y1 = corners.T
    sums = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]  # right even where the totals run over
    return sums.astype(np.float64)


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
