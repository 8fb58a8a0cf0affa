"""Rows of a table without rules, from its lines: cells may be of several."""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from mm_megacontext.layout.lines.segments import Segment
from mm_megacontext.layout.tables.plain_columns import Interval

_TIGHT_RATIO = 1.2  # between the distances of rows and those of lines within a row
_MAX_FILL = 0.75  # of a row's first line: how many cells lines that go on have, on average
_NEAR = 0.6  # of a line's height: the white above a line that goes on, where nothing tells rows and lines apart

_MAX_PARTS = 0.6  # of the columns: cells of such a line
_NUMERIC = 0.5  # share of a column's cells that are numbers
_MIN_SEPARATED = 3  # rows that rules part
_MAX_LINES = 4  # of a row that rules part, on average

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


def to_rows(
    lines: Sequence[list[Segment]], columns: list[Interval], separators: Sequence[float]
) -> tuple[list[GridRow], float]:
    """The lines of a table as rows, those on which cells go on joined to the one above.

    Args:
        lines: Top to bottom.
        columns: Of the table.
        separators: Heights of rules and of the edges of shades across it, ascending; rows are told by these if they
            can be, else by the distances of lines.

    Returns:
        The rows, and the distance below which a line belongs to the row above it; 0 where distances do not tell.
    """
    filled = [_slots(line, columns) for line in lines]
    groups = _separated(lines, filled, separators)
    if groups is not None:
        return _joined(filled, groups), 0.0
    tight = _tight_distance(lines, filled)
    numeric = _numeric_columns(filled)
    rows: list[GridRow] = []
    for index, slots in enumerate(filled):
        if rows and _is_text_below_text(slots, rows[-1]) and _is_near(lines, index, slots, tight, columns, numeric):
            _join(rows[-1], slots)
        else:
            rows.append(GridRow(slots))
    return rows, tight


def _separated(
    lines: Sequence[list[Segment]], filled: list[dict[int, list[Segment]]], separators: Sequence[float]
) -> list[int] | None:
    """The number of the row of each line by the rules between rows; None where rules do not part rows."""
    groups = [bisect(separators, _middle(line)) for line in lines]
    sizes = Counter(groups)
    if len(sizes) < max(_MIN_SEPARATED, len(lines) / _MAX_LINES) or max(sizes.values()) > 2 * _MAX_LINES:
        return None
    going_on = [len(filled[i]) for i in range(1, len(lines)) if groups[i] == groups[i - 1]]
    starting = [len(filled[i]) for i in range(len(lines)) if i == 0 or groups[i] != groups[i - 1]]
    return groups if _are_parts(going_on, starting) else None


def _joined(filled: list[dict[int, list[Segment]]], groups: list[int]) -> list[GridRow]:
    """Rows of the lines of one group each; the first group may be a header of several rows, which nothing parts."""
    rows: list[GridRow] = []
    for i, slots in enumerate(filled):
        is_same = i > 0 and groups[i] == groups[i - 1]
        if is_same and (groups[i] != groups[0] or _is_text_below_text(slots, rows[-1])):
            _join(rows[-1], slots)
        else:
            rows.append(GridRow(slots))
    return rows


def _join(row: GridRow, slots: dict[int, list[Segment]]) -> None:
    for column, segments in slots.items():
        row.slots.setdefault(column, []).extend(segments)


def _are_parts(going_on: list[int], starting: list[int]) -> bool:
    """Whether lines have so many fewer cells than those before them that they are parts of these rows.

    Rows in groups, with white or rules between the groups, are as full as the first ones of their groups.
    """
    return not going_on or fmean(going_on) <= _MAX_FILL * fmean(starting)


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


def tight_distance(lines: Sequence[list[Segment]], columns: list[Interval]) -> float:
    """The distance below which a line of a table belongs to the one above; 0 where distances do not tell."""
    return _tight_distance(lines, [_slots(line, columns) for line in lines])


def _tight_distance(lines: Sequence[list[Segment]], filled: list[dict[int, list[Segment]]]) -> float:
    """The distance below which a line belongs to the one above; 0 where lines are too much alike to tell."""
    distances = sorted(line_distance(lines[i - 1], lines[i]) for i in range(1, len(lines)))
    jumps = [(wide / max(narrow, 0.1), (wide + narrow) / 2) for narrow, wide in pairwise(distances)]
    ratio, tight = max(jumps, default=(1.0, 0.0))
    if ratio < _TIGHT_RATIO:
        return 0.0
    near = [line_distance(lines[i - 1], lines[i]) < tight for i in range(1, len(lines))]
    going_on = [len(slots) for slots, is_part in zip(filled[1:], near, strict=True) if is_part]
    starting = [len(filled[0])] + [len(slots) for slots, is_part in zip(filled[1:], near, strict=True) if not is_part]
    return tight if _are_parts(going_on, starting) else 0.0


def _numeric_columns(filled: list[dict[int, list[Segment]]]) -> set[int]:
    """Columns that hold numbers in most rows."""
    counts = Counter(column for slots in filled for column in slots)
    numbers = Counter(column for slots in filled for column, segments in slots.items() if are_numbers(segments))
    return {column for column, n in numbers.items() if n >= _NUMERIC * counts[column]}


def _is_text_below_text(slots: dict[int, list[Segment]], above: GridRow) -> bool:
    return not any(column not in above.slots or are_numbers(segments) for column, segments in slots.items())


def _is_near(
    lines: Sequence[list[Segment]],
    index: int,
    slots: dict[int, list[Segment]],
    tight: float,
    columns: list[Interval],
    numeric: set[int],
) -> bool:
    """Whether a line stands so near to the one above, and has so few cells, that it is part of the row."""
    if tight:
        return line_distance(lines[index - 1], lines[index]) < tight
    first = lines[index][0]
    white = first.y0 - max(s.y1 for s in lines[index - 1])
    is_in_header = index == 1 and not numeric.isdisjoint(slots)  # words where numbers follow
    is_part = 0 not in slots or is_in_header or (numeric and numeric.isdisjoint(slots))
    return bool(is_part) and white < _NEAR * (first.y1 - first.y0) and len(slots) <= _MAX_PARTS * len(columns)


def are_numbers(segments: Sequence[Segment]) -> bool:
    """Whether a cell holds numbers: they do not go on from line to line."""
    return all(word.script or _NUMBER.match(word.text) for segment in segments for word in segment.words)
