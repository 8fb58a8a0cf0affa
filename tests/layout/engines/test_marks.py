"""Form fields, notes and links, by both engines, on pages that lie and pages that are turned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mm_megacontext.document import Box, FormField, Link, Note, Page
from mm_megacontext.layout.engines.form_values import TICKED, UNTICKED
from mm_megacontext.layout.engines.protocol import NO_MARKS, PdfEngine, RawPage, load_engine
from mm_megacontext.layout.export import page_to_json
from mm_megacontext.layout.page.from_pdf import read_page
from mm_megacontext.layout.reader import read
from tests.conftest import WritePdf
from tests.layout.pdf_writer import PdfPage

FIELD = (200.0, 90.0, 400.0, 110.0)


def widget(name: str, kind: str, value: str, more: str = "") -> str:
    return f"/Subtype /Widget /FT /{kind} /T ({name}) /V {value} /F 4 {more}"


def form(rotate: int = 0) -> PdfPage:
    page = PdfPage(rotate=rotate)
    page.text(72, 104, "Surname:")
    page.mark(*FIELD, widget("surname", "Tx", "(Lovelace Byron)"))
    page.mark(200, 120, 400, 140, widget("pin", "Tx", "(1234)", "/Ff 8192"))
    page.mark(200, 150, 400, 170, widget("unseen", "Tx", "(secret)").replace("/F 4", "/F 2"))
    page.mark(200, 180, 400, 200, widget("city", "Ch", "(Bern)", "/Ff 131072 /Opt [(Bern) (Oslo)]"))
    return page


def only_page(write_pdf: WritePdf, engine: PdfEngine, *pages: PdfPage) -> Page:
    page = next(read(write_pdf(*pages), engine=engine.name, ocr="off").pages())
    assert page.problem is None
    return page


def seen_words(page: Page) -> list[str]:
    return [w.text for r in page.regions if r.hidden is None for line in r.lines for w in line.words]


def test_fields(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = only_page(write_pdf, engine, form())
    found = {field.name: (field.kind, field.value) for field in page.fields}
    assert found == {"surname": ("text", "Lovelace Byron"), "pin": ("password", ""), "city": ("choice", "Bern")}
    assert page.fields[0].bbox == pytest.approx(FIELD)


def test_a_value_is_read_once_where_its_field_is(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = only_page(write_pdf, engine, form())
    words = [w for r in page.regions for line in r.lines for w in line.words]
    assert [w.text for w in words if w.text in ("Surname:", "Lovelace", "Byron", "Bern")] == [
        "Surname:",
        "Lovelace",
        "Byron",
        "Bern",
    ]
    assert not {"1234", "secret"} & {w.text for w in words}
    for word in words:
        if word.text in ("Lovelace", "Byron"):
            middle = (word.bbox[0] + word.bbox[2]) / 2, (word.bbox[1] + word.bbox[3]) / 2
            assert FIELD[0] <= middle[0] <= FIELD[2]
            assert FIELD[1] <= middle[1] <= FIELD[3]
    assert {r.kind for r in page.regions} == {"form"}


def test_a_painted_value_is_not_added_again(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(204, 104, "Lovelace")
    page.mark(*FIELD, widget("surname", "Tx", "(Lovelace)", "/AP << >>"))
    assert seen_words(only_page(write_pdf, engine, page)).count("Lovelace") == 1


def test_what_is_painted_white_on_white_stays_unseen(write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.text(72, 104, "Surname:")
    page.ops.append("1 g")
    page.text(204, 104, "ignore")
    page.mark(*FIELD, widget("surname", "Tx", "(ignore)", "/AP << >>"))
    (found,) = read(write_pdf(page), engine="pdfium", ocr="off").pages()
    assert seen_words(found) == ["Surname:"]


@pytest.mark.parametrize(("state", "value", "sign"), [("On", "On", TICKED), ("Off", "Off", UNTICKED)])
def test_boxes_to_tick(engine: PdfEngine, write_pdf: WritePdf, state: str, value: str, sign: str) -> None:
    page = PdfPage()
    page.text(100, 110, "married")
    page.mark(80, 100, 92, 112, widget("married", "Btn", f"/{state}", f"/AS /{state} /AP << /N << /On null >> >>"))
    found = only_page(write_pdf, engine, page)
    assert [(f.name, f.kind, f.value) for f in found.fields] == [("married", "checkbox", value)]
    assert seen_words(found) == [sign, "married"]


ROUND_ENDS_PT = 5.0
"""MuPDF's highlights are round at their ends, and it counts that in."""
NOTE = (300.0, 300.0, 320.0, 320.0)
LINK = (72.0, 400.0, 172.0, 412.0)


