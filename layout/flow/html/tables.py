"""Tables of HTML: which of them hold data, and where their cells lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeVar

from mm_megacontext.document import CellRole
from mm_megacontext.layout.flow.flow import FlowCell, FlowTable, Runs
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.tables.cells import Place, n_header_rows_unmarked, role_of

_MAX_SPAN = 1000  # HTML's own limit for columns
_MAX_CELLS = 200_000  # places of one table; HTML can ask for a million with few bytes

_PARAGRAPHS = ("p", "div", "ul", "ol", "dl", "pre", "blockquote")

State = TypeVar("State")


class TableTooLarge(ValueError):
    """A table has more cells than are read."""


Row = tuple[Element, Any, bool]
"""A row, the state that its cells have from it, and whether it is in the table's head."""


def is_data_table(table: Element) -> bool:
    """Whether a table is one, and not a way to lay a page out.

    Such a one has another table in it beside other text, or headings, or is one row of columns with paragraphs in them.
    """
    if table.get("role") in ("presentation", "none"):
        return False
    if next((e for e in table.iterdescendants("h1", "h2", "h3")), None) is not None:
        return False
    nested = list(table.iterdescendants("table"))
    if nested and not _holds_data_tables(table, nested):
        return False
    rows = list(table.iterdescendants("tr"))
    if len(rows) == 1 and any(_n_paragraphs(cell) > 1 for cell in _cells(rows[0])):
        return False
    return any(sum(1 for _ in _cells(row)) > 1 for row in rows)


def _holds_data_tables(table: Element, nested: Sequence[Element]) -> bool:
    """Whether tables in a table say more of its rows: it has headers, and each is all that is in its cell."""
    own_rows = [row for row in table.iterdescendants("tr") if next(row.iterancestors("table")) is table]
    if len(own_rows) < 2 or not any(cell.tag == "th" for row in own_rows for cell in _cells(row)):
        return False
    inner = [found for row in own_rows for cell in _cells(row) if (found := inner_table(cell)) is not None]
    return len(inner) == len(nested) and all(is_data_table(one) for one in inner)


def inner_table(cell: Element) -> Element | None:
    """The table that is all that is in a cell, and has no other one in it."""
    found = list(cell.iterdescendants("table"))
    if len(found) != 1 or "".join(cell.itertext()).strip() != "".join(found[0].itertext()).strip():
        return None
    return found[0]


def table_rows(table: Element, state: State, state_of: Callable[[Element, State], State]) -> list[Row]:
    """The rows of a table in the order in which they are shown: head, bodies, foot."""
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for child in table:
        if child.tag == "tr":
            parts[1].append((child, state_of(child, state), False))
        elif child.tag in ("thead", "tbody", "tfoot"):
            of_part = state_of(child, state)
            rows = [(row, state_of(row, of_part), child.tag == "thead") for row in child.iterchildren("tr")]
            parts[("thead", "tbody", "tfoot").index(child.tag)].extend(rows)
    return [*parts[0], *parts[1], *parts[2]]


def to_flow_table(rows: Iterable[Row], contents_of: Callable[[Element, Any], Runs | FlowTable]) -> FlowTable | None:
    """The table of ``rows``; None where it has no text. Spans that overlap or stick out are cut.

    Args:
        rows: See ``table_rows``.
        contents_of: What is in a cell; of a table its cells take the place of the one that it is in.

    Raises:
        TableTooLarge: It has more cells than are read.
    """
    rows = list(rows)
    placed = _placed(rows)
    if not placed:
        return None
    n_columns = max(cell.column + cell.column_span for cell in placed)
    head = _head(rows, placed)
    has_headers = any(cell.element.tag == "th" for cell in placed) or bool(head)
    n_header = n_header_rows_unmarked([cell.place for cell in placed], len(rows), n_columns)
    cells: list[FlowCell] = []
    inner: dict[tuple[int, int], FlowTable] = {}
    for cell in placed:
        role = _marked_role(cell, head) if has_headers else role_of(cell.row, cell.column, n_header)
        contents = contents_of(cell.element, cell.state)
        if isinstance(contents, FlowTable):
            inner[cell.row, cell.column] = contents
            contents = ()
        cells.append(FlowCell(cell.row, cell.column, contents, role, cell.row_span, cell.column_span))
    table = FlowTable(tuple(cells), len(rows), n_columns)
    table = _opened(table, inner) if inner else table
    return table if any(cell.runs for cell in table.cells) else None


