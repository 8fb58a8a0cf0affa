"""What stands above or below a line is no digit of a number. Oracle: what the page shows, by where it was drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mm_megacontext.document import Page, Table
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.export import page_to_markdown
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

_MARK = re.compile(r"(\^.+?\^|~.+?~)")


def _draw(page: PdfPage, x: float, y: float, marked: str) -> None:
    """Draws "95^3^ of 10^6^" with what stands between such signs raised, between "~" lowered."""
    runs = []
    for part in _MARK.split(marked):
        is_mark = _MARK.fullmatch(part) is not None
        rise = (4.0 if part[0] == "^" else -2.0) if is_mark else 0.0
        runs.append((part.strip("^~"), 6.5 if is_mark else 11.0, rise))
    page.runs(x, y, runs)


def _page(path: Path, engine: PdfEngine) -> Page:
    (page,) = read(path, engine=engine.name).pages()
    return page


def _lines(path: Path, engine: PdfEngine) -> list[str]:
    return [line.text for region in _page(path, engine).regions for line in region.lines]


def test_marks_are_kept_as_marks(write_pdf: WritePdf, engine: PdfEngine) -> None:
    shown = [
        "assets of 1,234^2^ and 95^3^ sold",
        "an area of 25 m^2^ with 10^6^ parts",
        "sold 500^a,b^ tons^*^ to them",
        "the isotope ^235^U is one",
        "it is 5^1/2^ tons, of 10^-3^ mol/l",
        "the number 101~2~ is five",
    ]
    page = PdfPage()
    for i, text in enumerate(shown):
        _draw(page, 72, 100 + 40 * i, text)
    assert _lines(write_pdf(page), engine) == shown


def test_what_is_read_as_one_word_stays_one(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = PdfPage()
    _draw(page, 72, 100, "the 1^st^ and 2^nd^ of May")
    _draw(page, 72, 140, "H~2~O and CO~2~ are gases")
    _draw(page, 72, 180, "set by L^A^TEX of old")
    assert _lines(write_pdf(page), engine) == ["the 1st and 2nd of May", "H2O and CO2 are gases", "set by LATEX of old"]


def _table(page: Page) -> Table:
    (table,) = (region.table for region in page.regions if region.table is not None)
    return table


def test_a_cell_holds_its_value_and_apart_the_marks_of_its_notes(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = PdfPage()
    rows = [["Item", "2023", "2024^1^"], ["Revenue^a^", "1,234^2^", "1,310"], ["Income", "87", "95^3^"]]
    for i, row in enumerate([*rows, ["Staff", "412", "438^*^"]]):
        for j, cell in enumerate(row):
            _draw(page, 72 + 100 * j, 100 + 20 * i, cell)
    found = _page(write_pdf(page), engine)
    table = _table(found)
    held = {(cell.row, cell.column): (cell.text, cell.notes) for cell in table.cells}
    assert held[1, 0] == ("Revenue", ("a",))
    assert held[1, 1] == ("1,234", ("2",))
    assert held[2, 2] == ("95", ("3",))
    assert held[3, 2] == ("438", ("*",))
    assert held[0, 2] == ("2024", ("1",))
    assert "| Revenue^a^ | 1,234^2^ | 1,310 |" in page_to_markdown(found)


def test_raised_digits_of_their_own_form(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = PdfPage()
    page.text(72, 100, "Sold 1,234\u00b2 tons and 45%\u00b9 on 10\u00b3 m\u00b2")
    (region,) = _page(write_pdf(page), engine).regions
    assert region.text == "Sold 1,234^2^ tons and 45%^1^ on 10\u00b3 m\u00b2"


def test_the_boxes_of_number_and_mark_share_that_of_the_word(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = PdfPage()
    _draw(page, 72, 100, "1234^2^")
    (region,) = _page(write_pdf(page), engine).regions
    number, mark = region.lines[0].words
    assert (number.text, mark.text, mark.script) == ("1234", "2", "sup")
    edge = 72 + 4 * 0.556 * 11  # the width of digits in Helvetica
    assert number.bbox[2] == pytest.approx(edge, abs=0.6)
    assert mark.bbox[0] == pytest.approx(edge, abs=0.6)
