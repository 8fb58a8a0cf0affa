"""The neural layout. Oracles: what the model is told to say, the geometric layout's words, what was drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.cli.main import main
from mm_megacontext.document import Box, LayoutMethod, Page, Region, union
from mm_megacontext.errors import LimitExceeded, MissingExtra
from mm_megacontext.layout import document_reader
from mm_megacontext.layout.engines import protocol as engines
from mm_megacontext.layout.engines.protocol import NEURAL, ModelRegion, RawPage, RawWord, candidates, layout_of
from mm_megacontext.layout.page import from_pdf as pdf_page
from mm_megacontext.layout.page.neural_regions import fill_regions
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.memory import MegaContext
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage, pdf_bytes

try:
    candidates("auto", "neural")
except MissingExtra:
    HAS_MODEL = False
else:
    HAS_MODEL = True
needs_model = pytest.mark.skipif(not HAS_MODEL, reason="PyMuPDF has no layout model")

LIMITS = IngestLimits(page_seconds=300.0)
"""On a busy machine the model may take long to load."""
SAME_PLACE_PT = 1.0


def word(text: str, x: float, y: float, size: float = 10.0) -> RawWord:
    return RawWord(x, y, x + 5 * len(text), y + size, text, size, False, True, int(y))


def line(text: str, x: float, y: float, size: float = 10.0) -> list[RawWord]:
    words = []
    for part in text.split():
        words.append(word(part, x, y, size))
        x += 5 * len(part) + 4
    return words


def raw(words: list[RawWord], rules: list[Box] | None = None) -> RawPage:
    return RawPage(1, (600.0, 800.0), words, rules or [], [], [])


def texts(regions: tuple[Region, ...]) -> list[tuple[str, str]]:
    return [(region.kind, region.text) for region in regions]


def test_kinds_are_the_models_and_words_are_ours() -> None:
    words = [*line("right column", 320, 100), *line("left column", 50, 100), *line("Chapter two", 50, 50, 18)]
    model = [
        ModelRegion("text", (310, 95, 560, 120)),
        ModelRegion("heading", (40, 45, 300, 75)),
        ModelRegion("text", (40, 95, 300, 120)),
        ModelRegion("text", (40, 300, 300, 400)),  # holds hidden text only
    ]
    regions = fill_regions(raw(words), model)
    assert texts(regions) == [("heading", "Chapter two"), ("text", "left column"), ("text", "right column")]
    assert regions[0].level == 1
    assert regions[2].bbox == (320, 100, 379, 110)


def columns(top: float) -> list[list[RawWord]]:
    """Two columns of six rows, the left one first."""
    return [
        [w for row in range(6) for w in line("words that fill a whole row of it up", x, top + 14 * row)]
        for x in (50, 300)
    ]


def test_a_heading_across_the_page_parts_the_columns() -> None:
    parts = [
        *columns(100),
        line("A heading that goes across both of the columns of this page", 50, 230, 18),
        *columns(300),
    ]
    model = [  # as the model says it: one column after the other, the second heading in the left one
        ModelRegion("heading" if len(part) == 11 else "text", union([word.box for word in part]))
        for part in (parts[0], parts[2], parts[3], parts[1], parts[4])
    ]
    regions = fill_regions(raw([w for part in parts for w in part]), model)
    assert [region.bbox for region in regions] == [union([word.box for word in part]) for part in parts]


def test_what_the_model_does_not_see_is_read_in_its_place() -> None:
    words = [*line("first words", 50, 100), *line("second words", 50, 400), *line("forgotten words", 50, 300)]
    model = [ModelRegion("text", (40, 395, 300, 412)), ModelRegion("text", (40, 95, 300, 112))]
    assert [text for _, text in texts(fill_regions(raw(words), model))] == [
        "first words",
        "forgotten words",
        "second words",
    ]


def test_words_in_a_picture_are_read_with_it() -> None:
    words = [*line("above", 50, 100), *line("label", 60, 210), *line("beside it", 420, 205), *line("below", 50, 420)]
    model = [
        ModelRegion("text", (40, 95, 300, 112)),
        ModelRegion("figure", (50, 200, 400, 400)),
        ModelRegion("text", (40, 415, 300, 432)),
    ]
    read_words = [text for _, text in texts(fill_regions(raw(words), model))]
    assert read_words.index("label") == read_words.index("") + 1


def test_cells_are_those_of_the_rules() -> None:
    rows = [["Item", "Due"], ["Rent", "Friday"], ["Water", "Monday"]]
    words = [
        w for r, row in enumerate(rows) for c, text in enumerate(row) for w in line(text, 60 + 100 * c, 204 + 20 * r)
    ]
    rules: list[Box] = [(50, 200 + 20 * r, 250, 200 + 20 * r) for r in range(4)]
    rules += [(50 + 100 * c, 200, 50 + 100 * c, 260) for c in range(3)]
    model = [ModelRegion("text", (50, 300, 300, 320)), ModelRegion("table", (52, 202, 248, 258))]
    regions = fill_regions(raw([*words, *line("after it", 60, 305)], rules=rules), model)
    assert [region.kind for region in regions] == ["table", "text"]
    table = regions[0].table
    assert table is not None
    assert [[cell.text for cell in table.cells if cell.row == r] for r in range(3)] == rows


def test_a_table_without_rules_has_cells_where_the_model_sees_one() -> None:
    rows = [["Item", "Due", "Price"], ["Rent", "Friday", "1,480"], ["Water", "Monday", "35"], ["Heat", "Sunday", "90"]]
    words = [
        w for r, row in enumerate(rows) for c, text in enumerate(row) for w in line(text, 60 + 100 * c, 204 + 20 * r)
    ]
    (region,) = fill_regions(raw(words), [ModelRegion("table", (50, 200, 400, 290))])
    assert region.table is not None
    assert [[cell.text for cell in region.table.cells if cell.row == r] for r in range(4)] == rows
    (region,) = fill_regions(raw(words[:6]), [ModelRegion("table", (50, 200, 400, 290))])
    assert (region.kind, region.text) == ("text", "Item Due Price\nRent Friday 1,480")


def test_a_picture_behind_the_words_is_no_figure() -> None:
    words = line("words on a picture", 50, 100)
    model = [ModelRegion("figure", (0, 0, 600, 800)), ModelRegion("text", (40, 95, 300, 115))]
    assert [region.kind for region in fill_regions(raw(words), model)] == ["text"]
    model[0] = ModelRegion("figure", (0, 200, 600, 700))
    assert [region.kind for region in fill_regions(raw(words), model)] == ["text", "figure"]


boxes = st.tuples(
    st.sampled_from(["text", "heading", "list", "table", "caption", "figure", "header", "footer", "formula"]),
    st.tuples(*[st.floats(-50, 850)] * 4),
).map(lambda drawn: ModelRegion(drawn[0], drawn[1]))


@given(
    found=st.lists(boxes, max_size=8),
    places=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 780)), min_size=1, max_size=30, unique=True),
)
def test_no_word_is_lost_or_read_twice(found: list[ModelRegion], places: list[tuple[int, int]]) -> None:
    words = [word(f"w{n}", x, y) for n, (x, y) in enumerate(places)]
    read_words: list[str] = []
    for region in fill_regions(raw(words), found):
        lines = region.lines if region.table is None else [one for cell in region.table.cells for one in cell.lines]
        read_words += [w.text for one in lines for w in one.words]
    assert sorted(read_words) == sorted(w.text for w in words)


class _Pdf:
    n_pages = 1

    def __init__(self, page: RawPage) -> None:
        self._page = page

    def page(self, number: int) -> RawPage:
        return self._page

    def close(self) -> None:
        pass


def test_a_page_on_which_the_model_fails_is_laid_out_by_geometry() -> None:
    def fail() -> list[ModelRegion]:
        raise ValueError("odd page")

    words = line("words all the same", 50, 100)
    grey = np.zeros((800, 600), dtype=np.uint8)
    grey[:, ::3] = 255
    page = replace(raw(words), model_regions=fail, raster=lambda scale: grey)
    found = pdf_page.read_page(_Pdf(page), NEURAL, 1, None, 10**7)
    assert (found.status, found.code, found.text) == ("degraded", "layout_model_failed", "words all the same")
    assert found.engine == "pymupdf"
    assert found.problem is not None
    assert "odd page" in found.problem


def test_a_page_that_another_engine_had_to_read_says_so() -> None:
    failed = Page(3, (0.0, 0.0), (), NEURAL, problem="it crashed", code="engine_crash")
    region = Region("figure", (0, 0, 9, 9))
    again = document_reader._without_model(Page(3, (9.0, 9.0), (region,), "pymupdf"), failed)
    assert (again.status, again.code, again.engine) == ("degraded", "layout_model_failed", "pymupdf")
    assert again.problem is not None
    assert "it crashed" in again.problem


def test_engines_of_the_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    monkeypatch.setattr(engines, "_has_model", lambda: True)
    assert candidates("auto", "neural") == [NEURAL, "pymupdf", "pdfium"]
    assert candidates("pymupdf", "neural") == [NEURAL, "pymupdf"]
    assert candidates("auto") == ["pymupdf", "pdfium"]
    assert [layout_of(name) for name in (NEURAL, "pymupdf", "pdfium", "")] == ["neural", *["geometric"] * 3]
    with pytest.raises(ValueError, match="'pdfium' has none: use engine 'pymupdf' or 'auto'"):
        candidates("pdfium", "neural")
    with pytest.raises(ValueError, match="unknown layout 'baroque': use one of geometric, neural"):
        candidates("auto", "baroque")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="use one of auto, pdfium, pymupdf"):
        candidates(NEURAL)
    monkeypatch.setattr(engines, "_has_model", lambda: False)
    with pytest.raises(MissingExtra, match="or use the geometric layout"):
        candidates("auto", "neural")
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="needs PyMuPDF"):
        candidates("auto", "neural")


def test_the_command_refuses_an_engine_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([PdfPage()]))
    assert main(["layout", str(tmp_path / "a.pdf"), "--layout", "neural", "--engine", "pdfium"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "the neural layout is PyMuPDF's" in told


SENTENCE = "The harbour office keeps a list of vessels"


def two_columns(rotate: int = 0) -> PdfPage:
    page = PdfPage(rotate=rotate)
    page.text(72, 80, "Report of the harbour office", 20, "Helvetica-Bold")
    for column in range(2):
        for i in range(14):
            page.text(72 + 250 * column, 130 + 14 * i, f"{'LR'[column]}{i} {SENTENCE}"[:46], 10)
    page.ops.append("q 1 1 1 rg BT /F1 10 Tf 72 200 Td (secret words) Tj ET Q")
    return page


def all_words(page: Page) -> Counter[tuple[str, bool]]:
    return Counter(
        (w.text, region.hidden is not None) for region in page.regions for one in region.lines for w in one.words
    )


@needs_model
def test_a_file_read_with_the_model(write_pdf: WritePdf) -> None:
    path = write_pdf(two_columns(), two_columns(rotate=90), PdfPage())
    plain, turned, empty = read(path, layout="neural", limits=LIMITS).pages()
    geometric = next(read(path).pages())
    assert [page.engine for page in (plain, turned, empty, geometric)] == [NEURAL, NEURAL, "pymupdf", "pymupdf"]
    assert (plain.status, turned.status) == ("ok", "ok")
    assert all_words(plain) == all_words(geometric)
    assert all_words(turned) == all_words(next(read(write_pdf(two_columns(90), name="b.pdf")).pages()))
    heading, *_ = plain.regions
    assert (heading.kind, heading.text) == ("heading", "Report of the harbour office")
    order = [w for w in plain.text.split() if w[0] in "LR" and w[1:].isdigit()]
    assert order == [f"{side}{i}" for side in "LR" for i in range(14)]
    assert [page for page in read(path, layout="neural", limits=LIMITS).pages()] == [plain, turned, empty]


@needs_model
def test_the_model_counts_as_memory_of_its_process(write_pdf: WritePdf) -> None:
    path = write_pdf(two_columns())
    limits = IngestLimits(page_seconds=300.0, worker_bytes=240 << 20)
    assert [page.status for page in read(path, engine="pymupdf", limits=limits).pages()] == ["ok"]
    with pytest.raises(LimitExceeded) as caught:
        read(path, layout="neural", limits=limits)
    assert caught.value.code == "limit_memory"


@needs_model
def test_another_layout_is_a_change(write_pdf: WritePdf, tmp_path: Path) -> None:
    path = write_pdf(two_columns())

    def ingest(layout: LayoutMethod) -> tuple[int, int, str]:
        with MegaContext.open(tmp_path / "memory", limits=LIMITS) as memory:
            report = memory.ingest(path, layout=layout)
            (source,) = memory.sources
            return len(report.ingested), len(report.unchanged), source.engine

    assert ingest("geometric") == (1, 0, "pymupdf")
    assert ingest("geometric") == (0, 1, "pymupdf")
    assert ingest("neural") == (1, 0, NEURAL)
    assert ingest("neural") == (0, 1, NEURAL)
    assert ingest("geometric") == (1, 0, "pymupdf")
