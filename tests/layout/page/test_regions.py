"""Geometry: from words to regions, on pages whose layout is known because the tests wrote them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.document import Page, Region, union
from mm_megacontext.layout.engines.protocol import RawPage, RawWord
from mm_megacontext.layout.page.regions import find_regions
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

LEADING = 12.0
FILLER = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore".split()


def only_page(path: object, ocr: str = "auto") -> Page:
    (page,) = read(path, ocr=ocr).pages()  # type: ignore[arg-type]
    assert page.problem is None
    return page


def words_of(region: Region) -> list[str]:
    if region.table is not None:
        return [w.text for cell in region.table.cells for line in cell.lines for w in line.words]
    return [w.text for line in region.lines for w in line.words]


def column(page: PdfPage, x: float, top: float, n_lines: int, tag: str, n_words: int) -> list[str]:
    """Lines of filler whose first word is unique; gives these first words."""
    rng = random.Random(tag)
    firsts = []
    for i in range(n_lines):
        firsts.append(f"{tag}{i}")
        page.text(x, top + i * LEADING, " ".join([firsts[-1], *rng.choices(FILLER, k=n_words)]))
    return firsts


@pytest.mark.parametrize(("xs", "n_words"), [([50.0, 330.0], 6), ([40.0, 230.0, 420.0], 3)])
def test_columns_are_read_one_after_the_other(write_pdf: WritePdf, xs: list[float], n_words: int) -> None:
    page = PdfPage()
    page.text(100, 60, "A title that spans all the columns", 20, "Helvetica-Bold")
    expected = []
    for tag, x in zip("abc", xs, strict=False):
        expected += column(page, x, 110, 30, tag, n_words)
    regions = only_page(write_pdf(page)).regions
    assert regions[0].kind == "heading"
    assert regions[0].level == 1
    read_words = [word for region in regions for word in words_of(region)]
    assert [word for word in read_words if word in set(expected)] == expected
    assert all(len({word[0] for word in words_of(r) if word in set(expected)}) <= 1 for r in regions), "columns merged"


@pytest.mark.parametrize("end", ["short", "at the gutter, a little beyond it"])
def test_a_heading_of_all_columns_need_not_reach_across(write_pdf: WritePdf, end: str) -> None:
    """White beside it, and columns that go on below: it is read after both columns above and before both below."""
    page = PdfPage()
    expected = []
    for tag, x in (("a", 50.0), ("b", 330.0)):
        expected += column(page, x, 100, 12, tag, 6)
    page.text(50, 272, f"Heading {end}", 18, "Helvetica-Bold")
    for tag, x in (("c", 50.0), ("d", 330.0)):
        expected += column(page, x, 300, 12, tag, 6)
    expected.insert(24, "Heading")
    read_words = [word for region in only_page(write_pdf(page)).regions for word in words_of(region)]
    assert [word for word in read_words if word in set(expected)] == expected


def test_columns_may_begin_in_the_middle_of_a_page(write_pdf: WritePdf) -> None:
    page = PdfPage()
    top = column(page, 50, 80, 24, "t", 13)
    left, right = column(page, 50, 400, 8, "l", 6), column(page, 330, 400, 8, "r", 6)
    expected = [*top, *left, *right]
    read_words = [word for region in only_page(write_pdf(page)).regions for word in words_of(region)]
    assert [word for word in read_words if word in set(expected)] == expected


def test_labels_in_a_figure_do_not_hide_the_columns(write_pdf: WritePdf) -> None:
    page = PdfPage()
    left = column(page, 50, 80, 40, "l", 6)
    page.image(330, 80, 550, 330)
    for i in range(24):
        page.text(340 + 60 * (i % 3), 100 + 9 * i, f"label{i}")
    right = column(page, 330, 360, 16, "r", 6)
    read_words = [word for region in only_page(write_pdf(page)).regions for word in words_of(region)]
    assert [word for word in read_words if word in {*left, *right}] == [*left, *right]


def test_a_form_keeps_key_and_value_on_one_line(write_pdf: WritePdf) -> None:
    page = PdfPage()
    pairs = [("Name:", "Ada Lovelace"), ("Account number:", "4711"), ("City:", "London"), ("Total due:", "12.50 EUR")]
    for i, (key, value) in enumerate(pairs):
        page.text(72, 100 + 18 * i, key)
        page.text(400, 100 + 18 * i, value)
    lines = [line.text for region in only_page(write_pdf(page)).regions for line in region.lines]
    assert lines == [f"{key} {value}" for key, value in pairs]


def test_a_ruled_table_has_its_cells(write_pdf: WritePdf) -> None:
    page = PdfPage()
    xs, ys = [72.0, 200.0, 300.0, 400.0], [100.0, 120.0, 140.0, 160.0]
    page.grid(xs, ys)
    values = [["Item", "Price", "Count"], ["apple pie", "3.20", "7"], ["pear", "", "12"]]
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            page.text(xs[c] + 4, ys[r] + 14, value)
    page.text(72, 300, "A sentence below the table.")
    regions = only_page(write_pdf(page)).regions
    assert [r.kind for r in regions] == ["table", "text"]
    table = regions[0].table
    assert table is not None
    assert (table.n_rows, table.n_columns) == (3, 3)
    assert [[cell.text for cell in table.cells[3 * r : 3 * r + 3]] for r in range(3)] == values
    assert [cell.role for cell in table.cells] == ["column_header"] * 3 + ["row_header", "body", "body"] * 2
    assert table.cells[4].bbox == pytest.approx((200, 120, 300, 140), abs=1)


def test_a_merged_cell_spans(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.grid([72.0, 200.0, 300.0], [120.0, 140.0, 160.0])
    for x in (72.0, 300.0):
        page.line(x, 100, x, 120)
    page.line(72, 100, 300, 100)
    page.text(80, 114, "Both columns")
    for r in range(2):
        page.text(80, 134 + 20 * r, f"k{r}")
        page.text(210, 134 + 20 * r, f"v{r}")
    table = only_page(write_pdf(page)).regions[0].table
    assert table is not None
    assert (table.n_rows, table.n_columns) == (3, 2)
    assert (table.cells[0].text, table.cells[0].column_span, table.cells[0].row_span) == ("Both columns", 2, 1)


def test_rows_below_titles_of_several_columns_are_header_rows(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.grid([72.0, 172.0, 272.0, 372.0], [140.0, 160.0, 180.0])
    page.line(72, 100, 372, 100)
    page.line(172, 120, 372, 120)
    for x, top in ((72.0, 100.0), (172.0, 100.0), (272.0, 120.0), (372.0, 100.0)):
        page.line(x, top, x, 140)
    for x, y, text in ((80, 114, "Town"), (180, 114, "People"), (180, 134, "1990"), (280, 134, "2000")):
        page.text(x, y, text)
    for r in range(2):
        for c, text in enumerate([f"t{r}", f"{r}", f"{r}"]):
            page.text(80 + 100 * c, 154 + 20 * r, text)
    table = only_page(write_pdf(page)).regions[0].table
    assert table is not None
    spans = {cell.text: (cell.row_span, cell.column_span) for cell in table.cells if cell.row < 2}
    assert spans == {"Town": (2, 1), "People": (1, 2), "1990": (1, 1), "2000": (1, 1)}
    assert {cell.text for cell in table.cells if cell.role == "column_header"} == set(spans)


def test_a_ruled_table_without_a_frame(write_pdf: WritePdf) -> None:
    page = PdfPage()
    for y in (100, 120, 140, 160):
        page.line(72, y, 372, y)
    for x in (172, 272):
        page.line(x, 100, x, 160)
    values = [["Item", "Price", "Count"], ["apple pie", "3.20", "7"], ["pear", "1.10", "12"]]
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            page.text(76 + 100 * c, 114 + 20 * r, value)
    table = only_page(write_pdf(page)).regions[0].table
    assert table is not None
    assert [[cell.text for cell in table.cells[3 * r : 3 * r + 3]] for r in range(3)] == values
    assert table.cells[0].bbox == pytest.approx((72, 100, 172, 120), abs=1)


STACKED = [
    ["Quarter", "Passengers", "Load"],
    ["Apr\nMay\nJun", "653\n687\n667", "74.9\n77.7\n81.2"],
    ["Sum", "2007", "77.9"],
]
WRAPPED = [
    ["Item", "Remark", "Price"],
    ["apple pie\nwith cream", "made of\nbad fruit", "3.20"],
    ["pear", "ripe", "1.10"],
]


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (STACKED, [STACKED[0], ["Apr", "653", "74.9"], ["May", "687", "77.7"], ["Jun", "667", "81.2"], STACKED[2]]),
        (WRAPPED, [[cell.replace("\n", " ") for cell in row] for row in WRAPPED]),
    ],
    ids=["numbers below each other are rows", "text that goes on is not"],
)
def test_rows_that_no_rule_parts(write_pdf: WritePdf, values: list[list[str]], rows: list[list[str]]) -> None:
    page = PdfPage()
    xs, ys = [72.0, 200.0, 300.0, 400.0], [100.0, 120.0, 164.0, 184.0]
    page.grid(xs, ys)
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            for i, line in enumerate(value.split("\n")):
                page.text(xs[c] + 4, ys[r] + 14 + 12 * i, line)
    table = only_page(write_pdf(page)).regions[0].table
    assert table is not None
    assert (table.n_rows, table.n_columns) == (len(rows), 3)
    assert [[cell.text for cell in table.cells[3 * r : 3 * r + 3]] for r in range(len(rows))] == rows


def test_an_aligned_table_needs_no_rules(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(72, 80, "These figures were measured in the spring of the year and are given without rounding.")
    values = [["City", "North", "South"], ["Oslo", "12", "7.5"], ["Rome", "3", "40.1"], ["Bern", "88", "0.3"]]
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            page.text(72 + 120 * c, 110 + 14 * r, value)
    regions = only_page(write_pdf(page)).regions
    assert [r.kind for r in regions] == ["text", "table"]
    table = regions[1].table
    assert table is not None
    assert [[cell.text for cell in table.cells[3 * r : 3 * r + 3]] for r in range(4)] == values


def test_an_empty_grid_is_no_table(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.grid([100.0 + 20 * i for i in range(8)], [100.0 + 20 * i for i in range(8)])
    page.text(100, 300, "Figure 1: an empty chart")
    assert [r.kind for r in only_page(write_pdf(page)).regions if r.kind == "table"] == []


def test_kinds_of_text(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(72, 40, "Running title")
    page.text(72, 100, "1 Introduction", 14, "Helvetica-Bold")
    column(page, 72, 130, 5, "p", 10)
    page.text(72, 230, "1. first point")
    page.text(72, 242, "2. second point")
    page.image(72, 300, 300, 400)
    page.text(72, 420, "Figure 7: what the image shows")
    page.text(300, 770, "17")
    regions = only_page(write_pdf(page)).regions
    assert [r.kind for r in regions] == ["header", "heading", "text", "list", "figure", "caption", "footer"]
    assert regions[4].bbox == pytest.approx((72, 300, 300, 400), abs=1)


def test_bullets_may_hang_on_their_words(write_pdf: WritePdf) -> None:
    page = PdfPage()
    for i, text in enumerate(("\\225first", "\\225second")):  # the bullet of the standard encoding
        page.ops.append(f"BT /F1 10 Tf 72 {692 - 30 * i} Td ({text}) Tj ET")
    assert [(r.kind, r.text) for r in only_page(write_pdf(page)).regions] == [("list", "•first"), ("list", "•second")]


def test_a_page_without_words_is_a_scan(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.image(0, 0, 612, 792)
    (region,) = only_page(write_pdf(page), ocr="off").regions
    assert (region.kind, region.bbox) == ("scan", (0.0, 0.0, 612.0, 792.0))
    assert only_page(write_pdf(PdfPage())).regions == ()


def test_turned_text_is_kept_apart_and_in_order(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.turned_text(40, 500, "written up the page")
    column(page, 72, 100, 6, "p", 8)
    regions = only_page(write_pdf(page)).regions
    assert ["written", "up", "the", "page"] in [words_of(region) for region in regions]


word_places = st.lists(
    st.tuples(
        st.floats(0, 560), st.floats(0, 770), st.sampled_from(FILLER), st.sampled_from([8.0, 10.0, 14.0]), st.booleans()
    ),
    max_size=60,
)
boxes = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 780), st.floats(0, 600), st.floats(0, 780)).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(word_places, boxes, boxes, boxes)
def test_no_word_is_lost_or_invented(places: list, rules: list, images: list, drawings: list) -> None:  # type: ignore[type-arg]
    """Whatever stands on a page, each word comes out once, unchanged, within its region's box."""
    words = [
        RawWord(x, y, x + 0.5 * size * len(text), y + size, f"{text}{i}", size, False, upright, i // 5)
        for i, (x, y, text, size, upright) in enumerate(places)
    ]
    page = RawPage(1, (700.0, 800.0), words, rules, images, drawings)
    regions = find_regions(page)
    assert sorted(word for region in regions for word in words_of(region)) == sorted(w.text for w in words)
    for region in regions:
        for line in region.lines:
            for word in line.words:
                assert union([word.bbox, region.bbox]) == region.bbox
        if region.table is not None:
            places_taken = [
                (cell.row + i, cell.column + j)
                for cell in region.table.cells
                for i in range(cell.row_span)
                for j in range(cell.column_span)
            ]
            assert len(places_taken) == len(set(places_taken)) == region.table.n_rows * region.table.n_columns
