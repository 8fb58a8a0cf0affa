"""Scenes of small marked objects: what a lens for images is trained on, and what it is tried on.

An object is a shape of a colour with a letter on it. A scene is a plane of any size that knows where its objects are
and paints what is asked for, so it can have gigapixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from mm_megacontext.vision.sources.source import Colour, Pixels, Rect, count_levels, read_padded

SHAPES = ("circle", "square", "triangle", "diamond", "star", "hexagon", "cross", "heart")
COLOURS: dict[str, Colour] = {
    "red": (205, 30, 40),
    "orange": (240, 140, 20),
    "yellow": (245, 225, 60),
    "green": (40, 150, 60),
    "cyan": (60, 205, 215),
    "blue": (40, 70, 200),
    "purple": (140, 50, 160),
    "pink": (245, 150, 190),
}
MARKS = "AEHKMSTX"
SIZES = (40, 44, 48, 52, 56)
"""Width and height of an object in pixels."""
TEMPLATES = (
    "Where is the {colour} {shape} marked {mark}?",
    "Find the {colour} {shape} with the letter {mark}.",
    "Locate the {shape} that is {colour} and marked {mark}.",
    "In which place is the {colour} {shape} that has {mark} on it?",
)
_FINER = 4  # drawn so many times larger, and shrunk
_OUTLINE: Colour = (25, 25, 25)


class Kind(NamedTuple):
    """What an object looks like."""

    shape: str
    colour: str
    mark: str

    def question(self, template: str = TEMPLATES[0]) -> str:
        """A question for it."""
        return template.format(**self._asdict())


KINDS = tuple(Kind(*each) for each in product(SHAPES, COLOURS, MARKS))
"""All kinds of objects: 512."""


class Thing(NamedTuple):
    """An object in a scene: index into ``KINDS``, top left corner and width, in pixels."""

    kind: int
    x: int
    y: int
    size: int

    @property
    def box(self) -> Rect:
        """(x, y, width, height)."""
        return (self.x, self.y, self.size, self.size)


@lru_cache(maxsize=len(KINDS) * len(SIZES))
def sprite(kind: int, size: int) -> Pixels:
    """(size, size, 4) RGBA of an object; alpha is not premultiplied."""
    what = KINDS[kind]
    side = size * _FINER
    image = Image.new("RGBA", (side, side), (*COLOURS[what.colour], 0))
    draw = ImageDraw.Draw(image)
    outline = [(x * side, y * side) for x, y in _outline(what.shape)]
    draw.polygon(outline, fill=(*COLOURS[what.colour], 255), outline=(*_OUTLINE, 255), width=2 * _FINER)
    is_light = np.dot(COLOURS[what.colour], (0.299, 0.587, 0.114)) > 130
    ink = (15, 15, 15, 255) if is_light else (255, 255, 255, 255)
    middle = (side / 2, side * (0.62 if what.shape == "triangle" else 0.5))
    draw.text(middle, what.mark, fill=ink, font=ImageFont.load_default(0.44 * side), anchor="mm")
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def _outline(shape: str) -> list[tuple[float, float]]:
    """A polygon in the unit square."""
    match shape:
        case "circle":
            return _regular(64, 0.48)
        case "square":
            return [(0.08, 0.08), (0.92, 0.08), (0.92, 0.92), (0.08, 0.92)]
        case "triangle":
            return [(0.5, 0.02), (0.98, 0.95), (0.02, 0.95)]
        case "diamond":
            return _regular(4, 0.49)
        case "star":
            radii = [0.5 if i % 2 == 0 else 0.26 for i in range(10)]
            return [_polar(radius, i / 10) for i, radius in enumerate(radii)]
        case "hexagon":
            return _regular(6, 0.49)
        case "cross":
            a, b = 0.27, 0.73
            corners = [(a, 0.03), (b, 0.03), (b, a), (0.97, a), (0.97, b), (b, b), (b, 0.97), (a, 0.97)]
            return [*corners, (a, b), (0.03, b), (0.03, a), (a, a)]
        case "heart":
            t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
            x = 16 * np.sin(t) ** 3
            y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
            return list(zip((0.5 + x / 34).tolist(), (0.46 - y / 34).tolist(), strict=True))
    raise ValueError(f"no shape is called {shape!r}; there are {', '.join(SHAPES)}")


def _regular(n: int, radius: float) -> list[tuple[float, float]]:
    return [_polar(radius, i / n) for i in range(n)]


def _polar(radius: float, turn: float) -> tuple[float, float]:
    """From straight up, clockwise."""
    return 0.5 + radius * float(np.sin(2 * np.pi * turn)), 0.5 - radius * float(np.cos(2 * np.pi * turn))


def paint(pixels: Pixels, corner: tuple[int, int], things: Sequence[Thing]) -> None:
    """Paint objects onto pixels whose top left corner is at ``corner`` of the scene."""
    height, width, _ = pixels.shape
    for thing in things:
        x, y = thing.x - corner[0], thing.y - corner[1]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + thing.size, width), min(y + thing.size, height)
        if x0 >= x1 or y0 >= y1:
            continue
        part = sprite(thing.kind, thing.size)[y0 - y : y1 - y, x0 - x : x1 - x]
        alpha = part[..., 3:].astype(np.float32) / 255
        below = pixels[y0:y1, x0:x1]
        pixels[y0:y1, x0:x1] = np.rint(part[..., :3] * alpha + below * (1 - alpha)).astype(np.uint8)


class Background(Protocol):
    """What lies behind the objects: the same pixels for a region whenever it is read."""

    def __call__(self, region: Rect) -> Pixels: ...

    @property
    def colour(self) -> Colour | None:
        """Its colour, if it has only one."""
        ...


class Plain:
    """One colour everywhere."""

    def __init__(self, colour: Colour) -> None:
        self.colour: Colour | None = colour

    def __call__(self, region: Rect) -> Pixels:
        return np.full((region[3], region[2], 3), self.colour, dtype=np.uint8)


_SQUARE = 1024
_GRAINS = (256, 64, 16, 4, 1)


class Textured:
    """Coloured noise of many grains, in squares of 1024 pixels of which no two are equal.

    Args:
        seed: Of the noise.
        contrast: Standard deviation that one grain of 64 pixels adds, about, times a tenth.
    """

    colour: Colour | None = None

    def __init__(self, seed: int = 0, contrast: float = 6.0) -> None:
        self._seed, self._contrast = seed, contrast

    def __call__(self, region: Rect) -> Pixels:
        x, y, width, height = region
        out = np.empty((height, width, 3), dtype=np.uint8)
        for top, y0, y1 in _pieces(y, height):
            for left, x0, x1 in _pieces(x, width):
                square = self._square(left // _SQUARE, top // _SQUARE)
                out[top + y0 - y : top + y1 - y, left + x0 - x : left + x1 - x] = square[y0:y1, x0:x1]
        return out

    def _square(self, column: int, row: int) -> Pixels:
        """Mirrored, with channels and brightness of its own: 8 million squares are different."""
        rng = np.random.default_rng((self._seed, column, row))
        noise = _noise(self._seed, self._contrast)[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        shifted = np.roll(noise, tuple(rng.integers(0, _SQUARE, 2)), axis=(0, 1))[..., rng.permutation(3)]
        tint = rng.integers(-40, 41, 3)
        return np.asarray(np.clip(shifted.astype(np.int16) + tint, 0, 255), dtype=np.uint8)


def _pieces(start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The squares that a stretch touches: where each begins, and which part of it, from there."""
    for begin in range(start - start % _SQUARE, start + length, _SQUARE):
        yield begin, max(start - begin, 0), min(start + length - begin, _SQUARE)


