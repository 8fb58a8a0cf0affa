"""Words on images. Oracles: the boxes that were painted; a program that reads painted boxes, and Tesseract."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from mm_megacontext.document import Box, Page, Region, Word
from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.page import image_words
from mm_megacontext.layout.page.image_words import find_writing
from mm_megacontext.layout.reader import read
from mm_megacontext.memory import MegaContext

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")

LEAST_RECALL = 0.95
"""Of printed words, upright and clean."""
USUAL_PX, MOST_PX = 3, 12
"""How far an edge of Tesseract's boxes is off: of most words, and of a few ("a", "1250") that it places badly."""
EXIF_ORIENTATION = 0x0112


class Boxes:
    """Reads what ``paint`` paints: every shade of grey is a word, wherever any of it is seen."""

    def __init__(self, confidence: float = 0.9) -> None:
        self.n_parts = 0
        self._confidence = confidence

    def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
        self.n_parts += 1
        found = []
        for line, shade in enumerate(np.unique(grey[grey < 250]).tolist()):
            y, x = np.nonzero(grey == shade)
            x0, y0, x1, y1 = map(float, (x.min(), y.min(), x.max() + 1, y.max() + 1))
            text = f"word{shade}"
            found.append(RawWord(x0, y0, x1, y1, text, y1 - y0, False, True, line, confidence=self._confidence))
        return found


def painted(width: int, height: int, boxes: list[Box]) -> npt.NDArray[np.uint8]:
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    for shade, (x0, y0, x1, y1) in enumerate(boxes):
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = shade
    return pixels


def words_of(regions: Sequence[Region]) -> dict[str, Box]:
    words: list[Word] = []
    for region in regions:
        lines = region.lines if region.table is None else [line for cell in region.table.cells for line in cell.lines]
        words += [word for line in lines for word in line.words]
    assert len({word.text for word in words}) == len(words), "each word once"
    return {word.text: word.bbox for word in words}


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_long_image_is_read_in_parts_and_every_word_once(monkeypatch: pytest.MonkeyPatch, is_wide: bool) -> None:
    """Words of every place relative to where it is cut, and boxes to the pixel."""
    monkeypatch.setattr(image_words, "_STRIP_PX", 200)
    monkeypatch.setattr(image_words, "_OVERLAP_PX", 60)
    monkeypatch.setattr(image_words, "_ENLARGED_PIXELS", 0)
    along = [(10.0 + 23 * i, 10.0 + 23 * i + 17) for i in range(60)]
    boxes: list[Box] = [(begin, 20.0, end, 50.0) if is_wide else (20.0, begin, 90.0, end) for begin, end in along]
    pixels = painted(1400, 100, boxes) if is_wide else painted(100, 1400, boxes)
    reader = Boxes()
    assert words_of(find_writing(pixels, reader).regions) == {f"word{i}": box for i, box in enumerate(boxes)}
    assert reader.n_parts > 4


def test_a_small_image_is_enlarged_and_its_boxes_are_in_its_own_pixels() -> None:
    boxes: list[Box] = [(20.0, 30.0, 60.0, 44.0)]
    pixels = painted(120, 90, boxes)
    sizes: list[tuple[int, ...]] = []

    class Enlarged(Boxes):
        def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
            sizes.append(grey.shape)
            return super().words(np.where(grey < 128, 0, 255).astype(np.uint8))

    assert words_of(find_writing(pixels, Enlarged()).regions) == {"word0": boxes[0]}
    assert sizes == [(180, 240)]


def test_what_is_mostly_doubtful_is_no_writing() -> None:
    boxes: list[Box] = [(20.0, 30.0 + 30 * i, 60.0, 44.0 + 30 * i) for i in range(4)]
    assert find_writing(painted(2500, 2000, boxes), Boxes(confidence=0.4)).regions == ()
    assert find_writing(painted(2500, 2000, []), Boxes()).regions == ()


SENTENCES = (
    "The harbour office keeps a list of every vessel",
    "Payments are due on the first working day",
    "A deposit of two months is held until June",
    "The monthly rent is 1250 pounds",
)


