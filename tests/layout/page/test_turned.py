"""Pages and parts of pages that are turned. Oracles: the same page upright, and where its boxes come to lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_megacontext.document import Page, Region
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.reader import read
from mm_megacontext.turned_frame import TurnedFrame
from tests.layout.pdf_writer import PdfPage, pdf_bytes

WIDTH, HEIGHT = 612.0, 792.0
BOX_TOLERANCE_PT = 0.5
ROWS = (
    ("Fluid", "Capacity", "Part"),
    ("Coolant", "17.6 L", "VC-3"),
    ("Oil", "5.7 L", "XO-5"),
    ("Brake", "0.9 L", "PM-1"),
)


def upright_page(size: tuple[float, float]) -> PdfPage:
    page = PdfPage(size)
    page.text(72, 80, "Capacities of the lighter", size=18, font="Helvetica-Bold")
    for i in range(4):
        page.text(72, 120 + 14 * i, f"Line {i} says how much of each fluid the engine needs and what is in it")
    page.grid([72, 172, 272, 372], [200, 220, 240, 260, 280])
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            page.text(78 + 100 * column, 214 + 20 * row, text)
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            page.text(72 + 120 * column, 340 + 24 * row, text)
    return page


def turned_page(page: PdfPage, turn: int) -> PdfPage:
    """What stands on a page, turned clockwise by quarters, on a page of the size that it then has."""
    width, height = page.size
    matrices = {1: f"0 -1 1 0 0 {width}", 2: f"-1 0 0 -1 {width} {height}", 3: f"0 1 -1 0 {height} 0"}
    size = page.size if turn == 2 else (height, width)
    return PdfPage(size, ops=[f"q {matrices[turn]} cm", *page.ops, "Q"])


def only_page(directory: Path, page: PdfPage, engine: str) -> Page:
    (directory / "page.pdf").write_bytes(pdf_bytes([page]))
    (read_page,) = read(directory / "page.pdf", engine=engine).pages()
    assert read_page.problem is None
    return read_page


def cells_of(region: Region) -> list[tuple[int, int, str]]:
    return [(cell.row, cell.column, cell.text) for cell in region.table.cells] if region.table is not None else []


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_page_is_read_as_the_upright_one(tmp_path: Path, engine: PdfEngine, turn: int) -> None:
    drawn = upright_page((WIDTH, HEIGHT))
    upright = only_page(tmp_path, drawn, engine.name)
    turned = only_page(tmp_path, turned_page(drawn, turn), engine.name)
    frame = TurnedFrame.of(turned.size, 90.0 * turn)
    assert [(r.kind, r.text, cells_of(r), r.turn) for r in turned.regions] == [
        (r.kind, r.text, cells_of(r), 90.0 * turn) for r in upright.regions
    ]
    assert [r.kind for r in upright.regions] == ["heading", "text", "table", "table"]
    for ours, theirs in zip(turned.regions, upright.regions, strict=True):
        assert ours.bbox == pytest.approx(frame.on_page(theirs.bbox), abs=BOX_TOLERANCE_PT)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_table_on_its_side_stands_between_upright_text(tmp_path: Path, engine: PdfEngine, turn: int) -> None:
    page = PdfPage()
    for i in range(10):
        page.text(72, 100 + 14 * i, f"Line {i} above the table speaks of what the keeper has to do in a storm")
        page.text(72, 600 + 14 * i, f"Line {i} below the table speaks of what the keeper has to do by night")
    matrix = "0 -1 1 0 150 550" if turn == 1 else "0 1 -1 0 400 260"
    inner = PdfPage((300.0, 200.0))
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            inner.text(10 + 100 * column, 40 + 24 * row, text)
    page.ops += [f"q {matrix} cm", *inner.ops, "Q"]
    above, table, below = only_page(tmp_path, page, engine.name).regions
    assert (above.turn, table.turn, below.turn) == (0.0, 90.0 * turn, 0.0)
    assert cells_of(table) == [(r, c, text) for r, cells in enumerate(ROWS) for c, text in enumerate(cells)]
    assert above.text.startswith("Line 0 above")
    assert below.text.startswith("Line 0 below")
    assert above.bbox[3] < table.bbox[1] < table.bbox[3] < below.bbox[1]


def test_the_number_of_a_page_on_its_side_stays_its_footer(tmp_path: Path, engine: PdfEngine) -> None:
    page = turned_page(upright_page((HEIGHT, WIDTH)), 3)
    page.text(300, 770, "41")
    regions = only_page(tmp_path, page, engine.name).regions
    assert [(r.kind, r.text) for r in regions if not r.turn] == [("footer", "41")]
    assert regions[0].text == "Capacities of the lighter"


def test_one_line_that_runs_up_the_page_stays_a_line(tmp_path: Path, engine: PdfEngine) -> None:
    page = upright_page((WIDTH, HEIGHT))
    page.turned_text(30, 500, "printed for the harbour office only")
    regions = only_page(tmp_path, page, engine.name).regions
    assert [r.text for r in regions if "printed" in r.text] == ["printed for the harbour office only"]
    assert not any(r.turn for r in regions)
