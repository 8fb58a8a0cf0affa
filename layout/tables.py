"""What the finders of tables have in common.

Roles are a guess that holds for most tables: the first row heads the columns, the first column heads the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from mm_megacontext.layout.document import Box, CellRole, Table
from mm_megacontext.layout.segments import Segment


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


def role_by_width(row: int, column: int, n_columns: int) -> CellRole:
    """The role of a cell in a table that does not say which cells head the others: two columns are names and values."""
    return role_of(row, column, 0 if n_columns == 2 else 1)
