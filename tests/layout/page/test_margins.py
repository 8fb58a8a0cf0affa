"""Text in the margin beside running text. Oracle: what was drawn there, and what belongs to the lines beside it."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Page
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

LINE = "of the text that fills this column from its left to its right side"


def body(page: PdfPage, x: float, *, start: int = 0, n: int = 24) -> list[str]:
    """Lines of running text, each with a first word of its own."""
    lines = [f"line{i:02} {LINE}" for i in range(start, start + n)]
    for i, line in enumerate(lines, start):
        page.text(x, 100 + 13 * i, line)
    return lines


def lines_of(page: Page) -> list[str]:
    return [line.text for region in page.regions for line in region.lines]


@pytest.mark.parametrize("on_left", [True, False])
def test_remarks_in_the_margin_are_read_apart(write_pdf: WritePdf, on_left: bool) -> None:
    page = PdfPage()
    lines = body(page, 200 if on_left else 40)
    x = 40 if on_left else 460
    remarks = [
        ("Journal", 100, 14),
        ("29, 2", 116, 14),
        ("162", 204, 16),
        ("Received in May", 304, 7),
        ("2005", 313, 7),
    ]
    for text, y, size in remarks:
        page.text(x, y, text, size)
    told = [text for text, _, _ in remarks]
    (read_page,) = read(write_pdf(page)).pages()
    assert lines_of(read_page) == (told + lines if on_left else lines + told)


def test_a_remark_may_be_all_there_is_in_the_margin(write_pdf: WritePdf) -> None:
    page = PdfPage()
    lines = body(page, 150)
    page.text(60, 204, "163", 16)
    (read_page,) = read(write_pdf(page)).pages()
    assert lines_of(read_page) == ["163", *lines]


def test_numbers_of_lines_stay_with_them(write_pdf: WritePdf) -> None:
    page = PdfPage()
    lines = body(page, 150)
    for i in range(0, 24, 5):
        page.text(110, 100 + 13 * i, f"{i}.")
    (read_page,) = read(write_pdf(page)).pages()
    assert lines_of(read_page) == [f"{i}. {line}" if i % 5 == 0 else line for i, line in enumerate(lines)]


def test_keys_stay_with_the_paragraphs_that_they_name(write_pdf: WritePdf) -> None:
    page = PdfPage()
    expected = []
    for n in range(4):
        top = 100 + 80 * n
        page.text(40, top, f"Key{n}", 7)  # smaller than its value
        for i in range(4):
            page.text(150, top + 13 * i, f"v{n}{i} {LINE}")
            expected.append(f"Key{n} v{n}{i} {LINE}" if i == 0 else f"v{n}{i} {LINE}")
    (read_page,) = read(write_pdf(page)).pages()
    assert lines_of(read_page) == expected
