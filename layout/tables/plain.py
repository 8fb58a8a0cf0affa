"""Tables without rules: three or more rows of three or more short cells aligned in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isclose
from statistics import fmean

import numpy as np

from mm_megacontext.document import Cell, Table, union
from mm_megacontext.layout.lines.segments import Segment, find_rows, line_of
from mm_megacontext.layout.tables.cells import FoundTable, role_of
from mm_megacontext.layout.tables.plain_columns import Interval, Rows, columns_under, loosened, merge_columns
from mm_megacontext.layout.tables.plain_rows import GridRow, line_distance, tight_distance, to_rows
from mm_megacontext.layout.tables.plain_titles import title_row
from mm_megacontext.layout.tables.rulings import Rule

_MIN_ROWS = 3
_MIN_COLUMNS = 3
_MIN_FILLED = 0.5  # share of cells that hold words
_MIN_FULL_ROWS = 0.5  # share of rows with three cells or more
_MIN_ALIGNED = 0.6  # share of cells that start, end or are centred where most of their column do
_ALIGNED_EM = 0.5
_STARTS = 4  # rows that are tried as a table's first one
_PARTS_TRIED = 16  # of a long run of rows that is no table: from every row on would take time without end
_MAX_TITLES = 2  # rows above it that name several columns together
_MAX_CONTINUED = 8  # lines on which a cell goes on alone
_MAX_GAP_ROWS = 2.5  # rows further apart than this many heights are not of one table
_SEPARATOR_SHARE = 0.7  # of the table's width
_SAME_SIZE = 0.03
_LAST_GAP = 0.6  # of a line's height: white above a line on which the last row goes on


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A table that begins at a row, and the rows that it takes."""

    found: FoundTable
    end: int
    n_filled: int
    """Lines of cells."""

    @property
    def merit(self) -> tuple[int, int]:
        """The larger, the better: a start above the table blurs its columns, a title among its names makes more."""
        return self.n_filled, -self.found.table.n_columns


