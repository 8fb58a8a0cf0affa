"""Images for the tests: in memory and sparse, and procedural ones of any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mm_megacontext.tree import NodeRow
from mm_megacontext.vision.encoders import DctEncoder
from mm_megacontext.vision.gists import TileGister
from mm_megacontext.vision.quadtree import build_image_nodes
from mm_megacontext.vision.source import ArraySource, Colour, ImageSource, Pixels, Rect, count_levels, read_padded
from mm_megacontext.vision.tiles import IMAGE_FRAME

ENCODER = DctEncoder(24)


class SparseArraySource(ArraySource):
    """An image in memory that says exactly which of its parts have one colour."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__(pixels)
        self.n_pixels_read = 0

    def read(self, region: Rect, level: int = 0) -> Pixels:
        self.n_pixels_read += region[2] * region[3]
        return super().read(region, level)

    def uniform(self, region: Rect) -> Colour | None:
        x, y, width, height = region
        part = self._pixels[y : y + height, x : x + width].reshape(-1, 3)
        red, green, blue = part[0].tolist()
        return (red, green, blue) if (part == part[0]).all() else None


class TexturedSource:
    """A procedural image of any size, no two tiles of which are equal; the same everywhere it is read."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.n_levels = count_levels(self.size)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        return read_padded(self._inside, self.size, region, level)

    @staticmethod
    def _inside(region: Rect) -> Pixels:
        x0, y0, width, height = region
        x, y = np.arange(x0, x0 + width)[None, :], np.arange(y0, y0 + height)[:, None]
        values = (x * 7919 + y * 104729 + (x * y) // 97) >> np.array([3, 4, 5])[:, None, None]
        return np.ascontiguousarray((values & 255).astype(np.uint8).transpose(1, 2, 0))


def patchwork(width: int, height: int, seed: int, *, part: int = 128) -> Pixels:
    """White with black parts of 128 pixels and some noise: what a sparse canvas is like."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([255, 255, 255, 255, 255, 0], (-(-height // part), -(-width // part))).astype(np.uint8)
    values: npt.NDArray[np.uint8] = coarse.repeat(part, axis=0).repeat(part, axis=1)[:height, :width]
    pixels = np.repeat(values[:, :, None], 3, axis=2)
    for _ in range(2):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        pixels[y : y + 9, x : x + 9] = rng.integers(0, 256, pixels[y : y + 9, x : x + 9].shape, dtype=np.uint8)
    return pixels


def image_rows(
    source: ImageSource, start: int = 0, done: tuple[NodeRow, ...] = (), tiles: TileGister | None = None
) -> list[NodeRow]:
    """The rows of a whole image."""
    tiles = tiles or TileGister(ENCODER)
    return list(build_image_nodes(source, tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=start, done=done))


def tops_of(rows: list[NodeRow]) -> tuple[NodeRow, ...]:
    """Roots of the subtrees that are whole after ``rows``, by replaying them."""
    tops: list[NodeRow] = []
    for row in rows:
        del tops[len(tops) - len(row.children) :]
        tops.append(row)
    return tuple(tops)


def assert_rows_equal(found: list[NodeRow], expected: list[NodeRow]) -> None:
    """Bit for bit, apart from leaves."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in ("index", "first", "children", "lod", "kind", "bbox", "t_span", "n_leaves", "pixels", "grid"):
            assert getattr(one, name) == getattr(other, name), (one.index, name)
        for name in ("gist", "mu", "sigma"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=f"{one.index} {name}")
