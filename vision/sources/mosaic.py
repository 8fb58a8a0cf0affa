"""Open tiles of an image, put side by side again: what lies across their edges can be seen whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_megacontext.vision.sources.source import Pixels, Rect

GREY = 128
"""What stands where no tile is open: the middle of the range, which networks are given as zero."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Tiles of one level of one page.

    Attributes:
        rects: Where each lies in the raster of its level.
        pixels: Of each, (height, width, 3).
    """

    rects: Sequence[Rect]
    pixels: Sequence[Pixels]

    def read(self, region: Rect) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """Pixels of a region, (height, width, 3), and which of them are known, (height, width)."""
        x, y, width, height = region
        out = np.full((height, width, 3), GREY, dtype=np.uint8)
        is_known = np.zeros((height, width), dtype=np.bool_)
        for rect, own in zip(self.rects, self.pixels, strict=True):
            left, top = max(x, rect[0]), max(y, rect[1])
            right, bottom = min(x + width, rect[0] + rect[2]), min(y + height, rect[1] + rect[3])
            if left < right and top < bottom:
                here = slice(top - y, bottom - y), slice(left - x, right - x)
                out[here] = own[top - rect[1] : bottom - rect[1], left - rect[0] : right - rect[0]]
                is_known[here] = True
        return out, is_known
