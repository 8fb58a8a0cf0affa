"""Boxes of whole pixels, both ends included: what is drawn where on a picture."""

from __future__ import annotations

from mm_megacontext.document import Box

PixelBox = tuple[int, int, int, int]
"""(x0, y0, x1, y1)."""


def to_pixels(box: Box, scale: tuple[float, float], size: tuple[int, int]) -> PixelBox | None:
    """The pixels a box in source units covers; None if it lies off the picture.

    Args:
        box: In source units.
        scale: Pixels per source unit, across and down.
        size: Of the picture.

    Example:
        >>> to_pixels((10.0, 10.0, 20.0, 999.0), (0.5, 0.5), (100, 100))
        (5, 5, 9, 99)
    """
    x0, y0, x1, y1 = box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]
    if x1 < 0 or y1 < 0 or x0 >= size[0] or y0 >= size[1]:
        return None
    left, top = max(round(x0), 0), max(round(y0), 0)
    left, top = min(left, size[0] - 1), min(top, size[1] - 1)
    return (left, top, max(min(round(x1), size[0]) - 1, left), max(min(round(y1), size[1]) - 1, top))


def grown(box: PixelBox, by: int) -> PixelBox:
    """The box with ``by`` more pixels on every side."""
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def moved(box: PixelBox, dx: int, dy: int) -> PixelBox:
    """The box ``dx`` pixels further right and ``dy`` further down."""
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def moved_inside(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    """The box, pushed onto a picture of ``size``; at its left and top edge if it is larger than that."""
    x = min(max(box[0], 0), max(size[0] - 1 - (box[2] - box[0]), 0))
    y = min(max(box[1], 0), max(size[1] - 1 - (box[3] - box[1]), 0))
    return (x, y, x + box[2] - box[0], y + box[3] - box[1])


def overlap(a: PixelBox, b: PixelBox) -> bool:
    """Whether two boxes share a pixel."""
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
