"""Rendered PDFs, read back. Oracle: PDFium's boxes of the ink of every character."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from mm_megacontext.document import Box, Line, Page, Region, Word, union
from mm_megacontext.layout.reader import read
from mm_megacontext.training.data.facts import Vocabulary
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, PageWriter
from mm_megacontext.training.data.render_pdf import render_pdf

INK_PT = 0.6
"""Ink may leave its box by this much: slanted strokes of Courier reach over the edge of a character."""


def generated(n_pages: int, seed: int = 7) -> list[Page]:
    writer = PageWriter(Vocabulary.of_split(random.Random(seed), "test"))
    return [writer.write(number).page for number in range(1, n_pages + 1)]


def words_of(page: Page) -> Iterator[Word]:
    for region in page.regions:
        cells = region.table.cells if region.table is not None else ()
        for line in [*region.lines, *(line for cell in cells for line in cell.lines)]:
            yield from line.words


Ink = list[tuple[str, Box]]
"""Characters other than white space in the order of the text layer, with the box of their ink from the top left."""


def extracted(path: Path) -> Iterator[Ink]:
    """The characters of each page."""
    pdf = pdfium.PdfDocument(path)
    try:
        for page in pdf:
            text = page.get_textpage()
            yield list(_characters(text, page.get_height()))
            text.close()
            page.close()
    finally:
        pdf.close()


def _characters(text: pdfium.PdfTextPage, height: float) -> Iterator[tuple[str, Box]]:
    for index, character in enumerate(text.get_text_range()):
        if not character.isspace():
            left, bottom, right, top = text.get_charbox(index)
            yield character, (left, height - top, right, height - bottom)


def text_of(ink: Ink) -> str:
    return "".join(character for character, _ in ink)


def lies_in(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0] - INK_PT
        and inner[1] >= outer[1] - INK_PT
        and inner[2] <= outer[2] + INK_PT
        and inner[3] <= outer[3] + INK_PT
    )


def one_line(*texts: str) -> Page:
    words = tuple(
        Word(text, (50.0 + 90 * i, 50.0, 50.0 + 90 * i + 6 * len(text), 61.5)) for i, text in enumerate(texts)
    )
    line = Line(words)
    return Page(1, (PAGE_WIDTH, PAGE_HEIGHT), (Region("text", line.bbox, (line,)),))


def test_extracted_words_lie_in_the_boxes_of_the_abstract_page(tmp_path: Path) -> None:
    pages = generated(12)
    assert render_pdf(iter(pages), tmp_path / "made.pdf") == 12
    for page, ink in zip(pages, extracted(tmp_path / "made.pdf"), strict=True):
        left = iter(ink)
        for word in words_of(page):
            characters = list(islice(left, len(word.text)))
            assert text_of(characters) == word.text, f"page {page.number}"
            box = union([box for _, box in characters])
            assert lies_in(box, word.bbox), f"page {page.number}: {word} has its ink in {box}"
            assert box[2] - box[0] >= 0.5 * (word.bbox[2] - word.bbox[0]) - INK_PT, (
                f"page {page.number}: {word} is squeezed"
            )
        assert next(left, None) is None


@pytest.mark.parametrize("engine", ["pymupdf", "pdfium"])
def test_readers_give_the_words_back(tmp_path: Path, engine: str) -> None:
    if engine == "pymupdf":
        pytest.importorskip("pymupdf")
    pages = generated(4)
    render_pdf(pages, tmp_path / "made.pdf")
    for page, seen in zip(pages, read(tmp_path / "made.pdf", engine=engine).pages(), strict=True):
        assert seen.problem is None
        assert seen.size == page.size
        assert sorted(w.text for w in words_of(seen)) == sorted(w.text for w in words_of(page))


def test_ruled_tables_are_read_as_tables(tmp_path: Path) -> None:
    pages = generated(12)
    render_pdf(pages, tmp_path / "made.pdf")
    seen = list(read(tmp_path / "made.pdf").pages())
    tables = [(p.number, region.table) for p in pages for region in p.regions if region.table is not None]
    grids = {
        (p.number, r.table.n_rows, r.table.n_columns, r.text) for p in seen for r in p.regions if r.table is not None
    }
    same = sum((number, t.n_rows, t.n_columns, " ".join(c.text for c in t.cells)) in grids for number, t in tables)
    assert tables
    assert same >= 0.7 * len(tables)  # a table of two columns in which words run into the next one has no rules


def test_escapes_and_windows_1252_come_through(tmp_path: Path) -> None:
    texts = ("a(b)c", "back\\slash", "Größe", "12€", "(")
    render_pdf([one_line(*texts)], tmp_path / "made.pdf")
    (ink,) = extracted(tmp_path / "made.pdf")
    assert text_of(ink) == "".join(texts)


def test_the_same_pages_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        render_pdf(generated(3), tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_long_files_have_all_pages_in_order(tmp_path: Path) -> None:
    n = 130  # three nodes of the page tree
    render_pdf((one_line(f"page-{number}") for number in range(1, n + 1)), tmp_path / "made.pdf")
    found = [text_of(ink) for ink in extracted(tmp_path / "made.pdf")]
    assert found == [f"page-{number}" for number in range(1, n + 1)]


def test_pages_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "made.pdf"
    sizes: list[int] = []

    def pages() -> Iterator[Page]:
        for page in generated(40):
            sizes.append(path.stat().st_size)
            yield page

    render_pdf(pages(), path)
    assert 0 < sizes[-1] <= path.stat().st_size, "nothing was written before the last page was asked for"


def test_words_that_cannot_be_shown_and_no_pages_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'日本' cannot be shown: '日' is not in Windows-1252"):
        render_pdf([one_line("日本")], tmp_path / "made.pdf")
    with pytest.raises(ValueError, match="at least one page"):
        render_pdf([], tmp_path / "made.pdf")