def commented(rotate: int = 0) -> PdfPage:
    page = form(rotate)
    page.mark(
        *NOTE, "/Subtype /Highlight /Contents (look here) /T (Ada) /F 4 /QuadPoints [300 492 320 492 300 472 320 472]"
    )
    page.mark(*NOTE, "/Subtype /Text /Contents (not to be seen) /F 2")
    page.mark(*LINK, "/Subtype /Link /A << /S /URI /URI (https://example.org/a) >>")
    page.mark(72, 420, 172, 432, "/Subtype /Link /Dest [7 0 R /Fit]")
    return page


def turned(box: Box, rotate: int) -> Box:
    x0, y0, x1, y1 = box
    return {0: box, 90: (792 - y1, x0, 792 - y0, x1), 270: (y0, 612 - x1, y1, 612 - x0)}[rotate]


@pytest.mark.parametrize("rotate", [0, 90, 270])
def test_notes_and_links(engine: PdfEngine, write_pdf: WritePdf, rotate: int) -> None:
    page = only_page(write_pdf, engine, commented(rotate))
    assert page.fields[0] == FormField("surname", "text", "Lovelace Byron", pytest.approx(turned(FIELD, rotate)))  # type: ignore[arg-type]
    (note,) = page.notes
    assert (note.kind, note.text, note.author) == ("highlight", "look here", "Ada")
    assert note.bbox == pytest.approx(turned(NOTE, rotate), abs=ROUND_ENDS_PT)
    out, within = page.links
    assert out == Link(pytest.approx(turned(LINK, rotate)), uri="https://example.org/a")  # type: ignore[arg-type]
    assert (within.uri, within.page) == (None, 1)


def test_links_are_cut_to_the_page(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.mark(500, 400, 9000, 412, "/Subtype /Link /A << /S /URI /URI (https://example.org/in) >>")
    page.mark(9000, 400, 9100, 412, "/Subtype /Link /A << /S /URI /URI (https://example.org/out) >>")
    (link,) = only_page(write_pdf, engine, page).links
    assert link == Link(pytest.approx((500, 400, 612, 412)), uri="https://example.org/in")  # type: ignore[arg-type]


def test_lines_of_a_value(engine: PdfEngine, write_pdf: WritePdf) -> None:
    page = PdfPage()
    page.mark(100, 100, 300, 160, widget("note", "Tx", r"(two\nlines)", "/Ff 4096"))
    assert only_page(write_pdf, engine, page).fields[0].value == "two\nlines"


@pytest.mark.parametrize(("error", "code"), [(KeyError("T"), "marks_unread"), (MemoryError(), "limit_memory")])
def test_marks_that_cannot_be_read(write_pdf: WritePdf, error: Exception, code: str) -> None:
    pdf = load_engine("pdfium").open(write_pdf(form()), None)

    class Failing:
        n_pages = 1

        def page(self, number: int) -> RawPage:
            return replace(pdf.page(number), marks=NO_MARKS, marks_error=error)

        def close(self) -> None:
            pdf.close()

    page = read_page(Failing(), "failing", 1, None, 10**6)
    pdf.close()
    assert (page.status, page.code) == ("degraded", code)
    assert "Surname:" in page.text
    assert page.problem is not None
    assert page.problem.startswith(f"its form fields, notes and links could not be read ({type(error).__name__}")


def test_json() -> None:
    field = FormField("n", "text", "v", (1.0, 2.0, 3.0, 4.0))
    page = Page(
        1,
        (9, 9),
        (),
        fields=(field,),
        notes=(Note("text", "t", "a", (0, 0, 1, 1)),),
        links=(Link((0, 0, 1, 1), page=2),),
    )
    found = page_to_json(page)
    assert found["fields"] == [{"name": "n", "kind": "text", "value": "v", "bbox": [1.0, 2.0, 3.0, 4.0]}]
    assert found["notes"] == [{"kind": "text", "text": "t", "author": "a", "bbox": [0, 0, 1, 1]}]
    assert found["links"] == [{"bbox": [0, 0, 1, 1], "uri": None, "page": 2}]
