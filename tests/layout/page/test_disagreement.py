"""Text that is not what its page shows. Oracles: what was drawn, what stands below it, and what its letters mean."""

from __future__ import annotations

import codecs
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pytest

from mm_megacontext.document import HiddenReason, Page
from mm_megacontext.layout.engines.protocol import PdfEngine, RawPage, RawWord
from mm_megacontext.layout.page import from_pdf as pdf_page
from mm_megacontext.layout.page.disagreement import MAX_SCORE, disagreement, is_doubtful
from mm_megacontext.layout.page.ocr import NoOcr, Ocr, OcrFailed
from mm_megacontext.layout.reader import read
from tests.layout.attack_files import assemble, stream
from tests.layout.pdf_writer import PdfPage, pdf_bytes

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")

TRUE = (
    "The harbour office keeps a list of every vessel",
    "that has paid its dues. The total is 485,000.",
    "Payments are due on the first working day.",
)
WRONG = (
    "Minutes of a meeting about the garden behind",
    "our school, with apples, pears, and one bench.",
    "Nobody spoke of money, and it rained at noon.",
)
LANGUAGES = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison.",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón.",
    "Italian": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione.",
    "Dutch": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand.",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki.",
}


def words(text: str, confidence: float | None = None, hidden: bool = False) -> list[RawWord]:
    why: HiddenReason | None = "not painted" if hidden else None
    return [
        RawWord(9.0 * i, 0.0, 9.0 * i + 8, 9.0, word, 9.0, False, True, 0, why, confidence)
        for i, word in enumerate(text.split())
    ]


def page_of(text: str, *, scan: bool = False, hidden: bool = False) -> RawPage:
    images = [(0.0, 0.0, 600.0, 800.0)] if scan else []
    blank = np.full((800, 600), 255, dtype=np.uint8)
    return RawPage(1, (600.0, 800.0), words(text, hidden=hidden), [], images, [], raster=lambda scale: blank)


def test_the_score_counts_words_however_they_are_set() -> None:
    read_so = words("TOTAL. 485.000 harbour’s dues", 0.9)
    assert disagreement(words("Total: 485,000, harbour's dues"), read_so) == 0
    assert disagreement(words("something else was told here"), read_so) == 1
    assert disagreement(words("dues Total: 485,000 paid"), read_so) == pytest.approx(1 - 2 * 3 / 8)


def test_marks_that_stand_alone_do_not_count() -> None:
    told = words("C L U X total 485 " + "C L " * 9)
    assert disagreement(told, words("Total 485 G I 0 * " + "G " * 9, 0.9)) == 0.0
    assert disagreement(told, words("G I 0 8 " * 9, 0.9)) is None


def test_ocr_that_is_not_sure_says_nothing() -> None:
    assert disagreement(words("some words here"), words("blurred letters perhaps", 0.5)) is None
    assert disagreement(words("some words here"), words("few", 0.9)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_of_the_latin_script_are_not_doubted(language: str) -> None:
    assert not is_doubtful(page_of(LANGUAGES[language]))
    assert is_doubtful(page_of(codecs.encode(LANGUAGES[language], "rot13")))


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ("Nr. 12 4711 0815 3.50 17,20 9,99 1 250 88", False),
        ("港務局保存所有已繳費船隻的名單。", False),
        ("قائمة بكل سفينة دفعت مستحقاتها", False),
        ("No.No.No.No. No.No.No. No.No.", True),
        ("\ue001\ue002\ue003\ue004 \ue005\ue006", True),
        ("��� ���� words", True),
        ("", False),
        (
            " ".join(
                f"mpfr_{name} {n}" for n, name in enumerate("abs acos add asin cmp cos div erf exp fma log".split())
            ),
            False,
        ),
    ],
)
def test_signs_of_the_text_alone(text: str, doubtful: bool) -> None:
    assert is_doubtful(page_of(text)) == doubtful


def test_a_layer_below_a_scan_is_doubted() -> None:
    assert is_doubtful(page_of(TRUE[0], scan=True, hidden=True))
    assert not is_doubtful(page_of(TRUE[0], scan=True)), "words over a picture are seen"
    assert not is_doubtful(page_of(TRUE[0], hidden=True)), "without a scan it is not read at all"


class _Reads:
    """Plays Tesseract."""

    def __init__(self, text: str) -> None:
        self.text, self.n_asked = text, 0

    def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
        self.n_asked += 1
        if not self.text:
            raise OcrFailed("Tesseract failed")
        return words(self.text, 0.9)


class _Pdf:
    """Plays an engine's file of one page."""

    n_pages = 1

    def __init__(self, page: RawPage) -> None:
        self._page = page

    def page(self, number: int) -> RawPage:
        return self._page

    def close(self) -> None:
        pass


def read_alone(page: RawPage, ocr: Ocr | None) -> Page:
    # A raster in which every word of ``words`` has ink, so that none is hidden.
    grey = np.full((800, 600), 255, dtype=np.uint8)
    grey[2:7, ::3] = 0
    seen = RawPage(1, page.size, page.words, [], page.images, [], raster=lambda scale: grey)
    return pdf_page.read_page(_Pdf(seen), "played", 1, ocr, 10**7)


