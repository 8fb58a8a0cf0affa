"""Tables over several pages: made by hand, so that it is known which go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mm_megacontext.document import Cell, Line, Page, Region, Table, Word
from mm_megacontext.layout.across_pages.continued_tables import join_tables
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

HEADER = ["Item", "Count", "Price"]
STARTS = (72.0, 220.0, 340.0)


def line(text: str, x: float, y: float) -> Line:
    return Line((Word(text, (x, y, x + 40, y + 10)),))


def table(rows: Sequence[Sequence[str]], top: float, starts: Sequence[float] = STARTS) -> Region:
    cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            y = top + 20 * r
            lines = (line(text, starts[c], y),) if text else ()
            role = "column_header" if r == 0 else "body"
            cells.append(Cell(r, c, (starts[c], y, starts[c] + 100, y + 20), lines, role))  # type: ignore[arg-type]
    box = (starts[0], top, starts[-1] + 100, top + 20 * len(rows))
    return Region("table", box, table=Table(tuple(cells), len(rows), len(starts)))


def pages(*regions: Sequence[Region]) -> list[Page]:
    return [Page(i, (612.0, 792.0), tuple(own)) for i, own in enumerate(regions, 1)]


def body(n: int, first: int = 0) -> list[list[str]]:
    return [[f"thing {i}", str(i), f"{i}.50"] for i in range(first, first + n)]


def parts(found: Sequence[Page]) -> list[Table]:
    return [region.table for page in found for region in page.regions if region.table is not None]


FIRST = table([HEADER, *body(20)], 340)
FOOTER = Region("footer", (300, 770, 310, 780), (line("1", 300, 770),))


def test_without_header() -> None:
    first, second, third = parts(
        list(join_tables(pages([FIRST, FOOTER], [table(body(33, 20), 70)], [table(body(3, 53), 70)])))
    )
    assert [part.id for part in (first, second, third)] == ["1.1"] * 3
    assert [part.continues for part in (first, second, third)] == [False, True, True]
    assert [part.first_row for part in (first, second, third)] == [0, 21, 54]
    assert {cell.role for cell in second.cells if cell.row == 0} == {"row_header", "body"}


def test_with_the_header_again() -> None:
    first, second = parts(list(join_tables(pages([FIRST], [table([HEADER, *body(4, 20)], 70)]))))
    assert (second.id, second.continues, second.n_repeated_rows, second.first_row) == (first.id, True, 1, 21)
    assert [cell.role for cell in second.cells[:4]] == ["column_header"] * 3 + ["row_header"]
    assert second.cells[0].bbox == table([HEADER], 70).table.cells[0].bbox  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([FIRST], [table([["Name", "Born", "Died"], *body(3)], 70)]),  # names where numbers stood
        ([FIRST], [table(body(3), 70, (72.0, 300.0, 440.0))]),  # other columns
        ([FIRST], [Region("text", (72, 60, 400, 70), (line("Words", 72, 60),)), table(body(3), 100)]),
        ([FIRST, Region("text", (72, 765, 400, 775), (line("Words", 72, 765),))], [table(body(3), 70)]),
        ([table([HEADER, *body(4)], 100)], [table(body(3), 70)]),  # ends in the middle of its page
        ([FIRST], [table(body(3), 500)]),
    ],
)
def test_another_table(before: list[Region], after: list[Region]) -> None:
    first, second = parts(list(join_tables(pages(before, after))))
    assert (second.continues, second.first_row) == (False, 0)
    assert first.id != second.id


def test_a_line_may_say_that_it_goes_on() -> None:
    said = Region("caption", (72, 60, 300, 70), (line("Table 3 (continued)", 72, 60),))
    assert [part.continues for part in parts(list(join_tables(pages([FIRST], [said, table(body(3), 100)]))))] == [
        False,
        True,
    ]


def test_read_from_a_file(write_pdf: WritePdf) -> None:
    made = []
    for number, rows in enumerate([[HEADER, *body(33)], body(5, 33)]):
        page = PdfPage()
        for r, row in enumerate(rows):
            for x, value in zip(STARTS, row, strict=True):
                page.text(x, 70 + 20 * r, value)
        page.text(300, 775, f"Page {number + 1}")
        made.append(page)
    first, second = parts(list(read(write_pdf(*made)).pages()))
    assert (second.id, second.first_row, second.cells[0].text) == (first.id, 34, "thing 33")


def test_columns_in_which_no_cell_begins() -> None:
    def with_gap(region: Region) -> Region:
        assert region.table is not None
        cells = tuple(cell for cell in region.table.cells if cell.column != 1)
        return replace(region, table=replace(region.table, cells=cells))

    last = table(body(3, 20), 70)
    for first, second in ((FIRST, with_gap(last)), (with_gap(FIRST), last), (with_gap(FIRST), with_gap(last))):
        found = parts(list(join_tables(pages([first], [second]))))
        assert [part.n_columns for part in found] == [3, 3]
