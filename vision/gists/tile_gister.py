"""From patch vectors to gists: pooling behind a protocol, and tiles that repeat recognised before they are encoded."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.tree.nodes import PATCH_PX, TILE_PX, count_patches
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.sources.source import Pixels, repeat_edges

Gist = npt.NDArray[np.float32]
"""(slots, dim)."""

Cell = tuple[int, int]
"""(row, column) of a child in its parent's 2 x 2."""

CACHED_GISTS = 8192
"""Distinct tiles remembered for recognising repetitions: 6 MB at one slot of 192."""


@dataclass(frozen=True, slots=True, eq=False)
class TileBatch:
    """Some tiles, ready to be encoded, and what tells each of them from others.

    Attributes:
        pixels: (tiles, 128, 128, 3): at the edge of the image its last pixels are repeated.
        sizes: (width, height) that is real, of each.
        keys: Equal for tiles with equal pixels and size.
    """

    pixels: Pixels
    sizes: Sequence[tuple[int, int]]
    keys: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.keys)


class VisualGister(Protocol):
    """Turns patch vectors into the gist of their tile, and gists into the gist of their parent."""

    @property
    def id(self) -> str:
        """Names the gister together with its parameters; part of the identity of stored gists."""
        ...

    @property
    def slots(self) -> int:
        """Vectors per gist."""
        ...

    def of_patches(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        """One gist per tile; each tile is (rows, columns, dim), at most 8 x 8."""
        ...

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        """The gist of a parent from those of its one to four children.

        Args:
            gists: Of the children, in Z-order unless ``cells`` says where each stands.
            n_leaves: Patches under each of them.
            cells: (row, column) of each in the parent's 2 x 2; None if the caller does not know.
        """
        ...


class MeanPool:
    """The baseline: a gist is the mean of all its patches' vectors, at every level.

    Args:
        slots: Vectors per gist; a mean has only one thing to say, so each slot repeats it.
    """

    id = "mean"

    def __init__(self, slots: int = 1) -> None:
        self.slots = at_least_one_slot(slots)

    def of_patches(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        means = [tile.mean(axis=(0, 1), dtype=np.float32) for tile in tiles]
        return [mean[None].repeat(self.slots, axis=0) for mean in means]

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        weights = np.asarray(n_leaves, dtype=np.float32)
        return np.asarray(np.tensordot(weights / weights.sum(), np.stack(gists), axes=1), dtype=np.float32)


class MaxPool:
    """A baseline: coordinate by coordinate the largest value among all patches, at every level.

    Args:
        slots: Vectors per gist; each repeats the same.
    """

    id = "max"

    def __init__(self, slots: int = 1) -> None:
        self.slots = at_least_one_slot(slots)

    def of_patches(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        return [np.tile(tile.max(axis=(0, 1)), (self.slots, 1)) for tile in tiles]

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        return np.asarray(np.max(np.stack(gists), axis=0), dtype=np.float32)


def at_least_one_slot(slots: int) -> int:
    """``slots``. Raises ValueError if there is none."""
    if slots < 1:
        raise ValueError(f"a gist must have at least one slot, got {slots}")
    return slots


class TileGister:
    """Gists of tiles, encoded in batches; a tile seen before, blank ones above all, is not encoded again.

    Share one between all images and pages of an ingest, so that repeated logos and backgrounds cost nothing. Threads
    that use it take turns.

    Args:
        encoder: Makes the patch vectors.
        gister: Pools them; by default their mean.
        n_cached: Distinct tiles to remember; the least recently seen is forgotten.
        near_blank: A tile in which no channel's values differ by more than this (0 to 255) is encoded as if all its
            pixels had their mean colour: the noise of scanned paper then costs as little as a white page. Only the
            gist changes; expanding the tile reads the pixels as they are. 0, the default, is off.

    Attributes:
        n_tiles: TileBatch asked for so far.
        n_encoded: TileBatch that had to be encoded.
    """

    def __init__(
        self,
        encoder: PatchEncoder,
        gister: VisualGister | None = None,
        *,
        n_cached: int = CACHED_GISTS,
        near_blank: int = 0,
    ) -> None:
        if encoder.patch_px != PATCH_PX:
            raise ValueError(f"the tree has patches of {PATCH_PX} px, {encoder.name} has {encoder.patch_px}")
        if not 0 <= near_blank <= 255:
            raise ValueError(f"near_blank is a difference of channel values, 0 to 255, got {near_blank}")
        self.encoder = encoder
        self.near_blank = near_blank
        self.gister: VisualGister = gister or MeanPool()
        self.n_tiles = 0
        self.n_encoded = 0
        self._n_cached = n_cached
        self._turn = Lock()
        self._known: OrderedDict[bytes, Gist] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        """Names everything that the gists of tiles depend on."""
        return f"{self.encoder.name} {self.gister.id} near_blank={self.near_blank}"

    def recognise(self, tiles: Sequence[Pixels]) -> TileBatch:
        """Make tiles ready; each holds its real pixels only, at most 128 x 128. May be called from any thread."""
        pixels = np.empty((len(tiles), TILE_PX, TILE_PX, 3), dtype=np.uint8)
        for whole, tile in zip(pixels, tiles, strict=True):
            if self.near_blank and _spread(tile) <= self.near_blank:
                whole[:] = np.rint(tile.mean(axis=(0, 1)))
            else:
                whole[:] = repeat_edges(tile, width=TILE_PX, height=TILE_PX)
        sizes = [(tile.shape[1], tile.shape[0]) for tile in tiles]
        return TileBatch(pixels, sizes, [_digest(*pair) for pair in zip(pixels, sizes, strict=True)])

    def gists(self, tiles: Sequence[Pixels]) -> list[Gist]:
        """One gist per tile; each tile holds its real pixels only, at most 128 x 128."""
        return self.gists_of(self.recognise(tiles))

    def gists_of(self, tiles: TileBatch) -> list[Gist]:
        """One gist per tile."""
        with self._turn:
            return self._gists_of(tiles)

    def _gists_of(self, tiles: TileBatch) -> list[Gist]:
        gists = {key: self._known[key] for key in tiles.keys if key in self._known}
        new = {key: i for i, key in enumerate(tiles.keys) if key not in gists}
        if new:
            gists.update(zip(new, self._encode(tiles, list(new.values())), strict=True))
        for key in tiles.keys:
            self._known[key] = gists[key]
            self._known.move_to_end(key)
        while len(self._known) > self._n_cached:
            self._known.popitem(last=False)
        self.n_tiles += len(tiles)
        self.n_encoded += len(new)
        return [gists[key] for key in tiles.keys]

    def _encode(self, tiles: TileBatch, chosen: list[int]) -> list[Gist]:
        pixels = tiles.pixels if len(chosen) == len(tiles) else tiles.pixels[chosen]
        vectors = self.encoder.encode(pixels.transpose(0, 3, 1, 2))
        real = []
        for i, of_tile in zip(chosen, vectors, strict=True):
            columns, rows = count_patches(*tiles.sizes[i])
            real.append(of_tile[:rows, :columns])
        return self.gister.of_patches(real)


def _digest(pixels: Pixels, size: tuple[int, int]) -> bytes:
    # Not the last word in speed, but one in safety: no file can pass one of its tiles off as one of another file.
    return bytes(size) + hashlib.sha256(pixels.data).digest()


def _spread(tile: Pixels) -> int:
    """The most by which values of one channel differ."""
    highest, lowest = tile.max(axis=0).max(axis=0), tile.min(axis=0).min(axis=0)  # twice as fast as both axes at once
    return int((highest.astype(np.int16) - lowest).max())
