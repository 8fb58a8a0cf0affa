"""Pages seen in a frame in which text that lies askew, on its side or on its head is upright, and boxes in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mm_megacontext.document import Box, Cell, Line, Region

MapBox = Callable[[Box], Box]
"""Where a box of one frame lies in another."""


@dataclass(frozen=True, slots=True)
class TurnedFrame:
    """A page turned around its middle.

    Attributes:
        size: Width and height of the page.
        turned_size: Those of the turned page.
        turn: Degrees clockwise that lines of text fall on the page; the page is turned back by them.
    """

    size: tuple[float, float]
    turned_size: tuple[float, float]
    turn: float

    @classmethod
    def of(cls, size: tuple[float, float], turn: float) -> TurnedFrame:
        """The frame that just holds the turned page.

        >>> TurnedFrame.of((600.0, 800.0), 90.0).turned_size
        (800.0, 600.0)
        """
        quarters, cos, sin = _parts(turn)
        width, height = size[0] * cos + size[1] * abs(sin), size[0] * abs(sin) + size[1] * cos
        return cls(size, (width, height) if quarters % 2 == 0 else (height, width), turn)

    def on_page(self, box: Box) -> Box:
        """The box on the page around a box of the turned one, cut at the page's edges.

        >>> TurnedFrame.of((600.0, 800.0), 90.0).on_page((100.0, 20.0, 150.0, 30.0))
        (570.0, 100.0, 580.0, 150.0)
        """
        quarters, cos, sin = _parts(self.turn)
        across, down = self.turned_size[0] / 2, self.turned_size[1] / 2
        corners = [(x - across, y - down) for x in (box[0], box[2]) for y in (box[1], box[3])]
        for _ in range(quarters):  # exactly, which sines and cosines are not
            corners = [(-y, x) for x, y in corners]
        xs = [x * cos - y * sin + self.size[0] / 2 for x, y in corners]
        ys = [x * sin + y * cos + self.size[1] / 2 for x, y in corners]
        width, height = self.size
        x0, x1 = (min(max(x, 0.0), width) for x in (min(xs), max(xs)))
        y0, y1 = (min(max(y, 0.0), height) for y in (min(ys), max(ys)))
        return (x0, y0, x1, y1)

    def upright(self, box: Box) -> Box:
        """The box of the turned page that a box on the page is drawn around.

        >>> TurnedFrame.of((600.0, 800.0), 90.0).upright((570.0, 100.0, 580.0, 150.0))
        (100.0, 20.0, 150.0, 30.0)
        """
        quarters, cos, sin = _parts(self.turn)
        x, y = (box[0] + box[2] - self.size[0]) / 2, (box[1] + box[3] - self.size[1]) / 2
        x, y = x * cos + y * sin, y * cos - x * sin
        width, height = _sides(box[2] - box[0], box[3] - box[1], cos, abs(sin))
        for _ in range(quarters):
            x, y, width, height = y, -x, height, width
        x, y = x + self.turned_size[0] / 2, y + self.turned_size[1] / 2
        return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def mapped(region: Region, place: MapBox) -> Region:
    """A region with all its boxes, those of its lines, words and cells too, put through ``place``."""
    table = region.table
    if table is not None:
        table = replace(table, cells=tuple(_cell(cell, place) for cell in table.cells))
    return replace(region, bbox=place(region.bbox), lines=_lines(region.lines, place), table=table)


def _cell(cell: Cell, place: MapBox) -> Cell:
    return replace(cell, bbox=place(cell.bbox), lines=_lines(cell.lines, place))


def _lines(lines: Sequence[Line], place: MapBox) -> tuple[Line, ...]:
    return tuple(Line(tuple(replace(word, bbox=place(word.bbox)) for word in line.words)) for line in lines)


def _parts(turn: float) -> tuple[int, float, float]:
    """Quarter turns clockwise, and cosine and sine of what is left: at most 45 degrees to either side."""
    quarters = round(turn / 90)
    rest = math.radians(turn - 90 * quarters)
    return quarters % 4, math.cos(rest), math.sin(rest)


def _sides(width: float, height: float, cos: float, sin: float) -> tuple[float, float]:
    """Width and height of the box that another one of these sides is drawn around, turned by less than 45 degrees."""
    squared = cos * cos - sin * sin
    if squared < 0.1:  # near 45 degrees many boxes are
        return width, height
    return max(0.0, (width * cos - height * sin) / squared), max(0.0, (height * cos - width * sin) / squared)
