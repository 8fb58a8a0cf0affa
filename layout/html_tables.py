"""Tables of HTML: which of them hold data, and where their cells lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mm_megacontext.layout.document import CellRole
from mm_megacontext.layout.flow import FlowCell, FlowTable, Runs
from mm_megacontext.layout.html_source import Element
from mm_megacontext.layout.tables import role_by_width

_MAX_SPAN = 1000  # HTML's own limit for columns
_MAX_CELLS = 200_000  # places of one table; HTML can ask for a million with few bytes

State = TypeVar("State")


class TableTooLarge(ValueError):
    """A table has more cells than are read."""


Row = tuple[Element, Any, bool]
"""A row, the state that its cells have from it, and whether it is in the table's head."""


def is_data_table(table: Element) -> bool:
    """Whether a table is one, and not a way to lay a page out: it has no other table in it, and no headings."""
    if table.get("role") in ("presentation", "none"):
        return False
    if next((e for e in table.iterdescendants("table", "h1", "h2", "h3")), None) is not None:
        return False
    return any(sum(1 for _ in _cells(row)) > 1 for row in table.iterdescendants("tr"))


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


def to_flow_table(rows: Iterable[Row], runs_of: Callable[[Element, Any], Runs]) -> FlowTable | None:
    """The table of ``rows``; None where it has no text. Spans that overlap or stick out are cut.

    Raises TableTooLarge.
    """
    rows = list(rows)
    taken: dict[tuple[int, int], bool] = {}
    placed: list[tuple[int, int, int, int, Element, Any]] = []
    for y, (row, state, _) in enumerate(rows):
        x = 0
        for cell in _cells(row):
            while (y, x) in taken:
                x += 1
            height = min(_span(cell.get("rowspan")) or len(rows), len(rows) - y)
            width = _free_width(taken, y, x, _span(cell.get("colspan")) or 1)
            if len(taken) + height * width > _MAX_CELLS:
                raise TableTooLarge(f"a table of more than {_MAX_CELLS} cells is left out: split it")
            for place in ((y + i, x + j) for i in range(height) for j in range(width)):
                taken[place] = True
            placed.append((y, x, height, width, cell, state))
            x += width
    if not placed:
        return None
    head = {y for y, (row, _, in_head) in enumerate(rows) if in_head or _is_of_headers(row)}
    has_headers = any(cell.tag == "th" for *_, cell, _ in placed) or bool(head)
    n_columns = 1 + max(x for _, x in taken)
    cells = []
    for y, x, height, width, cell, state in placed:
        role = _role(cell, y, x, head) if has_headers else role_by_width(y, x, n_columns)
        cells.append(FlowCell(y, x, runs_of(cell, state), role, height, width))
    if not any(cell.runs for cell in cells):
        return None
    return FlowTable(tuple(cells), len(rows), n_columns)


def _cells(row: Element) -> Iterator[Element]:
    return (cell for cell in row if cell.tag in ("td", "th"))


def _is_of_headers(row: Element) -> bool:
    tags = [cell.tag for cell in _cells(row)]
    return bool(tags) and all(tag == "th" for tag in tags) and len(tags) > 1


def _role(cell: Element, row: int, column: int, head: set[int]) -> CellRole:
    if row in head:
        return "column_header"
    return "row_header" if cell.tag == "th" or column == 0 else "body"


def _span(text: str | None) -> int | None:
    """A span as it is written: 0 for "to the end"; None where it makes no sense."""
    if text is None or not text.strip().isdecimal() or len(text.strip()) > 9:
        return 1
    return min(int(text), _MAX_SPAN)


def _free_width(taken: dict[tuple[int, int], bool], row: int, column: int, wanted: int) -> int:
    """How many places of a row are free from ``column`` on, at most ``wanted``, at least one."""
    width = 1
    while width < wanted and (row, column + width) not in taken:
        width += 1
    return width
