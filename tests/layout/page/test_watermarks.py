"""Watermarks are no part of what they are written across. Oracle: the same page without them."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Region
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

Marks = list[tuple[float, float, str, float]]


def _page(marks: Marks, *, is_ruled: bool) -> PdfPage:
    page = PdfPage()
    page.text(72, 80, "Quarterly report of the company and all of its subsidiaries")
    rows = [["Issuer", "Country", "Sum"], *([f"Name{i}", f"Land{i}", f"{i},00{i}"] for i in range(1, 5))]
    xs, ys = [60.0, 200.0, 330.0, 450.0], [100.0 + 22 * i for i in range(6)]
    if is_ruled:
        page.grid(xs, ys)
    for x, y, text, size in marks:
        page.text(x, y, text, size)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            page.text(xs[j] + 6, ys[i] + 15, cell)
    page.text(72, 240, "All amounts are as of the end of the quarter.")
    return page


@pytest.mark.parametrize("is_ruled", [True, False])
def test_a_table_below_a_watermark(write_pdf: WritePdf, engine: PdfEngine, is_ruled: bool) -> None:
    def regions(marks: Marks) -> list[Region]:
        (page,) = read(write_pdf(_page(marks, is_ruled=is_ruled)), engine=engine.name).pages()
        return list(page.regions)

    plain = regions([])
    for marks in ([(100.0, 190.0, "DRAFT", 80.0)], [(70.0, 180.0, "TOP", 60.0), (260.0, 180.0, "SECRET", 60.0)]):
        *others, mark = regions(marks)
        assert (mark.kind, mark.text) == ("text", " ".join(text for _, _, text, _ in marks))
        assert others == plain


def test_large_words_that_nothing_runs_through_stay(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = _page([], is_ruled=True)
    page.text(72, 60, "Annual", 24.0)
    page.text(180, 60, "Report", 24.0)
    (found,) = read(write_pdf(page), engine=engine.name).pages()
    assert found.regions[0].text == "Annual Report"
