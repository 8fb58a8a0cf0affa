"""The parts of a workbook read into sheets of cells. A part that cannot be read costs that part alone."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from lxml import etree

from mm_megacontext.errors import IngestError, first_line
from mm_megacontext.layout.flow.flow import Unread
from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.office.colors import OFFICE_THEME, read_theme
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, number, relations
from mm_megacontext.layout.flow.xlsx.styles import Look, Styles, change_of, read_styles
from mm_megacontext.layout.flow.zip_container import ZipContainer

Place = tuple[int, int]
"""Row and column of a cell, from 1."""
Value = float | bool | str
TextRuns = tuple[tuple[str, Look], ...]

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_EPOCH = datetime.datetime(1899, 12, 30)
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
_LOWEST_PT, _NARROWEST = 1.0, 0.2  # of rows, and of columns in letters: less shows nothing


@dataclass(frozen=True, slots=True)
class Cell:
    """What a file says of a cell.

    Attributes:
        value: A number, truth value or text; dates are numbers.
        runs: The parts of a text that have looks of their own, where it has any.
        style: The number of its look.
        is_error: Whether the text is the name of an error.
    """

    value: Value
    style: int = 0
    runs: TextRuns = ()
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """Cells from a corner to the opposite one."""

    top: int
    left: int
    bottom: int
    right: int

    def holds(self, place: Place) -> bool:
        """Whether a cell lies in it."""
        return self.top <= place[0] <= self.bottom and self.left <= place[1] <= self.right


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that changes how cells look; see 18.3.1.10."""

    areas: tuple[Area, ...]
    kind: str
    operator: str
    formulas: tuple[str, ...]
    text: str
    change: Look
    stops: bool
    hides_value: bool
    priority: int


@dataclass(frozen=True, slots=True)
class TableArea:
    """A table on a sheet, its style and how many rows head it."""

    area: Area
    style: str
    n_header: int


@dataclass(slots=True)
class Sheet:
    """The cells of a sheet, and what hides some of them."""

    cells: dict[Place, Cell] = field(default_factory=dict)
    merged: list[Area] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    tables: list[TableArea] = field(default_factory=list)
    shows_zeros: bool = True

    def is_hidden(self, place: Place) -> bool:
        """Whether the row or the column of a cell is not shown."""
        return place[0] in self.hidden_rows or any(a <= place[1] <= b for a, b in self.hidden_columns)


@dataclass(frozen=True, slots=True)
class SheetName:
    """A sheet as the workbook lists it."""

    title: str
    state: Literal["visible", "hidden"]
    part: str | None


@dataclass(slots=True)
class Workbook:
    """A workbook held open.

    Attributes:
        problems: Of the parts that all sheets share.
    """

    container: ZipContainer
    names: list[SheetName] = field(default_factory=list)
    styles: Styles = field(default_factory=Styles)
    texts: list[tuple[str, TextRuns]] = field(default_factory=list)
    date1904: bool = False
    problems: list[Unread] = field(default_factory=list)

    def sheet(self, name: SheetName) -> Sheet:
        """The cells of a sheet. Raises KeyError, ValueError, etree.XMLSyntaxError or IngestError."""
        if name.part is None:
            raise KeyError("it is not in the file")
        sheet = Sheet()
        _SheetReader(self, sheet).read(self.container.read(name.part))
        for kind, part in relations(self.container, name.part).values():
            if kind == "table" and part is not None:
                table = _table(self.container.read(part))
                sheet.tables += [table] if table is not None else []
        return sheet


