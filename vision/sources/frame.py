"""Where an image lies on its page: between pixels and source units, said once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mm_megacontext.document import Box
from mm_megacontext.tree.nodes import PATCH_PT, PATCH_PX

SNAP_PX = 1e-3
"""Lengths come with float32 noise: an edge this close to a whole pixel is on it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an image lies on its page: level-0 pixel (x, y) is at ((origin + (x, y)) * unit_per_px) in source units.

    Pixels are those of the page's own raster: the image itself, or a PDF page at 144 dpi, where a pixel is half a
    point. A pixel is 1/16 of a position unit either way (a patch is 16 px, or 8 pt).
    """

    origin_px: tuple[int, int] = (0, 0)
    unit_per_px: float = 1.0

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """A box of level-0 pixels in source units."""
        (left, top), scale = self.origin_px, self.unit_per_px
        return ((left + x0) * scale, (top + y0) * scale, (left + x1) * scale, (top + y1) * scale)

    def pixels_in(self, box: Box, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """The whole pixels that a box in source units touches, of an image of ``size``.

        Returns:
            (x, y, width, height), or None if the box holds no pixel of the image.

        Example:
            >>> Frame(unit_per_px=0.5).pixels_in((10.2, 5.0, 11.0, 99.0), (100, 20))
            (20, 10, 2, 10)
        """
        (left, top), scale = self.origin_px, self.unit_per_px
        x0, y0 = box[0] / scale - left, box[1] / scale - top
        x1, y1 = box[2] / scale - left, box[3] / scale - top
        first_x, first_y = max(0, math.floor(x0 + SNAP_PX)), max(0, math.floor(y0 + SNAP_PX))
        last_x, last_y = min(size[0], math.ceil(x1 - SNAP_PX)), min(size[1], math.ceil(y1 - SNAP_PX))
        if first_x >= last_x or first_y >= last_y:
            return None
        return first_x, first_y, last_x - first_x, last_y - first_y


IMAGE_FRAME = Frame()
"""An image is its own page; its unit is the pixel."""
PDF_FRAME = Frame(unit_per_px=PATCH_PT / PATCH_PX)
"""A whole PDF page at 144 dpi; its unit is the point."""
