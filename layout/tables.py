"""Tables: ruled ones from their ruling lines, plain ones from cells aligned in columns.

Roles are a guess that holds for most tables: the first row heads the columns, the first column heads the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

import numpy as np
import numpy.typing as npt

from mm_megacontext.layout.document import Box, Cell, CellRole, Table, union
from mm_megacontext.layout.engines import RawWord
from mm_megacontext.layout.segments import Segment, find_rows, find_segments, line_of

_SNAP_PT = 3.0  # rulings closer than this are one
_MIN_RULE_PT = 6.0
_MAX_RULES = 1_500  # pages with more are drawings
_MAX_CELLS = 5_000
_MAX_CELL_WORDS = 60  # mean; above it the rules frame a page's columns, not a table
_MIN_FILLED_RULED = 0.25  # share of cells of a ruled table that hold words
_MAX_CUT = 0.1  # share of words that stick out of their cells
_MIN_ROWS = 3
_MIN_COLUMNS = 3
_MIN_FILLED = 0.5  # share of cells of a plain table that hold words
_MIN_FULL_ROWS = 0.5  # share of rows, other than continuations, with three cells or more
_MIN_ALIGNED = 0.6  # share of cells that start, end or are centred where most of their column do
_ALIGNED_EM = 0.5
_STARTS = 4  # rows that are tried as a table's first one
_MAX_CONTINUED = 4  # lines on which a cell goes on alone
_CONTINUED_GAP = 0.6  # of the line's height
_MAX_GAP_ROWS = 2.5  # rows further apart than this many heights are not of one table


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table and the segments or words that it took."""

    bbox: Box
    table: Table
    segments: tuple[Segment, ...] = ()


def find_ruled_tables(rules: Sequence[Box], words: Sequence[RawWord]) -> list[FoundTable]:
    """Tables drawn with ruling lines: at least two rows and two columns, with words in two cells or more."""
    across = _merged([((b[1] + b[3]) / 2, b[0], b[2]) for b in rules if _is_across(b)])
    down = _merged([((b[0] + b[2]) / 2, b[1], b[3]) for b in rules if _is_down(b)])
    if len(across) < 3 or len(down) < 3 or len(across) + len(down) > _MAX_RULES:
        return []
    tables = (_ruled_table(h, v, words) for h, v in _connected(across, down))
    return [table for table in tables if table is not None]


def _is_across(box: Box) -> bool:
    return box[2] - box[0] >= _MIN_RULE_PT and box[2] - box[0] > 2 * (box[3] - box[1])


def _is_down(box: Box) -> bool:
    return box[3] - box[1] >= _MIN_RULE_PT and box[3] - box[1] > 2 * (box[2] - box[0])


Rule = tuple[float, float, float]
"""Position across, start and end along."""


def _merged(rules: list[Rule]) -> list[Rule]:
    """Rules with those on one line, touching or overlapping, made one."""
    if len(rules) > 4 * _MAX_RULES:
        return []
    merged: list[Rule] = []
    on_line: list[Rule] = []
    for rule in [*sorted(rules), (float("inf"), 0.0, 0.0)]:
        if on_line and rule[0] - on_line[0][0] > _SNAP_PT:
            merged += _merged_spans(on_line)
            on_line = []
        on_line.append(rule)
    return merged


def _merged_spans(rules: list[Rule]) -> list[Rule]:
    """Rules on one line as few rules that do not touch."""
    at = mean(rule[0] for rule in rules)
    merged: list[Rule] = []
    for _, start, end in sorted(rules, key=lambda rule: rule[1]):
        if merged and start <= merged[-1][2] + _SNAP_PT:
            merged[-1] = (at, merged[-1][1], max(merged[-1][2], end))
        else:
            merged.append((at, start, end))
    return merged


