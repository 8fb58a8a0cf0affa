"""Text that nobody sees, hidden in many ways, and text that only looks so. Oracle: what was drawn, and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Box, HiddenReason, Page
from mm_megacontext.layout.engines.protocol import PdfEngine, RawPage, RawWord, candidates, load_engine
from mm_megacontext.layout.page import from_pdf as pdf_page
from mm_megacontext.layout.page.ink import MIN_CONTRAST
from mm_megacontext.layout.page.visibility import find_hidden, split_hidden
from mm_megacontext.layout.reader import read
from mm_megacontext.memory import MegaContext
from tests.conftest import WritePdf
from tests.layout import attack_files
from tests.layout.pdf_writer import PdfPage, pdf_bytes

SECRET = "secret words"


def at(x: float, baseline: float, size: float = 10.0, before: str = "", text: str = SECRET) -> str:
    return f"q {before} BT /F1 {size} Tf {x} {792 - baseline} Td ({text}) Tj ET Q"


WAYS: dict[str, tuple[list[str], HiddenReason]] = {
    "render mode 3": ([at(72, 300, before="3 Tr")], "not painted"),
    "transparent": ([at(72, 300, before="/Clear gs")], "transparent"),
    "white on white": ([at(72, 300, before="1 1 1 rg")], "no contrast"),
    "black on black": (["0 0 0 rg 60 480 200 30 re f", at(72, 300)], "no contrast"),
    "under a rectangle": ([at(72, 300), "1 1 1 rg 60 480 200 30 re f"], "no contrast"),
    "cut away": ([at(72, 300, before="0 0 5 5 re W n")], "no contrast"),
    "smaller than a point": ([at(72, 300, size=0.4)], "smaller than 1 pt"),
    "outside the page": ([at(700, 300)], "outside the page"),
    "under an image": ([at(72, 300), "q 200 0 0 40 60 475 cm /Im Do Q"], "under an image"),
    "in a layer that is off": ([f"/OC /Off BDC {at(72, 300)} EMC"], "in a layer that is off"),
    "of no width": ([at(72, 300, before="1 Tz")], "smaller than 1 pt"),
    "white and struck through": ([at(72, 300, before="1 g"), "72 494 m 140 494 l S"], "no contrast"),
    "under a hatched rectangle": (
        [at(72, 300), "0.9 g 60 480 200 30 re f", *(f"{x} 480 m {x + 20} 510 l S" for x in range(60, 240, 6))],
        "no contrast",
    ),
}

OTHERS = at(72, 300, text="Other lines")

AMONG_OTHERS = {
    "under a rectangle that is written on": [at(72, 300), "1 g 60 480 200 30 re f 0 g", OTHERS],
    "white over text": [OTHERS, at(72, 300, before="1 g")],
    "white below text": [at(72, 300, before="1 g"), OTHERS],
    "under images side by side": [at(72, 300), *(f"q 21 0 0 40 {x} 475 cm /Im Do Q" for x in range(60, 200, 20))],
    "not painted, on text on a picture": ["q -612 0 0 600 612 0 cm /Im Do Q", OTHERS, at(72, 300, before="3 Tr")],
    "under a picture of the whole page": [
        *(at(72, 300), "q 612 0 0 792 0 0 cm /Im Do Q 1 g 60 400 400 300 re f 0 g"),
        *(OTHERS, at(72, 200, text="and more of them")),
    ],
}

SEEN = {
    "white on black": ["0 0 0 rg 60 480 200 30 re f", at(72, 300, before="1 1 1 rg")],
    "on a tinted cell": ["0.9 0.9 1 rg 60 480 200 30 re f", at(72, 300, before="0 g")],
    "light grey": [at(72, 300, before="0.8 g")],
    "on an image": ["q 200 0 0 40 60 475 cm /Im Do Q", at(72, 300)],
    "an outline": [at(72, 300, before="1 Tr")],
    "cut out of a colour": ["q 7 Tr BT /F1 10 Tf 72 492 Td (secret words) Tj ET 0 0 1 rg 0 0 612 792 re f Q"],
    "half outside": [at(575, 300)],
    "red on green as dark": ["0 0.51 0 rg 60 480 200 30 re f", at(72, 300, before="1 0 0 rg")],
    "small and yellow": [at(72, 300, size=8, before="1 1 0 rg")],
    "struck through": [at(72, 300), "72 494 m 140 494 l S"],
    "under a stencil without ink": [at(72, 300), "q 200 0 0 40 60 475 cm BI /W 1 /H 1 /IM true /D [1 0] ID @ EI Q"],
    "with a shadow": [at(72.7, 299.3, before="0.8 g"), at(72, 300)],
    "the text layer of a scan": [
        "q 612 0 0 792 0 0 cm /Im Do Q",
        *(f"1 g {x} {y} 2 5 re f" for x in range(72, 140, 9) for y in (492, 692)),
        at(72, 300, before="3 Tr"),
    ],
}


def page_with(ops: list[str], rotate: int = 0) -> PdfPage:
    page = PdfPage(rotate=rotate)
    page.text(72, 100, "Open words")
    page.ops += ops
    return page


def read_page(path: Path, engine: PdfEngine) -> Page:
    (page,) = read(path, engine=engine.name, ocr="off").pages()
    assert page.status == "ok", page.problem
    return page


def words_of(page: Page, *, hidden: bool) -> str:
    texts = [region.text for region in page.regions if (region.hidden is not None) == hidden]
    return " ".join(" ".join(texts).split())


@pytest.mark.parametrize("rotate", [0, 90])
@pytest.mark.parametrize("way", WAYS)
def test_what_nobody_sees_is_set_apart(way: str, rotate: int, write_pdf: WritePdf, engine: PdfEngine) -> None:
    ops, why = WAYS[way]
    page = read_page(write_pdf(page_with(ops, rotate)), engine)
    assert words_of(page, hidden=False) == "Open words"
    assert page.text.split() == ["Open", "words"]
    assert sorted(words_of(page, hidden=True).split()) == ["secret", "words"]
    assert {region.hidden for region in page.regions} == {None, why}


@pytest.mark.parametrize("way", AMONG_OTHERS)
def test_what_is_seen_does_not_vouch_for_what_lies_in_its_place(
    way: str, write_pdf: WritePdf, engine: PdfEngine
) -> None:
    page = read_page(write_pdf(page_with(AMONG_OTHERS[way])), engine)
    assert "secret" not in page.text.split()
    assert "secret" in words_of(page, hidden=True).split()
    assert ("Other lines" in " ".join(page.text.split())) == (OTHERS in AMONG_OTHERS[way])


@pytest.mark.parametrize(
    ("membership", "is_shown"),
    [
        ("/OCGs[40 0 R 41 0 R]/P/AllOn", False),
        ("/OCGs[40 0 R 41 0 R]/P/AnyOn", True),
        ("/OCGs[41 0 R]/P/AllOff", False),
        ("/OCGs[40 0 R 41 0 R]/P/AnyOff", True),
        ("/VE[/Not 41 0 R]", False),
        ("/VE[/And[/Not 40 0 R][/Or 40 0 R 41 0 R]]", True),
    ],
)
def test_memberships_of_layers_are_followed(membership: str, is_shown: bool, tmp_path: Path, engine: PdfEngine) -> None:
    """Layer 40 is off, 41 is on. Oracle: PDF 32000-1, 8.11.2.2."""
    objects = attack_files.good_objects()
    objects[1] = b"<</Type/Catalog/Pages 2 0 R/OCProperties<</OCGs[40 0 R 41 0 R]/D<</OFF[40 0 R]>>>>>>"
    objects |= {40: b"<</Type/OCG/Name(a)>>", 41: b"<</Type/OCG/Name(b)>>"}
    objects[42] = f"<</Type/OCMD{membership}>>".encode()
    objects[11] = attack_files.page(1, resources=b"/Properties<</L 42 0 R>>")
    objects[21] = attack_files.stream(f"/OC /L BDC {at(72, 300)} EMC".encode())
    path = tmp_path / "a.pdf"
    path.write_bytes(attack_files.assemble(objects))
    page = next(read(path, engine=engine.name, ocr="off").pages())
    assert (page.text == SECRET) == is_shown
    assert {region.hidden for region in page.regions} == {None if is_shown else "in a layer that is off"}


@pytest.mark.parametrize("place", ["of the page", "of a form", "of the node above"])
def test_a_pattern_covers_like_a_colour(place: str, tmp_path: Path, engine: PdfEngine) -> None:
    objects = attack_files.good_objects()
    objects[30] = attack_files.stream(
        b"0 0.5 1 rg 0 0 8 8 re f 1 0 0 rg 0 0 4 4 re f",
        b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 8 8]/XStep 8/YStep 8/Resources<<>>",
    )
    paint, resources = b"/Pattern cs /P scn 60 480 200 30 re f", b"/Pattern<</P 30 0 R>>"
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<<%s>>" % resources
    objects[31] = attack_files.stream(paint, form)
    drawn, own = (b"/Fm Do", b"/XObject<</Fm 31 0 R>>") if place == "of a form" else (paint, resources)
    objects[11] = attack_files.page(1, resources=own)
    if place == "of the node above":
        inherited = objects[11].index(b"/Resources<<"), objects[11].index(b"%s>>" % own) + len(own) + 2
        objects[2] = objects[2].replace(b"<</Type/Pages", b"<</Type/Pages" + objects[11][slice(*inherited)])
        objects[11] = objects[11][: inherited[0]] + objects[11][inherited[1] :]
    objects[21] = attack_files.stream(f"{at(72, 100, text='Open')} {at(72, 300)} ".encode() + drawn)
    path = tmp_path / "a.pdf"
    path.write_bytes(attack_files.assemble(objects))
    page = next(read(path, engine=engine.name, ocr="off").pages())
    assert page.text == "Open"
    assert words_of(page, hidden=True) == SECRET


def test_letters_that_are_larger_than_their_font_says_are_seen(tmp_path: Path) -> None:
    """The font says that each is 0.1 points wide. PDFium takes boxes from what is drawn and is not deceived."""
    pymupdf = pytest.importorskip("pymupdf", exc_type=ImportError)
    with pymupdf.open() as pdf:
        page = pdf.new_page()
        page.insert_font("F9", fontbuffer=pymupdf.Font("helv").buffer)
        for i, letter in enumerate("READ"):
            page.insert_text((72 + 40 * i, 300), letter, fontname="F9", fontsize=14)
        (widths,) = [n for n in range(1, pdf.xref_length()) if pdf.xref_object(n).startswith("[ 0 ")]
        pdf.update_object(widths, "[0 999 7]")
        pdf.save(tmp_path / "a.pdf")
    page = next(read(tmp_path / "a.pdf", engine="pymupdf", ocr="off").pages())
    assert page.text.split() == list("READ")
    assert all(
        word.bbox[2] - word.bbox[0] < 0.2 for region in page.regions for line in region.lines for word in line.words
    )


def test_a_layer_that_is_off_is_not_read_over_what_is_seen(write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = read_page(write_pdf(page_with([f"/OC /Off BDC {at(72, 100)} EMC"])), engine)
    assert page.text == "Open words"
    assert {region.hidden for region in page.regions} == {None, "in a layer that is off"}


def test_what_a_reader_is_told_from_afar_counts_as_little(tmp_path: Path, engine: PdfEngine) -> None:
    """ActualText that stands in an object of its own, where a property list refers to it, and that as a stream."""
    objects = attack_files.good_objects()
    content = "".join(f"/Span /{name} BDC {at(72, 300 + i, text='Seen')} EMC " for i, name in enumerate(("A", "B")))
    objects[21] = attack_files.stream(content.encode())
    objects[11] = attack_files.page(1, resources=b"/Properties<</A 30 0 R/B 31 0 R>>")
    objects |= {30: b"<</ActualText 32 0 R>>", 31: b"<</ActualText 33 0 R>>", 32: b"(secret)"}
    objects[33] = attack_files.stream(b"words")
    path = tmp_path / "a.pdf"
    path.write_bytes(attack_files.assemble(objects))
    page = next(read(path, engine=engine.name, ocr="off").pages())
    assert set(page.text.split()) == {"Seen"}


@pytest.mark.parametrize("rotate", [0, 90])
def test_glyphs_count_and_not_what_a_reader_is_told(rotate: int, write_pdf: WritePdf, engine: PdfEngine) -> None:
    told = [
        f"/Span <</ActualText ({SECRET})>> BDC {at(72, 300, text='Seen letters')} EMC",
        "/Span <</ActualText (phantoms)>> BDC EMC",
        f"/Figure <</Alt (alternative)>> BDC {at(72, 400, text='and more')} EMC",
    ]
    page = read_page(write_pdf(page_with(told, rotate)), engine)
    assert sorted(words_of(page, hidden=False).split()) == ["Open", "Seen", "and", "letters", "more", "words"]
    assert {"secret", "words"} <= set(words_of(page, hidden=True).split()) <= {"secret", "words", "phantoms"}
    assert {region.hidden for region in page.regions} == {None, "only in ActualText"}


def test_actual_text_that_says_what_the_glyphs_say_is_not_worth_a_word(write_pdf: WritePdf, engine: PdfEngine) -> None:
    drawn = at(72, 300, text="exam-"), at(72, 320, text="Seen words")
    told = [f"/Span <</ActualText (exam)>> BDC {drawn[0]} EMC", f"/Span <</ActualText (SEENwords)>> BDC {drawn[1]} EMC"]
    page = read_page(write_pdf(page_with(told)), engine)
    assert [region.hidden for region in page.regions if region.hidden] == []


def test_metadata_is_no_text(tmp_path: Path, engine: PdfEngine) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_bytes([page_with([])], metadata=SECRET))
    assert path.read_bytes().count(SECRET.encode()) == 4
    page = read_page(path, engine)
    assert [region.text for region in page.regions] == ["Open words"]


@pytest.mark.parametrize("way", SEEN)
def test_what_is_seen_stays(way: str, write_pdf: WritePdf, engine: PdfEngine) -> None:
    page = read_page(write_pdf(page_with(SEEN[way])), engine)
    assert words_of(page, hidden=True) == ""
    assert set(page.text.split()) == {"Open", "words", "secret"}


def test_a_page_that_cannot_be_looked_at_is_flagged(write_pdf: WritePdf) -> None:
    pdf = load_engine("pdfium").open(write_pdf(page_with(WAYS["white on white"][0])), None)

    class Blind:
        n_pages = 1

        def page(self, number: int) -> RawPage:
            return replace(pdf.page(number), raster=None, colours=None)

        def close(self) -> None:
            pdf.close()

    blind = Blind()
    page = pdf_page.read_page(blind, "blind", 1, None, 10**6)
    blind.close()
    assert (page.status, page.code) == ("degraded", "visibility_unknown")
    assert page.problem is not None
    assert "hidden could not be found out" in page.problem


@given(shade=st.integers(0, 255), ink=st.integers(0, 255), left=st.integers(0, 80))
def test_words_without_contrast_are_hidden(shade: int, ink: int, left: int) -> None:
    grey = np.full((50, 100), shade, dtype=np.uint8)
    grey[20:30, left : left + 20 : 2] = ink
    word = RawWord(left, 18.0, left + 20.0, 32.0, "word", 12.0, False, True, 0)
    page = RawPage(1, (100.0, 50.0), [word], [], [], [], raster=lambda scale: grey)
    assert find_hidden(page) == ({0: "no contrast"} if abs(shade - ink) < MIN_CONTRAST else {})
    seen, regions = split_hidden(page)
    assert len(seen.words) + sum(len(line.words) for region in regions for line in region.lines) == 1


TOTAL = at(72, 200, text="Total: 485,000")
PLANTED = "Total: 1"

# What the page paints of the total, and what stands there beside it.
PLANTS: dict[str, tuple[str, list[str], str]] = {
    "nothing": (TOTAL, [], ""),
    **{way: (TOTAL, [op.replace(SECRET, PLANTED) for op in ops], "") for way, (ops, _) in WAYS.items()},
    "only in ActualText": (f"/Span <</ActualText ({PLANTED})>> BDC {TOTAL} EMC", [], ""),
    "only in the metadata": (TOTAL, [], PLANTED),
}


def answer_to(plant: str, engine: str, directory: Path) -> tuple[str, list[tuple[str, Box]]]:
    """The answer of the package's model, which reads the planted value where it stands alone, and its evidence."""
    total, beside, metadata = PLANTS[plant]
    page = PdfPage()
    page.text(72, 100, "Invoice of the harbour office", size=14)
    page.ops.append(total)
    page.text(72, 230, "Due: 4 May 2031")
    page.ops += beside
    path = directory / "invoice.pdf"
    path.write_bytes(pdf_bytes([page], metadata=metadata))
    with MegaContext.open(directory / "memory") as memory:
        memory.ingest(path, engine=engine)
        answer = memory.ask("What is the total?")
    return answer.text, [(evidence.text, evidence.bbox) for evidence in answer.evidence]


@pytest.mark.parametrize("name", candidates("auto"))
def test_what_is_hidden_does_not_change_an_answer(name: str, tmp_path: Path) -> None:
    answers = {}
    for number, plant in enumerate(PLANTS):
        directory = tmp_path / str(number)
        directory.mkdir()
        answers[plant] = answer_to(plant, name, directory)
    assert answers["nothing"][0] == "485,000"
    assert {plant: answer for plant, answer in answers.items() if answer != answers["nothing"]} == {}
    assert len(answers) == 1 + 15
