"""Pictures that lie askew, on their side or on their head. Oracles: how they were turned; the words that were drawn."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mm_megacontext.document import Box, Word
from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.page.scan import read_scan
from mm_megacontext.layout.page.straight import Straight, find_lie, has_lines, is_paper
from mm_megacontext.layout.reader import read

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")

Grey = npt.NDArray[np.uint8]
SKEW_TOLERANCE = 0.15
LEAST_RECALL = 0.95
BOX_TOLERANCE_PX = 8.0
LINES = (
    "The harbour office keeps a list of every vessel",
    "that has paid its dues. Payments are due on the",
    "first working day of each month. A deposit of two",
    "months is held until the contract has ended.",
    "Weight: 318.5 kg",
    "Order number: DN-40993",
)


def drawn(lines: Sequence[str] = LINES) -> tuple[Grey, list[tuple[str, Box]]]:
    """A page of text as a picture, and where each word stands."""
    image = Image.new("L", (1240, 1000), 250)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=34)
    words = []
    for row, line in enumerate(lines):
        x = 130.0
        for text in line.split():
            draw.text((x, 150 + 70 * row), text, fill=20, font=font)
            words.append((text, draw.textbbox((x, 150 + 70 * row), text, font=font)))
            x += draw.textlength(text + " ", font=font)
    return np.asarray(image), [(text, (float(a), float(b), float(c), float(d))) for text, (a, b, c, d) in words]


def turned(grey: Grey, skew: float, quarters: int) -> tuple[Grey, Straight]:
    """A picture turned clockwise, and the way back that is to be found."""
    image = Image.fromarray(grey).rotate(-skew, Image.Resampling.BICUBIC, expand=True, fillcolor=250)
    lying = np.rot90(np.asarray(image), -quarters)
    return np.ascontiguousarray(lying), Straight((lying.shape[1], lying.shape[0]), skew, quarters)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("skew", [-10.0, -3.3, 0.0, 1.2, 6.0])
def test_how_a_page_lies_is_found(skew: float, quarters: int) -> None:
    lying, _ = turned(drawn()[0], skew, quarters)
    lie = find_lie(lying)
    assert lie.skew == pytest.approx(skew, abs=SKEW_TOLERANCE)
    assert lie.is_sideways == (quarters % 2 == 1)


def test_a_picture_without_lines_lies_straight() -> None:
    assert find_lie(np.full((300, 300), 255, dtype=np.uint8)) == (0.0, False)
    noise = np.random.default_rng(0).integers(0, 256, (400, 300), dtype=np.uint8)
    assert find_lie(noise).skew == 0.0


def test_only_what_has_one_colour_is_paper() -> None:
    assert is_paper(drawn()[0])
    assert not is_paper(np.random.default_rng(0).integers(0, 256, (400, 300), dtype=np.uint8))


@pytest.mark.parametrize("quarters", [0, 1])
@pytest.mark.parametrize("skew", [0.0, -7.0])
@pytest.mark.parametrize("blur", [0, 3, 7])
def test_lines_of_text_are_lines_however_blurred(blur: int, skew: float, quarters: int) -> None:
    lying, _ = turned(drawn()[0], skew, quarters)
    seen = np.asarray(Image.fromarray(lying).filter(ImageFilter.GaussianBlur(blur)))
    assert has_lines(seen, find_lie(seen))


@pytest.mark.parametrize("seed", range(10))
def test_other_ink_on_paper_is_no_lines(seed: int) -> None:
    image = Image.new("L", (1000, 1000), 255)
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(seed)
    for _ in range(int(rng.integers(0, 60))):
        x, y, side, grey = (int(value) for value in rng.integers((0, 0, 10, 0), (900, 900, 90, 200)))
        draw.ellipse((x, y, x + side, y + side), fill=grey)
    seen = np.asarray(image)
    assert not has_lines(seen, find_lie(seen))


@needs_tesseract
@pytest.mark.parametrize("name", ["a.pdf", "a.png"])
def test_a_page_that_is_too_blurred_to_be_read_is_degraded(tmp_path: Path, name: str) -> None:
    Image.fromarray(drawn()[0]).filter(ImageFilter.GaussianBlur(8)).save(tmp_path / name, resolution=200)
    (page,) = read(tmp_path / name, ocr="eng").pages()
    assert (page.status, page.code) == ("degraded", "text_illegible")
    assert any(region.kind in ("scan", "figure") for region in page.regions)


class Marked:
    """Reads pictures whose top left corner is dark, and elsewhere letters that it is not sure of."""

    def __init__(self, confidence: float = 0.95) -> None:
        self.n_read = 0
        self.confidence = confidence

    def __call__(self, grey: Grey) -> list[RawWord]:
        self.n_read += 1
        height, width = grey.shape
        is_upright = grey[: height // 8, : width // 8].mean() < 128
        sure = self.confidence if is_upright else 0.3
        return [RawWord(0, 0, width / 8, height / 8, "abcdefghij" * 6, 10.0, False, True, 0, confidence=sure)]


def is_sure(words: Sequence[RawWord]) -> bool:
    return all((word.confidence or 0.0) > 0.7 for word in words)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_picture_is_turned_until_it_makes_sense(quarters: int) -> None:
    page = np.full((400, 320), 255, dtype=np.uint8)
    page[:50, :40] = 0
    lying = np.ascontiguousarray(np.rot90(page, -quarters))
    reading = read_scan(lying, Marked(), is_sure)
    assert reading.is_sure
    assert reading.frame.turn == 90 * quarters
    x0, y0, x1, y1 = (round(edge) for edge in reading.frame.on_page(reading.words[0].box))
    assert (lying[y0:y1, x0:x1] == 0).all()
    assert (x1 - x0) * (y1 - y0) == 2000


def test_writing_that_cannot_be_read_either_way_is_illegible_on_paper_alone() -> None:
    page = np.full((400, 320), 255, dtype=np.uint8)
    page[:50, :40] = 0
    unread = read_scan(page, Marked(confidence=0.4), is_sure)
    assert (unread.is_sure, unread.is_illegible, unread.frame.turn) == (False, True, 0.0)
    scene = np.random.default_rng(0).integers(0, 256, (400, 320), dtype=np.uint8)
    assert not read_scan(scene, Marked(confidence=0.4), is_sure).is_illegible


def words_and_turns(path: Path) -> tuple[list[Word], set[float]]:
    (page,) = read(path, ocr="eng").pages()
    assert page.problem is None
    regions = [region for region in page.regions if region.lines]
    return [word for r in regions for line in r.lines for word in line.words], {region.turn for region in regions}


@needs_tesseract
@pytest.mark.parametrize(("skew", "quarters", "name"), [(0.0, 1, "a.pdf"), (7.0, 2, "b.png"), (-9.0, 3, "c.pdf")])
def test_words_of_a_turned_scan_are_read_where_they_stand(
    tmp_path: Path, skew: float, quarters: int, name: str
) -> None:
    grey, expected = drawn()
    lying, way = turned(grey, skew, quarters)
    Image.fromarray(lying).save(tmp_path / name, resolution=200)
    words, (turn,) = words_and_turns(tmp_path / name)
    assert turn == pytest.approx(90 * quarters + skew, abs=SKEW_TOLERANCE)
    found = Counter(word.text for word in words)
    recall = (Counter(text for text, _ in expected) & found).total() / len(expected)
    assert recall >= LEAST_RECALL
    assert [word.text for word in words if word.text in ("Weight:", "318.5", "kg")] == ["Weight:", "318.5", "kg"]
    middle = way.turned(lying).shape
    frame = way.frame((float(middle[1]), float(middle[0])))
    margin = ((middle[1] - grey.shape[1]) / 2, (middle[0] - grey.shape[0]) / 2)
    scale = 200 / 72 if name.endswith(".pdf") else 1.0
    for text in ("318.5", "DN-40993"):
        x0, y0, x1, y1 = next(box for word, box in expected if word == text)
        true = frame.on_page((x0 + margin[0], y0 + margin[1], x1 + margin[0], y1 + margin[1]))
        box = next(word.bbox for word in words if word.text == text)
        assert [edge * scale for edge in box] == pytest.approx(true, abs=BOX_TOLERANCE_PX)
