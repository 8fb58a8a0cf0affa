"""Thirty small good files of all formats that are read, made here: what damage is done to."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from PIL import Image, ImageDraw, ImageFont

LINES = (
    "The harbour light was built in 1861 by the town.",
    "Its lamp burns 14 litres of oil in a night.",
    "Invoice number: HL-20417",
    "Total: 485.50 EUR",
)
TABLE = (("Lamp", "Oil", "Year"), ("Fresnel", "5.7 L", "1861"), ("Argand", "3.2 L", "1822"))
MARKUP = (
    "<h1>Harbour</h1><p>The light was <b>built</b> in 1861.</p><ul><li>oil</li><li>wick</li></ul>"
    "<table><tr><th>Lamp</th><th>Oil</th></tr><tr><td>Fresnel</td><td>5.7 L</td></tr></table>"
)


def write_good_files(directory: Path) -> list[Path]:
    """Write all of them and return their paths, in order of their names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in _MAKERS.items():
        (directory / name).write_bytes(make())
    return sorted(directory / name for name in _MAKERS)


def _text_pdf(**options: Any) -> bytes:
    document = pymupdf.open()
    for number in range(3):
        page = document.new_page()
        for row, line in enumerate(LINES):
            page.insert_text((72, 90 + 18 * row), f"{number + 1}. {line}")
    return document.tobytes(**options)


def _table_pdf() -> bytes:
    document = pymupdf.open()
    page = document.new_page()
    for row, cells in enumerate(TABLE):
        for column, text in enumerate(cells):
            box = pymupdf.Rect(72 + 120 * column, 90 + 24 * row, 192 + 120 * column, 114 + 24 * row)
            page.draw_rect(box)
            page.insert_text((box.x0 + 6, box.y0 + 16), text)
    return document.tobytes()


def _form_pdf() -> bytes:
    document = pymupdf.open()
    page = document.new_page()
    for row, (name, value) in enumerate((("Name", "Ana Ferreira"), ("City", "Porto"))):
        page.insert_text((72, 100 + 30 * row), name)
        widget = pymupdf.Widget()
        widget.field_name, widget.field_value = name, value
        widget.field_type, widget.rect = (
            pymupdf.PDF_WIDGET_TYPE_TEXT,
            pymupdf.Rect(140, 86 + 30 * row, 300, 106 + 30 * row),
        )
        page.add_widget(widget)
    page.add_text_annot((400, 100), "A remark")
    return document.tobytes(deflate=True)


def _scan_pdf() -> bytes:
    document = pymupdf.open()
    page = document.new_page()
    page.insert_image(page.rect, stream=_saved(_picture((850, 1100)), "JPEG"))
    return document.tobytes()


def _drawn_pdf() -> bytes:
    document = pymupdf.open()
    page = document.new_page()
    page.draw_circle((200, 200), 60, color=(1, 0, 0), fill=(0, 0.5, 1))
    page.insert_image(pymupdf.Rect(300, 100, 450, 200), stream=_saved(_picture((300, 200)), "PNG"))
    page.insert_text((150, 320), "Figure 1: a lamp")
    page.insert_text((500, 600), "turned text beside it", rotate=90)
    page.set_rotation(90)
    return document.tobytes(deflate=True, use_objstms=1)


