"""A workbook as a flow: each sheet under its name, cells as they are shown, merged cells as one.

Rows without anything in them divide a sheet into tables; a row with one cell above a table is its title. Pictures and
charts are left out; sheets, rows, columns and cells that are not shown are kept apart. A sheet that cannot be read is
reported, and the others are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lxml import etree

from mm_megacontext.document import HiddenReason
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.flow import (
    Flow,
    FlowCell,
    FlowItem,
    FlowTable,
    NewPage,
    Paragraph,
    Run,
    Runs,
    Unread,
    Unseen,
    text_of,
)
from mm_megacontext.layout.flow.office.number_format import shown
from mm_megacontext.layout.flow.xlsx.styles import Look
from mm_megacontext.layout.flow.xlsx.visibility import Seen, SheetLooks
from mm_megacontext.layout.flow.xlsx.workbook import Cell, Sheet, Workbook, open_workbook
from mm_megacontext.layout.flow.xlsx.workbook import Place as CellPlace
from mm_megacontext.layout.flow.zip_container import ZipContainer
from mm_megacontext.layout.tables.cells import Place, n_header_rows_unmarked, role_of

_MOST_EMPTY_COLUMNS = 50  # that a merged cell may add to a table

Rows = dict[int, dict[int, Runs]]
"""Texts by row and column, from 1."""
Spans = dict[tuple[int, int], tuple[int, int]]
"""Of merged cells: the last row and column, by the first."""
Hidden = list[tuple[str, HiddenReason]]


def xlsx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of a workbook."""
    container.refuse_doctypes()
    return _sheets(open_workbook(container))


def _sheets(book: Workbook) -> Iterator[FlowItem]:
    for index, name in enumerate(book.names):
        yield NewPage()
        if not index:
            yield from book.problems
        try:
            sheet = book.sheet(name)
            rows, unseen = _texts(sheet, book)
        except (etree.XMLSyntaxError, IngestError, KeyError, ValueError) as e:
            what = (str(e).splitlines() or [""])[0][:120]
            yield Unread(f"the sheet {name.title!r} cannot be read ({what}): save the file anew", "corrupt")
            continue
        if name.state != "visible":
            texts = [text_of(runs) for row in rows.values() for runs in row.values()]
            yield Unseen(" ".join([name.title, *texts, *(text for text, _ in unseen)]), "not displayed")
            continue
        yield Paragraph((Run(name.title),), "heading", 1)
        for text, why in unseen:
            yield Unseen(text, why)
        spans = {(area.top, area.left): (area.bottom, area.right) for area in sheet.merged}
        for _, numbers in groupby(enumerate(sorted(rows)), key=lambda item: item[1] - item[0]):
            yield from _block({number: rows[number] for _, number in numbers}, spans)  # where numbers keep step


def _texts(sheet: Sheet, book: Workbook) -> tuple[Rows, Hidden]:
    """What is shown in cells, and what is in cells that are not shown."""
    looks = SheetLooks(sheet, book.styles)
    rows: Rows = {}
    unseen: Hidden = []
    for place in sorted(sheet.cells):
        runs, hidden = _cell(place, sheet.cells[place], sheet, looks, book.date1904)
        if runs:
            rows.setdefault(place[0], {})[place[1]] = runs
        unseen += hidden
    return rows, unseen


def _cell(place: CellPlace, cell: Cell, sheet: Sheet, looks: SheetLooks, date1904: bool) -> tuple[Runs, Hidden]:
    """What is shown of a cell, and what is not."""
    seen = looks.seen(place, cell)
    text = shown(cell.value, seen.look.code or "General", date1904)
    why = looks.why_hidden(place)
    if why is None and (not text.text or seen.hides_value or (cell.value == 0.0 and not sheet.shows_zeros)):
        why = "not displayed"
    if why is not None:
        plain = text.text or shown(cell.value).text.strip()
        return (), [(plain, why)] if plain else []
    parts = cell.runs if cell.runs and text.text == str(cell.value).strip() else ((text.text, Look()),)
    return _parts(parts, seen, looks, text.color)


def _parts(
    parts: tuple[tuple[str, Look], ...], seen: Seen, looks: SheetLooks, color: str | None
) -> tuple[Runs, Hidden]:
    runs: list[Run] = []
    unseen: Hidden = []
    for text, look in parts:
        why = looks.why_unseen(seen, look, color)
        if why is None:
            runs.append(Run(text, script=look.script))
        elif text.strip():
            unseen.append((text.strip(), why))
    return tuple(runs) if any(run.text.strip() for run in runs) else (), unseen


def _block(rows: Rows, spans: Spans) -> Iterator[FlowItem]:
    """Rows without a gap between them: titles, then a table."""
    numbers = list(rows)
    while numbers and len(rows[numbers[0]]) == 1:
        yield from (Paragraph(runs) for runs in rows[numbers.pop(0)].values())
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
        cells.append(FlowCell(y, x, rows[top + y].get(left + x, ()), role_of(y, x, n_header), height, width))
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
