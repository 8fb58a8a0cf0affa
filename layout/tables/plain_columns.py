"""Columns of a table without rules, from the white space between words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.lines.segments import Segment

Interval = tuple[float, float]
Rows = list[list[Segment]]

_MIN_GAP_EM = 0.5  # between two columns
_GAP_RATIO = 1.5  # times the usual gap between the words of the segment
_NEAR_ROWS = 6  # above and below, that can show that a gap lies between columns
_MIN_ALIKE = 2  # of them
_ALIGNED_PT = 1.5


def loosened(rows: Rows) -> Rows:
    """The rows with segments split where the white space between two words goes on in the rows around.

    A number that is set to the right and the text of the next column may stand closer than words of justified text.
    """
    gaps = [list(_gaps([w for s in row for w in s.words])) for row in rows]
    return [[part for s in row for part in _split(s, _near(gaps, index))] for index, row in enumerate(rows)]


def _gaps(words: Sequence[RawWord]) -> Iterator[Interval]:
    for left, right in pairwise(words):
        if right.x0 - left.x1 >= _MIN_GAP_EM * min(left.size, right.size):
            yield left.x1, right.x0


def _near(gaps: list[list[Interval]], index: int) -> list[list[Interval]]:
    return gaps[max(0, index - _NEAR_ROWS) : index] + gaps[index + 1 : index + 1 + _NEAR_ROWS]


def _split(segment: Segment, near: list[list[Interval]]) -> Iterator[Segment]:
    between = [right.x0 - left.x1 for left, right in pairwise(segment.words)]
    wide = [gap >= _MIN_GAP_EM * segment.size for gap in between]
    if not any(wide):
        yield segment
        return
    usual = sorted(between)[len(between) // 4] if len(between) > 2 else 0.0  # most may be between columns
    start = 0
    for at, (left, right) in enumerate(pairwise(segment.words), 1):
        is_wide = wide[at - 1] and between[at - 1] >= _GAP_RATIO * usual
        if is_wide and sum(_has_alike(row, (left.x1, right.x0)) for row in near) >= _MIN_ALIKE:
            yield _segment(segment.words[start:at])
            start = at
    yield _segment(segment.words[start:]) if start else segment


def _has_alike(row: list[Interval], gap: Interval) -> bool:
    """Whether a row has white space that overlaps the gap and begins or ends where it does."""
    return any(
        low < gap[1] and gap[0] < high and (abs(low - gap[0]) <= _ALIGNED_PT or abs(high - gap[1]) <= _ALIGNED_PT)
        for low, high in row
    )


def _segment(words: list[RawWord]) -> Segment:
    x0s, y0s, x1s, y1s, *_ = zip(*words, strict=True)
    return Segment(min(x0s), min(y0s), max(x1s), max(y1s), words)


def merge_columns(columns: list[Interval], row: list[Segment]) -> list[Interval]:
    """Columns widened by a row's segments; those that come to overlap are one."""
    merged: list[Interval] = []
    for low, high in sorted([*columns, *((s.x0, s.x1) for s in row)]):
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def columns_under(columns: list[Interval], segment: Segment) -> list[int]:
    """The columns that a segment overlaps."""
    return [i for i, (low, high) in enumerate(columns) if segment.x0 < high and low < segment.x1]
