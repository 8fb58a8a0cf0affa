"""Reading order: the page cut into zones, each of one column, in the order in which they are read.

A gutter is a strip that few segments cross and that has running text on both sides; what crosses it (titles, wide
tables) divides the page into bands from top to bottom, and within a band the columns are read left to right.
A form, with short keys left of short values, has no running text on both sides: it stays whole, row by row. Where there
is no such gutter, remarks in the margin of running text (``margins.py``) are a column, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from mm_megacontext.layout.lines.segments import Segment, find_rows
from mm_megacontext.layout.page.margins import find_margin

_MIN_ROWS = 4  # of running text on each side of a gutter
_MIN_WORDS = 3  # median words of a segment of running text
_MIN_FILL = 0.5  # mean share of its column's width that a row of running text takes
_MIN_BLOCK_FILL = 0.75  # the same for a part of a page alone: code with comments beside it fills less
_MIN_GUTTER_EM = 0.6
_MIN_MARGIN_EM = 0.4  # the white between running text and remarks in its margin
_MAX_CROSSING = 0.5  # segments that cross the gutter, as a share of those beside it
_HEADING_SIZE = 1.25  # times the size of most text: a heading of it that has white on all sides is one of all columns
_HEADING_GAP_EM = 0.5  # of the heading: the white above and below it in the other columns
_BLOCK_GAP_EM = 0.4  # white across the page that may part what is in columns from what is not
_MAX_CROSSING_MARGIN = 0.1  # segments that cross the white between text and its margin, as a share of all
_MAX_DEPTH = 8
_MAX_WIDTH = 4096  # resolution of the projection; pages are rarely wider than this many points


def find_zones(segments: Sequence[Segment], depth: int = 0) -> list[list[Segment]]:
    """The segments as zones of one column, in reading order."""
    gutter = _find_gutter(segments, _MIN_FILL) or _find_margin(segments) if depth < _MAX_DEPTH else None
    if gutter is not None:
        return _divided(segments, gutter, depth)
    blocks = _blocks(segments) if depth < _MAX_DEPTH else []
    zones: list[list[Segment]] = [[]]
    for block in blocks if len(blocks) > 1 else []:
        gutter = _find_gutter(block, _MIN_BLOCK_FILL)
        if gutter is None:
            zones[-1] += block
        else:
            zones += [*_divided(block, gutter, depth), []]
    found = [zone for zone in zones if zone]
    return found if len(found) > 1 else [list(segments)]


def _divided(segments: Sequence[Segment], gutter: float, depth: int) -> list[list[Segment]]:
    """What crosses a gutter, and the zones on its left and right, band by band."""
    zones: list[list[Segment]] = []
    for crossing, left, right in _bands(segments, gutter):
        if crossing:
            zones.append(crossing)
        for side in (left, right):
            if side:
                zones += find_zones(side, depth + 1)
    return zones


def _blocks(segments: Sequence[Segment]) -> list[list[Segment]]:
    """The segments parted where white goes all across, top to bottom: columns may begin in the middle of a page."""
    text = [s.size for s in segments if s.words]
    if not text:
        return []
    gap = _BLOCK_GAP_EM * median(text)
    blocks: list[list[Segment]] = []
    bottom = 0.0
    for segment in sorted(segments, key=lambda s: s.y0):
        if blocks and segment.y0 - bottom < gap:
            blocks[-1].append(segment)
        else:
            blocks.append([segment])
        bottom = max(bottom, segment.y1)
    return blocks


def _find_gutter(segments: Sequence[Segment], min_fill: float) -> float | None:
    """The x of the best gutter, or None where the segments form one column."""
    text = _text(segments)
    if len(text) < 2 * _MIN_ROWS:
        return None
    sizes = median(s.size for s in text)
    for start, end in _sparse_strips(text, _MIN_GUTTER_EM * sizes):
        x = (start + end) / 2
        left = [s for s in text if s.x1 <= x]
        right = [s for s in text if s.x0 >= x]
        if len(text) - len(left) - len(right) > _MAX_CROSSING * min(len(left), len(right)):
            continue
        if _is_running(left, min_fill) and _is_running(right, min_fill):
            return x
    return None


def _find_margin(segments: Sequence[Segment]) -> float | None:
    """The x of the white between running text and what stands in its margin, or None."""
    text = _text(segments)
    if len(text) <= _MIN_ROWS:
        return None
    start, cover = _cover(text)
    strips = _proper_strips(cover, _MIN_MARGIN_EM * median(s.size for s in text))
    few = [(low - high, (low + high) / 2) for level, low, high in strips if level <= _MAX_CROSSING_MARGIN * len(text)]
    return find_margin(text, (start + middle for _, middle in sorted(few)), _is_running)


def _text(segments: Sequence[Segment]) -> list[Segment]:
    """Upright text outside of figures and tables."""
    solids = [s for s in segments if s.solid is not None]
    return [s for s in segments if not s.is_alone and not any(_is_within(s, solid) for solid in solids)]


def _is_within(segment: Segment, solid: Segment) -> bool:
    """Whether a segment is a label in a figure."""
    x, y = (segment.x0 + segment.x1) / 2, (segment.y0 + segment.y1) / 2
    return solid.x0 <= x <= solid.x1 and solid.y0 <= y <= solid.y1


def _sparse_strips(segments: Sequence[Segment], min_width: float) -> list[tuple[float, float]]:
    """Strips that few segments cross between two places that many do, best first: few crossings, then width."""
    start, cover = _cover(segments)
    left_peak = np.maximum.accumulate(cover)
    right_peak = np.maximum.accumulate(cover[::-1])[::-1]
    deep = np.minimum(left_peak, right_peak) - cover >= _MIN_ROWS
    sparse = deep & (cover <= _MAX_CROSSING * np.minimum(left_peak, right_peak))
    strips = [
        (level, low - high, start + run_start + low)
        for run_start, run_end in _runs(sparse)
        for level, low, high in _proper_strips(cover[run_start:run_end], min_width)
    ]
    return [(x, x - negative_width) for _, negative_width, x in sorted(strips)]


def _cover(segments: Sequence[Segment]) -> tuple[float, npt.NDArray[np.int32]]:
    """Where the segments begin, and how many of them there are above each other at each point from there."""
    start = min(s.x0 for s in segments)
    width = min(_MAX_WIDTH, int(max(s.x1 for s in segments) - start) + 2)
    steps = np.zeros(width + 1, dtype=np.int32)
    x0 = np.clip(np.array([s.x0 - start for s in segments]).astype(np.int32), 0, width - 1)
    x1 = np.clip(np.ceil([s.x1 - start for s in segments]).astype(np.int32), 1, width)
    np.add.at(steps, x0, 1)
    np.add.at(steps, x1, -1)
    return start, np.cumsum(steps)[:width].astype(np.int32)


def _proper_strips(cover: npt.NDArray[np.int32], min_width: float) -> list[tuple[int, int, int]]:
    """The places that the fewest segments cross and that are wide enough, as (how many cross, start, end)."""
    for level in np.unique(cover).tolist():
        strips = [(level, low, high) for low, high in _runs(cover <= level) if high - low >= min_width]
        if strips:
            return strips
    return []


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges where the mask is set."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _is_running(segments: Sequence[Segment], min_fill: float) -> bool:
    """Whether the segments are running text: enough rows, of several words, that fill their column."""
    if len(segments) < _MIN_ROWS or median(len(s.words) for s in segments) < _MIN_WORDS:
        return False
    rows = find_rows(segments)
    if len(rows) < _MIN_ROWS:
        return False
    width = max(s.x1 for s in segments) - min(s.x0 for s in segments)
    return sum(s.x1 - s.x0 for s in segments) > min_fill * width * len(rows)


def _heads_all(segment: Segment, segments: Sequence[Segment], x: float) -> bool:
    """Whether a line left of ``x`` has nothing beside it and heads what follows on the right, too."""
    if segment.is_alone or segment.x1 > x:
        return False
    gap = _HEADING_GAP_EM * segment.size
    right = [s for s in segments if s.x0 >= x]
    is_clear = not any(s.y0 < segment.y1 + gap and s.y1 > segment.y0 - gap for s in right)
    return is_clear and any(s.y0 > segment.y1 for s in right)


def _bands(segments: Sequence[Segment], x: float) -> list[tuple[list[Segment], list[Segment], list[Segment]]]:
    """Bands from top to bottom, each (what crosses ``x``, what is left of it, what is right of it) in that order."""
    large = _HEADING_SIZE * median(s.size for s in segments if s.words)
    wide = {id(s) for s in segments if s.x0 < x < s.x1 or (s.size >= large and _heads_all(s, segments, x))}
    if wide:
        # What stands in one row with a crossing segment belongs to it: page number beside running title.
        for row in find_rows([s for s in segments if not s.is_alone]):
            if any(id(s) in wide for s in row):
                wide.update(id(s) for s in row)
    bands: list[tuple[list[Segment], list[Segment], list[Segment]]] = [([], [], [])]
    for segment in sorted(segments, key=lambda s: s.y0 + s.y1):
        crossing, left, right = bands[-1]
        if id(segment) in wide:
            if left or right:
                bands.append(([segment], [], []))
            else:
                crossing.append(segment)
        else:
            (left if (segment.x0 + segment.x1) / 2 < x else right).append(segment)
    return bands
