"""A workbook as a flow, through openpyxl: each sheet under its name, cells as they are shown, merged cells as one.

Rows without anything in them divide a sheet into tables; a row with one cell above a table is its title. Pictures and
charts are left out; sheets, rows, columns and cells that are not shown are kept apart.
"""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from mm_megacontext.document import HiddenReason
from mm_megacontext.layout.flow.flow import Flow, FlowCell, FlowItem, FlowTable, NewPage, Paragraph, Run, Unseen
from mm_megacontext.layout.flow.zip_container import ZipContainer
from mm_megacontext.layout.tables.cells import Place, n_header_rows_unmarked, role_of

_MOST_EMPTY_COLUMNS = 50  # that a merged cell may add to a table
_WHITE = ("FFFFFFFF", "00FFFFFF")
_DECIMALS = re.compile(r"[0#?]\.([0#?]+)")
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')

Rows = dict[int, dict[int, str]]
"""Texts by row and column, from 1, as in openpyxl."""
Spans = dict[tuple[int, int], tuple[int, int]]
"""Of merged cells: the last row and column, by the first."""


def xlsx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of a workbook. Raises ImportError where openpyxl is not installed."""
    import openpyxl

    container.refuse_doctypes()
    formulas = openpyxl.load_workbook(io.BytesIO(data), keep_links=False)
    values = openpyxl.load_workbook(io.BytesIO(data), keep_links=False, data_only=True)
    return _sheets(formulas, values)


def _sheets(formulas: Any, values: Any) -> Iterator[FlowItem]:
    for sheet, computed in zip(formulas.worksheets, values.worksheets, strict=True):
        yield NewPage()
        rows, unseen = _texts(sheet, computed)
        if sheet.sheet_state != "visible":
            texts = [text for row in rows.values() for text in row.values()]
            yield Unseen(" ".join([sheet.title, *texts, *(text for text, _ in unseen)]), "not displayed")
            continue
        yield Paragraph((Run(sheet.title),), "heading", 1)
        for text, why in unseen:
            yield Unseen(text, why)
        spans = {(area.min_row, area.min_col): (area.max_row, area.max_col) for area in sheet.merged_cells.ranges}
        for _, numbers in groupby(enumerate(sorted(rows)), key=lambda item: item[1] - item[0]):
            yield from _block({number: rows[number] for _, number in numbers}, spans)  # where numbers keep step


def _texts(sheet: Any, computed: Any) -> tuple[Rows, list[tuple[str, HiddenReason]]]:
    """What is shown in cells, and what is in cells that are not shown."""
    hidden_rows = {number for number, row in sheet.row_dimensions.items() if row.hidden}
    hidden_columns = _hidden_columns(sheet)
    rows: Rows = {}
    unseen: list[tuple[str, HiddenReason]] = []
    for place in sorted(sheet._cells):
        cell, value = sheet._cells[place], computed._cells.get(place)
        if cell.value is None:
            continue
        known = None if value is None else value.value
        text = shown(cell.value if known is None else known, cell.number_format)
        why: HiddenReason | None = None
        if cell.row in hidden_rows or cell.column in hidden_columns or cell.number_format == ";;;":
            why = "not displayed"
        elif _is_white(cell):
            why = "no contrast"
        if text and why is None:
            rows.setdefault(cell.row, {})[cell.column] = text
        elif text and why is not None:
            unseen.append((text, why))
    return rows, unseen


def _hidden_columns(sheet: Any) -> set[int]:
    hidden: set[int] = set()
    for column in sheet.column_dimensions.values():
        if column.hidden and column.min and column.max:
            hidden.update(range(column.min, min(column.max, sheet.max_column) + 1))
    return hidden


def _is_white(cell: Any) -> bool:
    """Whether the text of a cell has the colour of paper, and the cell none."""
    color = cell.font.color if cell.font is not None else None
    is_white = color is not None and (
        (color.type == "rgb" and color.rgb in _WHITE) or (color.type == "theme" and color.theme == 0 and not color.tint)
    )
    return is_white and (cell.fill is None or cell.fill.fill_type is None)


def _block(rows: Rows, spans: Spans) -> Iterator[FlowItem]:
    """Rows without a gap between them: titles, then a table."""
    numbers = list(rows)
    while numbers and len(rows[numbers[0]]) == 1:
        yield from (Paragraph((Run(text),)) for text in rows[numbers.pop(0)].values())
    if not numbers:
        return
    top, bottom = numbers[0], numbers[-1]
    left = min(min(rows[number]) for number in numbers)
    right = max(spans.get((number, column), (0, column))[1] for number in numbers for column in rows[number])
    right = min(right, max(max(rows[number]) for number in numbers) + _MOST_EMPTY_COLUMNS)
    n_rows, n_columns = bottom - top + 1, right - left + 1
    places = _places((top, left, bottom, right), spans)
    n_header = n_header_rows_unmarked(places, n_rows, n_columns)
    cells = []
    for y, x, height, width in places:
        text = rows[top + y].get(left + x, "")
        cells.append(FlowCell(y, x, (Run(text),) if text else (), role_of(y, x, n_header), height, width))
    yield FlowTable(tuple(cells), n_rows, n_columns)


def _places(area: tuple[int, int, int, int], spans: Spans) -> list[Place]:
    """The cells of an area (top, left, bottom, right), counted from its corner; merged ones are cut to it."""
    top, left, bottom, right = area
    covered = set[tuple[int, int]]()
    places: list[Place] = []
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if (row, column) in covered:
                continue
            end_row, end_column = spans.get((row, column), (row, column))
            end_row, end_column = min(end_row, bottom), min(end_column, right)
            covered |= {(y, x) for y in range(row, end_row + 1) for x in range(column, end_column + 1)}
            places.append((row - top, column - left, end_row - row + 1, end_column - column + 1))
    return places


def shown(value: Any, number_format: str = "General") -> str:
    """A value as a spreadsheet shows it, as far as its format is a usual one.

    >>> shown(1234.5, "#,##0.00"), shown(0.25, "0%"), shown(3.0), shown(True)
    ('1,234.50', '25%', '3', 'TRUE')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (int, float)):
        return _number(value, number_format)
    return str(value).strip()


def _number(value: float, number_format: str) -> str:
    plain = _QUOTED.sub("", number_format.split(";")[0])
    sign = next((c for c in "$€£¥" if c in number_format.split(";")[0]), "")
    found = _DECIMALS.search(plain)
    n_decimals = len(found.group(1)) if found else 0
    if "%" in plain:
        return f"{value * 100:.{n_decimals}f}%"
    if "0" not in plain and "#" not in plain:
        return str(value) if isinstance(value, int) else f"{value:.15g}"
    if "E" in plain:
        return f"{value:.{n_decimals}E}"
    text = f"{abs(value):,.{n_decimals}f}" if "," in plain else f"{abs(value):.{n_decimals}f}"
    return f"{'-' if value < 0 else ''}{sign}{text}"
