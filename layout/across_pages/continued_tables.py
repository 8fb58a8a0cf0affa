"""Tables that go on over the end of a page: each part stays on its page and says which table it is of.

A table goes on if nothing but footers follows it and nothing but headers comes before the next one, on the next page,
with the same columns; unless that one has names of its own where the columns hold numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mm_megacontext.document import Cell, CellRole, Page, Region, Table

_EDGE_PT = 6.0  # columns that begin no further apart are the same
_EDGE_SHARE = 0.35  # of the narrower neighbour: the edges of columns without rules lie somewhere in the white
_LOWEST_END, _HIGHEST_START = 0.7, 0.4  # of the page's height: where a table that goes on ends, and begins anew
_NUMBERS = 0.6  # share of a column's cells that are numbers
_OUTSIDE = ("header", "footer")

_NUMBER = re.compile(r"[-+\u2212(]?[€$£¥]?\s?\d[\d.,' ]*\)?\s?[%€$£¥]?$")
_CONTINUED = re.compile(r"\bcont(?:inued|\.|'d)|\bfortsetzung\b|\bsuite\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Open:
    """A table that may go on: its first part's header, the columns, and how many rows there are so far."""

    id: str
    header: tuple[tuple[str, ...], ...]
    starts: tuple[float, ...]
    numeric: tuple[bool, ...]
    n_rows: int


def join_tables(pages: Iterable[Page]) -> Iterator[Page]:
    """The pages, their tables with the id of the whole table, and which row of it they begin with."""
    is_open: _Open | None = None
    for page in pages:
        tables = [i for i, region in enumerate(page.regions) if region.table is not None and region.hidden is None]
        regions = list(page.regions)
        last: _Open | None = None
        for number, i in enumerate(tables, 1):
            going_on = is_open if number == 1 and _is_first(page, regions[i]) else None
            regions[i], last = _placed(regions[i], f"{page.number}.{number}", going_on)
        is_open = last if tables and _is_last(page, regions[tables[-1]]) else None
        yield replace(page, regions=tuple(regions)) if tables else page


def name_tables(pages: Iterable[Page]) -> Iterator[Page]:
    """The same for pages that were set here, whose tables say themselves whether they go on."""
    whole = ""
    for page in pages:
        regions, n_tables = list(page.regions), 0
        for i, region in enumerate(regions):
            if region.table is None:
                continue
            n_tables += 1
            if not (region.table.continues and whole):
                whole = f"{page.number}.{n_tables}"
            regions[i] = replace(region, table=replace(region.table, id=whole))
        yield replace(page, regions=tuple(regions)) if n_tables else page


def _placed(region: Region, own_id: str, before: _Open | None) -> tuple[Region, _Open]:
    """The region with its table's place in the whole table, and what may go on from it."""
    table = region.table
    assert table is not None
    rows = _texts(table)
    if before is None or not _goes_on(table, rows, before):
        header = tuple(rows[: _n_header(table)])
        own = _Open(own_id, header, _starts(table), _numeric(rows[len(header) :], table.n_columns), table.n_rows)
        return replace(region, table=replace(table, id=own_id, continues=False, first_row=0)), own
    n_repeated = len(before.header) if tuple(rows[: len(before.header)]) == before.header else 0
    cells = tuple(replace(cell, role=_role(cell, n_repeated)) for cell in table.cells)
    part = replace(
        table, cells=cells, id=before.id, continues=True, first_row=before.n_rows, n_repeated_rows=n_repeated
    )
    return replace(region, table=part), replace(before, n_rows=before.n_rows + table.n_rows - n_repeated)


def _role(cell: Cell, n_header: int) -> CellRole:
    if cell.row < n_header:
        return "column_header"
    return "row_header" if cell.column == 0 else "body"


def _goes_on(table: Table, rows: Sequence[tuple[str, ...]], before: _Open) -> bool:
    if table.n_columns != len(before.numeric) or not _are_same_columns(_starts(table), before.starts):
        return False
    if tuple(rows[: len(before.header)]) == before.header:
        return True
    named = [text for text, is_number in zip(rows[0], before.numeric, strict=True) if is_number and text]
    return not named or any(map(_NUMBER.match, named))


def _are_same_columns(starts: tuple[float, ...], others: tuple[float, ...]) -> bool:
    if len(starts) != len(others):  # there may be columns in which no cell begins
        return False
    widths = [min(b - a, d - c) for (a, b), (c, d) in zip(pairwise(starts), pairwise(others), strict=True)]
    for i, (start, other) in enumerate(zip(starts, others, strict=True)):
        room = min(widths[max(0, i - 1) : i + 1], default=0.0)
        if abs(start - other) > max(_EDGE_PT, _EDGE_SHARE * room):
            return False
    return True


def _starts(table: Table) -> tuple[float, ...]:
    """Where the columns begin."""
    starts: dict[int, float] = {}
    for cell in table.cells:
        starts.setdefault(cell.column, cell.bbox[0])
    return tuple(starts[column] for column in sorted(starts))


def _texts(table: Table) -> list[tuple[str, ...]]:
    rows = [[""] * table.n_columns for _ in range(table.n_rows)]
    for cell in table.cells:
        rows[cell.row][cell.column] = cell.text
    return [tuple(row) for row in rows]


def _n_header(table: Table) -> int:
    return 1 + max((cell.row for cell in table.cells if cell.role == "column_header"), default=-1)


def _numeric(rows: Sequence[tuple[str, ...]], n_columns: int) -> tuple[bool, ...]:
    """The columns of numbers."""
    columns = [[row[i] for row in rows if row[i]] for i in range(n_columns)]
    return tuple(sum(bool(_NUMBER.match(t)) for t in texts) >= _NUMBERS * max(1, len(texts)) for texts in columns)


def _is_first(page: Page, region: Region) -> bool:
    """Whether a table is the first thing on its page but for headers, and for lines that say that it goes on."""
    above = [r for r in _body(page) if r is not region and r.bbox[3] <= region.bbox[1] + 1]
    is_high = region.bbox[1] <= _HIGHEST_START * page.size[1]
    return is_high and all(len(r.lines) == 1 and _CONTINUED.search(r.text) for r in above)


def _is_last(page: Page, region: Region) -> bool:
    below = [r for r in _body(page) if r.bbox[1] >= region.bbox[3] - 1]
    is_low = region.bbox[3] >= _LOWEST_END * page.size[1]
    return is_low and all(len(r.lines) == 1 and _CONTINUED.search(r.text) for r in below)


def _body(page: Page) -> list[Region]:
    return [r for r in page.regions if r.kind not in _OUTSIDE and r.hidden is None]
