"""Strips cut into pages: between lines, never through one, a heading never from what it heads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mm_megacontext.document import Box
from mm_megacontext.layout.flow.flow import FlowTable, Paragraph
from mm_megacontext.layout.flow.galley import Galley, SetItem
from mm_megacontext.layout.flow.pictures import ReadyPicture

PAGE_HEIGHT = 792.0
PAGE_WIDTH = 612.0
"""US Letter; pages with a table that does not fit are wider."""
MARGIN = 54.0
ROOM = PAGE_HEIGHT - 2 * MARGIN

_OVERLAP = 0.2  # of a line's height: boxes of letters reach into the lines above and below
_HIGHEST_ROW = ROOM / 3
_GAP = 6.0  # between what stands on different strips


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a strip from ``top`` to ``bottom`` that stands on a page, moved down by ``shift`` (all in points).

    All that has its middle between ``start`` and ``end`` belongs to it, the white around it included.
    """

    galley: Galley
    top: float
    bottom: float
    shift: float
    start: float
    end: float

    def holds(self, top: float, bottom: float) -> bool:
        """Whether what reaches from ``top`` to ``bottom`` on the strip belongs to this part of it."""
        return self.start <= (top + bottom) / 2 < self.end


@dataclass(slots=True)
class Paginator:
    """Fills pages with strips, one after the other."""

    filled: float = 0.0
    slices: list[Slice] | None = None

    def put(self, galley: Galley) -> Iterator[list[Slice]]:
        """Take a strip; gives the pages that it fills."""
        pieces = _solid(galley)
        at, cut = 0, -math.inf
        while at < len(pieces):
            top = cut if at else 0.0
            gap = _GAP if self.slices else 0.0
            room = ROOM - self.filled - gap
            end = at
            while end < len(pieces) and pieces[end][1] - top <= room:
                end += 1
            if end == at and self.slices:
                yield self.finish()
                continue
            before = cut
            if end == at:  # taller than a page: it is cut where the page ends
                cut = top + room
                pieces[at] = (cut, pieces[at][1])
            elif end == len(pieces):
                cut = min(top + room, max(galley.height, pieces[-1][1]))
            else:
                cut = (pieces[end - 1][1] + pieces[end][0]) / 2
            last = math.inf if end == len(pieces) else cut
            self._add(Slice(galley, top, cut, MARGIN + self.filled + gap - top, before, last), gap + cut - top)
            at = end
            if at < len(pieces):
                yield self.finish()

    def finish(self) -> list[Slice]:
        """The page so far; the next one starts empty."""
        slices, self.slices, self.filled = self.slices or [], None, 0.0
        return slices

    def _add(self, piece: Slice, height: float) -> None:
        self.slices = [*(self.slices or []), piece]
        self.filled += height


def _solid(galley: Galley) -> list[tuple[float, float]]:
    """What must not be cut through, from top to bottom, as (top, bottom)."""
    found = []
    lines: dict[int, tuple[float, float, bool]] = {}
    for word in galley.words:
        item = galley.items[word.item]
        inset = _OVERLAP * (word.bbox[3] - word.bbox[1])
        top, bottom = word.bbox[1] + inset, word.bbox[3] - inset
        low, high, _ = lines.get(word.line, (top, bottom, False))
        is_heading = isinstance(item, Paragraph) and item.kind == "heading"
        lines[word.line] = (min(low, top), max(high, bottom), is_heading)
    found += list(lines.values())
    for item, box in zip(galley.items, galley.boxes, strict=True):
        if isinstance(item, ReadyPicture):
            found.append((box[1], box[3], False))
    for index, boxes in galley.cells.items():
        found += [(top + 1.0, bottom - 1.0, False) for top, bottom in _rows(galley.items[index], boxes)]
    found = sorted(found) or [(0.0, 1.0, False)]  # with nothing to be seen it still has a place
    merged: list[tuple[float, float]] = []
    goes_on = False
    for top, bottom, is_heading in found:
        if merged and (goes_on or top < merged[-1][1]):
            merged[-1] = (merged[-1][0], max(merged[-1][1], bottom))
        else:
            merged.append((top, bottom))
        goes_on = is_heading
    return merged


def _rows(table: SetItem, boxes: Sequence[Box]) -> list[tuple[float, float]]:
    """Where the rows of a table stand that are not too high to be kept whole."""
    assert isinstance(table, FlowTable), "only tables have cells"
    rows: dict[int, tuple[float, float]] = {}
    for cell, (_, top, _, bottom) in zip(table.cells, boxes, strict=True):
        if cell.row_span == 1:
            low, high = rows.get(cell.row, (top, bottom))
            rows[cell.row] = (min(low, top), max(high, bottom))
    return [(top, bottom) for top, bottom in rows.values() if bottom - top <= _HIGHEST_ROW]
