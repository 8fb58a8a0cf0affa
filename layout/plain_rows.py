"""Rows of a table without rules, from its lines: cells may be of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from mm_megacontext.layout.plain_columns import Interval
from mm_megacontext.layout.segments import Segment

_TIGHT_RATIO = 1.2  # between the distances of rows and those of lines within a row
_MAX_FILL = 0.75  # of a row's first line: how many cells lines that go on have, on average
_NEAR = 0.6  # of a line's height: the white above a line that goes on, where nothing tells rows and lines apart

_NUMBER = re.compile(r"[-+\u2212(]?[€$£¥]?\d[\d.,']*\)?[%€$£¥]?$")


@dataclass(slots=True)
class GridRow:
    """The segments of a row by its column; a title above several columns stands at the first of them."""

    slots: dict[int, list[Segment]]
    spans: dict[int, int] = field(default_factory=dict)
    """How many columns a title stands above, by its first one; 1 if not said."""

    @property
    def segments(self) -> list[Segment]:
        return [segment for slot in self.slots.values() for segment in slot]

    @property
    def top(self) -> float:
        return min(s.y0 for s in self.segments)

    @property
    def bottom(self) -> float:
        return max(s.y1 for s in self.segments)


def to_rows(lines: Sequence[list[Segment]], columns: list[Interval]) -> tuple[list[GridRow], float]:
    """The lines of a table as rows, those on which cells go on joined to the one above.

    Returns:
        The rows, and the distance below which a line belongs to the row above it; 0 where nothing tells.
    """
    filled = [_slots(line, columns) for line in lines]
    tight = _tight_distance(lines, filled)
    rows: list[GridRow] = []
    for index, slots in enumerate(filled):
        if rows and _goes_on(slots, rows[-1], line_distance(lines[index - 1], lines[index]), tight, len(columns)):
            for column, segments in slots.items():
                rows[-1].slots[column] += segments
        else:
            rows.append(GridRow(slots))
    return rows, tight


def _slots(line: list[Segment], columns: list[Interval]) -> dict[int, list[Segment]]:
    slots: dict[int, list[Segment]] = {}
    for segment in line:
        slots.setdefault(_column(segment, columns), []).append(segment)
    return slots


def _column(segment: Segment, columns: list[Interval]) -> int:
    """The column that a segment overlaps most, or else the nearest."""
    shared = [min(segment.x1, high) - max(segment.x0, low) for low, high in columns]
    return shared.index(max(shared))


def _middle(line: list[Segment]) -> float:
    return sum(s.y0 + s.y1 for s in line) / (2 * len(line))


def line_distance(above: list[Segment], below: list[Segment]) -> float:
    """From the middle of a line to that of the next."""
    return _middle(below) - _middle(above)


def _tight_distance(lines: Sequence[list[Segment]], filled: list[dict[int, list[Segment]]]) -> float:
    """The distance below which a line belongs to the one above; 0 where lines are too much alike to tell."""
    distances = sorted(line_distance(lines[i - 1], lines[i]) for i in range(1, len(lines)))
    jumps = [(wide / max(narrow, 0.1), (wide + narrow) / 2) for narrow, wide in pairwise(distances)]
    ratio, tight = max(jumps, default=(1.0, 0.0))
    if ratio < _TIGHT_RATIO:
        return 0.0
    going_on = [len(filled[i]) for i in range(1, len(lines)) if line_distance(lines[i - 1], lines[i]) < tight]
    starting = [len(filled[i]) for i in range(len(lines)) if i == 0 or line_distance(lines[i - 1], lines[i]) >= tight]
    # Rows in groups, with white between the groups, are as full as the first ones of their groups.
    return tight if fmean(going_on) <= _MAX_FILL * fmean(starting) else 0.0


def _goes_on(slots: dict[int, list[Segment]], above: GridRow, distance: float, tight: float, n_columns: int) -> bool:
    if any(column not in above.slots or are_numbers(segments) for column, segments in slots.items()):
        return False
    if tight:
        return distance < tight
    first = next(iter(slots.values()))[0]
    is_near = first.y0 - above.bottom < _NEAR * (first.y1 - first.y0)
    return is_near and 0 not in slots and 3 * len(slots) <= n_columns


def are_numbers(segments: Sequence[Segment]) -> bool:
    """Whether a cell holds numbers: they do not go on from line to line."""
    return all(_NUMBER.match(word.text) for segment in segments for word in segment.words)
