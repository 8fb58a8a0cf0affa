"""Captions and what they speak of."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Box, Line, Region, RegionKind, Word
from mm_megacontext.layout.export import page_to_json
from mm_megacontext.layout.page.captions import bind_captions
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage


def region(kind: RegionKind, box: Box, text: str = "x") -> Region:
    return Region(kind, box, (Line((Word(text, box),)),))


@pytest.mark.parametrize(
    ("text", "target"),
    [("Figure 1: below is its figure", 0), ("Table 1: above is its table", 2), ("Scheme 1", 0)],
)
def test_the_word_decides_between_neighbours(text: str, target: int) -> None:
    regions = (
        region("figure", (72, 100, 300, 200)),
        region("caption", (72, 210, 300, 220), text),
        region("table", (72, 230, 300, 300)),
    )
    assert bind_captions(regions)[1].caption_of == target


@pytest.mark.parametrize(("text", "kind"), [("TABLE IV", "caption"), ("Table in the corner", "text")])
def test_numbers_may_be_roman(write_pdf: WritePdf, text: str, kind: str) -> None:
    page = PdfPage()
    page.text(72, 80, "Some words before it, which are text.")
    page.text(72, 120, text)
    (found,) = read(write_pdf(page)).pages()
    assert found.regions[-1].kind == kind


def test_not_over_columns_or_far_away() -> None:
    beside = region("figure", (320, 100, 540, 200))
    far = region("figure", (72, 300, 300, 400))
    caption = region("caption", (72, 210, 300, 220), "Figure 2: lonely")
    assert bind_captions((beside, caption, far))[1].caption_of is None


def test_in_a_file(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(72, 80, "Some words before the picture, so that the page is not a scan.")
    page.image(72, 100, 300, 200)
    page.text(72, 220, "Figure 7: what the image shows")
    (found,) = read(write_pdf(page)).pages()
    caption = next(region for region in page_to_json(found)["regions"] if region["kind"] == "caption")
    figure = next(region for region in page_to_json(found)["regions"] if region["kind"] == "figure")
    assert caption["caption_of"] == figure["order"]
