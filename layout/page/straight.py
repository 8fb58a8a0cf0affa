"""Pictures of pages that lie askew or on their side: how far, made straight, and boxes brought back to the picture.

The skew is where the sums of ink along lines change most from one line to the next: along lines of text they are high
and between them nothing, and a small angle off the two run into one another. Source: Postl (1986), Detection of linear
oblique structures and skew scan in digitized documents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from mm_megacontext.turned_frame import TurnedFrame

MAX_SKEW = 12.0
"""Degrees to either side that are looked at."""

_LOOKED_AT_PX = 1000  # of the longer side: lines of print are still apart
_COARSE, _FINE = 0.5, 0.05  # degrees
_LEAST_SKEW = 0.25  # degrees; below it boxes and words are as good as they get
_CLEARLY = 1.15  # times the sharpness of the picture as it lies, for it to be turned
_MIN_INK = 40.0  # of 255, darker or lighter than the paper
_FAINT_INK = 10.0  # of what is blurred
_MIN_INKED = 200  # pixels
_BAND = 0.06  # of the ink of the darkest line
_MIN_LINES, _ALIKE = 4, 0.75  # bands of one height; the share of all that they are
_AS_HIGH = 1.5  # times the usual height, or a part of it
_BAND_PX = (3.0, 60.0)  # lower ones are rules
_PAPER_SPREAD = 24  # levels of grey to either side of the most frequent one
_PAPER_SHARE = 0.6

Grey = npt.NDArray[np.uint8]
"""(height, width)."""


class Lie(NamedTuple):
    """How a picture lies: degrees clockwise that lines of text fall, and whether they rather run up or down."""

    skew: float
    is_sideways: bool


@dataclass(frozen=True, slots=True)
class Straight:
    """A way to turn a picture: by a skew, and by quarter turns after it.

    Attributes:
        size: Width and height of the picture, in pixels.
        skew: Degrees that are turned back, counterclockwise.
        quarters: Quarter turns counterclockwise.
    """

    size: tuple[int, int]
    skew: float = 0.0
    quarters: int = 0

    @property
    def is_as_it_was(self) -> bool:
        return self.skew == 0.0 and self.quarters == 0

    def turned(self, grey: Grey) -> Grey:
        """The picture, turned; what comes in at the corners has the colour of the paper."""
        if self.skew:
            image = Image.fromarray(grey).rotate(
                self.skew, Image.Resampling.BICUBIC, expand=True, fillcolor=paper_level(grey)
            )
            grey = np.asarray(image)
        return np.ascontiguousarray(np.rot90(grey, self.quarters))

    def frame(self, turned_size: tuple[float, float]) -> TurnedFrame:
        """Where boxes of the turned picture, whose width and height are given, lie in the picture as it was."""
        width, height = self.size
        return TurnedFrame((float(width), float(height)), turned_size, self.skew + 90 * self.quarters)


def find_lie(grey: Grey) -> Lie:
    """How the lines of a picture lie; straight where there are none, or none that tell."""
    ys, xs, weights = _ink(grey)
    if len(weights) < _MIN_INKED:
        return Lie(0.0, False)
    coarse = np.arange(-MAX_SKEW, MAX_SKEW + _COARSE / 2, _COARSE)
    best = [(*_sharpest(ys, xs, weights, coarse), False), (*_sharpest(-xs, ys, weights, coarse), True)]
    sharpness, skew, is_sideways = max(best)
    along = (-xs, ys) if is_sideways else (ys, xs)
    if sharpness < _CLEARLY * _sharpness(*along, weights, 0.0):
        return Lie(0.0, is_sideways)
    _, skew = _sharpest(*along, weights, np.arange(skew - _COARSE, skew + _COARSE, _FINE))
    return Lie(float(skew) if abs(skew) >= _LEAST_SKEW else 0.0, is_sideways)


def has_lines(grey: Grey, lie: Lie) -> bool:
    """Whether the ink of a picture that lies so is in bands one below the other, of about one height: lines of text."""
    ys, xs, weights = _ink(grey, _FAINT_INK)
    if len(weights) < _MIN_INKED:
        return False
    along = (-xs, ys) if lie.is_sideways else (ys, xs)
    sums = _sums(*along, weights, lie.skew)
    is_inked = np.concatenate([[False], sums >= _BAND * sums.max(), [False]])
    edges = np.flatnonzero(np.diff(is_inked.astype(np.int8)))
    heights = (edges[1::2] - edges[::2]).astype(np.float64)
    usual = float(np.median(heights))
    alike = (heights >= usual / _AS_HIGH) & (heights <= usual * _AS_HIGH)
    is_print = _BAND_PX[0] <= usual <= _BAND_PX[1]
    return bool(is_print and alike.sum() >= _MIN_LINES and alike.mean() >= _ALIKE)


def paper_level(grey: Grey) -> int:
    """The most frequent level of grey."""
    return int(np.bincount(grey.ravel()[:: max(1, grey.size // 1_000_000)], minlength=256).argmax())


def is_paper(grey: Grey) -> bool:
    """Whether most of a picture has about one level of grey, as what is written on has, and scenes have not."""
    counts = np.bincount(grey.ravel()[:: max(1, grey.size // 1_000_000)], minlength=256)
    level = int(counts.argmax())
    near = counts[max(0, level - _PAPER_SPREAD) : level + _PAPER_SPREAD + 1].sum()
    return bool(near >= _PAPER_SHARE * counts.sum())


def _ink(
    grey: Grey, least: float = _MIN_INK
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where the ink of a reduced picture is, from its middle, and how much."""
    image = Image.fromarray(grey)
    image.thumbnail((_LOOKED_AT_PX, _LOOKED_AT_PX), Image.Resampling.BOX, reducing_gap=None)
    small = np.asarray(image, dtype=np.float64)
    ink = np.abs(small - paper_level(np.asarray(image)))
    ys, xs = (at.astype(np.float64) for at in np.nonzero(ink >= least))
    return ys - small.shape[0] // 2, xs - small.shape[1] // 2, ink[ink >= least]


def _sharpest(
    ys: npt.NDArray[np.float64],
    xs: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    angles: npt.NDArray[np.float64],
) -> tuple[float, float]:
    """The greatest sharpness and its angle; of equals, that nearest to straight."""
    found = [(_sharpness(ys, xs, weights, float(angle)), -abs(float(angle)), float(angle)) for angle in angles]
    sharpness, _, angle = max(found)
    return sharpness, angle


def _sharpness(
    ys: npt.NDArray[np.float64], xs: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], degrees: float
) -> float:
    """How much the sums of ink along lines that fall by some degrees change from one line to the next."""
    sums = _sums(ys, xs, weights, degrees)
    return float((np.diff(np.convolve(sums, (0.25, 0.5, 0.25))) ** 2).sum())


def _sums(
    ys: npt.NDArray[np.float64], xs: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], degrees: float
) -> npt.NDArray[np.float64]:
    """The ink along lines that fall by some degrees, one pixel apart."""
    radians = math.radians(degrees)
    lines = ys * math.cos(radians) - xs * math.sin(radians)
    lines -= lines.min()
    below = lines.astype(np.int64)
    share = lines - below  # ink between two lines is of both, or straight pictures would look sharper than they are
    n_lines = int(below.max()) + 2
    sums = np.bincount(below, weights * (1 - share), n_lines) + np.bincount(below + 1, weights * share, n_lines)
    return np.asarray(sums, dtype=np.float64)
