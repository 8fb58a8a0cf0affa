"""From patch vectors to gists: pooling behind a protocol, and tiles that repeat recognised before they are encoded."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.tree import PATCH_PX
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.source import Pixels, repeat_edges
from mm_megacontext.vision.tiles import TILE_PX, count_patches

Gist = npt.NDArray[np.float32]
"""(slots, dim)."""

Cell = tuple[int, int]
"""(row, column) of a child in its parent's 2 x 2."""

CACHED_GISTS = 8192
"""Distinct tiles remembered for recognising repetitions: 6 MB at one slot of 192."""


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
        return [np.tile(tile.mean(axis=(0, 1), dtype=np.float32), (self.slots, 1)) for tile in tiles]

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

    Share one between all images and pages of an ingest, so that repeated logos and backgrounds cost nothing.

    Args:
        encoder: Makes the patch vectors.
        gister: Pools them; by default their mean.
        n_cached: Distinct tiles to remember; the least recently seen is forgotten.

    Attributes:
        n_tiles: Tiles asked for so far.
        n_encoded: Tiles that had to be encoded.
    """

    def __init__(
        self, encoder: PatchEncoder, gister: VisualGister | None = None, *, n_cached: int = CACHED_GISTS
    ) -> None:
        if encoder.patch_px != PATCH_PX:
            raise ValueError(f"the tree has patches of {PATCH_PX} px, {encoder.name} has {encoder.patch_px}")
        self.encoder = encoder
        self.gister: VisualGister = gister or MeanPool()
        self.n_tiles = 0
        self.n_encoded = 0
        self._n_cached = n_cached
        self._known: OrderedDict[bytes, Gist] = OrderedDict()

    def gists(self, tiles: Sequence[Pixels]) -> list[Gist]:
        """One gist per tile; each tile holds its real pixels only, at most 128 x 128."""
        keys = [_digest(tile) for tile in tiles]
        gists = {key: self._known[key] for key in keys if key in self._known}
        new = {key: tile for key, tile in zip(keys, tiles, strict=True) if key not in gists}
        if new:
            gists.update(zip(new, self._encode(list(new.values())), strict=True))
        for key in keys:
            self._known[key] = gists[key]
            self._known.move_to_end(key)
        while len(self._known) > self._n_cached:
            self._known.popitem(last=False)
        self.n_tiles += len(tiles)
        self.n_encoded += len(new)
        return [gists[key] for key in keys]

    def _encode(self, tiles: list[Pixels]) -> list[Gist]:
        whole = np.stack([repeat_edges(tile, width=TILE_PX, height=TILE_PX) for tile in tiles])
        vectors = self.encoder.encode(np.ascontiguousarray(whole.transpose(0, 3, 1, 2)))
        real = []
        for tile, of_tile in zip(tiles, vectors, strict=True):
            columns, rows = count_patches(tile.shape[1], tile.shape[0])
            real.append(of_tile[:rows, :columns])
        return self.gister.of_patches(real)


def _digest(tile: Pixels) -> bytes:
    """Identifies a tile's size and pixels."""
    height, width, _ = tile.shape
    content = hashlib.blake2b(tile.tobytes(), digest_size=16).digest()
    return bytes((height, width)) + content
