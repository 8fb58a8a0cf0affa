"""Where things go in the picture of a zoom: at which level the overview is, what the close-up shows, which is where."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mm_megacontext.document import Box
from mm_megacontext.pictures.pixel_boxes import PixelBox
from mm_megacontext.vision.sources.source import Rect, count_levels, level_size

OVERVIEW_PX = 1600
"""The overview is the finest level that is no larger than this on either side."""
CLOSE_UP_PX = (640, 480)
"""The most pixels of the picture that a close-up takes."""
MAX_MAGNIFICATION = 4
CONTEXT_PX = 40
"""Source pixels that a close-up shows at least on every side of the evidence, when it shows them at full size."""

MARGIN_PX = 28
BAR_PX = 64
"""Height of the caption."""
GAP_PX = 72
"""Between overview and panel: the lines that join them are seen here."""
ROW_PX = 34
"""Height of a line of the notes."""
MIN_WIDTH_PX = 720
"""Narrower pictures get paper beside them, so that the caption stays readable."""


@dataclass(frozen=True, slots=True)
class CloseUp:
    """What a close-up shows: ``area``, in pixels of ``level``, each as ``magnification`` pixels on a side.

    Only level 0 is magnified; a higher level shows evidence that is too large at full size.
    """

    area: Rect
    level: int
    magnification: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the picture."""
        return self.area[2] * self.magnification, self.area[3] * self.magnification

    @property
    def scale(self) -> float:
        """Pixels of the picture per level-0 pixel."""
        return self.magnification / (1 << self.level)

    @property
    def bbox(self) -> Box:
        """What it shows, in level-0 pixels; may end up to a pixel of ``level`` past the image."""
        x, y, width, height = (edge << self.level for edge in self.area)
        return (float(x), float(y), float(x + width), float(y + height))


@dataclass(frozen=True, slots=True)
class ZoomLayout:
    """Where the parts of the picture are, in its pixels, ends included.

    Attributes:
        size: Width and height of the picture.
        overview: The whole image.
        close_up: The sharp part, if there is one.
        notes: Top left corner of the list of what is drawn.
        is_below: Close-up and notes are below the overview, not to its right.
    """

    size: tuple[int, int]
    overview: PixelBox
    close_up: PixelBox | None
    notes: tuple[int, int]
    is_below: bool


def overview_level(size: tuple[int, int]) -> int:
    """The finest level that fits ``OVERVIEW_PX``.

    Example:
        >>> overview_level((1600, 9)), overview_level((1601, 9)), overview_level((100_000, 100_000))
        (0, 1, 6)
    """
    return next(level for level in range(count_levels(size)) if max(level_size(size, level)) <= OVERVIEW_PX)


def choose_close_up(bbox: Box, size: tuple[int, int]) -> CloseUp:
    """What to show of an image around a box: all of the box, as large as there is room, never past the edges.

    Args:
        bbox: In level-0 pixels.
        size: Of the image.

    Example:
        >>> choose_close_up((1000, 1000, 1016, 1016), (20_000, 12_000))
        CloseUp(area=(928, 948, 160, 120), level=0, magnification=4)
    """
    width, height = bbox[2] - bbox[0], bbox[3] - bbox[1]
    for magnification in range(MAX_MAGNIFICATION, 0, -1):
        across, down = (side // magnification for side in CLOSE_UP_PX)
        if width + 2 * CONTEXT_PX <= across and height + 2 * CONTEXT_PX <= down:
            return CloseUp(_around(bbox, (across, down), size), 0, magnification)
    excess = max(width / CLOSE_UP_PX[0], height / CLOSE_UP_PX[1]) * 1.1  # some of what is around it is seen, too
    level = min(math.ceil(math.log2(max(excess, 1.0))), count_levels(size) - 1)
    at_level = (bbox[0] / 2**level, bbox[1] / 2**level, bbox[2] / 2**level, bbox[3] / 2**level)
    return CloseUp(_around(at_level, CLOSE_UP_PX, level_size(size, level)), level, 1)


def _around(bbox: Box, area: tuple[int, int], size: tuple[int, int]) -> Rect:
    """A rectangle of the size of ``area`` with ``bbox`` in its middle, moved and then cut to lie in the image."""
    width, height = min(area[0], size[0]), min(area[1], size[1])
    x, y = round((bbox[0] + bbox[2] - width) / 2), round((bbox[1] + bbox[3] - height) / 2)
    return min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height), width, height


def lay_out(overview: tuple[int, int], close_up: tuple[int, int] | None, n_notes: int) -> ZoomLayout:
    """Place an overview, a close-up beside it (below, if the overview is wide and flat), and lines of notes.

    Args:
        overview: Its width and height.
        close_up: Its width and height, if there is one.
        n_notes: Lines of notes.
    """
    x0, y0 = MARGIN_PX, BAR_PX
    x1, y1 = x0 + overview[0], y0 + overview[1]
    is_below = overview[0] > 2 * overview[1] and overview[0] >= 2 * CLOSE_UP_PX[0]
    left, top = (x0, y1 + GAP_PX) if is_below else (x1 + GAP_PX, y0)
    shown = None if close_up is None else (left, top, left + close_up[0] - 1, top + close_up[1] - 1)
    notes = (left, top)
    if shown is not None:
        notes = (shown[2] + GAP_PX, top) if is_below else (left, shown[3] + ROW_PX)
    has_panel = shown is not None or n_notes > 0
    right = max(x1, notes[0] + CLOSE_UP_PX[0]) if has_panel else x1
    bottom = max(y1, notes[1] + n_notes * ROW_PX if n_notes else 0, 0 if shown is None else shown[3] + 1)
    size = (max(right + MARGIN_PX, MIN_WIDTH_PX), bottom + MARGIN_PX)
    return ZoomLayout(size, (x0, y0, x1 - 1, y1 - 1), shown, notes, is_below)
