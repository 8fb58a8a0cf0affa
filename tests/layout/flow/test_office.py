"""DOCX, XLSX and PPTX. Oracle: what python-docx, openpyxl and python-pptx were told to write."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pymupdf")
pytest.importorskip("mammoth")
pytest.importorskip("docx")
pytest.importorskip("openpyxl")
pytest.importorskip("pptx")

import docx
import docx.shared
import openpyxl
import pptx
import pptx.chart.data
import pptx.enum.chart
import pptx.util

from mm_megacontext.document import Page
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.office.number_format import shown
from mm_megacontext.layout.reader import read
from mm_megacontext.tree.blocks import WIDE_GAP
from tests.layout.flow.html.test_html import png
from tests.layout.test_attacks import listener as listener

Found = list[tuple[str, int | None, str, str | None]]


def saved(document: Any, path: Path) -> Path:
    document.save(path)
    return path


def regions(path: Path) -> tuple[str, Found, list[Page]]:
    document = read(path)
    pages = list(document.pages())
    return document.kind, [(r.kind, r.level, r.text, r.hidden) for page in pages for r in page.regions], pages


def test_word(tmp_path: Path) -> None:
    written = docx.Document()
    written.add_heading("Report", 0)
    written.add_heading("Findings", 2)
    paragraph = written.add_paragraph("The rent is 1,250 ")
    paragraph.add_run("per month").bold = True
    paragraph.add_run(" vanished").font.hidden = True
    paragraph.add_run(" white").font.color.rgb = docx.shared.RGBColor(255, 255, 255)
    paragraph.add_run(" tiny").font.size = docx.shared.Pt(0.5)
    paragraph.add_run(" and due.")
    written.add_paragraph("First", style="List Bullet")
    written.add_paragraph("Second", style="List Bullet")
    table = written.add_table(3, 2)
    for row, texts in enumerate([["Name", "Value"], ["North", "10"], ["both", ""]]):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    table.cell(2, 0).merge(table.cell(2, 1))
    table.cell(0, 0).paragraphs[0].runs[0].font.color.rgb = docx.shared.RGBColor(255, 255, 255)
    written.add_picture(io.BytesIO(png(200, 100)))
    written.add_paragraph("Figure 1: red", style="Caption")
    written.add_page_break()
    written.add_paragraph("Annex")
    kind, found, pages = regions(saved(written, tmp_path / "a.docx"))
    assert kind == "docx"
    assert found == [
        ("heading", 1, "Report", None),
        ("heading", 2, "Findings", None),
        ("text", None, "vanished", "not displayed"),
        ("text", None, "white", "no contrast"),
        ("text", None, "tiny", "smaller than 1 pt"),
        ("text", None, "The rent is 1,250 per month and due.", None),
        ("list", None, "\u2022 First\n\u2022 Second", None),
        ("table", None, "Value North 10 both", None),
        ("text", None, "Name", "no contrast"),
        ("figure", None, "", None),
        ("caption", None, "Figure 1: red", None),
        ("text", None, "Annex", None),
    ]
    assert len(pages) == 2
    table = next(r.table for r in pages[0].regions if r.table is not None)
    assert [(c.row, c.column, c.column_span, c.role) for c in table.cells] == [
        (0, 0, 1, "row_header"),
        (0, 1, 1, "body"),
        (1, 0, 1, "row_header"),
        (1, 1, 1, "body"),
        (2, 0, 2, "row_header"),
    ]


def test_tabs_part_names_from_values(tmp_path: Path) -> None:
    written = docx.Document()
    written.add_paragraph("Invoice number\tINV-2041")
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    frame = slide.shapes.add_textbox(*[pptx.util.Inches(1)] * 4).text_frame
    frame.text = "Invoice number\tINV-2041"
    for path in (saved(written, tmp_path / "a.docx"), saved(deck, tmp_path / "a.pptx")):
        (page,) = regions(path)[2]
        (line,) = page.regions[0].lines
        assert line.text == "Invoice number INV-2041"
        _, number, value = (word.bbox for word in line.words)
        assert value[0] - number[2] > WIDE_GAP * (value[3] - value[1])


def test_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Budget"
    rows: list[list[Any]] = [
        ["Budget of the town"],
        [],
        ["Item", "Q1", "Share"],
        ["Roads", 1200.5, 0.125],
        ["Both", None, "=B4*2"],
    ]
    for row, values in enumerate(rows, 1):
        for column, value in enumerate(values, 1):
            sheet.cell(row, column, value)
    sheet.merge_cells("A5:B5")
    sheet["B4"].number_format = "#,##0.00"
    sheet["C4"].number_format = "0.0%"
    sheet["A7"] = "white"
    sheet["A7"].font = openpyxl.styles.Font(color="FFFFFFFF")
    sheet["A8"] = "in a hidden row"
    sheet.row_dimensions[8].hidden = True
    hidden = book.create_sheet("Secret")
    hidden["A1"] = "in a hidden sheet"
    hidden.sheet_state = "hidden"
    book.create_sheet("Last")["B2"] = 7
    kind, found, pages = regions(saved(book, tmp_path / "a.xlsx"))
    assert kind == "xlsx"
    assert [f for f in found if f[3] is None] == [
        ("heading", 1, "Budget", None),
        ("text", None, "Budget of the town", None),
        ("table", None, "Item Q1 Share Roads 1,200.50 12.5% Both =B4*2", None),
        ("heading", 1, "Last", None),
        ("text", None, "7", None),
    ]
    assert [(f[2], f[3]) for f in found if f[3] is not None] == [
        ("white", "no contrast"),
        ("in a hidden row", "not displayed"),
        ("Secret in a hidden sheet", "not displayed"),
    ]
    table = next(r.table for page in pages for r in page.regions if r.table is not None)
    assert (table.n_rows, table.n_columns) == (3, 3)
    assert [(c.row, c.column, c.column_span, c.text) for c in table.cells][-2:] == [
        (2, 0, 2, "Both"),
        (2, 2, 1, "=B4*2"),
    ]


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (3.0, "General", "3"),
        (0.1, "General", "0.1"),
        (-1234.5, "$#,##0.00", "-$1,234.50"),
        (0.256, "0%", "26%"),
        (12345, '#,##0" km"', "12,345 km"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (False, "General", "FALSE"),
        ("  text ", "@", "text"),
    ],
)
def test_numbers_as_they_are_shown(value: Any, number_format: str, text: str) -> None:
    assert shown(value, number_format).text == text


def test_slides(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.placeholders[1].text_frame.text = "Point\vgoes on"
    slide.placeholders[1].text_frame.add_paragraph().text = "Sub"
    slide.shapes.title.text = "Agenda"
    slide.notes_slide.notes_text_frame.text = "spoken"
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    inch = pptx.util.Inches(1)
    table = slide.shapes.add_table(2, 2, inch, inch, inch, inch).table
    for row in range(2):
        for column in range(2):
            table.cell(row, column).text = f"{row}{column}"
    slide.shapes.add_picture(io.BytesIO(png(200, 100)), inch, inch, 2 * inch, inch)
    slide.shapes.add_textbox(-5 * inch, inch, inch, inch).text_frame.text = "beside"
    chart = pptx.chart.data.CategoryChartData()
    chart.categories = ["East"]
    chart.add_series("Sales", (1.5,))
    slide.shapes.add_chart(pptx.enum.chart.XL_CHART_TYPE.PIE, inch, inch, inch, inch, chart)
    hidden = deck.slides.add_slide(deck.slide_layouts[5])
    hidden.shapes.title.text = "unseen"
    hidden._element.set("show", "0")
    kind, found, pages = regions(saved(deck, tmp_path / "a.pptx"))
    assert kind == "pptx"
    assert [f for f in found if f[3] is None and f[0] != "caption"] == [
        ("heading", 1, "Agenda", None),
        ("list", None, "\u2022 Point\ngoes on\n\u2022 Sub", None),
        ("table", None, "00 01 10 11", None),
        ("figure", None, "", None),
        ("table", None, "Sales East 1.5", None),
    ]
    assert [(f[2], f[3]) for f in found if f[3]] == [("beside", "outside the page"), ("unseen", "not displayed")]
    figure = next(r for page in pages for r in page.regions if r.kind == "figure")
    assert figure.bbox[2] - figure.bbox[0] == pytest.approx(144, abs=0.5)


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    """In a process of its own: what is imported here would be found."""
    path = saved(docx.Document(), tmp_path / "a.docx")
    script = f"""
