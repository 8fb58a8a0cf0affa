"""Dot leaders are white space."""

from __future__ import annotations

import pytest

from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.page.leaders import without_leaders
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage


def words(text: str) -> list[RawWord]:
    found, x = [], 0.0
    for part in text.split():
        found.append(RawWord(x, 0, x + 5 * len(part), 10, part, 10, False, True, 0))
        x += 5 * len(part) + 5
    return found


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Rounding . . . . . . 17", "Rounding 17"),
        ("Rounding ........ 17", "Rounding 17"),
        ("Rounding........17", "Rounding 17"),
        ("3.14 e.g. v1.2...", "3.14 e.g. v1.2..."),
        ("Rounding........ 17", "Rounding 17"),
        ("Rounding ........17", "Rounding 17"),
        ("Rounding \u2026\u2026\u2026 17", "Rounding 17"),
        ("and so on ... or not", "and so on ... or not"),
        ("a . b . c . d . e", "a . b . c . d . e"),
        ("....", ""),
    ],
)
def test_leaders(line: str, kept: str) -> None:
    assert " ".join(word.text for word in without_leaders(words(line))) == kept


def test_the_box_shrinks_with_the_word() -> None:
    (word,) = without_leaders(words("Rounding........"))
    assert word.box == (0, 0, 40, 10)


def test_a_table_of_contents(write_pdf: WritePdf) -> None:
    page = PdfPage()
    for i, title in enumerate(["Basics", "Rounding", "Memory"]):
        page.text(72, 100 + 14 * i, f"{title} {'. ' * 30}")
        page.text(400, 100 + 14 * i, str(7 + i))
    (found,) = read(write_pdf(page)).pages()
    assert [line.text for region in found.regions for line in region.lines] == ["Basics 7", "Rounding 8", "Memory 9"]
