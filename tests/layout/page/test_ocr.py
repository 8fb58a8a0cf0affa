"""Scans as text. Oracles: the words drawn before the page became a picture; a program that plays Tesseract."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image

from mm_megacontext.cli.main import main
from mm_megacontext.document import Box, Page, Word
from mm_megacontext.errors import MissingExtra
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.page import ocr
from mm_megacontext.layout.page.ocr import NoOcr, OcrFailed, Tesseract, find_ocr, without_specks
from mm_megacontext.layout.reader import read
from tests.layout.pdf_writer import PdfPage, pdf_bytes

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")

LEAST_RECALL = 0.95
"""Of words of ordinary English at 150 dpi with noise and a skew of one degree; measured on 20 pages: 0.97 and more."""
BOX_TOLERANCE_PT = 3.0
"""Tesseract gives some words the height of their line."""

SENTENCES = (
    "The harbour office keeps a list of every vessel that has paid its dues.",
    "Payments are due on the first working day of each month.",
    "A deposit of two months is held until the contract has ended.",
    "Notice must be given in writing and reach the office by the tenth.",
)


def page_of_text() -> PdfPage:
    page = PdfPage()
    page.text(72, 90, "Harbour dues", size=18)
    for i in range(24):
        page.text(72, 130 + 20 * i, SENTENCES[i % len(SENTENCES)], size=11)
    return page


def scanned(path: Path, target: Path, skew: float = 1.0, noise: float = 8.0) -> Path:
    """The first page of a PDF as a picture of 150 dpi in a PDF."""
    page = pdfium.PdfDocument(path)[0].render(scale=150 / 72, grayscale=True).to_pil().convert("L")
    turned = page.rotate(skew, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grey = np.asarray(turned, dtype=np.float64) + np.random.default_rng(0).normal(0, noise, turned.size[::-1])
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(target, "PDF", resolution=150)
    return target


def only_page(path: Path, ocr: str = "auto", engine: str = "auto") -> Page:
    (page,) = read(path, ocr=ocr, engine=engine).pages()
    return page


def words_of(page: Page) -> list[Word]:
    return [word for region in page.regions for line in region.lines for word in line.words]


def is_inside(box: Box, other: Box) -> bool:
    low, high = np.array(box) - np.array(other), np.array(other) - np.array(box)
    return bool((low[:2] >= -BOX_TOLERANCE_PT).all() and (high[2:] >= -BOX_TOLERANCE_PT).all())


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (tmp_path / "drawn.pdf").write_bytes(pdf_bytes([page_of_text()]))
    return scanned(tmp_path / "drawn.pdf", tmp_path / "scan.pdf")


@needs_tesseract
def test_the_words_of_a_scan_are_found_where_they_are(scan: Path, engine: PdfEngine) -> None:
    page = only_page(scan, "eng", engine.name)
    drawn = only_page(scan.parent / "drawn.pdf")
    expected, found = Counter(drawn.text.split()), Counter(page.text.split())
    assert sum((expected & found).values()) >= LEAST_RECALL * sum(expected.values())
    assert page.status == "ok"
    assert page.regions[-1].kind == "scan", "the picture stays"


@needs_tesseract
def test_words_have_their_boxes_and_confidence(tmp_path: Path) -> None:
    (tmp_path / "drawn.pdf").write_bytes(pdf_bytes([page_of_text()]))
    page = only_page(scanned(tmp_path / "drawn.pdf", tmp_path / "scan.pdf", skew=0.0), "eng")
    drawn, found = words_of(only_page(tmp_path / "drawn.pdf")), words_of(page)
    assert len(found) >= LEAST_RECALL * len(drawn)
    for word in found:
        assert word.confidence is not None
        assert ocr.MIN_CONFIDENCE <= word.confidence <= 1
    right = [any(w.text == other.text and is_inside(w.bbox, other.bbox) for other in drawn) for w in found]
    assert sum(right) >= LEAST_RECALL * len(found)


@needs_tesseract
def test_a_page_with_text_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tesseract, "words", lambda *_: pytest.fail("OCR was asked for"))
    page = page_of_text()
    page.image(300, 600, 400, 700)
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([page, PdfPage()]))
    assert [page.status for page in read(tmp_path / "a.pdf", ocr="eng").pages()] == ["ok", "ok"]


def test_off_leaves_a_picture(scan: Path) -> None:
    page = only_page(scan, "off")
    assert (page.status, [region.kind for region in page.regions]) == ("ok", ["scan"])


def test_without_tesseract_a_scan_says_so(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert isinstance(find_ocr("auto"), NoOcr)
    page = only_page(scan)
    assert (page.status, [region.kind for region in page.regions]) == ("degraded", ["scan"])
    assert page.problem is not None
    assert "apt install tesseract-ocr" in page.problem
    with pytest.raises(MissingExtra, match="OCR in eng is not there"):
        find_ocr("eng")


def player(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Error in pixRead: broken' >&2; exit 1", "Tesseract failed .Error in pixRead: broken"),
        ("kill -SEGV $$", "Tesseract failed .exit code -11"),
        ("sleep 5", "more than 0.5 s"),
    ],
)
def test_a_page_that_tesseract_cannot_read_is_told(script: str, said: str, tmp_path: Path) -> None:
    program = Tesseract(player(tmp_path / "tesseract", script), timeout_seconds=0.5)
    with pytest.raises(OcrFailed, match=said):
        program.words(np.full((20, 20), 255, dtype=np.uint8))


def test_a_program_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OcrFailed, match="cannot be started"):
        Tesseract(str(tmp_path / "nowhere")).words(np.zeros((9, 9), dtype=np.uint8))


def test_empty_words_are_none_and_unsure_ones_may_be_specks(tmp_path: Path) -> None:
    head = "level page_num block_num par_num line_num word_num left top width height conf text".replace(" ", "\\t")
    rows = [
        "4 1 1 1 1 0 10 20 80 12 -1 ",
        '5 1 1 1 1 1 10 20 30 10 96 "Rent',
        "5 1 1 1 1 2 50 22 10 10 12 |i",
        "5 1 1 1 1 3 60 22 10 10 95 ",
    ]
    lines = "\\n".join([head, *(row.replace(" ", "\\t") for row in rows)])
    program = Tesseract(player(tmp_path / "tesseract", f"cat > /dev/null; printf '{lines}\\n'"))
    read = program.words(np.zeros((9, 9), dtype=np.uint8))
    assert [word.text for word in read] == ['"Rent', "|i"]
    (word,) = without_specks(read)
    assert (word.text, word.box, word.size, word.confidence) == ('"Rent', (10.0, 20.0, 40.0, 30.0), 12.0, 0.96)


@needs_tesseract
def test_a_language_that_is_not_installed_is_named(scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layout", str(scan), "--ocr", "eng+xxx"]) == 2
    assert "Tesseract has no language xxx" in capsys.readouterr().err


@needs_tesseract
def test_a_page_on_its_side_is_turned_text(tmp_path: Path) -> None:
    lines = page_of_text()
    (tmp_path / "drawn.pdf").write_bytes(pdf_bytes([lines]))
    image = pdfium.PdfDocument(tmp_path / "drawn.pdf")[0].render(scale=3, grayscale=True).to_pil().convert("L")
    words = Tesseract("tesseract").words(np.asarray(image.rotate(270, expand=True)))
    assert not any(word.upright for word in words)
    assert Counter(word.text for word in words)["Payments"] == 6