import importlib, sys
from pathlib import Path
sys.modules["mammoth"] = None
from mm_megacontext.layout.open_document import open_document
try:
    open_document(Path({str(path)!r}), "zip", 10**8)
except OSError as e:
    print(e.code, e)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.startswith("missing_extra")
    assert told.rstrip().endswith("pip install 'mm-megacontext[office]'")


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    path = saved(docx.Document(), tmp_path / "good.docx")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "bad.docx", "w") as new:
        for name in old.namelist():
            data = old.read(name).decode("utf-8", "surrogateescape")
            if name == "word/document.xml":
                data = data.replace("?>", f"?>{bomb}", 1).replace("<w:body>", "<w:body>&b;")
            new.writestr(name, data.encode("utf-8", "surrogateescape"))
    with pytest.raises(IngestError, match="document type") as caught:
        read(tmp_path / "bad.docx")
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("place", ["url", "file"])
def test_what_a_document_names_elsewhere_is_not_fetched(
    place: str, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    (tmp_path / "red.png").write_bytes(png(200, 100))
    target = url if place == "url" else (tmp_path / "red.png").as_uri()
    written = docx.Document()
    written.add_paragraph("before")
    written.add_picture(io.BytesIO(png(200, 100)))
    written.add_paragraph("after")
    path = saved(written, tmp_path / "good.docx")
    outside = f'TargetMode="External" Target="{target}"'
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "bad.docx", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "word/document.xml":
                data = data.replace(b"r:embed=", b"r:link=")
            if name == "word/_rels/document.xml.rels":
                data = data.replace(b'Target="media/image1.png"', outside.encode())
                more = f'<Relationship Id="t" Type="{_TEMPLATE}" {outside}/></Relationships>'
                data = data.replace(b"</Relationships>", more.encode())
                assert data.count(outside.encode()) == 2
            new.writestr(name, data)
    _, found, _ = regions(tmp_path / "bad.docx")
    assert [text for _, _, text, _ in found] == ["before", "after"]
    assert asked == []


_TEMPLATE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"


def test_an_office_file_under_a_password_says_so(tmp_path: Path) -> None:
    """A compound file as [MS-CFB] and [MS-OFFCRYPTO] describe it: its list of parts names the encrypted package."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    header[0x1E:0x20] = (9).to_bytes(2, "little")
    header[0x30:0x34] = (7).to_bytes(4, "little")
    entries = b"".join(name.encode("utf-16-le").ljust(128, b"\x00") for name in ("Root Entry", "EncryptedPackage"))
    path = tmp_path / "a.xlsx"
    path.write_bytes(bytes(header) + b"\x00" * 512 * 7 + entries)
    with pytest.raises(IngestError, match="protected by a password") as caught:
        read(path)
    assert caught.value.code == "password_required"
    path.write_bytes(bytes(header) + b"\x00" * 512 * 8)
    with pytest.raises(IngestError, match="old office document"):
        read(path)
