"""Pictures of writing read whichever way they lie: made straight, and turned until what OCR reads makes sense.

OCR is sure of what stands upright, and is not of the same upside down or sideways. So the way that the lines tell is
tried first, and the others only where it is not sure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mm_megacontext.errors import ErrorCode
from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.page.straight import Grey, Straight, find_lie, has_lines, is_paper
from mm_megacontext.turned_frame import TurnedFrame

UNSURE = (
    "what is written on it cannot be read with certainty: look at the page, scan it anew, or read it with the "
    "languages that it is in (--ocr)"
)
ILLEGIBLE: ErrorCode = "text_illegible"
"""The code of a page of which this is said."""

_TRIED_PX = 1700
"""Of the longer side of a picture that is only tried, 150 dpi of a letter: print can still be told from what is not."""
_CLEAR = 0.6  # mean, by letter; of pages as they are meant it is 0.85 and more, of others below 0.4
_CLEARLY_MORE = 1.2  # times what was read of a picture as it lies, for it to be turned though OCR is not sure
_MIN_LETTERS = 40  # of what OCR takes for letters on paper, for them to be writing that cannot be read

ReadWords = Callable[[Grey], list[RawWord]]
"""Reads a picture; boxes in pixels. Raises OcrFailed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a picture.

    Attributes:
        words: As they lie on the picture as it was turned, in its pixels.
        frame: Where they lie on the picture as it was.
        is_sure: Whether it makes sense.
        is_illegible: Whether it does not, though there is writing on paper.
    """

    words: list[RawWord]
    frame: TurnedFrame
    is_sure: bool
    is_illegible: bool


def read_scan(grey: Grey, read: ReadWords, is_sure: Callable[[Sequence[RawWord]], bool]) -> Reading:
    """The words of a picture that may lie askew, on its side or on its head.

    Args:
        grey: The picture.
        read: What reads; also words that it is not sure of.
        is_sure: Whether words that were read make sense.

    Raises:
        OcrFailed: It cannot be read.
    """
    size = (grey.shape[1], grey.shape[0])
    lie = find_lie(grey)
    way, *others = (Straight(size, lie.skew, quarters) for quarters in (0, 2, 1, 3))
    picture, words = way.turned(grey), list[RawWord]()
    if lie.is_sideways:  # of two sides, either may be the right one: both are tried first
        others = [*others[1:], way, others[0]]
    else:  # as most pages are
        words = read(picture)
    if not _is_right(words, is_sure):
        best = _best(_reduced(grey), others, way, _certainty(words), read, is_sure)
        if best is not way or not words:
            way, picture = best, best.turned(grey)
            words = read(picture)
    sure = is_sure(words)
    height, width = picture.shape
    is_illegible = not sure and is_paper(grey) and (_n_letters(words) >= _MIN_LETTERS or has_lines(grey, lie))
    return Reading(words, way.frame((float(width), float(height))), sure, is_illegible)


def _n_letters(words: Sequence[RawWord]) -> int:
    return sum(len(word.text) for word in words)


def _is_right(words: Sequence[RawWord], is_sure: Callable[[Sequence[RawWord]], bool]) -> bool:
    """Whether words make sense as they stand: OCR turns some sideways text by itself.

    It is sure of some words that stand on their heads, too, but not of most letters.
    """
    return bool(words) and is_sure(words) and _certainty(words) >= _CLEAR * _n_letters(words)


def _best(
    small: Grey,
    ways: Sequence[Straight],
    otherwise: Straight,
    certainty: float,
    read: ReadWords,
    is_sure: Callable[[Sequence[RawWord]], bool],
) -> Straight:
    """The way to turn a picture by which most is read of it, reduced; another one unless that is clearly more."""
    size = (small.shape[1], small.shape[0])
    best, most = otherwise, _CLEARLY_MORE * certainty
    for way in ways:
        tried = read(Straight(size, way.skew, way.quarters).turned(small))
        if _is_right(tried, is_sure):
            return way
        if _certainty(tried) > most:
            best, most = way, _certainty(tried)
    return best


def _certainty(words: Sequence[RawWord]) -> float:
    """Letters, each as far as OCR is sure of it; of what stands upright."""
    return sum(len(word.text) * (word.confidence or 0.0) for word in words if word.upright)


def _reduced(grey: Grey) -> Grey:
    image = Image.fromarray(grey)
    image.thumbnail((_TRIED_PX, _TRIED_PX), Image.Resampling.BOX)
    return np.asarray(image)