def letter(orientation: int = 1) -> tuple[Image.Image, list[Box]]:
    """A picture of text as a camera stores it that is held so, and where each word's ink is when it is upright."""
    image = Image.new("RGB", (900, 420), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(30)
    boxes: list[Box] = []
    for row, sentence in enumerate(SENTENCES):
        x = 60.0
        for word in sentence.split():
            draw.text((x, 60 + 80 * row), word, font=font, fill="black")
            x0, y0, x1, y1 = draw.textbbox((x, 60 + 80 * row), word, font=font)
            boxes.append((float(x0), float(y0), float(x1), float(y1)))
            x += draw.textlength(word + " ", font=font)
    turned = {1: image, 3: image.rotate(180), 6: image.rotate(90, expand=True), 8: image.rotate(270, expand=True)}
    return turned[orientation], boxes


def saved(path: Path, orientation: int) -> list[Box]:
    image, boxes = letter(orientation)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(path, exif=exif)
    return boxes


@needs_tesseract
@pytest.mark.parametrize(("orientation", "suffix"), [(1, "png"), (6, "jpg"), (3, "tif")])
def test_the_words_of_a_photo_are_found_where_they_are(tmp_path: Path, orientation: int, suffix: str) -> None:
    """On the upright picture, however the camera was held."""
    boxes = saved(tmp_path / f"a.{suffix}", orientation)
    (page,) = read(tmp_path / f"a.{suffix}", ocr="eng").pages()
    assert page.size == (900.0, 420.0)
    assert (page.regions[-1].kind, page.regions[-1].bbox) == ("figure", (0.0, 0.0, 900.0, 420.0))
    found = [word for region in page.regions for line in region.lines for word in line.words]
    expected = Counter(" ".join(SENTENCES).split())
    assert sum((Counter(word.text for word in found) & expected).values()) >= LEAST_RECALL * sum(expected.values())
    assert all(word.confidence is not None for word in found)
    errors = [min(max(abs(a - b) for a, b in zip(word.bbox, box, strict=True)) for box in boxes) for word in found]
    assert np.median(errors) <= USUAL_PX
    assert max(errors) <= MOST_PX


@needs_tesseract
def test_a_question_to_a_photo_is_answered_with_the_place(tmp_path: Path) -> None:
    boxes = saved(tmp_path / "a.jpg", 6)
    with MegaContext.open(tmp_path / "memory") as memory:
        (source,) = memory.ingest(tmp_path / "a.jpg").ingested
        assert source.problems == ()
        answer = memory.ask("What is the monthly rent?")
        assert memory.verify() == []
    assert "1250" in answer.text
    place = boxes[[word for sentence in SENTENCES for word in sentence.split()].index("1250")]
    x, y = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
    box = answer.evidence[0].bbox
    assert box[0] <= x <= box[2]
    assert box[1] <= y <= box[3]


def only_page(path: Path, ocr: str) -> Page:
    (page,) = read(path, ocr=ocr).pages()
    return page


def test_an_image_too_large_or_with_ocr_off_is_a_picture(tmp_path: Path) -> None:
    saved(tmp_path / "a.png", 1)
    assert [region.kind for region in only_page(tmp_path / "a.png", "off").regions] == ["figure"]
    Image.new("1", (10_000, 6_001)).save(tmp_path / "large.png")
    assert image_words.MAX_OCR_PIXELS < 10_000 * 6_001
    assert [region.kind for region in only_page(tmp_path / "large.png", "auto").regions] == ["figure"]


def test_without_tesseract_an_image_is_a_picture_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "a.png", 1)
    monkeypatch.setattr("mm_megacontext.layout.page.ocr.shutil.which", lambda name: None)
    page = only_page(tmp_path / "a.png", "auto")
    assert ([region.kind for region in page.regions], page.problem) == (["figure"], None)


def test_where_tesseract_fails_the_picture_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "a.png", 1)
    broken = tmp_path / "tesseract"
    broken.write_text(
        "#!/bin/sh\ncase $1 in --list-langs) printf 'List:\\neng\\n';; *) echo broken >&2; exit 1;; esac\n"
    )
    broken.chmod(0o755)
    monkeypatch.setattr("mm_megacontext.layout.page.ocr.shutil.which", lambda name: str(broken))
    page = only_page(tmp_path / "a.png", "auto")
    assert [region.kind for region in page.regions] == ["figure"]
    assert (page.code, page.status) == ("ocr_failed", "degraded")
    assert "Tesseract failed (broken)" in str(page.problem)