def open_workbook(container: ZipContainer) -> Workbook:
    """The sheets of a workbook, and what they share. Raises etree.XMLSyntaxError where the list is damaged."""
    book = Workbook(container)
    main = next((part for kind, part in relations(container, "").values() if kind == "officeDocument" and part), None)
    main = main or "xl/workbook.xml"
    root = parse_xml(container.read(main))
    parts = relations(container, main)
    by_kind = {kind: part for kind, part in parts.values() if part is not None}
    book.date1904 = (attribute(child(root, "workbookPr"), "date1904") or "0") in ("1", "true")
    for entry in children(child(root, "sheets"), "sheet"):
        kind, part = parts.get(attribute(entry, "id") or "", ("", None))
        if kind in ("", "worksheet"):
            state: Literal["visible", "hidden"] = "visible" if entry.get("state", "visible") == "visible" else "hidden"
            book.names.append(SheetName(entry.get("name") or "", state, part))
    theme = _shared(book, by_kind.get("theme"), read_theme) or OFFICE_THEME
    book.styles = _shared(book, by_kind.get("styles"), lambda data: read_styles(data, theme)) or Styles(theme)
    book.texts = _shared(book, by_kind.get("sharedStrings"), lambda data: _texts(data, book.styles)) or []
    return book


def _shared(book: Workbook, part: str | None, reader: Any) -> Any:
    """A part that all sheets share; None, and a problem of the workbook, where it cannot be read."""
    if part is None:
        return None
    try:
        return reader(book.container.read(part))
    except (etree.XMLSyntaxError, IngestError, ValueError) as e:
        book.problems.append(
            Unread(f"{part} in it cannot be read ({first_line(e)}): what it gives cells is left out", "corrupt")
        )
        return None


def _texts(data: bytes, styles: Styles) -> list[tuple[str, TextRuns]]:
    return [_text(entry, styles) for entry in children(parse_xml(data), "si")]


def _text(element: Element, styles: Styles) -> tuple[str, TextRuns]:
    """A text and its parts; how it is pronounced is left out."""
    runs = []
    for part in element:
        if local(part) == "t":
            runs.append((unescaped(part.text or ""), Look()))
        elif local(part) == "r":
            text = "".join(t.text or "" for t in children(part, "t"))
            runs.append((unescaped(text), styles.font(child(part, "rPr"))))
    text = "".join(text for text, _ in runs)
    return text, tuple(runs) if any(look != Look() for _, look in runs) else ()


