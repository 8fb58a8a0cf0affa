"""Cells that nobody sees, and cells that everybody sees. Oracle: the meaning that ECMA-376 gives what is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pymupdf")
pytest.importorskip("openpyxl")

import openpyxl
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.formatting.rule import CellIsRule, DataBarRule, FormulaRule, Rule
from openpyxl.styles import Font, PatternFill
from openpyxl.styles.colors import Color
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.styles.numbers import NumberFormat
from openpyxl.worksheet.table import Table, TableStyleInfo

from mm_megacontext.layout.reader import read
from tests.layout.flow.office_files import changed, told

Change = Callable[[Any, Any], None]
WHITE = "FFFFFFFF"


def solid(color: str) -> PatternFill:
    return PatternFill("solid", fgColor=color)


def font(**look: Any) -> Change:
    return lambda sheet, cell: setattr(cell, "font", Font(**look))


def number(value: object, code: str) -> Change:
    def change(sheet: Any, cell: Any) -> None:
        cell.value, cell.number_format = value, code

    return change


def rule(made: Any) -> Change:
    return lambda sheet, cell: sheet.conditional_formatting.add("A5", made)


def white_table(style: str) -> Change:
    def change(sheet: Any, cell: Any) -> None:
        cell.font, sheet["A6"], sheet["B5"], sheet["B6"] = Font(color=WHITE), "x", "n", 2
        table = Table(displayName="T", ref="A5:B6", tableStyleInfo=TableStyleInfo(name=style))
        sheet.add_table(table)

    return change


def both(*changes: Change) -> Change:
    def change(sheet: Any, cell: Any) -> None:
        for one in changes:
            one(sheet, cell)

    return change


def fill(color: str) -> Change:
    return lambda sheet, cell: setattr(cell, "fill", solid(color))


def row(**look: Any) -> Change:
    def change(sheet: Any, cell: Any) -> None:
        for name, value in look.items():
            setattr(sheet.row_dimensions[5], name, value)

    return change


def flat(sheet: Any) -> None:
    sheet.sheet_format.defaultRowHeight = 0
    for number_of_row in (1, 2):
        sheet.row_dimensions[number_of_row].height = 15


def column(sheet: Any, cell: Any) -> None:
    sheet["D5"], cell.value = cell.value, None
    sheet.column_dimensions["D"].width = 0.1


def merged(sheet: Any, cell: Any) -> None:
    sheet["B5"], cell.value = cell.value, "anchor"
    sheet.merged_cells.add("A5:B5")


def far(sheet: Any, cell: Any) -> None:
    sheet["A90000"], cell.value = cell.value, None


def rich(sheet: Any, cell: Any) -> None:
    cell.value = CellRichText("seen ", TextBlock(InlineFont(color=Color(rgb=WHITE)), "SECRET"))


NO_CODE = DifferentialStyle(numFmt=NumberFormat(numFmtId=190, formatCode=";;;"))
WHITE_FONT = Font(color=WHITE)
HIDDEN: dict[str, tuple[Change, str]] = {
    "colour of the theme": (font(color=Color(theme=0)), "no contrast"),
    "light by a tint": (font(color=Color(theme=1, tint=0.99)), "no contrast"),
    "colour of the palette": (font(color=Color(indexed=9)), "no contrast"),
    "grey on the same grey": (both(font(color="FF808080"), fill("FF848484")), "no contrast"),
    "colour of the format": (number(5777999, "[White]0"), "no contrast"),
    "size": (font(sz=1), "smaller than 1 pt"),
    "flat rows": (lambda sheet, cell: flat(sheet), "not displayed"),
    "flat row": (row(height=0.5), "not displayed"),
    "narrow column": (column, "not displayed"),
    "in a merged cell": (merged, "not displayed"),
    "far away": (far, "outside the page"),
    "part of a text": (rich, "no contrast"),
    "zero with nothing for it": (number(777999.0, '""'), "not displayed"),
    "negative with nothing for it": (number(-777999.0, "0.00;"), "not displayed"),
    "condition with nothing for it": (number(777999.0, "[<100]0;"), "not displayed"),
    "format of a condition": (rule(Rule(type="expression", formula=["LEN(A5)>3"], dxf=NO_CODE)), "not displayed"),
    "font of a condition": (rule(FormulaRule(formula=['$A5="secret"'], font=WHITE_FONT)), "no contrast"),
    "unknown condition": (rule(FormulaRule(formula=["COUNTIF(A:A,A5)>0"], font=WHITE_FONT)), "no contrast"),
    "text in a condition": (
        rule(
            Rule(
                type="containsText",
                operator="containsText",
                text="ECR",
                formula=["1"],
                dxf=DifferentialStyle(font=WHITE_FONT),
            )
        ),
        "no contrast",
    ),
    "fill of a condition": (
        rule(FormulaRule(formula=["TRUE"], fill=PatternFill(bgColor="FF000000", fill_type="solid"))),
        "no contrast",
    ),
    "cell compared": (
        both(number(777999, "0"), rule(CellIsRule(operator="greaterThan", formula=["$B$2-1"], font=WHITE_FONT))),
        "no contrast",
    ),
    "bar alone": (
        both(number(777999, "0"), rule(DataBarRule("min", None, "max", None, "FF638EC6", showValue=False))),
        "not displayed",
    ),
    "white in a plain table": (white_table("TableStyleLight1"), "no contrast"),
}  # fmt: skip
SHOWN: dict[str, Change] = {
    "white on dark": both(font(color=WHITE), fill("FF1F497D")),
    "white on a pattern": both(font(color=WHITE), lambda sheet, cell: setattr(cell, "fill", PatternFill("darkGrid"))),
    "white in the header of a table": white_table("TableStyleMedium2"),
    "condition that does not hold": rule(FormulaRule(formula=['A5="other"'], font=WHITE_FONT)),
    "condition stopped by another": both(
        rule(FormulaRule(formula=["TRUE"], font=Font(b=True), stopIfTrue=True)),
        rule(FormulaRule(formula=["TRUE"], font=WHITE_FONT)),
    ),
    "format that shows texts": number("SECRET", "0;-0;;@"),
    "some rows further down": lambda sheet, cell: sheet.move_range("A5:A5", rows=900),
    "blank by default": font(color="FFEEEEEE"),
}


def book(path: Path, change: Change) -> Path:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet["A1"], sheet["A2"], sheet["B2"], sheet["A5"] = "Open", "Total", 485000, "SECRET"
    change(sheet, sheet["A5"])
    workbook.save(path)
    return path


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden(name: str, tmp_path: Path) -> None:
    change, why = HIDDEN[name]
    shown, hidden = told(book(tmp_path / "a.xlsx", change))
    assert "485000" in shown
    assert not any(secret in shown for secret in ("SECRET", "777999"))
    assert any(("SECRET" in text or "777999" in text) and reason == why for text, reason in hidden.items())


@pytest.mark.parametrize("name", SHOWN)
def test_shown(name: str, tmp_path: Path) -> None:
    shown, hidden = told(book(tmp_path / "a.xlsx", SHOWN[name]))
    assert "SECRET" in shown
    assert hidden == {}


def test_zeros_that_the_sheet_does_not_show(tmp_path: Path) -> None:
    def change(sheet: Any, cell: Any) -> None:
        sheet.sheet_view.showZeros = False
        cell.value, sheet["B5"] = 0, 1

    assert told(book(tmp_path / "a.xlsx", change)) == ("Sheet\nOpen\nTotal 485000\n1", {"0": "not displayed"})


def test_marks_in_a_cell_are_no_digits(tmp_path: Path) -> None:
    def change(sheet: Any, cell: Any) -> None:
        cell.value = CellRichText("95", TextBlock(InlineFont(vertAlign="superscript"), "3"))

    (page,) = read(book(tmp_path / "a.xlsx", change)).pages()
    assert [(word.text, word.script) for word in page.regions[-1].lines[0].words] == [("95", ""), ("3", "sup")]


def test_a_sheet_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = "first"
    workbook.create_sheet("Bad")["A1"] = "second"
    workbook.create_sheet("Last")["A1"] = "third"
    workbook.save(tmp_path / "a.xlsx")
    path = changed(tmp_path / "a.xlsx", {"xl/worksheets/sheet2.xml": "<worksheet><sheetData>"})
    pages = list(read(path).pages())
    assert [region.text for page in pages for region in page.regions] == ["Sheet", "first", "Last", "third"]
    (problem,) = [page.problem for page in pages if page.problem is not None]
    assert "'Bad' cannot be read" in problem


@pytest.mark.parametrize("part", ["xl/styles.xml", "xl/theme/theme1.xml"])
def test_a_part_of_all_sheets_that_cannot_be_read_costs_what_it_gives(part: str, tmp_path: Path) -> None:
    path = changed(book(tmp_path / "a.xlsx", lambda sheet, cell: None), {part: "<broken"})
    (page,) = read(path).pages()
    assert part in (page.problem or "")
    assert "485000" in page.text


def test_dates_of_1904_and_of_iso(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", number(1.0, "yyyy-mm-dd"))
    path = changed(path, {"xl/workbook.xml": ("<workbookPr/>", '<workbookPr date1904="1"/>')})
    assert "1904-01-02" in told(path)[0]
