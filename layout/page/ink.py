"""The ink of a page as its pixels show it: how much contrast there is in a box, and how much of that is its text's.

What text leaves on a page is what changes when the page is rendered without it. That tells a word from the rule, the
pattern or the picture in the same place, and needs no knowledge of how it was covered, cut away or made transparent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Rgb
from mm_megacontext.layout.engines.protocol import RawPage

_WEIGHTS = np.array([0.6, 1.0, 0.25], dtype=np.float32)
"""Of red, green and blue: a change of grey counts whole, of blue alone a quarter, as people see it."""
_MOST, _CLEAR = 255, 60

Plane = tuple[float, npt.NDArray[np.uint8]]
"""What one colour of a page counts, and its values (height, width)."""


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

    def text_size(self, box: Box) -> tuple[int, int]:
        """Columns and rows of a box's pixels, one of them a point wide, that text changes clearly."""
        clear = self._crop((self._change >= _CLEAR), box)
        return int(clear.any(axis=0).sum()), int(clear.any(axis=1).sum())

    def share_outside(self, box: Box, others: Iterable[Box]) -> float:
        """The share of a box's pixels that lie in none of the others."""
        return float(self._outside(box, others).mean())

    def shows(self, ink: Rgb, box: Box) -> float:
        """The most that ink of this colour would differ from what is in a box beside text."""
        paper = self._crop(self._textless, box).astype(np.float32)
        return float((np.abs(paper - np.array(ink, dtype=np.float32)) * _WEIGHTS).max())

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
    def _change(self) -> npt.NDArray[np.float32]:
        difference = np.maximum(self._whole, self._textless) - np.minimum(self._whole, self._textless)
        red, green, blue = (weight * difference[..., c] for c, weight in enumerate(_WEIGHTS))
        change: npt.NDArray[np.float32] = np.maximum(np.maximum(red, green), blue)
        return change

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
        return min(x0, width - 1), min(y0, height - 1), max(x1, x0 + 1), max(y1, y0 + 1)

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