def _connected(across: list[Rule], down: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Groups of rules that meet, as (across, down)."""
    h, v = np.array(across), np.array(down)
    meet = (
        (h[:, None, 0] >= v[None, :, 1] - _SNAP_PT)
        & (h[:, None, 0] <= v[None, :, 2] + _SNAP_PT)
        & (v[None, :, 0] >= h[:, None, 1] - _SNAP_PT)
        & (v[None, :, 0] <= h[:, None, 2] + _SNAP_PT)
    )
    groups = []
    h_left = set(np.flatnonzero(meet.any(axis=1)).tolist())
    while h_left:
        h_in, fresh = set[int](), {h_left.pop()}
        v_in: set[int] = set()
        while fresh:
            h_in |= fresh
            v_in = set(np.flatnonzero(meet[sorted(h_in)].any(axis=0)).tolist())
            fresh = set(np.flatnonzero(meet[:, sorted(v_in)].any(axis=1)).tolist()) - h_in
        h_left -= h_in
        groups.append(([across[k] for k in sorted(h_in)], [down[k] for k in sorted(v_in)]))
    return groups


def _ruled_table(across: list[Rule], down: list[Rule], words: Sequence[RawWord]) -> FoundTable | None:
    ys, xs = _snapped(across), _snapped(down)
    n_rows, n_columns = len(ys) - 1, len(xs) - 1
    if n_rows < 2 or n_columns < 2 or n_rows * n_columns > _MAX_CELLS:
        return None
    box = (xs[0], ys[0], xs[-1], ys[-1])
    below = _drawn(across, ys, xs)  # (n_rows + 1, n_columns): is there a rule at ys[i] over column j
    beside = _drawn(down, xs, ys).T  # (n_rows, n_columns + 1)
    taken: npt.NDArray[np.int64] = np.full((n_rows, n_columns), -1)
    places: list[tuple[int, int, int, int]] = []
    for row in range(n_rows):
        for column in range(n_columns):
            if taken[row, column] < 0:
                row_span, column_span = _extent(row, column, below, beside, taken)
                taken[row : row + row_span, column : column + column_span] = len(places)
                places.append((row, column, row_span, column_span))
    contents: list[list[RawWord]] = [[] for _ in places]
    for word in words:
        x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
        if box[0] <= x < box[2] and box[1] <= y < box[3]:
            row, column = int(np.searchsorted(ys, y, "right")) - 1, int(np.searchsorted(xs, x, "right")) - 1
            contents[int(taken[row, column])].append(word)
    boxes = [(xs[c], ys[r], xs[c + c_span], ys[r + r_span]) for r, c, r_span, c_span in places]
    if not _is_filled(places, contents) or _is_cut(boxes, contents):
        return None
    cells = tuple(
        Cell(
            row,
            column,
            cell_box,
            tuple(line_of(line) for line in find_rows(find_segments(content))),
            _role(row, column),
            row_span,
            column_span,
        )
        for (row, column, row_span, column_span), cell_box, content in zip(places, boxes, contents, strict=True)
    )
    return FoundTable(box, Table(cells, n_rows, n_columns))


def _is_filled(places: list[tuple[int, int, int, int]], contents: list[list[RawWord]]) -> bool:
    """Whether the cells hold what a table holds, and not the empty grid of a chart or the columns of a page."""
    full = [(place, len(content)) for place, content in zip(places, contents, strict=True) if content]
    if len(places) < 4 or len(full) < max(2, _MIN_FILLED_RULED * len(places)):
        return False
    words = [word for content in contents for word in content]
    if sum(word.upright for word in words) < 0.5 * len(words):
        return False
    n_rows, n_columns = len({place[0] for place, _ in full}), len({place[1] for place, _ in full})
    return n_rows >= 2 and n_columns >= 2 and mean(n for _, n in full) <= _MAX_CELL_WORDS


def _is_cut(boxes: list[Box], contents: list[list[RawWord]]) -> bool:
    """Whether rules run through words, as they do in diagrams."""
    n_words = n_cut = 0
    for (x0, y0, x1, y1), content in zip(boxes, contents, strict=True):
        n_words += len(content)
        for word in content:
            beside = max(x0 - word.x0, word.x1 - x1)
            above = max(y0 - word.y0, word.y1 - y1)
            n_cut += beside > _SNAP_PT or above > max(_SNAP_PT, 0.3 * (word.y1 - word.y0))
    return n_cut > _MAX_CUT * n_words


def _snapped(rules: list[Rule]) -> list[float]:
    """Distinct positions of rules."""
    found: list[float] = []
    for at, _, _ in sorted(rules):
        if not found or at - found[-1] > _SNAP_PT:
            found.append(at)
    return found


def _drawn(rules: list[Rule], at: list[float], along: list[float]) -> npt.NDArray[np.bool_]:
    """Whether a rule is drawn at each position ``at`` over each interval of ``along``."""
    drawn = np.zeros((len(at), len(along) - 1), dtype=np.bool_)
    middles = (np.array(along[1:]) + np.array(along[:-1])) / 2
    for position, start, end in rules:
        nearest = int(np.argmin(np.abs(np.array(at) - position)))
        drawn[nearest] |= (middles >= start) & (middles <= end)
    return drawn


def _extent(
    row: int,
    column: int,
    below: npt.NDArray[np.bool_],
    beside: npt.NDArray[np.bool_],
    taken: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Rows and columns of the cell whose top left corner is given: as far as no rule bounds it."""
    n_rows, n_columns = taken.shape
    right = column + 1
    while right < n_columns and not beside[row, right] and taken[row, right] < 0:
        right += 1
    bottom = row + 1
    while (
        bottom < n_rows
        and not below[bottom, column:right].any()
        and not beside[bottom, column + 1 : right].any()
        and (taken[bottom, column:right] < 0).all()
    ):
        bottom += 1
    return bottom - row, right - column


def _role(row: int, column: int) -> CellRole:
    if row == 0:
        return "column_header"
    return "row_header" if column == 0 else "body"


def find_plain_tables(segments: Iterable[Segment], max_cell_words: float) -> list[FoundTable]:
    """Tables without rules: three or more rows of three or more short cells aligned in columns.

    Args:
        max_cell_words: Mean number of words of a cell above which the rows are running text in columns.
    """
    rows = find_rows(s for s in segments if not s.is_alone)
    found = []
    start = 0
    while start < len(rows):
        best: tuple[int, FoundTable, int] | None = None
        # A row or two of a form above the table would blur its columns: the start with most cells is the right one.
        for first in range(start, min(start + _STARTS, len(rows))):
            if len(rows[first]) < _MIN_COLUMNS:
                break
            end, columns = _aligned_run(rows, first)
            table = _plain_table(rows[first:end], columns, max_cell_words)
            if table is not None and (best is None or len(table.table.cells) > best[0]):
                best = (len(table.table.cells), table, end)
        if best is None:
            start += 1
        else:
            found.append(best[1])
            start = best[2]
    return found


Interval = tuple[float, float]


def _aligned_run(rows: list[list[Segment]], start: int) -> tuple[int, list[Interval]]:
    """The end of the run of aligned rows from ``start``, and its columns."""
    columns = [(s.x0, s.x1) for s in rows[start]]
    end, n_continued, n_wide = start + 1, 0, 0
    for index in range(start + 1, len(rows)):
        row, above = rows[index], rows[index - 1]
        height = max(s.y1 - s.y0 for s in above)
        if min(s.y0 for s in row) - max(s.y1 for s in above) > _MAX_GAP_ROWS * height:
            break
        if len(row) == 1:  # a cell that goes on, or a heading within the table: part of it only if the table goes on
            is_wide = sum(row[0].x0 < high and low < row[0].x1 for low, high in columns) > 1
            n_continued, n_wide = n_continued + 1, n_wide + is_wide
            if n_continued > _MAX_CONTINUED or n_wide > 1:
                break
            continue
        merged = _merge_columns(columns, row)
        if len(merged) < max(_MIN_COLUMNS, len(columns) - 1):
            break
        columns, end, n_continued, n_wide = merged, index + 1, 0, 0
    return end, columns


def _merge_columns(columns: list[Interval], row: list[Segment]) -> list[Interval]:
    """Columns widened by a row's segments; those that come to touch are one."""
    merged: list[Interval] = []
    for low, high in sorted([*columns, *((s.x0, s.x1) for s in row)]):
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


Slot = list[Segment]
"""The segments of one cell of a plain table."""


def _plain_table(rows: list[list[Segment]], columns: list[Interval], max_cell_words: float) -> FoundTable | None:
    if len(rows) < _MIN_ROWS or len(columns) < _MIN_COLUMNS:
        return None
    segments = [s for row in rows for s in row]
    if mean(len(s.words) for s in segments) > max_cell_words:
        return None
    grid = _slots(rows, columns)
    n_full = sum(sum(map(bool, slots)) >= _MIN_COLUMNS for slots in grid)
    n_filled = sum(bool(slot) for slots in grid for slot in slots)
    if n_full < max(_MIN_ROWS, _MIN_FULL_ROWS * len(grid)) or n_filled < _MIN_FILLED * len(grid) * len(columns):
        return None
    if not _is_aligned(grid):
        return None
    cells = _plain_cells(grid, columns)
    return FoundTable(union([s.box for s in segments]), Table(cells, len(grid), len(columns)), tuple(segments))


def _slots(rows: list[list[Segment]], columns: list[Interval]) -> list[list[Slot]]:
    """The rows' segments by column; a line on which only one cell goes on is added to the row above."""
    lefts = np.array([low for low, _ in columns])
    grid: list[list[Slot]] = []
    bottom = 0.0
    for row in rows:
        slots: list[Slot] = [[] for _ in columns]
        for segment in row:
            slots[max(0, int(np.searchsorted(lefts, segment.x0 + 0.1, "right")) - 1)].append(segment)
        first = row[0]
        column = next(c for c, slot in enumerate(slots) if slot)
        is_near = first.y0 - bottom < _CONTINUED_GAP * (first.y1 - first.y0)
        if grid and len(row) == 1 and column > 0 and is_near and grid[-1][column]:
            grid[-1][column].append(first)
        else:
            grid.append(slots)
        bottom = max(s.y1 for s in row)
    return grid


def _is_aligned(grid: list[list[Slot]]) -> bool:
    """Whether most cells start, end or are centred where the others of their column do."""
    n_aligned = n_cells = 0
    for slots in zip(*grid, strict=True):
        boxes = np.array([(slot[0].x0, slot[0].x1) for slot in slots if slot])
        if not len(boxes):
            continue
        marks = np.stack([boxes[:, 0], boxes[:, 1], boxes.mean(axis=1)])
        em = next(slot[0].size for slot in slots if slot)
        close = np.abs(marks - np.median(marks, axis=1, keepdims=True)) <= _ALIGNED_EM * em
        n_aligned += int(close.sum(axis=1).max())
        n_cells += len(boxes)
    return n_aligned >= _MIN_ALIGNED * n_cells


def _plain_cells(grid: list[list[Slot]], columns: list[Interval]) -> tuple[Cell, ...]:
    edges = [columns[0][0], *((a[1] + b[0]) / 2 for a, b in pairwise(columns)), columns[-1][1]]
    cells = []
    for r, slots in enumerate(grid):
        boxes = [s.box for slot in slots for s in slot]
        top, bottom = min(b[1] for b in boxes), max(b[3] for b in boxes)
        for c, slot in enumerate(slots):
            box = union([(edges[c], top, edges[c + 1], bottom), *(s.box for s in slot)])
            cells.append(Cell(r, c, box, tuple(line_of(row) for row in find_rows(slot)), _role(r, c)))
    return tuple(cells)
