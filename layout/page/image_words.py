"""The words on an image, where it is the picture of a page, sign or screen, as regions in pixels.

Layout is told in points, and a photo does not say how large its letters are in the world. So the image is taken for a
page on which most letters have the size of print; boxes come back to pixels without rounding, since the scale is a
power of two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image

from mm_megacontext.document import Box, Region
from mm_megacontext.layout.engines.protocol import RawPage, RawWord
from mm_megacontext.layout.page.ocr import Ocr, without_specks
from mm_megacontext.layout.page.regions import find_regions
from mm_megacontext.layout.page.scan import read_scan
from mm_megacontext.layout.page.straight import Grey
from mm_megacontext.turned_frame import mapped

MAX_OCR_PIXELS = 60_000_000
"""Larger images are not read: slides, maps and scenes, while a page of A3 at 600 dpi has 70 million."""

_ENLARGED_PIXELS = 4_000_000  # screens, and pages at less than 200 dpi: their letters are too small for Tesseract
_STRIP_PX = 8192  # Tesseract reads no more than 32 767 pixels, and takes long over very long images
_OVERLAP_PX = 512
_PRINT_PT = 12.0  # height of a line of ordinary print
_SURE = 0.6
_MIN_LETTERS = 3  # of a word that counts for or against an image being read at all
_MIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Writing:
    """Regions of words in reading order, and whether there is writing that cannot be read."""

    regions: tuple[Region, ...]
    is_illegible: bool = False


def find_writing(pixels: npt.NDArray[np.uint8], ocr: Ocr) -> Writing:
    """What is written on an image, whichever way it lies; nothing where most is doubtful, as it is on any scene.

    Args:
        pixels: (height, width, 3) sRGB, at most ``MAX_OCR_PIXELS``.
        ocr: What reads.

    Raises:
        OcrFailed: It cannot be read.
    """
    height, width, _ = pixels.shape
    image = Image.fromarray(pixels).convert("L")
    factor = 2 if width * height <= _ENLARGED_PIXELS else 1
    if factor != 1:
        image = image.resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    reading = read_scan(np.asarray(image), lambda grey: _in_strips(grey, ocr), _is_writing)
    if not reading.is_sure:
        return Writing((), reading.is_illegible)
    words = without_specks(reading.words)
    # A power of two, so that boxes come back to pixels exactly.
    scale = 2.0 ** round(math.log2(_PRINT_PT * factor / max(1.0, median(word.size for word in words)))) / factor
    turned = reading.frame.turned_size
    size = (turned[0] * scale, turned[1] * scale)
    page = RawPage(1, size, [_scaled(word, scale) for word in words], [], [], [])

    def back(box: Box) -> Box:
        return _box(reading.frame.on_page(_box(box, 1 / scale)), 1 / factor)

    return Writing(
        tuple(replace(mapped(region, back), turn=region.turn + reading.frame.turn) for region in find_regions(page))
    )


def _is_writing(read: Sequence[RawWord]) -> bool:
    """Whether most of what looks like a word is one for sure; what is read into leaves and walls is not."""
    told = [word for word in without_specks(read) if sum(c.isalnum() for c in word.text) >= _MIN_LETTERS]
    return sum((word.confidence or 0.0) >= _SURE for word in told) > _MIN_SHARE * len(told)


def _in_strips(grey: Grey, ocr: Ocr) -> list[RawWord]:
    """The words of an image of any length, its longer side cut between lines or columns."""
    is_wide = grey.shape[1] > grey.shape[0]
    found: list[RawWord] = []
    for (begin, end), (first, last) in _strips(grey.T if is_wide else grey):
        part = grey[:, first:last] if is_wide else grey[first:last]
        words = ocr.words(np.ascontiguousarray(part))
        dx, dy = (first, 0) if is_wide else (0, first)
        n_lines = 1 + max((word.line for word in found), default=-1)
        moved = [
            w._replace(x0=w.x0 + dx, x1=w.x1 + dx, y0=w.y0 + dy, y1=w.y1 + dy, line=w.line + n_lines) for w in words
        ]
        middles = [(w.x0 + w.x1) / 2 if is_wide else (w.y0 + w.y1) / 2 for w in moved]
        found += [word for word, middle in zip(moved, middles, strict=True) if begin <= middle < end]
    return found


def _strips(grey: Grey) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of rows that share no row and leave none out, and around each one the rows that are looked at for it."""
    length = len(grey)
    begin = 0
    while begin < length:
        end = length if length - begin <= _STRIP_PX + _OVERLAP_PX else _blankest(grey, begin + _STRIP_PX)
        yield (begin, end), (max(0, begin - _OVERLAP_PX), min(length, end + _OVERLAP_PX))
        begin = end


def _blankest(grey: Grey, row: int) -> int:
    """The row before ``row`` where the image changes least across: between lines of text, if there are any."""
    first = row - _OVERLAP_PX
    return first + int(np.asarray(grey[first:row], dtype=np.float32).std(axis=1).argmin())


def _scaled(word: RawWord, scale: float) -> RawWord:
    x0, y0, x1, y1 = _box(word.box, scale)
    return word._replace(x0=x0, y0=y0, x1=x1, y1=y1, size=word.size * scale)


def _box(box: Box, scale: float) -> Box:
    return (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)