def _opened(table: FlowTable, inner: dict[tuple[int, int], FlowTable]) -> FlowTable:
    """A table with those in its cells made rows and columns of its own. Raises TableTooLarge."""
    heights, widths = [1] * table.n_rows, [1] * table.n_columns
    for (row, column), one in inner.items():
        heights[row] = max(heights[row], one.n_rows)
        widths[column] = max(widths[column], one.n_columns)
    tops, lefts = [0, *accumulate(heights)], [0, *accumulate(widths)]
    if tops[-1] * lefts[-1] > _MAX_CELLS:
        raise TableTooLarge(f"a table of more than {_MAX_CELLS} cells is left out: split it")
    cells: list[FlowCell] = []
    for cell in table.cells:
        top, left = tops[cell.row], lefts[cell.column]
        own = inner.get((cell.row, cell.column))
        if own is not None:
            cells += [replace(c, row=top + c.row, column=left + c.column) for c in own.cells]
            continue
        height, width = tops[cell.row + cell.row_span] - top, lefts[cell.column + cell.column_span] - left
        cells.append(replace(cell, row=top, column=left, row_span=height, column_span=width))
    cells.sort(key=lambda cell: (cell.row, cell.column))
    return FlowTable(tuple(cells), tops[-1], lefts[-1])


@dataclass(frozen=True, slots=True)
class _PlacedCell:
    """A cell with the room that it has in the grid, and the state of its row."""

    row: int
    column: int
    row_span: int
    column_span: int
    element: Element
    state: Any

    @property
    def place(self) -> Place:
        return self.row, self.column, self.row_span, self.column_span


def _placed(rows: Sequence[Row]) -> list[_PlacedCell]:
    """The cells in row-major order, none over another. Raises TableTooLarge."""
    taken = set[tuple[int, int]]()
    placed: list[_PlacedCell] = []
    for y, (row, state, _) in enumerate(rows):
        x = 0
        for cell in _cells(row):
            while (y, x) in taken:
                x += 1
            height = min(_span(cell.get("rowspan")) or len(rows), len(rows) - y)
            width = _free_width(taken, y, x, _span(cell.get("colspan")) or 1)
            if len(taken) + height * width > _MAX_CELLS:
                raise TableTooLarge(f"a table of more than {_MAX_CELLS} cells is left out: split it")
            taken.update((y + i, x + j) for i in range(height) for j in range(width))
            placed.append(_PlacedCell(y, x, height, width, cell, state))
            x += width
    return placed


def _head(rows: Sequence[Row], placed: Sequence[_PlacedCell]) -> set[int]:
    """The rows that are marked as heading the columns, and those that their cells reach into."""
    marked = {y for y, (row, _, in_head) in enumerate(rows) if in_head or _is_of_headers(row)}
    return {y for cell in placed if cell.row in marked for y in range(cell.row, cell.row + cell.row_span)}


def _cells(row: Element) -> Iterator[Element]:
    return (cell for cell in row if cell.tag in ("td", "th"))


def _is_of_headers(row: Element) -> bool:
    tags = [cell.tag for cell in _cells(row)]
    return bool(tags) and all(tag == "th" for tag in tags) and len(tags) > 1


def _n_paragraphs(cell: Element) -> int:
    return sum(1 for child in cell.iterchildren(*_PARAGRAPHS) if "".join(child.itertext()).strip())


def _marked_role(cell: _PlacedCell, head: set[int]) -> CellRole:
    if cell.row in head:
        return "column_header"
    return "row_header" if cell.element.tag == "th" or cell.column == 0 else "body"


def _span(text: str | None) -> int:
    """A span as it is written: 0 for "to the end", 1 where it makes no sense."""
    if text is None or not text.strip().isdecimal() or len(text.strip()) > 9:
        return 1
    return min(int(text), _MAX_SPAN)


def _free_width(taken: set[tuple[int, int]], row: int, column: int, wanted: int) -> int:
    """How many places of a row are free from ``column`` on, at most ``wanted``, at least one."""
    width = 1
    while width < wanted and (row, column + width) not in taken:
        width += 1
    return width
