"""Text in the margin of running text: a journal's number, an address, a remark, read apart and not across.

What stands in a narrow column of its own may still belong to the line beside it: the key of a value, the number of a
paragraph, the price of an item. It does where it stands on a line's baseline, in letters as large, or where a paragraph
begins, or in the middle of one. What does not is a remark in the margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import median

from mm_megacontext.layout.lines.segments import Segment, find_rows

_MIN_ROWS = 6  # of the running text beside it
_MIN_FILL = 0.75  # mean share of its column's width that a row of this text takes
_MIN_FREE = 0.5  # share of the remarks that belong to no line
_LEVEL_EM = 0.2  # between baselines of one line; fonts of one size differ about as much in their boxes
_DESCENT = 0.2  # of a box's height, below the baseline
_SAME_SIZE = 0.12  # relative
_PARAGRAPH_GAP_EM = 0.35  # more than the usual gap between lines
_REMARK_GAP_EM = 0.6  # lines of a remark are nearer than this

IsRunning = Callable[[Sequence[Segment], float], bool]
"""Whether segments are running text that fills at least this share of their column."""


def find_margin(segments: Sequence[Segment], gutters: Iterable[float], is_running: IsRunning) -> float | None:
    """The x of the white between running text and remarks in its margin, or None.

    Args:
        segments: Of text.
        gutters: Where there is white from top to bottom, the best place first.
        is_running: What running text is.
    """
    for x in gutters:
        left, right = [s for s in segments if s.x1 <= x], [s for s in segments if s.x0 >= x]
        for body, margin in ((left, right), (right, left)):
            if margin and is_running(body, _MIN_FILL) and _is_apart(margin, body):
                return x
    return None


def _is_apart(margin: Sequence[Segment], body: Sequence[Segment]) -> bool:
    """Whether what stands in the margin of ``body`` does for the most part not belong to lines of it."""
    paragraphs = _paragraphs(find_rows(body))
    if sum(map(len, paragraphs)) < _MIN_ROWS:
        return False
    remarks = _remarks(margin)
    return sum(not _belongs(remark, paragraphs) for remark in remarks) >= _MIN_FREE * len(remarks)


def _paragraphs(rows: list[list[Segment]]) -> list[list[list[Segment]]]:
    """Rows parted where the white between them is wider than usual."""
    gaps = [min(s.y0 for s in below) - max(s.y1 for s in above) for above, below in pairwise(rows)]
    usual = median(gaps) if gaps else 0.0
    paragraphs = [rows[:1]]
    for gap, row in zip(gaps, rows[1:], strict=True):
        if gap > usual + _PARAGRAPH_GAP_EM * row[0].size:
            paragraphs.append([row])
        else:
            paragraphs[-1].append(row)
    return paragraphs


def _remarks(margin: Sequence[Segment]) -> list[list[Segment]]:
    """Lines that follow each other closely as one remark."""
    remarks: list[list[Segment]] = []
    for segment in sorted(margin, key=lambda s: s.y0):
        if remarks and segment.y0 - remarks[-1][-1].y1 < _REMARK_GAP_EM * segment.size:
            remarks[-1].append(segment)
        else:
            remarks.append([segment])
    return remarks


def _belongs(remark: Sequence[Segment], paragraphs: list[list[list[Segment]]]) -> bool:
    first = remark[0]
    for paragraph in paragraphs:
        for index, row in enumerate(paragraph):
            is_level = any(abs(_baseline(s) - _baseline(first)) <= _LEVEL_EM * min(s.size, first.size) for s in row)
            if is_level and (index == 0 or abs(first.size - row[0].size) <= _SAME_SIZE * row[0].size):
                return True
        middle = _middle([s for row in paragraph for s in row])
        if len(paragraph) > 1 and abs(middle - _middle(remark)) <= _LEVEL_EM * first.size:
            return True
    return False


def _baseline(segment: Segment) -> float:
    return segment.y1 - _DESCENT * (segment.y1 - segment.y0)


def _middle(segments: Sequence[Segment]) -> float:
    return (min(s.y0 for s in segments) + max(s.y1 for s in segments)) / 2
