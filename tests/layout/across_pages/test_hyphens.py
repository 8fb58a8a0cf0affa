"""Words divided at the ends of lines. Oracle: how a person writes the word."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mm_megacontext.document import Line, Page, Region, Word
from mm_megacontext.layout.across_pages.hyphens import join_hyphens
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.export import page_to_markdown
from mm_megacontext.layout.reader import read
from mm_megacontext.tree.blocks import cut_region
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage
from tests.tiny import tokenizer


def _line(text: str, y: float) -> Line:
    words, x = [], 0.0
    for part in text.split():
        words.append(Word(part, (x, y, x + 5 * len(part), y + 10)))
        x += 5 * len(part) + 3
    return Line(tuple(words))


def _region(texts: Sequence[str]) -> Region:
    lines = tuple(_line(text, 14.0 * i) for i, text in enumerate(texts))
    return Region("text", (0.0, 0.0, 600.0, 14.0 * len(lines)), lines)


def _joined(*texts: str) -> Region:
    (page,) = join_hyphens([Page(1, (600.0, 800.0), (_region(texts),))])
    return page.regions[0]


@pytest.mark.parametrize(
    ("above", "below", "word"),
    [
        ("the infor-", "mation on it", "information"),
        ("Some-", "times it rains", "Sometimes"),
        ("the depart\u2010", "ment of", "department"),
        ("a CAR-", "BON tax", "CARBON"),
        ("form AB-2024-", "7781 and", "AB-2024-7781"),
        ("as in ISO-", "9001 it", "ISO-9001"),
        ("by Meyer-", "Schmidt of", "Meyer-Schmidt"),
        ("the PDF-", "file of", "PDF-file"),
        ("an e-", "mail of", "e-mail"),
        ("the state-of-the-", "art of", "state-of-the-art"),
        ("the well-", "known one", "well-known"),
        ("its self-", "service shop", "self-service"),
        ("of self-", "ishness is", "selfishness"),
        ("on 2023-12-", "01 it", "2023-12-01"),
        ("at http://example.org/a-", "b/c is", "http://example.org/a-b/c"),
        ("a non-", "European one", "non-European"),
    ],
)
def test_words_are_made_whole(above: str, below: str, word: str) -> None:
    first, second = _joined(above, below).text.split("\n")
    assert first == f"{above.rpartition(' ')[0]} {word}".strip()
    assert second == below.split(" ", 1)[1]


@pytest.mark.parametrize(
    ("above", "below"), [("in pre-", "and post-war times"), ("Haupt-", "und Nebenamt"), ("-", "a")]
)
def test_a_hyphen_for_what_words_have_in_common_stays(above: str, below: str) -> None:
    assert _joined(above, below).text == f"{above}\n{below}"


def test_the_document_says_how_a_compound_is_written() -> None:
    assert _joined("on price-determining factors, the price-", "determining ones").text.endswith(
        "price-determining\nones"
    )
    assert _joined("the database of the data-", "base").text == "the database of the database"


def test_code_stays_as_it_is() -> None:
    code = Region("code", (0, 0, 600, 28), (_line("a = b-", 0), _line("c", 14)))
    (page,) = join_hyphens([Page(1, (600.0, 800.0), (code,))])
    assert page.regions[0].text == "a = b-\nc"


def test_the_block_holds_the_whole_word_and_its_tokens_stand_where_they_are_written() -> None:
    region = _joined("all the Quixotru-", "vendomax")  # nothing that a tokenizer knows as one
    (block,) = cut_region(region, tokenizer())
    assert block.text == "all the Quixotruvendomax"
    of_word = block.word_of_token == len(block.words) - 1
    rows = {float(top) for top in block.boxes[of_word][:, 1]}
    assert rows == {0.0, 14.0}
    assert block.bbox[3] == 24.0


def test_in_a_pdf(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = PdfPage()
    texts = ["The committee found that all the infor-", "mation of the year is kept in the depart\u00ad", "ment of it."]
    for i, text in enumerate(texts):
        page.text(72, 100 + 13 * i, text)
    (found,) = read(write_pdf(page), engine=engine.name).pages()
    shown = "The committee found that all the information of the year is kept in the department of it."
    assert page_to_markdown(found) == shown
    first, second = (line.words for line in found.regions[0].lines[:2])
    assert (first[-1].text, first[-1].hyphen, second[0].text) == ("infor-", "dropped", "mation")
    assert first[-1].bbox[3] <= second[0].bbox[3]
