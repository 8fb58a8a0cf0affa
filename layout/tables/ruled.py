"""Tables drawn with ruling lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Cell, Table
from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.lines.segments import Segment, find_rows, find_segments, line_of
from mm_megacontext.layout.tables.cells import FoundTable, Place, n_header_rows, role_of
from mm_megacontext.layout.tables.plain_rows import are_numbers
from mm_megacontext.layout.tables.rulings import (
    MAX_RULES,
    SNAP_PT,
    Rule,
    connected,
    drawn,
    framed,
    positions,
    rules_across,
    rules_down,
)

_MIN_RULES = 4
_MAX_CELLS = 5_000
_MAX_CELL_WORDS = 60  # mean; above it the rules frame a page's columns, not a table
_MIN_FILLED = 0.25  # share of cells that hold words
_MAX_CUT = 0.1  # share of words that stick out of their cells
_MIN_STACKED = 3  # cells of a row that hold several rows
_LEVEL_EM = 0.3  # between the middles of lines side by side


def find_ruled_tables(rules: Sequence[Box], words: Sequence[RawWord]) -> list[FoundTable]:
    """Tables drawn with ruling lines: at least two rows and two columns, with words in two cells or more."""
    across, down = rules_across(rules), rules_down(rules)
    if not across or not down or len(across) + len(down) < _MIN_RULES or len(across) + len(down) > MAX_RULES:
        return []
    tables = (_ruled_table(framed(h, v), framed(v, h), words) for h, v in connected(across, down))
    return [table for table in tables if table is not None]


def _ruled_table(across: list[Rule], down: list[Rule], words: Sequence[RawWord]) -> FoundTable | None:
    ys, xs = positions(across), positions(down)
    n_rows, n_columns = len(ys) - 1, len(xs) - 1
    if n_rows < 2 or n_columns < 2 or n_rows * n_columns > _MAX_CELLS:
        return None
    box = (xs[0], ys[0], xs[-1], ys[-1])
    below = drawn(across, ys, xs)  # (n_rows + 1, n_columns): is there a rule at ys[i] over column j
    beside = drawn(down, xs, ys).T  # (n_rows, n_columns + 1)
    taken: npt.NDArray[np.int64] = np.full((n_rows, n_columns), -1)
    places: list[Place] = []
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
    lines = [find_rows(find_segments(content)) for content in contents]
    between = _between_stacked(places, boxes, lines)
    if len(positions([*across, *between])) > len(ys):
        return _ruled_table([*across, *between], down, words)
    n_header = n_header_rows(places, n_rows)
    cells = tuple(
        Cell(row, column, cell_box, tuple(map(line_of, own)), role_of(row, column, n_header), row_span, column_span)
        for (row, column, row_span, column_span), cell_box, own in zip(places, boxes, lines, strict=True)
    )
    return FoundTable(box, Table(cells, n_rows, n_columns))


def _between_stacked(places: list[Place], boxes: list[Box], lines: list[list[list[Segment]]]) -> list[Rule]:
    """Where rules would be that are not drawn: between lines that are rows of their own.

    Text goes on from line to line of a cell; numbers do not. Where a column of a row has numbers below each other, and
    all others have as many lines at the same heights, each of these is a row.
    """
    rows: dict[int, list[int]] = {}
    for at, (row, _, row_span, _) in enumerate(places):
        if row_span == 1 and lines[at]:
            rows.setdefault(row, []).append(at)
    found: list[Rule] = []
    for cells in rows.values():
        if len(cells) >= _MIN_STACKED and _are_stacked([lines[at] for at in cells]):
            tops = [[min(s.y0 for s in line) for line in lines[at]] for at in cells]
            bottoms = [[max(s.y1 for s in line) for line in lines[at]] for at in cells]
            for above, below in pairwise(range(len(tops[0]))):
                y = (max(b[above] for b in bottoms) + min(t[below] for t in tops)) / 2
                found += [(y, boxes[at][0], boxes[at][2]) for at in cells]
    return found


def _are_stacked(cells: list[list[list[Segment]]]) -> bool:
    """Whether the cells of a row have equally many lines side by side, and numbers in one or more of the columns."""
    n_lines = len(cells[0])
    if n_lines < 2 or any(len(cell) != n_lines for cell in cells):
        return False
    if not any(all(are_numbers(line) for line in cell) for cell in cells):
        return False
    return all(
        abs(_middle(line) - _middle(first)) <= _LEVEL_EM * first[0].size
        for cell in cells[1:]
        for line, first in zip(cell, cells[0], strict=True)
    )


def _middle(line: list[Segment]) -> float:
    return fmean((s.y0 + s.y1) / 2 for s in line)


def _is_filled(places: list[Place], contents: list[list[RawWord]]) -> bool:
    """Whether the cells hold what a table holds, and not the empty grid of a chart or the columns of a page."""
    full = [(place, len(content)) for place, content in zip(places, contents, strict=True) if content]
    if len(places) < 4 or len(full) < max(2, _MIN_FILLED * len(places)):
        return False
    words = [word for content in contents for word in content]
    if sum(word.upright for word in words) < 0.5 * len(words):
        return False
    n_rows, n_columns = len({place[0] for place, _ in full}), len({place[1] for place, _ in full})
    return n_rows >= 2 and n_columns >= 2 and fmean(n for _, n in full) <= _MAX_CELL_WORDS


def _is_cut(boxes: list[Box], contents: list[list[RawWord]]) -> bool:
    """Whether rules run through words, as they do in diagrams."""
    n_words = n_cut = 0
    for (x0, y0, x1, y1), content in zip(boxes, contents, strict=True):
        n_words += len(content)
        for word in content:
            beside = max(x0 - word.x0, word.x1 - x1)
            above = max(y0 - word.y0, word.y1 - y1)
            n_cut += beside > SNAP_PT or above > max(SNAP_PT, 0.3 * (word.y1 - word.y0))
    return n_cut > _MAX_CUT * n_words


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
