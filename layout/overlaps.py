"""Which boxes lie in which, found through a grid: a page may have very many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mm_megacontext.layout.document import Box

_CELLS = 32
"""Of the grid, along the longer side of the page."""
_MOST_IN_CELL = 200
"""Of boxes; a cell that holds more is a pile, of which the last count: they were painted on top."""


class BoxGrid:
    """Boxes of a page that can be asked for by place.

    Args:
        boxes: Within the page, but for rounding.
        size: Of the page.
    """

    def __init__(self, boxes: Sequence[Box], size: tuple[float, float]) -> None:
        self._boxes = boxes
        self._pitch = max(size) / _CELLS
        cells: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, box in enumerate(boxes):
            for cell in self._cells(box):
                cells[cell].append(number)
        self._numbers = {cell: numbers[-_MOST_IN_CELL:] for cell, numbers in cells.items()}

    def touching(self, box: Box) -> list[int]:
        """The numbers of the boxes that have a point in common with this one, ascending."""
        near = {number for cell in self._cells(box) for number in self._numbers.get(cell, ())}
        return sorted(number for number in near if _touch(self._boxes[number], box))

    def _cells(self, box: Box) -> Iterator[tuple[int, int]]:
        x0, y0, x1, y1 = (min(_CELLS, max(0, int(edge / self._pitch))) for edge in box)
        return ((x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1))


def share_under(box: Box, other: Box) -> float:
    """The share of ``box`` that ``other`` covers; 1 for a box without area inside it."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width < 0 or height < 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    return width * height / area if area > 0 else 1.0


def _touch(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
