"""Boxes to tick that are drawn. Oracle: what was drawn in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

Draw = Callable[[PdfPage, float, float], None]


def _outline(page: PdfPage, x: float, y: float, side: float = 10.0) -> None:
    page.ops.append(f"0.8 w {x} {page.size[1] - y - side} {side} {side} re S")


def _four_lines(page: PdfPage, x: float, y: float) -> None:
    for x0, y0, x1, y1 in [(0, 0, 10, 0), (10, 0, 10, 10), (10, 10, 0, 10), (0, 10, 0, 0)]:
        page.line(x + x0, y + y0, x + x1, y + y1)


def _closed_path(page: PdfPage, x: float, y: float) -> None:
    h = page.size[1]
    page.ops.append(f"0.8 w {x} {h - y} m {x + 10} {h - y} l {x + 10} {h - y - 10} l {x} {h - y - 10} l s")


def _cross(page: PdfPage, x: float, y: float) -> None:
    page.line(x, y, x + 10, y + 10)
    page.line(x, y + 10, x + 10, y)


def _tick(page: PdfPage, x: float, y: float) -> None:
    page.line(x + 2, y + 5, x + 4, y + 8, 1.0)
    page.line(x + 4, y + 8, x + 10, y - 1, 1.0)


def _curved_tick(page: PdfPage, x: float, y: float) -> None:
    h = page.size[1]
    page.ops.append(f"1.2 w {x + 2} {h - y - 5} m {x + 4} {h - y - 12} {x + 5} {h - y - 8} {x + 9} {h - y - 1} c S")


def _filled(page: PdfPage, x: float, y: float) -> None:
    page.ops.append(f"{x + 2.5} {page.size[1] - y - 7.5} 5 5 re f")


def _letter(page: PdfPage, x: float, y: float) -> None:
    page.text(x + 1.5, y + 9, "X")


def _nothing(page: PdfPage, x: float, y: float) -> None:
    pass


def _text(path: Path, engine: PdfEngine) -> list[str]:
    (page,) = read(path, engine=engine.name).pages()
    return [line.text for region in page.regions for line in region.lines]


def test_what_is_drawn_in_a_box_ticks_it(write_pdf: WritePdf, engine: PdfEngine) -> None:
    ways: dict[Draw, str] = {
        _nothing: "\u2610",
        _cross: "\u2612",
        _tick: "\u2611",
        _curved_tick: "\u2611",
        _filled: "\u2611",
        _letter: "\u2612",
    }
    boxes = [_outline, _four_lines, _closed_path]
    page = PdfPage()
    shown = []
    for i, (mark, sign) in enumerate(ways.items()):
        for j, outline in enumerate(boxes):
            y = 60 + 100 * i + 30 * j
            outline(page, 72, y)
            mark(page, 72, y)
            page.text(86, y + 9, "is insured by the state")
            shown.append(f"{sign} is insured by the state")
    assert _text(write_pdf(page), engine) == shown


def test_what_is_no_box_to_tick(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page, side = PdfPage(), 12.0
    page.text(72, 100, "Code")
    for i, letter in enumerate("X7A"):  # fields for one letter each
        _outline(page, 110 + side * i, 90, side)
        page.text(113 + side * i, 100, letter)
    page.ops.append(f"0 0 1 rg 72 {page.size[1] - 140} 10 10 re f 0 g")  # the key of a chart
    page.text(86, 139, "sales")
    _outline(page, 300, 300)  # without any words
    found = " ".join(_text(write_pdf(page), engine))
    assert not set(found) & set("\u2610\u2611\u2612")
    assert "sales" in found