@pytest.mark.parametrize(("told", "status", "code"), [(TRUE, "ok", None), (WRONG, "degraded", "text_layer_disagrees")])
def test_a_page_has_its_score(told: Sequence[str], status: str, code: str | None) -> None:
    page = read_alone(page_of(" ".join(told), scan=True, hidden=True), _Reads(" ".join(TRUE)))
    assert (page.status, page.code) == (status, code)
    assert page.disagreement is not None
    assert (page.disagreement > MAX_SCORE) == (code is not None)
    assert page.text.split() == " ".join(told).split(), "it is read as it stands"


def test_what_is_not_doubted_costs_no_ocr() -> None:
    ocr = _Reads(" ".join(TRUE))
    page = read_alone(page_of(" ".join(WRONG)), ocr)
    assert (page.status, page.disagreement, ocr.n_asked) == ("ok", None, 0)


@pytest.mark.parametrize("ocr", [None, NoOcr()])
def test_without_ocr_nothing_is_compared(ocr: Ocr | None) -> None:
    page = read_alone(page_of(" ".join(WRONG), scan=True, hidden=True), ocr)
    assert (page.status, page.disagreement) == ("ok", None)


def test_ocr_that_fails_is_told() -> None:
    page = read_alone(page_of(" ".join(TRUE), scan=True, hidden=True), _Reads(""))
    assert (page.status, page.code) == ("degraded", "ocr_failed")


def lines_as_ops(lines: Sequence[str], mode: int) -> list[str]:
    return [f"BT {mode} Tr /F1 20 Tf 40 {220 - 40 * i} Td ({line}) Tj ET" for i, line in enumerate(lines)]


SIZE = (560.0, 280.0)


def searchable_scan(path: Path, layer: Sequence[str]) -> Path:
    """A picture of the true lines at 150 dpi, with noise, and below it what ``layer`` says."""
    drawn = PdfPage(size=SIZE, ops=lines_as_ops(TRUE, 0))
    path.write_bytes(pdf_bytes([drawn]))
    grey = pdfium.PdfDocument(path)[0].render(scale=150 / 72, grayscale=True).to_numpy().squeeze()
    noisy = grey + np.random.default_rng(0).normal(0, 8, grey.shape)
    height, width = grey.shape
    content = "\n".join([f"q {SIZE[0]} 0 0 {SIZE[1]} 0 0 cm /Im Do Q", *lines_as_ops(layer, 3)])
    image = (
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode"
    )
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 5 0 R" % SIZE
        + b"/Resources<</Font<</F1 3 0 R>>/XObject<</Im 6 0 R>>>>>>",
        5: stream(content.encode()),
        6: stream(zlib.compress(noisy.clip(0, 255).astype(np.uint8).tobytes()), image % (width, height)),
    }
    path.write_bytes(assemble(objects))
    return path


def fonts_that_lie(path: Path, font: bytes) -> Path:
    """The true lines in a font that says of each letter that it is the one thirteen places on."""
    meant = [(ord(c), ord(codecs.encode(c, "rot13"))) for c in map(chr, range(33, 127))]
    mapping = b"\n".join(b"<%02x><%04x>" % pair for pair in meant)
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        3: b"<</Type/Font/Subtype/Type1/BaseFont/%s/ToUnicode 6 0 R>>" % font,
        4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % SIZE,
        5: stream("\n".join(lines_as_ops(TRUE, 0)).encode()),
        6: stream(
            b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CMapName/X def/CMapType 2 def\n"
            b"1 begincodespacerange<00><ff>endcodespacerange\n94 beginbfchar\n"
            + mapping
            + b"\nendbfchar\nendcmap end end"
        ),
    }
    path.write_bytes(assemble(objects))
    return path


@needs_tesseract
@pytest.mark.parametrize("layer", [TRUE, WRONG])
def test_the_layer_of_a_scan(layer: Sequence[str], tmp_path: Path, engine: PdfEngine) -> None:
    (page,) = read(searchable_scan(tmp_path / "a.pdf", layer), engine=engine.name, ocr="eng").pages()
    assert page.text.split() == " ".join(layer).split()
    assert page.disagreement is not None
    assert (page.status, page.code) == (("ok", None) if layer is TRUE else ("degraded", "text_layer_disagrees"))
    assert page.disagreement < 0.2 if layer is TRUE else page.disagreement > 0.8


@needs_tesseract
def test_letters_that_lie(tmp_path: Path, engine: PdfEngine) -> None:
    """Nothing but its picture tells what the glyphs of such a font are."""
    unnamed = b"Handmade/FontDescriptor<</Type/FontDescriptor/FontName/Handmade/Flags 4/ItalicAngle 0>>"
    (page,) = read(fonts_that_lie(tmp_path / "a.pdf", unnamed), engine=engine.name, ocr="eng").pages()
    assert page.text.split()[:2] == ["Gur", "uneobhe"]
    assert (page.status, page.code) == ("degraded", "text_layer_disagrees")
    assert page.problem is not None
    assert "look at the page" in page.problem


def test_letters_that_lie_against_their_names(tmp_path: Path, engine: PdfEngine) -> None:
    named = b"Helvetica/Encoding/WinAnsiEncoding"
    (page,) = read(fonts_that_lie(tmp_path / "a.pdf", named), engine=engine.name, ocr="off").pages()
    assert page.text.split() == " ".join(TRUE).split()
