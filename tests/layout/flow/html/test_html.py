"""HTML as regions on pages. Oracles: the words that were written, what browsers show, and the pixels that are drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("pymupdf")

from mm_megacontext.document import Page, Region
from mm_megacontext.layout.across_pages.continued_tables import name_tables
from mm_megacontext.layout.flow import galley
from mm_megacontext.layout.flow import typeset as typeset_file
from mm_megacontext.layout.flow.flow import Paragraph, Run, Unseen, length_of, parts_of
from mm_megacontext.layout.flow.html.flow import html_flow
from mm_megacontext.layout.flow.html.source import decode_html, parse_html
from mm_megacontext.layout.flow.typeset import TypesetFile
from mm_megacontext.workers.answers import check_page

MAX_PIXELS = 100_000_000
INK = 128  # of 255: darker pixels are letters


def typeset(html: str | bytes) -> TypesetFile:
    root = parse_html(decode_html(html.encode() if isinstance(html, str) else html))
    return TypesetFile(html_flow(root, lambda address: None), "test.html", MAX_PIXELS)


def breaks(of_words: list[str]) -> st.SearchStrategy[str]:
    gaps = st.lists(st.sampled_from([" ", "\n", ""]), min_size=len(of_words), max_size=len(of_words))
    return gaps.map(lambda found: "".join(word + gap for word, gap in zip(of_words, found, strict=True)))


words = st.text("ab", min_size=1, max_size=30)
looks = st.builds(Run, st.lists(words, min_size=1, max_size=60).flatmap(breaks), st.booleans())


@given(st.lists(looks, min_size=1, max_size=6), st.integers(1, 400))
def test_parts_of_a_paragraph_are_the_paragraph(runs: list[Run], most: int) -> None:
    """All its letters in order and in their looks, and no part much longer than asked for."""
    paragraph = Paragraph(tuple(runs), "list", depth=2)
    parts = list(parts_of(paragraph, most))
    for is_bold in (False, True):
        whole, cut = (
            "".join(run.text for one in many for run in one.runs if run.bold == is_bold).replace("\n", "")
            for many in ([paragraph], parts)
        )
        assert cut == whole
    longest_piece = max(length_of((run,)) for run in runs)
    assert all(length_of(part.runs) < 2 * most + longest_piece for part in parts)
    assert {(part.kind, part.depth) for part in parts} == {("list", 2)}


def test_a_log_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeset_file, "_MOST_LETTERS", 900)
    wanted = [f"{i} log line" for i in range(300)]
    lines = [
        line.text for page in pages_of(f"<pre>{chr(10).join(wanted)}</pre>") for r in page.regions for line in r.lines
    ]
    assert lines == wanted


def test_what_is_higher_than_a_strip_does_not_cost_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galley, "_LONG", 500.0)
    (page,) = pages_of(f"<p>before</p><table><tr><td>{'a<br>' * 100}</td><td>b</td></tr></table><p>after</p>")
    assert (page.text.split(), page.status, page.code) == (["before", "after"], "degraded", "limit_size")


def pages_of(html: str | bytes) -> list[Page]:
    file = typeset(html)
    pages = [file.read_page(number) for number in range(1, file.n_pages + 1)]
    for number, page in enumerate(pages, 1):
        check_page(page, number, MAX_PIXELS)
    return pages


def regions_of(html: str) -> list[Region]:
    return [region for page in pages_of(html) for region in page.regions]


def words_of(pages: list[Page]) -> list[str]:
    return " ".join(page.text for page in pages).split()


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_kinds_levels_and_order() -> None:
    html = """<title>not on the page</title><h1>One</h1><p>First
        <b>bold</b> text.<h3>Three</h3>loose<blockquote>quoted</blockquote><ul><li>a<li>b<ol start=4><li>c</ol></ul>
        <pre>def f():\n    pass</pre><figure><figcaption>Fig</figcaption></figure>"""
    found = [(r.kind, r.level, r.text) for r in regions_of(html)]
    assert found == [
        ("heading", 1, "One"),
        ("text", None, "First bold text."),
        ("heading", 3, "Three"),
        ("text", None, "loose"),
        ("text", None, "quoted"),
        ("list", None, "\u2022 a\n\u2022 b\n4. c"),
        ("code", None, "def f():\npass"),
        ("caption", None, "Fig"),
    ]


UNSEEN = {
    '<p style="display:none">SECRET</p>': "not displayed",
    '<p style="display:none !important; display:block">SECRET</p>': "not displayed",
    "<p hidden>SECRET</p>": "not displayed",
    '<p style="visibility:hidden">SECRET</p>': "not displayed",
    '<div style="visibility:hidden">SECRET <b style="visibility:visible">seen</b></div>': "not displayed",
    '<p style="opacity:0">SECRET</p>': "transparent",
    '<p style="color:transparent">SECRET</p>': "transparent",
    '<p style="color:rgba(0,0,0,0)">SECRET</p>': "transparent",
    '<p style="font-size:0">SECRET</p>': "smaller than 1 pt",
    '<p style="font-size:1px">SECRET</p>': "smaller than 1 pt",
    '<div style="font-size:10%"><p style="font-size:.5em">SECRET</p></div>': "smaller than 1 pt",
    '<p style="color:#fff">SECRET</p>': "no contrast",
    '<p style="color:#fefefe">SECRET</p>': "no contrast",
    '<font color="white">SECRET</font>': "no contrast",
    '<div style="background:#123456"><p style="color:rgb(18,52,86)">SECRET</p></div>': "no contrast",
    '<table bgcolor="#000"><tr><td>SECRET</td><td style="color:white">seen</td></tr></table>': "no contrast",
    '<p style="position:absolute;left:-9999px">SECRET</p>': "outside the page",
    '<p style="text-indent:-999em">SECRET</p>': "outside the page",
    '<p style="position:absolute;width:1px;height:1px;overflow:hidden">SECRET</p>': "not displayed",
    '<p style="position:absolute;clip:rect(0,0,0,0)">SECRET</p>': "not displayed",
    '<p style="clip-path:inset(50%)">SECRET</p>': "not displayed",
    '<p style="max-height:0;overflow:hidden">SECRET</p>': "not displayed",
    '<p style="transform:scale(0)">SECRET</p>': "not displayed",
    "<style>.x{display:none}</style><p class=x>SECRET</p>": "not displayed",
    "<style>@media screen{div > p.x:first-child{visibility:hidden}}</style><div><p class=x>SECRET</p></div>": (
        "not displayed"
    ),
    "<style>#y .x{color:white} .x{color:black}</style><div id=y><p class=x>SECRET</p></div>": "no contrast",
    "<noscript>SECRET</noscript>": "not displayed",
    "<template>SECRET</template>": "not displayed",
    "<dialog>SECRET</dialog>": "not displayed",
    "<table><tr><td>seen</td><td style='display:none'>SECRET</td></tr></table>": "not displayed",
    # through variables, nesting, layers, conditions and sheets in addresses
    "<style>:root{--a:var(--b);--b:none}p.x{display:var(--a)}</style><p class=x>SECRET</p>": "not displayed",
    "<style>.a{color:red;.x{display:none}}</style><div class=a><p class=x>SECRET</p></div>": "not displayed",
    "<style>@layer a{p.x{opacity:0}}@layer b,a;</style><p class=x>SECRET</p>": "transparent",
    "<style>@layer a{#i{display:none!important}}p{display:block!important}</style><p id=i>SECRET</p>": "not displayed",
    "<style>@media (width >= 3px) and (not (height < 9px)){b{display:none}}</style><b>SECRET</b>": "not displayed",
    "<style>@supports not (nosuch:1){.x{display:none}}</style><p class=x>SECRET</p>": "not displayed",
    "<style>@import 'data:text/css,.x{display:none}';</style><p class=x>SECRET</p>": "not displayed",
    "<style>@keyframes k{to{opacity:0}}.x{animation:k 0s both}</style><p class=x>SECRET</p>": "transparent",
    # shorthands, units, calculations, moves that add up
    '<p style="font:0/1 serif">SECRET</p>': "smaller than 1 pt",
    '<p style="position:fixed;inset:250% auto auto 0">SECRET</p>': "outside the page",
    '<p style="margin:0 0 0 calc(-100vw - 10em)">SECRET</p>': "outside the page",
    '<div style="position:relative;left:-600px"><p style="translate:-600px">SECRET</p></div>': "outside the page",
    '<p style="transform:rotateY(.25turn)">SECRET</p>': "not displayed",
    '<p style="transform:rotateX(180deg);backface-visibility:hidden">SECRET</p>': "not displayed",
    '<p style="clip-path:polygon(0 0, 100% 0, 50% 0)">SECRET</p>': "not displayed",
    '<p style="max-height:0;overflow:scroll">SECRET</p>': "not displayed",
    # ink
    '<div style="opacity:.2"><p style="opacity:.2">SECRET</p></div>': "transparent",
    '<p style="-webkit-text-fill-color:#fff">SECRET</p>': "no contrast",
    '<p style="color:oklch(100% 0 0)">SECRET</p>': "no contrast",
    '<p style="color:color-mix(in srgb, white 99%, black)">SECRET</p>': "no contrast",
    '<div style="background:linear-gradient(#112233,#112236)"><p style="color:#123">SECRET</p></div>': "no contrast",
    # what is not followed, or would need the page to be set
    '<div style="background:url(x.png)"><p style="color:white">SECRET</p></div>': "visibility_unsure",
    "<style>.x:read-only{display:none}</style><p class=x>SECRET</p>": "visibility_unsure",
    "<style>@container (width > 1px){.x{display:none}}</style><p class=x>SECRET</p>": "visibility_unsure",
    "<style>.x::first-line{color:#fff}</style><p class=x>SECRET</p>": "visibility_unsure",
    '<p style="filter:contrast(0) brightness(9)">SECRET</p>': "visibility_unsure",
    '<p style="clip-path:url(#c)">SECRET</p>': "visibility_unsure",
    '<p style="color:rgb(from white r g b)">SECRET</p>': "visibility_unsure",
    '<div style="background:#fff"><p style="position:relative;z-index:-1">SECRET</p></div>': "visibility_unsure",
    '<div style="position:relative"><p>SECRET</p><div style="position:absolute;inset:0;background:#fff"></div></div>': (
        "visibility_unsure"
    ),
}


@pytest.mark.parametrize("html", UNSEEN)
def test_what_nobody_sees_is_told_apart(html: str) -> None:
    root = parse_html(f"<body><p>seen before</p>{html}<p>seen after</p></body>")
    items = list(html_flow(root, lambda address: None))
    assert [(item.text, item.why) for item in items if isinstance(item, Unseen)] == [("SECRET", UNSEEN[html])]
    assert not any("SECRET" in repr(item) for item in items if not isinstance(item, Unseen))


def test_hidden_text_is_shown_by_layout_and_not_read() -> None:
    (page,) = pages_of('<p>Total 485,000</p><p style="display:none">Total 1</p><p>due in May</p>')
    assert [(r.text, r.hidden) for r in page.regions] == [
        ("Total 485,000", None),
        ("Total 1", "not displayed"),
        ("due in May", None),
    ]
    assert page.text == "Total 485,000\n\ndue in May"


SEEN = [
    "<style>.x{display:none} .x.on{display:block}</style><p class='x on'>SEEN</p>",
    "<style>@media print{p{display:none}}</style><p>SEEN</p>",
    "<style>@media (max-width:10px){p{display:none}}</style><p>SEEN</p>",
    "<style>p::before{display:none}</style><p>SEEN</p>",
    '<div style="background:black"><p style="color:white">SEEN</p></div>',
    '<div style="overflow:hidden;height:100px">SEEN</div>',
    '<div style="visibility:hidden"><p style="visibility:visible">SEEN</p></div>',
    "<details><summary>more</summary>SEEN</details>",
    '<p style="font-size:larger">SEEN</p>',
    '<p style="color:nosuchcolour">SEEN</p>',
    "<style>} p{display:none</style></style><p style='display:block'>SEEN</p>",
    '<p style="left:-9999px">SEEN</p>',
    "<style>@layer a{p{display:none}}p{display:block}</style><p>SEEN</p>",
    "<style>@supports not (display:grid){p{display:none}}</style><p>SEEN</p>",
    "<style>p,b:::x{display:none}</style><p>SEEN</p>",
    "<style>:root{--a:var(--a)}p{display:var(--a)}</style><p>SEEN</p>",
    "<style>[hidden]{display:block}</style><p hidden>SEEN</p>",
    "<style>p{opacity:0}</style><p style='all:unset'>SEEN</p>",
    '<div style="position:relative;left:-2000px"><p style="position:relative;left:2000px">SEEN</p></div>',
    '<span style="width:0;height:0;overflow:hidden">SEEN</span>',
    '<p style="height:0;padding:20px;overflow:hidden">SEEN</p>',
    '<p style="color:#fff;text-shadow:0 0 2px #000">SEEN</p>',
    '<p style="color:#fff;-webkit-text-fill-color:#000">SEEN</p>',
    '<p style="color:transparent;background:linear-gradient(red,blue);background-clip:text">SEEN</p>',
    '<div style="position:absolute;top:0;left:0;width:100%;height:60px;background:#fff"></div><p>SEEN</p>',
    "<object data=x.bin><p>SEEN</p></object>",
    "<input placeholder=SEEN>",
]


@pytest.mark.parametrize("html", SEEN)
def test_what_is_seen_is_read(html: str) -> None:
    root = parse_html(f"<body>{html}</body>")
    text = "".join(run.text for i in html_flow(root, lambda a: None) if isinstance(i, Paragraph) for run in i.runs)
    assert "SEEN" in text


def test_tables_have_cells_with_spans_and_roles() -> None:
    html = """<table><caption>Table 1: Rent</caption><thead><tr><th>Name<th colspan=2>Values</thead>
        <tr><th rowspan=2>Rent<td>1200<td><tr><td>x<td>y and z</table>"""
    caption, region = regions_of(html)
    assert (caption.kind, caption.caption_of, region.kind) == ("caption", 1, "table")
    table = region.table
    assert table is not None
    assert (table.n_rows, table.n_columns) == (3, 3)
    assert [(c.row, c.column, c.row_span, c.column_span, c.role, c.text) for c in table.cells] == [
        (0, 0, 1, 1, "column_header", "Name"),
        (0, 1, 1, 2, "column_header", "Values"),
        (1, 0, 2, 1, "row_header", "Rent"),
        (1, 1, 1, 1, "body", "1200"),
        (1, 2, 1, 1, "body", ""),
        (2, 1, 1, 1, "body", "x"),
        (2, 2, 1, 1, "body", "y and z"),
    ]
    for cell in table.cells:
        for word in (word for line in cell.lines for word in line.words):
            x, y = (word.bbox[0] + word.bbox[2]) / 2, (word.bbox[1] + word.bbox[3]) / 2
            assert cell.bbox[0] <= x <= cell.bbox[2]
            assert cell.bbox[1] <= y <= cell.bbox[3]


def test_tables_that_lay_a_page_out_are_none() -> None:
    html = "<table><tr><td><h1>Left</h1><td><table><tr><td>a<td>b<tr><td>c<td>d</table></table>"
    assert [r.kind for r in regions_of(html)] == ["heading", "table"]


def test_columns_of_paragraphs_in_one_row_are_none() -> None:
    html = "<table><tr><td><p>Seller</p><p>Harrow Ltd.</p><td><p>Buyer</p><p>Ada Wong</p></table>"
    assert [(r.kind, r.text) for r in regions_of(html)] == [
        ("text", "Seller"),
        ("text", "Harrow Ltd."),
        ("text", "Buyer"),
        ("text", "Ada Wong"),
    ]


@pytest.mark.parametrize("tag", ["td", "th"])
def test_rows_under_titles_of_several_columns_are_of_the_header(tag: str) -> None:
    top = f"<tr><{tag} rowspan=2>Area<{tag} colspan=2>Sales<{tag} rowspan=2>Staff"
    (region,) = regions_of(f"<table>{top}<tr><{tag}>2023<{tag}>2024<tr><td>North<td>10<td>12<td>5</table>")
    assert region.table is not None
    assert [c.text for c in region.table.cells if c.role == "column_header"] == [
        "Area",
        "Sales",
        "Staff",
        "2023",
        "2024",
    ]
    assert [c.text for c in region.table.cells if c.role == "row_header"] == ["North"]


def test_wide_white_space_parts_words() -> None:
    (region,) = regions_of("<p>Total\u2003\u20031,480\u3000EUR</p>")
    assert [word.text for word in region.lines[0].words] == ["Total", "1,480", "EUR"]


def test_parts_of_a_long_table_say_which_they_are() -> None:
    rows = "".join(f"<tr><td>n{n}<td>{n}<td>x" for n in range(450))
    second = "<table><tr><th>A<th>B<th>C<tr><td>1<td>2<td>3</table>"
    file = pages_of(f"<table><tr><th>Name<th>Value<th>Unit{rows}</table>{second}")
    tables = [region.table for page in name_tables(file) for region in page.regions if region.table is not None]
    *parts, last = tables
    assert len(parts) > 10
    assert {part.id for part in parts} == {"1.1"}
    assert [part.continues for part in parts] == [False] + [True] * (len(parts) - 1)
    assert [part.first_row for part in parts] == [sum(p.n_rows for p in parts[:i]) for i in range(len(parts))]
    assert not last.continues
    assert last.id != "1.1"


def test_no_word_is_lost_or_moved_over_many_pages() -> None:
    said = [f"w{n}" for n in range(4000)]
    halves = " ".join(said[:2000]), " ".join(said[2000:])
    html = f"<p>{halves[0]}</p><table><tr><td>{halves[1].replace(' w50', '<tr><td>x<td> w50')}</td></tr></table>"
    pages = pages_of(html)
    assert len(pages) > 3
    assert [word for word in words_of(pages) if word != "x"] == said


def test_a_cell_taller_than_a_page_goes_on() -> None:
    said = [f"w{n}" for n in range(3000)]
    pages = pages_of(f"<table><tr><td>key<td>{' '.join(said)}</table>")
    assert len(pages) > 2
    assert all(r.kind == "table" for page in pages for r in page.regions)
    assert [word for word in words_of(pages) if word != "key"] == said


def test_a_wide_table_makes_the_page_wider() -> None:
    row = "".join(f"<td>column {n}" for n in range(60))
    (page,) = pages_of(f"<p>before</p><table><tr>{row}<tr>{row}</table>")
    table = page.regions[1].table
    assert table is not None
    assert table.n_columns == 60
    assert [c.text for c in table.cells] == 2 * [f"column {n}" for n in range(60)]
    assert page.size[0] > 612
    assert max(c.bbox[2] for c in table.cells) <= page.size[0]


@pytest.mark.parametrize(
    "text",
    [
        "office ffi \ufb01n",
        "שלום עולם: טוב",
        "الإيجار الشهري: 1480 يورو",
        "中文 字你好",
        "合同编号：LA-2025-0417",
        "na\u0308he \u00e9t\u00e9",
        "मासिक किराया: 14,800 रुपये",
        "ค่าเช่ารายเดือน: 5,000 บาท",
        "Ở Việt Nam: 300.000 ₫",
        "👩‍👩‍👧 🇳🇴 ok ✍🏽",
    ],
)
def test_scripts(text: str) -> None:
    (page,) = pages_of(f"<p>{text}</p>")
    assert page.text.replace("\n", " ") == text.replace("\ufb01", "fi")


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff<p>Grüße</p>".encode("utf-16-le"),
        "\ufeff<p>Grüße</p>".encode(),
        "<p>Grüße</p>".encode(),
        "<p>Grüße</p>".encode("cp1252"),
        '<meta charset="iso-8859-15"><p>Grüße</p>'.encode("iso-8859-15"),
        '<meta charset="nosuch"><p>Grüße</p>'.encode(),
        b'<html xmlns="http://www.w3.org/1999/xhtml"><script src="x"/><p>Gr&uuml;&#223;e</p></html>',
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><p>Gr&uuml;&#223;e</html>',
    ],
)
def test_encodings(data: bytes) -> None:
    assert [page.text for page in pages_of(data)] == ["Grüße"]


def test_boxes_hold_the_ink_and_nothing_else_has_any() -> None:
    file = typeset(f"<h1>Title</h1><p>{'some words ' * 200}</p><ul><li>one<li>two</ul><p>{'more text ' * 300}</p>")
    assert file.n_pages > 1
    scale = 2.0
    for number in range(1, file.n_pages + 1):
        page = file.read_page(number)
        width, height = (int(side * scale) for side in page.size)
        rgb = np.frombuffer(file.render(number, (0, 0, width, height), scale), dtype=np.uint8)
        grey = rgb.reshape(height, width, 3).min(axis=2).copy()
        boxes = [word.bbox for region in page.regions for line in region.lines for word in line.words]
        for x0, y0, x1, y1 in boxes:
            assert grey[int(y0 * scale) : int(y1 * scale) + 1, int(x0 * scale) : int(x1 * scale) + 1].min() < INK
        for x0, y0, x1, y1 in boxes:
            grey[int(y0 * scale) - 2 : int(y1 * scale) + 3, int(x0 * scale) - 3 : int(x1 * scale) + 4] = 255
        assert grey.min() > INK


def test_a_part_of_a_page_is_drawn_as_in_the_whole() -> None:
    file = typeset(f"<h1>Title</h1><p>{'some words ' * 100}</p>")
    whole = np.frombuffer(file.render(1, (0, 0, 1224, 400), 2.0), dtype=np.uint8).reshape(400, 1224, 3)
    part = np.frombuffer(file.render(1, (100, 90, 300, 200), 2.0), dtype=np.uint8).reshape(200, 300, 3)
    assert (part == whole[90:290, 100:400]).all()


def test_pages_are_the_same_each_time() -> None:
    html = f"<h1>T</h1><p>{'word ' * 2000}</p><table><tr><td>a<td>b<tr><td>c<td>{'d ' * 900}</table>"
    assert pages_of(html) == pages_of(html)


def test_pictures_in_the_page_are_figures_of_their_size() -> None:
    import base64

    data = base64.b64encode(png(400, 200)).decode()
    figure, caption = regions_of(
        f'<figure><img src="data:image/png;base64,{data}"><figcaption>Figure 1: red</figcaption></figure>'
    )
    assert (figure.kind, caption.kind, caption.caption_of) == ("figure", "caption", 0)
    x0, y0, x1, y1 = figure.bbox
    assert (x1 - x0, y1 - y0) == pytest.approx((300, 150), abs=0.01)


def test_drawings_in_the_page_are_figures() -> None:
    svg = '<svg viewBox="0 0 200 100"><rect width="200" height="100" fill="red"/><text y="50">inside</text></svg>'
    before, figure = regions_of(f"<p>before</p>{svg}")
    assert (before.text, figure.kind, figure.text) == ("before", "figure", "")


def test_links_have_boxes_and_fields_their_values() -> None:
    (page,) = pages_of('<p>see <a href="https://example.org/x">the page</a></p><input value=Kim><input type=checkbox>')
    assert {link.uri for link in page.links} == {"https://example.org/x"}
    assert "Kim \u2610" in page.text


def test_list_of_a_list_and_no_page_of_nothing() -> None:
    assert pages_of("<p> \n </p>") == []


def test_a_text_in_doubt_is_a_problem_of_its_page() -> None:
    (page,) = pages_of("<p>Total 485,000</p><style>.x:defined{display:none}</style><p class=x>Total 1</p>")
    assert (page.text, page.status, page.code) == ("Total 485,000", "degraded", "visibility_unsure")
    assert [(r.text, r.hidden) for r in page.regions if r.hidden] == [("Total 1", "visibility_unsure")]


def test_marks_are_never_part_of_a_number() -> None:
    (region,) = regions_of(
        "<p>1,234<sup>2</sup> tons, 95<sup><a href=#n>3</a></sup>, H<sub>2</sub>O, 7<sub>8</sub></p>"
    )
    found = [(word.text, word.script) for word in region.lines[0].words]
    assert found == [
        ("1,234", ""), ("2", "sup"), ("tons,", ""), ("95", ""), ("3", "sup"), (",", ""), ("H2O,", ""), ("7", ""),
        ("8", "sub"),
    ]  # fmt: skip


def test_tables_in_cells_are_rows_and_columns() -> None:
    def inner(draught: str) -> str:
        return f"<table><tr><td>Draught<td>{draught}<tr><td>Crew<td>11</table>"

    rows = "".join(f"<tr><td>{name}<td>{inner(n)}" for name, n in (("Tern", "4.2 m"), ("Petrel", "3.1 m")))
    (region,) = regions_of(f"<table><tr><th>Ship<th>Data{rows}</table>")
    table = region.table
    assert table is not None
    assert (table.n_rows, table.n_columns) == (5, 3)
    assert [(c.row, c.column, c.row_span, c.column_span, c.text) for c in table.cells if c.row in (0, 3)] == [
        (0, 0, 1, 1, "Ship"),
        (0, 1, 1, 2, "Data"),
        (3, 0, 2, 1, "Petrel"),
        (3, 1, 1, 1, "Draught"),
        (3, 2, 1, 1, "3.1 m"),
    ]


def test_what_is_nested_too_deep_costs_itself_alone() -> None:
    from mm_megacontext.layout.flow.html.flow import page_flow

    text = f"<p>before</p>{'<div>' * 3000}<p>deep</p>{'</div>' * 3000}<p>after</p>"
    file = TypesetFile(page_flow(text, lambda address: None), "test.html", MAX_PIXELS)
    page = file.read_page(1)
    assert (page.text.split(), page.status, page.code) == (["before", "after"], "degraded", "limit_size")


@pytest.mark.parametrize(
    "sheet", ["p{" * 3000, "p{color:" + "calc(" * 3000, "@media " + "(not " * 3000 + "{p{color:red}}"]
)
def test_sheets_nested_without_end_do_no_harm(sheet: str) -> None:
    assert "SECRET" not in " ".join(words_of(pages_of(f"<style>{sheet}</style><p style=display:none>SECRET</p>")))
