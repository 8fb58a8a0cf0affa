"""Tiles of random scenes with the marked objects that are in them: what the finder trains on.

Every second scene holds kinds that differ in one trait only: among ten thousand objects there are always some of those.
An object that is cut by the edge of a tile counts as there from a tenth of its area on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.training.data.scenes import KINDS, Background, Kind, Plain, Scene, Textured, Thing, scatter
from mm_megacontext.tree.nodes import PATCH_PX, TILE_PX
from mm_megacontext.vision.sources.source import Pixels, Rect

SIDE = 1024
"""Pixels on the side of a training scene: 8 x 8 tiles."""
PART = 0.1
"""Share of an object's area in a tile from which it counts as there; what is less counts neither way."""
EMPTY = 0.25
"""Share of the tiles without any object that is trained on: they are soon learned."""


class MarkedTiles(NamedTuple):
    """Tiles of some scenes.

    Attributes:
        pixels: (tiles, 128, 128, 3).
        labels: (tiles, kinds) 1 there, 0 not there, -1 hardly there.
        at: (tiles, 8, 8) the kind of object that the middle of a patch lies on, or -1.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int8]
    at: npt.NDArray[np.int64]


def background(rng: np.random.Generator) -> Background:
    """White, of one colour, or textured more or less strongly."""
    if rng.random() < 0.3:
        return Plain((255, 255, 255))
    if rng.random() < 0.2:
        red, green, blue = rng.integers(0, 256, 3).tolist()
        return Plain((red, green, blue))
    return Textured(int(rng.integers(4)), float(rng.choice((2.0, 6.0, 10.0))))


def random_scene(rng: np.random.Generator, n: int) -> Scene:
    """``n`` objects: of random kinds, or in every second scene of kinds that are easily taken for each other."""
    origin = int(rng.integers(1 << 16)) * SIDE  # another square of the texture each time
    kinds = alike(rng, n) if rng.random() < 0.5 else rng.integers(0, len(KINDS), n).tolist()
    things = scatter(rng, (SIDE, SIDE), kinds)
    behind = background(rng)
    return Scene((SIDE, SIDE), things, _Moved(behind, origin))


def alike(rng: np.random.Generator, n: int) -> list[int]:
    """``n`` kinds, each with two traits of one of three: what tells them apart has to be learned."""
    models = [KINDS[i] for i in rng.integers(0, len(KINDS), 3)]
    return [KINDS.index(_changed(rng, models[i])) for i in rng.integers(0, len(models), n)]


def _changed(rng: np.random.Generator, kind: Kind) -> Kind:
    other, trait = KINDS[rng.integers(len(KINDS))], Kind._fields[rng.integers(len(Kind._fields))]
    return kind._replace(**{trait: getattr(other, trait)})


@dataclass(frozen=True, slots=True)
class _Moved:
    """A background seen from somewhere else."""

    behind: Background
    x: int

    @property
    def colour(self) -> tuple[int, int, int] | None:
        return self.behind.colour

    def __call__(self, region: Rect) -> Pixels:
        return self.behind((region[0] + self.x, *region[1:]))


def cut(scenes: Sequence[Scene], rng: np.random.Generator, empty: float = EMPTY) -> MarkedTiles:
    """The tiles of scenes that hold something of an object, and a share ``empty`` of the others."""
    n = SIDE // TILE_PX
    pixels = [s.read((0, 0, SIDE, SIDE)).reshape(n, TILE_PX, n, TILE_PX, 3).swapaxes(1, 2) for s in scenes]
    at = np.concatenate([_kinds_at(s).reshape(n, 8, n, 8).swapaxes(1, 2).reshape(-1, 8, 8) for s in scenes])
    labels = np.zeros((len(scenes), n, n, len(KINDS)), dtype=np.int8)
    for own, scene in zip(labels, scenes, strict=True):
        for thing in scene.things:
            for row, column, share in _shares(thing):
                if share >= PART:
                    own[row, column, thing.kind] = 1
                elif own[row, column, thing.kind] == 0:
                    own[row, column, thing.kind] = -1
    flat = labels.reshape(-1, len(KINDS))
    kept = flat.any(axis=1) | (rng.random(len(flat)) < empty)
    return MarkedTiles(np.concatenate(pixels).reshape(-1, TILE_PX, TILE_PX, 3)[kept], flat[kept], at[kept])


def _kinds_at(scene: Scene) -> npt.NDArray[np.int64]:
    """(rows, columns) of all patches of a scene."""
    at = np.full((SIDE // PATCH_PX, SIDE // PATCH_PX), -1, dtype=np.int64)
    for thing in scene.things:
        rows, columns = (
            slice(-(-(low - PATCH_PX // 2) // PATCH_PX), (low + thing.size - PATCH_PX // 2 - 1) // PATCH_PX + 1)
            for low in (thing.y, thing.x)
        )
        at[rows, columns] = thing.kind
    return at


def _shares(thing: Thing) -> Iterator[tuple[int, int, float]]:
    """Tiles (row, column) that an object touches, and the share of its square in each."""
    for row in range(thing.y // TILE_PX, (thing.y + thing.size - 1) // TILE_PX + 1):
        for column in range(thing.x // TILE_PX, (thing.x + thing.size - 1) // TILE_PX + 1):
            height = min(thing.y + thing.size, (row + 1) * TILE_PX) - max(thing.y, row * TILE_PX)
            width = min(thing.x + thing.size, (column + 1) * TILE_PX) - max(thing.x, column * TILE_PX)
            yield row, column, height * width / thing.size**2
