"""The contract that every PDF engine keeps, and the two engines as each other's oracle."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Box, clean_text
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.protocol import PdfEngine, RawPage, clip_box, load_engine
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

MIN_IOU = 0.8
"""The fonts are not embedded, and the libraries' own substitutes differ in ascent and descent, not in width."""
PLACE_PT = 1.0
"""Of an origin: side bearings and rounding."""


def read_page(engine: PdfEngine, path: object, number: int = 1) -> RawPage:
    pdf = engine.open(path, None)  # type: ignore[arg-type]
    try:
        return pdf.page(number)
    finally:
        pdf.close()


def box_of(page: RawPage, text: str) -> Box:
    (box,) = [(w.x0, w.y0, w.x1, w.y1) for w in page.words if w.text == text]
    return box


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def busy_page(rotate: int = 0, crop: Box | None = None) -> PdfPage:
    page = PdfPage(rotate=rotate, crop=crop)
    page.text(72, 100, "Invoice number 4711-B", 18, "Helvetica-Bold")
    page.text(72, 130, "The quick brown fox (jumps) over", 11)
    page.text(300, 400, "caf\u00e9 na\u00efve", 12, "Times-Roman")
    page.line(72, 140, 300, 140)
    page.image(100, 500, 200, 600)
    return page


def test_words_stand_where_they_were_written(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = read_page(engine, write_pdf(busy_page()))
    assert page.size == (612.0, 792.0)
    assert [w.text for w in page.words][:3] == ["Invoice", "number", "4711-B"]
    box = box_of(page, "Invoice")
    assert box[0] == pytest.approx(72, abs=PLACE_PT)
    assert box[1] < 100 < box[3], "the baseline lies within the box"
    assert {w.text: w.bold for w in page.words}["number"]
    assert not {w.text: w.bold for w in page.words}["quick"]
    assert {w.text: w.size for w in page.words}["quick"] == pytest.approx(11, abs=0.1)
    assert "caf\u00e9" in [w.text for w in page.words]


def test_rules_and_images_are_seen(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = read_page(engine, write_pdf(busy_page()))
    assert any(box == pytest.approx((72, 140, 300, 140), abs=1) for box in page.rules)
    assert page.images == [pytest.approx((100, 500, 200, 600), abs=0.5)]


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (50.0, 60.0, 562.0, 700.0)])
def test_rotation_and_crop_box_are_applied(
    engine: PdfEngine, write_pdf: WritePdf, rotate: int, crop: Box | None
) -> None:
    """Against the closed form: the plain page's boxes, moved by the crop box and turned about the page."""
    plain = read_page(engine, write_pdf(busy_page()))
    page = read_page(engine, write_pdf(busy_page(rotate, crop), name="turned.pdf"))
    left, top, right, bottom = crop or (0.0, 0.0, 612.0, 792.0)
    width, height = right - left, bottom - top
    assert page.size == ((height, width) if rotate in (90, 270) else (width, height))
    for text in ("Invoice", "fox", "4711-B"):
        x0, y0, x1, y1 = box_of(plain, text)
        x0, y0, x1, y1 = x0 - left, y0 - top, x1 - left, y1 - top
        expected = {
            0: (x0, y0, x1, y1),
            90: (height - y1, x0, height - y0, x1),
            180: (width - x1, height - y1, width - x0, height - y0),
            270: (y0, width - x1, y1, width - x0),
        }[rotate]
        assert box_of(page, text) == pytest.approx(expected, abs=0.05)
    assert all(w.upright == (rotate == 0) for w in page.words)


def test_words_outside_the_page_are_told_apart(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = PdfPage(crop=(0.0, 0.0, 300.0, 300.0))
    page.text(50, 50, "inside")
    page.text(400, 400, "outside")
    words = read_page(engine, write_pdf(page)).words
    assert [(w.text, w.hidden) for w in words] == [("inside", None), ("outside", "outside the page")]


def test_engines_agree_on_words_and_boxes(write_pdf: WritePdf) -> None:
    pytest.importorskip("pymupdf")
    path = write_pdf(busy_page(), busy_page(90), busy_page(270, (50.0, 60.0, 562.0, 700.0)))
    for number in (1, 2, 3):
        ours = read_page(load_engine("pymupdf"), path, number)
        theirs = read_page(load_engine("pdfium"), path, number)
        assert sorted(w.text for w in ours.words) == sorted(w.text for w in theirs.words)
        for word in ours.words:
            assert iou(word[:4], box_of(theirs, word.text)) >= MIN_IOU, word
            if number == 1:
                assert (word.x0, word.x1) == pytest.approx(box_of(theirs, word.text)[0::2], abs=0.1)
        assert ours.size == pytest.approx(theirs.size)
        assert len(ours.rules) == len(theirs.rules)


def test_password(engine: PdfEngine, write_pdf: WritePdf) -> None:
    path = write_pdf(busy_page(), password="sesame")
    with pytest.raises(IngestError, match="pass password="):
        engine.open(path, None)
    with pytest.raises(IngestError, match="password is wrong"):
        engine.open(path, "open")
    pdf = engine.open(path, "sesame")
    assert [w.text for w in pdf.page(1).words][:2] == ["Invoice", "number"]
    pdf.close()


def test_garbage_is_an_ingest_error_or_has_no_pages(engine: PdfEngine, write_pdf: WritePdf) -> None:
    path = write_pdf(busy_page())
    path.write_bytes(b"%PDF-1.4\ngarbage")
    message = ""
    try:
        n_pages = engine.open(path, None).n_pages
    except IngestError as e:
        n_pages, message = 0, str(e)
    assert n_pages == 0
    assert "\n" not in message


def test_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no layout engine is named 'nosuch'; known: pdfium, pymupdf"):
        load_engine("nosuch")


def test_clean_text() -> None:
    assert clean_text("of\ufb01ce\x00s\u00ad") == "offices"
    assert clean_text("na\u00efve") == "na\u00efve"


@given(st.text())
def test_clean_text_is_idempotent_and_encodable(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    cleaned.encode("utf-8")
    assert not any(ord(c) < 32 for c in cleaned)


@given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4))
def test_clipped_boxes_lie_on_the_page(box: Box) -> None:
    clipped = clip_box(box, (100.0, 50.0))
    if clipped is not None:
        assert 0 <= clipped[0] <= clipped[2] <= 100
        assert 0 <= clipped[1] <= clipped[3] <= 50
        assert all(math.isfinite(v) for v in clipped)
