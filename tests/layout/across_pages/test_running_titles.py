"""Headers and footers of several pages."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Line, Page, Region, Word
from mm_megacontext.layout.across_pages import running_titles
from mm_megacontext.layout.across_pages.running_titles import settle_running_titles
from mm_megacontext.layout.export import page_to_markdown
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage


def chapter(number: int, header: str = "A history of bridges", footer: str = "Page {}") -> PdfPage:
    page = PdfPage()
    page.text(72, 40, header)
    for i in range(20):
        page.text(72, 100 + 12 * i, f"line {i} of the text on page {number}, which is long enough to be one")
    page.text(300, 770, footer.format(number))
    return page


def kinds(page: Page) -> list[tuple[str, bool]]:
    return [(region.kind, region.is_running) for region in page.regions]


RUNNING = [("header", True), ("text", False), ("footer", True)]


def test_what_comes_back_is_running(write_pdf: WritePdf) -> None:
    found = list(read(write_pdf(*(chapter(i) for i in range(1, 6)))).pages())
    assert [page.number for page in found] == [1, 2, 3, 4, 5]
    assert [kinds(page) for page in found] == [RUNNING] * 5
    assert "bridges" not in page_to_markdown(found[0])


def test_left_and_right_pages_differ(write_pdf: WritePdf) -> None:
    found = read(
        write_pdf(*(chapter(i, ("Bridges", "A much longer title of a chapter")[i % 2]) for i in range(1, 5)))
    ).pages()
    assert [kinds(page) for page in found] == [RUNNING] * 4


def test_a_lone_line_in_the_margin_is_text(write_pdf: WritePdf) -> None:
    lone = chapter(2, footer="")
    lone.text(90, 765, "return total;")
    _, page, _ = read(write_pdf(chapter(1), lone, chapter(3))).pages()
    assert kinds(page) == [("header", True), ("text", False), ("text", False)]
    assert page.regions[-1].text == "return total;"


def test_of_a_single_page_nothing_is_known(write_pdf: WritePdf) -> None:
    (page,) = read(write_pdf(chapter(1))).pages()
    assert kinds(page) == [("header", False), ("text", False), ("footer", False)]
    assert "bridges" in page_to_markdown(page)


def test_margins_full_of_regions_are_not_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = tuple(
        Region("header", (x, 0.0, x + 1, 1.0), (Line((Word(f"{x}" * 20, (x, 0.0, x + 1, 1.0)),)),))
        for x in map(float, range(5000))
    )
    is_alike, n_compared = running_titles._Title.is_alike, 0

    def counted(title: running_titles._Title, other: running_titles._Title) -> bool:
        nonlocal n_compared
        n_compared += 1
        return is_alike(title, other)

    monkeypatch.setattr(running_titles._Title, "is_alike", counted)
    found = list(settle_running_titles([Page(i, (612.0, 792.0), regions) for i in range(1, 6)], 5))
    assert n_compared < 5 * 5000 * 20
    assert [len(page.regions) for page in found] == [5000] * 5


def with_wide_margins(number: int, last: str) -> PdfPage:
    page = PdfPage()
    page.text(72, 92, "A history of bridges", font="Helvetica-Bold")
    for i in range(20):
        page.text(72, 130 + 12 * i, f"line {i} of the text on page {number}, which is long enough to be one")
    page.text(300, 705, last)
    return page


def test_running_titles_of_wide_margins(write_pdf: WritePdf) -> None:
    found = list(read(write_pdf(*(with_wide_margins(i, f"{i} / 4") for i in range(1, 5)))).pages())
    assert [kinds(page) for page in found] == [RUNNING] * 4


def test_numbers_that_are_not_of_the_page_are_text(write_pdf: WritePdf) -> None:
    totals = ("Total of this page: 110", "Total of this page: 85", "Total of this page: 230")
    found = list(read(write_pdf(*(with_wide_margins(i + 1, text) for i, text in enumerate(totals)))).pages())
    assert [page.regions[-1].text for page in found] == list(totals)
    assert [kinds(page)[-1] for page in found] == [("text", False)] * 3


def test_a_heading_above_the_text_of_one_page_stays_one(write_pdf: WritePdf) -> None:
    (page,) = read(write_pdf(with_wide_margins(1, "1"))).pages()
    assert kinds(page)[0] == ("heading", False)