def find_plain_tables(segments: Iterable[Segment], max_cell_words: float, rules: Sequence[Rule]) -> list[FoundTable]:
    """The tables among the segments, top to bottom.

    Args:
        max_cell_words: Mean number of words of a cell above which the rows are running text in columns.
        rules: Horizontal ones, ascending: some tables have them between rows.
    """
    whole = find_rows(s for s in segments if not s.is_alone)
    rows = loosened(whole)
    found = []
    start = free = 0
    while start < len(rows):
        if len(rows[start]) < _MIN_COLUMNS:
            start += 1
            continue
        # A row or two of a form above the table would blur its columns: the start with most cells is the right one.
        tried = (_candidate(whole, rows, first, free, max_cell_words, rules) for first in range(start, start + _STARTS))
        best = max((c for c in tried if c is not None), key=lambda c: c.merit, default=None)
        if best is None:
            start += max(1, (_aligned_run(rows, start)[0] - start) // _PARTS_TRIED)
            continue
        found.append(best.found)
        start = free = best.end
    return found


def _candidate(
    whole: Rows, rows: Rows, first: int, free: int, max_cell_words: float, rules: Sequence[Rule]
) -> _Candidate | None:
    """The table whose columns begin at row ``first``; titles above it may go up to row ``free``."""
    if first >= len(rows) or len(rows[first]) < _MIN_COLUMNS:
        return None
    end, columns = _aligned_run(rows, first)
    body = rows[first:end]
    if len(columns) < _MIN_COLUMNS or fmean(len(s.words) for row in body for s in row) > max_cell_words:
        return None
    end = _last_line(rows, first, end, columns)
    grid, tight = to_rows(rows[first:end], columns, _separators(rules, columns))
    if not _is_full(grid, len(columns)) or not _is_aligned(grid, len(columns)):
        return None
    titles = _titles(rows, first, free, columns, grid[0], tight or _least_distance(rows[first:end]))
    taken = tuple(s for row in whole[first - len(titles) : end] for s in row)
    if not titles:
        grid[0] = _retitled(grid, columns)
    grid = [*titles, *grid]
    n_header = _n_header(grid, len(titles))
    table = Table(tuple(_cells(grid, columns, n_header)), len(grid), len(columns))
    return _Candidate(FoundTable(union([s.box for s in taken]), table, taken), end, _n_filled(grid))


def _separators(rules: Sequence[Rule], columns: list[Interval]) -> list[float]:
    """The heights of rules across most of a table's width."""
    left, right = columns[0][0], columns[-1][1]
    return [y for y, x0, x1 in rules if min(x1, right) - max(x0, left) >= _SEPARATOR_SHARE * (right - left)]


def _aligned_run(rows: Rows, start: int) -> tuple[int, list[Interval]]:
    """The end of the run of aligned rows from ``start``, and its columns."""
    columns = [(s.x0, s.x1) for s in rows[start]]
    end, n_continued, n_wide = start + 1, 0, 0
    for index in range(start + 1, len(rows)):
        row = rows[index]
        if _gap(rows[index - 1], row) > _MAX_GAP_ROWS * max(s.y1 - s.y0 for s in rows[index - 1]):
            break
        if len(row) == 1:  # a cell that goes on, or a heading within the table: part of it only if the table goes on
            n_continued += 1
            n_wide += len(columns_under(columns, row[0])) > 1
            if n_continued > _MAX_CONTINUED or n_wide > 1:
                break
            continue
        merged = merge_columns(columns, row)
        if len(merged) < max(_MIN_COLUMNS, len(columns) - 1):
            break
        columns, end, n_continued, n_wide = merged, index + 1, 0, 0
    return end, columns


def _gap(above: list[Segment], below: list[Segment]) -> float:
    return min(s.y0 for s in below) - max(s.y1 for s in above)


def _last_line(rows: Rows, first: int, end: int, columns: list[Interval]) -> int:
    """The end of a table with the lines on which one cell of its last row goes on."""
    for index in range(end, min(end + _MAX_CONTINUED, len(rows))):
        row = rows[index]
        under = columns_under(columns, row[0])
        is_near = _gap(rows[index - 1], row) < _LAST_GAP * (row[0].y1 - row[0].y0)
        if len(row) > 1 or len(under) != 1 or not is_near:
            return index
        if under[0] == 0 and not _goes_on_first(rows[first:index], row, columns):
            return index
    return min(end + _MAX_CONTINUED, len(rows))


def _goes_on_first(body: Rows, row: list[Segment], columns: list[Interval]) -> bool:
    """Whether a line below the first column is part of the last row: nearer to it than rows are, in the same type."""
    above = next((s for s in reversed([s for line in body for s in line]) if columns_under(columns, s) == [0]), None)
    word = row[0].words[0]
    if above is None or word.script or not isclose(above.size, row[0].size, rel_tol=_SAME_SIZE):
        return False
    is_within = row[0].x1 <= columns[1][0] - _ALIGNED_EM * row[0].size and above.words[0].bold == word.bold
    return is_within and line_distance(body[-1], row) < tight_distance([*body, row], columns)


def _titles(rows: Rows, first: int, free: int, columns: list[Interval], names: GridRow, tight: float) -> list[GridRow]:
    """Rows right above the table, but not nearer than ``tight``, that name its columns, some several together."""
    titles = [names]
    for index in range(first - 1, max(free, first - _MAX_TITLES) - 1, -1):
        height = max(s.y1 - s.y0 for s in rows[index])
        row = title_row(rows[index], columns, titles[0])
        too_near = line_distance(rows[index], rows[index + 1]) < tight  # a line of the same row
        if row is None or too_near or _gap(rows[index], rows[index + 1]) > _MAX_GAP_ROWS * height:
            break
        titles.insert(0, row)
    return titles[:-1]


def _least_distance(body: Rows) -> float:
    """A little less than between any two rows: what is nearer to the first one is a line of it."""
    return 0.9 * min((line_distance(above, below) for above, below in pairwise(body)), default=0.0)


def _retitled(grid: list[GridRow], columns: list[Interval]) -> GridRow:
    """The first row, with the columns that its titles name together if the second row names them one by one."""
    first, second = grid[:2]
    if len(first.segments) > len(first.slots) or len(first.slots) == len(columns):
        return first
    below: list[Interval] = []  # without the titles, which may have widened the columns
    for row in grid[1:]:
        below = merge_columns(below, row.segments)
    titles = title_row(first.segments, below, second) if len(below) == len(columns) else None
    return first if titles is None or max(titles.spans.values()) == 1 else titles


def _n_header(grid: list[GridRow], n_titles: int) -> int:
    """How many rows head the columns: titles of several columns have a row below them that names these singly."""
    last = max(1, n_titles)
    return last + any(n > 1 for n in grid[last - 1].spans.values())


def _n_filled(grid: list[GridRow]) -> int:
    return sum(len(find_rows(slot)) for row in grid for slot in row.slots.values())


def _is_full(grid: list[GridRow], n_columns: int) -> bool:
    n_full = sum(len(row.slots) >= _MIN_COLUMNS for row in grid)
    n_filled = sum(len(row.slots) for row in grid)
    return n_full >= max(_MIN_ROWS, _MIN_FULL_ROWS * len(grid)) and n_filled >= _MIN_FILLED * len(grid) * n_columns


def _is_aligned(grid: list[GridRow], n_columns: int) -> bool:
    """Whether most cells start, end or are centred where the others of their column do."""
    n_aligned = n_cells = 0
    for column in range(n_columns):
        slots = [row.slots[column] for row in grid if column in row.slots]
        if not slots:
            continue
        boxes = np.array([(slot[0].x0, slot[0].x1) for slot in slots])
        marks = np.stack([boxes[:, 0], boxes[:, 1], boxes.mean(axis=1)])
        close = np.abs(marks - np.median(marks, axis=1, keepdims=True)) <= _ALIGNED_EM * slots[0][0].size
        n_aligned += int(close.sum(axis=1).max())
        n_cells += len(boxes)
    return n_aligned >= _MIN_ALIGNED * n_cells


def _cells(grid: list[GridRow], columns: list[Interval], n_header: int) -> Iterable[Cell]:
    edges = [columns[0][0], *((a[1] + b[0]) / 2 for a, b in pairwise(columns)), columns[-1][1]]
    for r, row in enumerate(grid):
        column = 0
        while column < len(columns):
            slot, span = row.slots.get(column, []), row.spans.get(column, 1)
            box = union([(edges[column], row.top, edges[column + span], row.bottom), *(s.box for s in slot)])
            lines = tuple(line_of(line) for line in find_rows(slot))
            yield Cell(r, column, box, lines, role_of(r, column, n_header), 1, span)
            column += span