def _picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(12, size[0] // 32))
    for row, line in enumerate(LINES):
        draw.text((size[0] // 16, size[1] // 12 * (row + 1)), line, fill="black", font=font)
    draw.ellipse((size[0] // 2, size[1] // 2, size[0] - 20, size[1] - 20), fill=(200, 80, 20))
    return image.convert(mode)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _image(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    return lambda: _saved(_picture((480, 360), mode), kind, **options)


def _pages_tiff() -> bytes:
    pages = [_picture((480, 360), "L") for _ in range(3)]
    return _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_deflate")


def _deep_tiff(dtype: str) -> Callable[[], bytes]:
    def make() -> bytes:
        ramp = np.linspace(200, 900, 240 * 320).reshape(240, 320).astype(dtype)
        return _saved(Image.fromarray(ramp), "TIFF")

    return make


def _zipped(members: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _epub() -> bytes:
    chapter = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>H</title></head><body>{MARKUP}</body></html>'
    return _zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="b" href="b.xhtml" media-type="application/xhtml+xml"/>'
            '</manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
            "OPS/a.xhtml": chapter,
            "OPS/b.xhtml": chapter.replace("1861", "1902"),
        }
    )


def _html(head: str = "", more: str = "") -> Callable[[], bytes]:
    return lambda: f"<!DOCTYPE html><html><head>{head}</head><body>{MARKUP}{more}</body></html>".encode()


def _fiction_book() -> bytes:
    paragraphs = "".join(f"<p>{line}</p>" for line in LINES)
    return (
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        f"<description/><body><section><title><p>Harbour</p></title>{paragraphs}</section></body></FictionBook>"
    ).encode()


def _docx() -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Harbour", 1)
    for line in LINES:
        document.add_paragraph(line)
    table = document.add_table(len(TABLE), len(TABLE[0]))
    for row, cells in enumerate(TABLE):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.add_picture(io.BytesIO(_saved(_picture((300, 200)), "PNG")))
    document.sections[0].header.paragraphs[0].text = "Harbour office"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _xlsx() -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    sheet = book.active
    for cells in TABLE:
        sheet.append(cells)
    sheet["D2"], sheet["D3"] = 0.075, "=A2"
    sheet["D2"].number_format, sheet["A1"].font = "0.0%", Font(bold=True, color="FF0000")
    sheet.merge_cells("A5:C5")
    sheet["A5"] = "A note below"
    book.create_sheet("Second").append([1, 2.5, "three"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _pptx() -> bytes:
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Harbour", "\n".join(LINES)
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Lamps"
    table = slide.shapes.add_table(len(TABLE), len(TABLE[0]), Inches(1), Inches(2), Inches(6), Inches(1)).table
    for row, cells in enumerate(TABLE):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    data = CategoryChartData()
    data.categories = ["1861", "1862"]
    data.add_series("Oil", (14, 15))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(4), Inches(5), Inches(3), data)
    slide.shapes.add_picture(io.BytesIO(_saved(_picture((300, 200)), "PNG")), Inches(7), Inches(4))
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


_MAKERS: dict[str, Callable[[], bytes]] = {
    "text.pdf": _text_pdf,
    "packed.pdf": lambda: _text_pdf(deflate=True, use_objstms=1),
    "table.pdf": _table_pdf,
    "form.pdf": _form_pdf,
    "scan.pdf": _scan_pdf,
    "drawn.pdf": _drawn_pdf,
    "colour.png": _image("PNG"),
    "palette.png": _image("PNG", "P"),
    "photo.jpg": _image("JPEG"),
    "progressive.jpg": _image("JPEG", "CMYK", progressive=True),
    "lossy.webp": _image("WEBP"),
    "small.gif": _image("GIF", "P"),
    "plain.bmp": _image("BMP"),
    "wavelet.jp2": _image("JPEG2000"),
    "plain.tif": _image("TIFF"),
    "lzw.tif": _image("TIFF", compression="tiff_lzw"),
    "fax.tif": _image("TIFF", "1", compression="group4"),
    "pages.tif": _pages_tiff,
    "deep.tif": _deep_tiff("uint16"),
    "float.tif": _deep_tiff("float32"),
    "notes.txt": lambda: "\n\n".join(LINES).encode(),
    "notes.md": lambda: (
        "# Harbour\n\n" + "\n- ".join(LINES) + "\n\n| Lamp | Oil |\n|---|---|\n| Argand | 3 |\n"
    ).encode(),
    "table.csv": lambda: "\n".join(",".join(cells) for cells in TABLE).encode(),
    "page.html": _html(),
    "styled.html": _html("<style>p{color:#222} .x{display:none}</style>", "<p class='x'>hidden</p><p>Größe</p>"),
    "book.epub": _epub,
    "book.fb2": _fiction_book,
    "letter.docx": _docx,
    "sheet.xlsx": _xlsx,
    "slides.pptx": _pptx,
}