@lru_cache(maxsize=16)
def _noise(seed: int, contrast: float) -> Pixels:
    rng = np.random.default_rng(seed)
    total = np.zeros((_SQUARE, _SQUARE, 3), dtype=np.float32)
    for grain in _GRAINS:
        coarse = rng.standard_normal((_SQUARE // grain, _SQUARE // grain, 3), dtype=np.float32)
        total += coarse.repeat(grain, axis=0).repeat(grain, axis=1) * grain**0.5
    return np.asarray(np.clip(128 + contrast * total, 0, 255), dtype=np.uint8)


_CELL = 128


@dataclass(slots=True)
class _Places:
    """Finds the objects that touch a region."""

    things: tuple[Thing, ...]
    corners: npt.NDArray[np.int64]
    sides: npt.NDArray[np.int64]

    def touched(self, region: Rect) -> npt.NDArray[np.int64]:
        x, y, width, height = region
        low = np.searchsorted(self.corners[:, 1], y - max(SIZES), "left")
        high = np.searchsorted(self.corners[:, 1], y + height, "left")
        near, sides = self.corners[low:high], self.sides[low:high]
        is_touched = (near[:, 0] < x + width) & (near[:, 0] + sides > x) & (near[:, 1] + sides > y)
        return low + np.flatnonzero(is_touched)


class Scene:
    """A plane with objects; a ``SparseSource`` if its background has one colour.

    Args:
        size: Width and height in pixels.
        things: The objects; what they cover of each other is painted in the order of their tops.
        background: What lies behind them.
    """

    def __init__(self, size: tuple[int, int], things: Sequence[Thing], background: Background) -> None:
        self.size = size
        self.n_levels = count_levels(size)
        self.things = tuple(sorted(things, key=lambda thing: (thing.y, thing.x)))
        self._background = background
        corners = np.array([(thing.x, thing.y) for thing in self.things], dtype=np.int64).reshape(-1, 2)
        sides = np.array([thing.size for thing in self.things], dtype=np.int64)
        self._places = _Places(self.things, corners, sides)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        """See ``ImageSource.read``."""
        return read_padded(self._inside, self.size, region, level)

    def uniform(self, region: Rect) -> Colour | None:
        """See ``SparseSource.uniform``."""
        return None if len(self._places.touched(region)) else self._background.colour

    def _inside(self, region: Rect) -> Pixels:
        pixels = self._background(region)
        paint(pixels, region[:2], [self.things[i] for i in self._places.touched(region).tolist()])
        return pixels


def scatter(
    rng: np.random.Generator, size: tuple[int, int], kinds: Sequence[int], taken: set[tuple[int, int]] | None = None
) -> list[Thing]:
    """One object of each of ``kinds`` (kinds may repeat) at random places, none touching another.

    Args:
        rng: Of places and sizes.
        size: Of the scene.
        kinds: Indexes into ``KINDS``.
        taken: Cells of 128 pixels that are taken already; those used are added.

    Raises:
        ValueError: There is no room for so many.
    """
    taken = set() if taken is None else taken
    room = (size[0] // _CELL) * (size[1] // _CELL)
    if 4 * (len(kinds) + len(taken)) > room:
        raise ValueError(f"{len(kinds)} objects do not fit {size[0]} x {size[1]} pixels with room between them")
    things = []
    for kind in kinds:
        while True:
            side = int(rng.choice(SIZES))
            x, y = int(rng.integers(0, size[0] - side)), int(rng.integers(0, size[1] - side))
            cells = {(i // _CELL, j // _CELL) for i in (x, x + side) for j in (y, y + side)}
            if not cells & taken:
                break
        taken |= cells
        things.append(Thing(int(kind), x, y, side))
    return things
