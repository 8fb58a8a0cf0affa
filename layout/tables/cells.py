"""What the finders of tables have in common.

Roles are a guess that holds for most tables: the first row heads the columns, the first column heads the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_megacontext.document import Box, CellRole, Table
from mm_megacontext.layout.lines.segments import Segment

_MAX_HEADER = 4  # rows

Place = tuple[int, int, int, int]
"""Of a cell: row, column, and how many rows and columns it spans."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table and the segments that it took."""

    bbox: Box
    table: Table
    segments: tuple[Segment, ...] = ()


def role_of(row: int, column: int, n_header: int = 1) -> CellRole:
    """The role of a cell in a table whose first ``n_header`` rows head the columns."""
    if row < n_header:
        return "column_header"
    return "row_header" if column == 0 else "body"


def n_header_rows(places: Sequence[Place], n_rows: int) -> int:
    """How many rows head the columns: below one with titles of several columns stands one that names them singly."""
    n = 1
    while n < min(n_rows - 1, _MAX_HEADER):
        last = [(row_span, column_span) for row, _, row_span, column_span in places if row == n - 1]
        n_more = max(row_span - 1 for row_span, _ in last) if last else 0
        if not n_more and not any(column_span > 1 for _, column_span in last):
            break
        n += max(1, n_more)
    return n


def n_header_rows_unmarked(places: Sequence[Place], n_rows: int, n_columns: int) -> int:
    """The same where a file could have marked the header and did not: two columns are names and values."""
    return 0 if n_columns == 2 else n_header_rows(places, n_rows)
