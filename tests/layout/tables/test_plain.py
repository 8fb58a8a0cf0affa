"""Tables without rules, on pages that the tests wrote."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Table
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

HELVETICA_DIGIT = 0.556
"""Width of a digit, in ems."""


def only_table(path: object) -> Table:
    (page,) = read(path).pages()  # type: ignore[arg-type]
    (table,) = [region.table for region in page.regions if region.table is not None]
    return table


def texts(table: Table) -> list[list[str]]:
    rows = [[""] * table.n_columns for _ in range(table.n_rows)]
    for cell in table.cells:
        rows[cell.row][cell.column] = cell.text
    return rows


def test_cells_of_several_lines(write_pdf: WritePdf) -> None:
    """Lines of one cell stand closer than rows."""
    page = PdfPage()
    rows = [
        [["Part"], ["Material"], ["Use"]],
        [["hinge"], ["stainless", "steel"], ["for doors"]],
        [["small", "bracket"], ["brass"], ["for shelves", "and", "racks"]],
        [["hook"], ["iron"], ["coats"]],
    ]
    y = 100.0
    for row in rows:
        for x, lines in zip((72, 200, 330), row, strict=True):
            for i, line in enumerate(lines):
                page.text(x, y + 12 * i, line)
        y += 12 * max(map(len, row)) + 8
    assert texts(only_table(write_pdf(page))) == [[" ".join(lines) for lines in row] for row in rows]


def test_rows_in_groups_are_rows(write_pdf: WritePdf) -> None:
    page = PdfPage()
    values = [["Name", "May", "June"], *([f"item{i}", str(i), f"{i}.5"] for i in range(6))]
    y = 100.0
    for i, row in enumerate(values):
        for c, value in enumerate(row):
            page.text(72 + 120 * c, y, value)
        y += 24 if i in (0, 3) else 12
    assert texts(only_table(write_pdf(page))) == values


def test_titles_of_several_columns(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(72, 100, "City")
    page.text(212, 100, "Summer")  # in the middle above two columns
    page.text(372, 100, "Winter")
    for c, name in enumerate(["Low", "High", "Low", "High"]):
        page.text(190 + 80 * c, 118, name)
    for r, city in enumerate(["Oslo", "Rome", "Bern", "Lyon"]):
        for c, value in enumerate([city, "11", "22", "33", "44"]):
            page.text(72 if c == 0 else 110 + 80 * c, 136 + 18 * r, value)
    table = only_table(write_pdf(page))
    assert (table.n_rows, table.n_columns) == (6, 5)
    titles = {cell.text: (cell.column, cell.column_span) for cell in table.cells if cell.row == 0 and cell.text}
    assert titles == {"City": (0, 1), "Summer": (1, 2), "Winter": (3, 2)}
    header = {cell.row for cell in table.cells if cell.role == "column_header"}
    assert header == {0, 1}


@pytest.mark.parametrize("gap", [6.0, 8.0])
def test_a_number_may_stand_close_to_the_next_column(write_pdf: WritePdf, gap: float) -> None:
    """Closer than words of justified text: only the rows around show that there are two columns."""
    page = PdfPage()
    values = [
        ["bolt", "12", "zinc coat"],
        ["nut", "7", "plain"],
        ["washer", "1400", "brass ring"],
        ["pin", "88", "steel"],
    ]
    for r, (name, number, text) in enumerate(values):
        page.text(72, 100 + 18 * r, name)
        page.text(200 - HELVETICA_DIGIT * 10 * len(number), 100 + 18 * r, number)
        page.text(200 + gap, 100 + 18 * r, text)
    assert texts(only_table(write_pdf(page))) == values


def test_the_last_cell_goes_on_below_the_table(write_pdf: WritePdf) -> None:
    page = PdfPage()
    for r in range(4):
        for c, value in enumerate([f"k{r}", f"{r}", "some words"]):
            page.text(72 + 120 * c, 100 + 24 * r, value)
    page.text(312, 184, "and more")
    assert texts(only_table(write_pdf(page)))[-1] == ["k3", "3", "some words and more"]


@pytest.mark.parametrize(("step", "is_of_row"), [(11, True), (26, False)])
def test_the_first_cell_goes_on_below_the_table(write_pdf: WritePdf, step: float, is_of_row: bool) -> None:
    """Where no other cell goes on, only the distance tells a cell from a note on the table."""
    page = PdfPage()
    for r, row in enumerate(
        [["Issuer", "Rating", "Sum"], ["Alpha", "A", "1"], ["Beta", "B", "2"], ["Gamma", "C", "3"]]
    ):
        for c, value in enumerate(row):
            page.text(72 + 120 * c, 100 + 20 * r, value)
    page.text(72, 160 + step, "and Sons")
    table = only_table(write_pdf(page))
    assert texts(table)[-1] == ["Gamma and Sons" if is_of_row else "Gamma", "C", "3"]


def test_rules_part_rows_where_lines_stand_alike(write_pdf: WritePdf) -> None:
    page = PdfPage()
    rows = [
        [["Part"], ["Material"], ["Use"]],
        [["hinge"], ["stainless", "steel"], ["for doors"]],
        [["small", "bracket"], ["brass"], ["for shelves", "and", "racks"]],
        [["hook"], ["iron"], ["coats"]],
    ]
    y = 100.0
    for row in rows:
        page.line(72, y - 10, 420, y - 10)
        for x, lines in zip((72, 200, 330), row, strict=True):
            for i, line in enumerate(lines):
                page.text(x, y + 13 * i, line)
        y += 13 * max(map(len, row))
    page.line(72, y - 10, 420, y - 10)
    assert texts(only_table(write_pdf(page))) == [[" ".join(lines) for lines in row] for row in rows]