def unescaped(text: str) -> str:
    """Text with the characters that XML cannot hold written out (22.9.2.19)."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def place_of(reference: str) -> Place | None:
    """Row and column of a reference such as B7."""
    found = _REFERENCE.fullmatch(reference.strip())
    if found is None:
        return None
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return int(found[2]), column


def areas_of(references: str) -> Iterator[Area]:
    """The areas of references such as "A1:B7 D4"."""
    for reference in references.split():
        first, _, last = reference.partition(":")
        start, end = place_of(first), place_of(last or first)
        if start is not None and end is not None:
            yield Area(min(start[0], end[0]), min(start[1], end[1]), max(start[0], end[0]), max(start[1], end[1]))


def _table(data: bytes) -> TableArea | None:
    root = parse_xml(data)
    area = next(areas_of(root.get("ref") or ""), None)
    style = attribute(child(root, "tableStyleInfo"), "name") or ""
    return None if area is None else TableArea(area, style, int(number(root.get("headerRowCount"), 1)))


@dataclass(slots=True)
class _SheetReader:
    """Reads the part of a sheet row by row: what has been read is let go."""

    book: Workbook
    sheet: Sheet
    row: int = 0
    is_flat: bool = False  # rows that say nothing of their height
    narrow_from: int = 0  # the first column that says nothing of its width, where such are narrow

    def read(self, data: bytes) -> None:
        """Take everything in a part."""
        options: dict[str, Any] = {
            "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False,
            "remove_comments": True, "remove_pis": True,
        }  # fmt: skip
        for _, element in etree.iterparse(io.BytesIO(data), events=("end",), **options):
            name = local(element)
            if name == "row":
                self._take_row(element)
                element.clear()
            elif name == "col":
                self._take_column(element)
            elif name == "sheetFormatPr":
                self.is_flat = number(element.get("defaultRowHeight"), 15.0) < _LOWEST_PT
                if number(element.get("defaultColWidth"), 8.0) < _NARROWEST:
                    self.narrow_from = 1
            elif name == "mergeCell":
                self.sheet.merged += areas_of(element.get("ref") or "")
            elif name == "sheetView":
                self.sheet.shows_zeros = element.get("showZeros") not in ("0", "false")
            elif name == "conditionalFormatting":
                self.sheet.rules += _rules(element, self.book.styles)
        if self.narrow_from:
            self.sheet.hidden_columns.append((self.narrow_from, LAST_COLUMN))

    def _take_row(self, element: Element) -> None:
        self.row = int(number(element.get("r"), self.row + 1))
        height = element.get("ht")
        is_flat = self.is_flat if height is None else number(height, 15.0) < _LOWEST_PT
        if element.get("hidden") in ("1", "true") or is_flat:
            self.sheet.hidden_rows.add(self.row)
        column = 0
        for entry in children(element, "c"):
            place = place_of(entry.get("r") or "") or (self.row, column + 1)
            column = place[1]
            cell = self._cell(entry)
            if cell is not None and 1 <= place[0] <= LAST_ROW and 1 <= place[1] <= LAST_COLUMN:
                self.sheet.cells[place] = cell

    def _take_column(self, element: Element) -> None:
        """Columns come in order; those between them say nothing of their width."""
        first, last = int(number(element.get("min"), 1)), int(number(element.get("max"), 1))
        if self.narrow_from:
            self.sheet.hidden_columns.append((self.narrow_from, first - 1))
            self.narrow_from = last + 1
        width = element.get("width")
        if element.get("hidden") in ("1", "true") or (width is not None and number(width, 8.0) < _NARROWEST):
            self.sheet.hidden_columns.append((first, last))

    def _cell(self, element: Element) -> Cell | None:
        kind, style = element.get("t") or "n", int(number(element.get("s")))
        if kind == "inlineStr":
            text, runs = _text(child(element, "is") if child(element, "is") is not None else element, self.book.styles)
            return Cell(text, style, runs) if text else None
        value = child(element, "v")
        raw = (value.text or "") if value is not None else ""
        if not raw:
            formula = child(element, "f")
            return Cell(f"={formula.text}", style) if formula is not None and formula.text else None
        if kind == "s":
            index = int(number(raw, -1))
            text, runs = self.book.texts[index] if 0 <= index < len(self.book.texts) else ("", ())
            return Cell(text, style, runs) if text else None
        if kind == "b":
            return Cell(raw.strip() in ("1", "true"), style)
        if kind in ("str", "e"):
            return Cell(unescaped(raw), style, is_error=kind == "e")
        if kind == "d":
            return Cell(_days(raw, self.book.date1904), style)
        try:
            return Cell(float(raw), style)
        except ValueError:
            return Cell(raw, style)


def _days(text: str, date1904: bool) -> Value:
    """A date as ISO 8601 writes it as a number of days."""
    try:
        moment = datetime.datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return text
    days = (moment - _EPOCH) / datetime.timedelta(days=1)
    return days - 1462 if date1904 else days


def _rules(element: Element, styles: Styles) -> Iterator[Rule]:
    """The rules of a conditional format; those of Excel 2010 keep their areas and looks in elements."""
    sqref = element.get("sqref") or " ".join(part.text or "" for part in children(element, "sqref"))
    areas = tuple(areas_of(sqref))
    for rule in children(element, "cfRule"):
        bars = [child(rule, "dataBar"), child(rule, "iconSet")]
        own = child(rule, "dxf")
        yield Rule(
            areas,
            rule.get("type") or "",
            rule.get("operator") or "",
            tuple(formula.text or "" for formula in children(rule, "formula", "f")),
            rule.get("text") or "",
            styles.change(int(number(rule.get("dxfId"), -1))) if own is None else change_of(own, styles),
            rule.get("stopIfTrue") in ("1", "true"),
            any(bar is not None and bar.get("showValue") in ("0", "false") for bar in bars),
            int(number(rule.get("priority"))),
        )
