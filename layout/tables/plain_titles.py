"""Rows at the top of a table without rules whose titles name several columns together."""

from __future__ import annotations

from itertools import pairwise

from mm_megacontext.layout.lines.segments import Segment
from mm_megacontext.layout.tables.plain_columns import Interval, columns_under
from mm_megacontext.layout.tables.plain_rows import GridRow, are_numbers

_ALIGNED_EM = 0.6
_EXACT_PT = 0.5  # what is aligned so well with one column is its name
_MAX_WORDS = 6
_MAX_COLUMNS = 64  # every pair of them is looked at

_Place = tuple[int, int]
"""The first and last column that a title stands above."""


def title_row(line: list[Segment], columns: list[Interval], below: GridRow) -> GridRow | None:
    """A line as names of columns, some of several together; None where it does not fit.

    Args:
        line: Right above a row of the table.
        columns: Of the table.
        below: That row. What it holds is names if there is no number in it: only these may have a title in common.
    """
    is_data = any(are_numbers(slot) for slot in below.slots.values())
    named = set[int]() if is_data else set(below.slots)
    if len(columns) > _MAX_COLUMNS or len(line) > len(columns) or any(len(s.words) > _MAX_WORDS for s in line):
        return None
    if are_numbers(line):
        return None
    single = [_single(segment, columns) for segment in line]
    places = single
    if sum(place is None or place[0] in named for place in single) < len(named):
        places = [_group(segment, columns, named) or alone for segment, alone in zip(line, single, strict=True)]
    found = [place for place in places if place is not None]
    if len(found) < len(line) or any(right[0] <= left[1] for left, right in pairwise(found)):
        return None
    if len(found) == 1 and (found[0][0] == 0 or found[0][0] == found[0][1]):
        return None  # the title of the whole table, or a line of the text before it
    slots = {first: [segment] for (first, _), segment in zip(found, line, strict=True)}
    return GridRow(slots, {first: last - first + 1 for first, last in found})


def _single(segment: Segment, columns: list[Interval]) -> _Place | None:
    """The column that a segment begins, ends or is centred with."""
    under = columns_under(columns, segment)
    is_single = len(under) == 1 and _off(segment, columns[under[0]]) <= _ALIGNED_EM * segment.size
    return (under[0], under[0]) if is_single else None


def _off(segment: Segment, column: Interval) -> float:
    """How far from a column's beginning, end or middle a segment has its own."""
    low, high = column
    middle = (segment.x0 + segment.x1 - low - high) / 2
    return min(abs(segment.x0 - low), abs(segment.x1 - high), abs(middle))


def _group(segment: Segment, columns: list[Interval], named: set[int]) -> _Place | None:
    """The columns, all with names of their own, in whose middle a segment stands."""
    under = columns_under(columns, segment)
    if not named.issuperset(under) or (len(under) == 1 and _off(segment, columns[under[0]]) <= _EXACT_PT):
        return None
    slack = _ALIGNED_EM * segment.size
    middle = (segment.x0 + segment.x1) / 2
    found: list[tuple[float, _Place]] = []
    for i in range(len(columns)):
        left = columns[i - 1][1] if i else columns[0][0] - slack  # cells may begin anywhere in the white between
        for j in range(i + 1, len(columns)):
            if j not in named or i not in named:
                break
            right = columns[j + 1][0] if j + 1 < len(columns) else columns[-1][1] + slack
            low, high = columns[i][0], columns[j][1]
            is_inside = left <= segment.x0 and segment.x1 <= right
            if is_inside and (left + high) / 2 - slack <= middle <= (low + right) / 2 + slack:
                found.append((abs(middle - (low + high) / 2), (i, j)))
    return min(found)[1] if found else None
