"""Text on slides that nobody sees, the order of shapes, and parts that cannot be read. Oracle: what was written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pymupdf")
pytest.importorskip("pptx")

import pptx
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.shapes import MSO_SHAPE
from pptx.oxml import parse_xml
from pptx.util import Inches, Pt

from mm_megacontext.layout.reader import read
from tests.layout.flow.html.test_html import png
from tests.layout.flow.office_files import changed, told

A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
Change = Callable[[Any, Any], None]
WHITE, DARK = RGBColor(255, 255, 255), RGBColor(20, 30, 60)


def run_of(box: Any) -> Any:
    return box.text_frame.paragraphs[0].runs[0]


def colored(rgb: Any) -> Change:
    return lambda slide, box: setattr(run_of(box).font.color, "rgb", rgb)


def filled(rgb: Any) -> Change:
    def change(slide: Any, box: Any) -> None:
        box.fill.solid()
        box.fill.fore_color.rgb = rgb

    return change


def both(*changes: Change) -> Change:
    def change(slide: Any, box: Any) -> None:
        for one in changes:
            one(slide, box)

    return change


def text_fill(xml: str) -> Change:
    return lambda slide, box: run_of(box)._r.get_or_add_rPr().insert(0, parse_xml(xml.replace(" ", f" {A} ", 1)))


def theme_color(slide: Any, box: Any) -> None:
    run_of(box).font.color.theme_color = MSO_THEME_COLOR.TEXT_1
    run_of(box).font.color.brightness = 0.99


def dark_background(slide: Any, box: Any) -> None:
    slide.background.fill.solid()
    slide.background.fill.fore_color.rgb = DARK


def list_style(slide: Any, box: Any) -> None:
    styles = box._element.txBody.find(f"{{{A.split(chr(34))[1]}}}lstStyle")
    styles.append(parse_xml(f'<a:lvl1pPr {A}><a:defRPr sz="50"/></a:lvl1pPr>'))


def moved_group(slide: Any, box: Any) -> None:
    group = slide.shapes.add_group_shape([box])
    group.left, group.top = Inches(-30), Inches(1)


def shrunk(slide: Any, box: Any) -> None:
    body = box._element.txBody.bodyPr
    for part in list(body):
        body.remove(part)
    body.append(parse_xml(f'<a:normAutofit {A} fontScale="2000"/>'))


def covered(slide: Any, box: Any) -> None:
    cover = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Inches(9), Inches(7))
    cover.fill.solid()
    cover.fill.fore_color.rgb = DARK


def on_a_dark_shape(slide: Any, box: Any) -> None:
    covered(slide, box)
    tree = slide.shapes._spTree
    tree.remove(box._element)
    tree.append(box._element)


def in_a_table(slide: Any, box: Any) -> None:
    run_of(box).text = "other"
    table = slide.shapes.add_table(2, 1, Inches(1), Inches(4), Inches(3), Inches(1)).table
    cell = table.cell(1, 0)
    cell.text = "SECRET"
    cell.fill.solid()
    cell.fill.fore_color.rgb = DARK
    cell.text_frame.paragraphs[0].runs[0].font.color.rgb = DARK


HIDDEN: dict[str, tuple[Change, str]] = {
    "white": (colored(WHITE), "no contrast"),
    "colour of its shape": (both(filled(DARK), colored(DARK)), "no contrast"),
    "colour of the background": (both(dark_background, colored(DARK)), "no contrast"),
    "light by its brightness": (theme_color, "no contrast"),
    "clear": (
        text_fill('<a:solidFill ><a:srgbClr val="000000"><a:alpha val="1000"/></a:srgbClr></a:solidFill>'),
        "transparent",
    ),
    "shades of white": (
        text_fill('<a:gradFill ><a:gsLst><a:gs pos="0"><a:srgbClr val="FFFFFF"/></a:gs><a:gs pos="100000"><a:srgbClr '
                  'val="FDFDFD"/></a:gs></a:gsLst></a:gradFill>'),
        "no contrast",
    ),
    "size of the box": (list_style, "smaller than 1 pt"),
    "made to fit": (shrunk, "smaller than 1 pt"),
    "in a group beside the slide": (moved_group, "outside the page"),
    "covered": (covered, "under an image"),
    "covered by a picture": (
        lambda slide, box: slide.shapes.add_picture(io.BytesIO(png(20, 10)), 0, 0, Inches(9), Inches(7)) and None,
        "under an image",
    ),
    "in a cell": (in_a_table, "no contrast"),
    "size": (lambda slide, box: setattr(run_of(box).font, "size", Pt(1)), "smaller than 1 pt"),
}  # fmt: skip
SHOWN: dict[str, Change] = {
    "white on dark": both(filled(DARK), colored(WHITE)),
    "white on a dark slide": both(dark_background, colored(WHITE)),
    "white on a dark shape": both(on_a_dark_shape, colored(WHITE)),
    "under a shape without fill": lambda slide, box: slide.shapes.add_textbox(0, 0, Inches(9), Inches(7)) and None,
    "made to fit": lambda slide, box: setattr(run_of(box).font, "size", Pt(4)),
}


KINDS = (XL_CHART_TYPE.THREE_D_COLUMN, XL_CHART_TYPE.THREE_D_PIE, XL_CHART_TYPE.XY_SCATTER, XL_CHART_TYPE.RADAR)


def deck(path: Path, change: Change) -> Path:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Open"
    box = slide.shapes.add_textbox(Inches(2), Inches(3), Inches(3), Inches(1))
    box.text_frame.text = "SECRET"
    change(slide, box)
    presentation.save(path)
    return path


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden(name: str, tmp_path: Path) -> None:
    change, why = HIDDEN[name]
    shown, hidden = told(deck(tmp_path / "a.pptx", change))
    assert "SECRET" not in shown
    assert hidden["SECRET"] == why


@pytest.mark.parametrize("name", SHOWN)
def test_shown(name: str, tmp_path: Path) -> None:
    shown, hidden = told(deck(tmp_path / "a.pptx", SHOWN[name]))
    assert "SECRET" in shown
    assert hidden == {}


def test_shapes_are_read_by_where_they_lie(tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    for left, top, said in ((5, 5, "6"), (1, 5, "5"), (5, 2, "3"), (1, 3.2, "2"), (1, 2, "1"), (5, 3.2, "4")):
        slide.shapes.add_textbox(Inches(left), Inches(top), Inches(3), Inches(1.1)).text_frame.text = said
    slide.shapes.title.text = "Title"
    presentation.save(tmp_path / "a.pptx")
    order = told(tmp_path / "a.pptx")[0].split()
    assert order[0] == "Title"
    assert order[1:] == ["1", "3", "2", "4", "5", "6"]


@pytest.mark.parametrize("kind", KINDS)
def test_charts_of_any_kind_are_tables(kind: Any, tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    data: Any = CategoryChartData(number_format="0.0%")
    data.categories = ["East", "West"]
    data.add_series("Sales", (0.125, 0.5))
    if kind == XL_CHART_TYPE.XY_SCATTER:
        data = XyChartData(number_format="0.0%")
        series = data.add_series("Sales")
        series.add_data_point(1, 0.125)
        series.add_data_point(2, 0.5)
    known = kind not in (XL_CHART_TYPE.THREE_D_COLUMN, XL_CHART_TYPE.THREE_D_PIE)
    usual = {XL_CHART_TYPE.THREE_D_COLUMN: XL_CHART_TYPE.COLUMN_CLUSTERED, XL_CHART_TYPE.THREE_D_PIE: XL_CHART_TYPE.PIE}
    slide.shapes.add_chart(kind if known else usual[kind], *[Inches(1)] * 4, data)
    presentation.save(tmp_path / "a.pptx")
    if not known:
        plain, name = ("barChart", "bar3DChart") if kind == XL_CHART_TYPE.THREE_D_COLUMN else ("pieChart", "pie3DChart")
        part = next(n for n in _names(tmp_path / "a.pptx") if n.startswith("ppt/charts/chart"))
        changed(tmp_path / "a.pptx", {part: (f"c:{plain}", f"c:{name}")})
    shown = told(tmp_path / "a.pptx")[0]
    assert "12.5%" in shown
    assert "50.0%" in shown


def _names(path: Path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


@pytest.mark.parametrize("part", ["ppt/charts/chart", "ppt/slides/slide1.xml", "ppt/media/image"])
def test_a_part_that_cannot_be_read_costs_itself_alone(part: str, tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    for said in ("first", "second"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = said
    data = CategoryChartData()
    data.categories = ["East"]
    data.add_series("Sales", (1.5,))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, *[Inches(2)] * 4, data)
    slide.shapes.add_picture(io.BytesIO(png(200, 100)), *[Inches(4)] * 4)
    presentation.save(tmp_path / "a.pptx")
    name = next(n for n in _names(tmp_path / "a.pptx") if n.startswith(part))
    pages = list(read(changed(tmp_path / "a.pptx", {name: "<broken"})).pages())
    assert len([page for page in pages if page.problem is not None]) == 1
    assert "second" in "".join(page.text for page in pages)


def test_marks_above_the_line_are_no_digits(tmp_path: Path) -> None:
    def change(slide: Any, box: Any) -> None:
        run = run_of(box)
        run.text = "95"
        mark = box.text_frame.paragraphs[0].add_run()
        mark.text = "3"
        mark._r.get_or_add_rPr().set("baseline", "30000")

    (page,) = read(deck(tmp_path / "a.pptx", change)).pages()
    assert [(word.text, word.script) for word in page.regions[-1].lines[0].words] == [("95", ""), ("3", "sup")]
