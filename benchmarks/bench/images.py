"""Procedural images for the benchmarks: the same seed gives the same pixels, of any size, wherever they are read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Document, Page, Region
from mm_megacontext.store.store import Identity, SourceInfo, Store
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import TILE_PX, NodeRow
from mm_megacontext.tree.parents import Gist
from mm_megacontext.vision.encoders import DctEncoder, PatchVectors, TilePixels
from mm_megacontext.vision.gists.tile_gister import MeanPool, TileGister
from mm_megacontext.vision.quadtree.build import BUILD, build_image_nodes
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import Colour, ImageSource, Pixels, Rect, count_levels, read_padded

WHITE: Colour = (255, 255, 255)
_SQUARE_PX = 1024
_OCTAVES = (256, 64, 16, 4, 1)
"""Grain of the texture in pixels: the longer waves are the stronger ones, as in photographs."""


class Texture:
    """Noise of many grains; no two of its tiles are equal.

    Args:
        side: Width and height in pixels.
        seed: Of the noise.
    """

    def __init__(self, side: int, seed: int = 0) -> None:
        self.size = (side, side)
        self.n_levels = count_levels(self.size)
        self._seed = seed

    def read(self, region: Rect, level: int = 0) -> Pixels:
        return read_padded(self._inside, self.size, region, level)

    def _inside(self, region: Rect) -> Pixels:
        x, y, width, height = region
        out = np.empty((height, width, 3), dtype=np.uint8)
        for top, y0, y1 in _pieces(y, height):
            for left, x0, x1 in _pieces(x, width):
                part = out[top + y0 - y : top + y1 - y, left + x0 - x : left + x1 - x]
                np.add(_noise(self._seed)[y0:y1, x0:x1], self._shade(left, top), out=part)  # overflow is texture too
        return out

    def _shade(self, left: int, top: int) -> npt.NDArray[np.uint8]:
        """What is added to a square of the plane so that it differs from all others."""
        row, column = top // _SQUARE_PX, left // _SQUARE_PX
        return np.array([column & 255, row & 255, (column >> 8) + 16 * (row >> 8)], dtype=np.uint8)


def _pieces(start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The squares that a stretch touches: where each begins, and which part of it, from there."""
    for begin in range(start - start % _SQUARE_PX, start + length, _SQUARE_PX):
        yield begin, max(start - begin, 0), min(start + length - begin, _SQUARE_PX)


@lru_cache(maxsize=1)
def _noise(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    total = np.zeros((_SQUARE_PX, _SQUARE_PX, 3), dtype=np.float32)
    for grain in _OCTAVES:
        coarse = rng.standard_normal((_SQUARE_PX // grain, _SQUARE_PX // grain, 3), dtype=np.float32)
        total += coarse.repeat(grain, axis=0).repeat(grain, axis=1) * grain**0.5
    return np.asarray(np.clip(128 + 6 * total, 0, 255), dtype=np.uint8)


class Canvas:
    """A white plane with noisy tiles here and there, which it knows.

    Args:
        side: Width and height in pixels.
        n_busy: Tiles that hold anything, about.
        seed: Of places and noise.
    """

    def __init__(self, side: int, n_busy: int, seed: int = 0) -> None:
        self.size = (side, side)
        self.n_levels = count_levels(self.size)
        places = np.random.default_rng(seed).integers(0, side // TILE_PX, (n_busy, 2))
        self._corners = np.unique(places, axis=0) * TILE_PX

    def read(self, region: Rect, level: int = 0) -> Pixels:
        return read_padded(self._inside, self.size, region, level)

    def uniform(self, region: Rect) -> Colour | None:
        """See ``SparseSource.uniform``."""
        return None if len(self._touched(region)) else WHITE

    def _touched(self, region: Rect) -> npt.NDArray[np.int64]:
        x, y, width, height = region
        low, high = np.array([x - TILE_PX, y - TILE_PX]), np.array([x + width, y + height])
        return self._corners[((self._corners > low) & (self._corners < high)).all(axis=1)]

    def _inside(self, region: Rect) -> Pixels:
        x, y, width, height = region
        out = np.full((height, width, 3), WHITE, dtype=np.uint8)
        for left, top in self._touched(region).tolist():
            tile = np.random.default_rng((left, top)).integers(0, 256, (TILE_PX, TILE_PX, 3), dtype=np.uint8)
            x0, y0, x1, y1 = max(x, left), max(y, top), min(x + width, left + TILE_PX), min(y + height, top + TILE_PX)
            out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return out


class TimedEncoder(DctEncoder):
    """The native encoder with a clock.

    Attributes:
        seconds: Spent in ``encode`` so far.
    """

    seconds = 0.0

    def encode(self, pixels: TilePixels) -> PatchVectors:
        begun = time.perf_counter()
        try:
            return super().encode(pixels)
        finally:
            self.seconds += time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class _Figures:
    source: ImageSource
    tiles: TileGister

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        return build_image_nodes(
            self.source, self.tiles, page=page.number, frame=IMAGE_FRAME, t=t, index_start=index_start, done=done
        )


class _NoWords(MeanPool):
    """Words and their gists where there are none."""

    def encode_word(self, word: str) -> list[int]:
        raise NotImplementedError("an image has no words")

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        raise NotImplementedError("an image has no words")


def identity(tiles: TileGister) -> Identity:
    """Of a memory that holds nothing but images."""
    return Identity(base="none", gistnet="mean", encoder=tiles.encoder.name, dim=tiles.encoder.dim, slots=1)


def take_up(store: Store, source: ImageSource, tiles: TileGister, uri: str) -> int:
    """Ingest an image as a file would be; returns how many rows were there from a killed try."""
    size = (float(source.size[0]), float(source.size[1]))
    page = Page(1, size, (Region("figure", (0.0, 0.0, *size)),))
    document = Document(uri, "image", "px", 1, "procedural", lambda: iter((page,)))
    info = SourceInfo(uri=uri, kind="image", unit="px", n_pages=1, content_hash="procedural", page_sizes=[size])
    fingerprint = f"quad-tree {BUILD}, {tiles.fingerprint}"
    written = store.written(info, fingerprint)
    builder = TreeBuilder("px", _NoWords(), _NoWords(), _Figures(source, tiles))
    store.add_source(info, builder.build(document, written=written), fingerprint)
    return written.n_rows
