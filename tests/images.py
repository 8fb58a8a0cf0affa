"""Images for the tests: in memory and sparse, and procedural ones of any size."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from mm_megacontext.document import Document, Page, Region
from mm_megacontext.store.store import SourceInfo, Store
from mm_megacontext.tree.build import TreeBuilder, is_one_figure
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.vision.encoders import DctEncoder
from mm_megacontext.vision.gists.tile_gister import Gist, MeanPool, TileGister
from mm_megacontext.vision.quadtree.build import build_image_nodes
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import (
    ArraySource,
    Colour,
    ImageSource,
    Pixels,
    Rect,
    count_levels,
    read_padded,
)

ENCODER = DctEncoder(24)


def hide_libvips(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """As if it were not installed: here, and for the processes that read images, which look in ``directory`` first."""
    directory.mkdir()
    (directory / "pyvips.py").write_text("raise ImportError('no libvips')")
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setitem(sys.modules, "pyvips", None)


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


class SourceFigures:
    """The quad-tree of one image, as the tree builder asks for it.

    Args:
        source: The image.
        tiles: Makes the gists.
        n_rows: After so many rows it is interrupted, as by Ctrl-C.
    """

    def __init__(self, source: ImageSource, tiles: TileGister, n_rows: int | None = None) -> None:
        self._source, self._tiles, self._n_rows = source, tiles, n_rows

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        rows = build_image_nodes(
            self._source, self._tiles, page=page.number, frame=IMAGE_FRAME, t=t, index_start=index_start, done=done
        )
        yield from islice(rows, self._n_rows)
        if self._n_rows is not None:
            raise KeyboardInterrupt

    def thumbnail(self, page: Page, *, t: int, index: int) -> NodeRow | None:
        raise AssertionError("an image has its thumbnail at the top of its tree")

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        return MeanPool().of_gists(gists, n_leaves)


class NoWords:
    """An image has none."""

    def encode_word(self, word: str) -> tuple[int, ...]:
        raise AssertionError(word)

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]:
        raise AssertionError(word)

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        raise AssertionError(blocks)

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        raise AssertionError("an image is one figure")


def ingest_source(
    store: Store, uri: str, source: ImageSource, tiles: TileGister, *, interrupted_after: int | None = None
) -> int:
    """Take up an image as an image file is taken up; returns how many rows were there from earlier tries."""
    size = (float(source.size[0]), float(source.size[1]))
    page = Page(1, size, (Region("figure", (0.0, 0.0, *size)),))
    document = Document(uri, "image", "px", 1, "0" * 64, lambda: iter((page,)))
    assert is_one_figure(document)
    info = SourceInfo(uri=uri, kind="image", unit="px", n_pages=1, content_hash="0" * 64, page_sizes=[size])
    written = store.written(info, tiles.fingerprint)
    builder = TreeBuilder("px", NoWords(), NoWords(), SourceFigures(source, tiles, interrupted_after))
    store.add_source(info, builder.build(document, written=written), tiles.fingerprint)
    return written.n_rows


def stored_rows(path: Path, number: int = 1) -> pa.Table:
    """All rows of a source as they are stored, apart from its number."""
    table = lance.dataset(path / "nodes").to_table(filter=f"source = {number}")
    return table.sort_by("node").drop_columns(["source"])


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
