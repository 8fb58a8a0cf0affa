"""Parts of an image that have one colour, and their gists."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mm_megacontext.tree.nodes import TILE_PX, count_patches
from mm_megacontext.vision.gists.tile_gister import Gist, TileGister
from mm_megacontext.vision.sources.source import Colour


class Uniform(NamedTuple):
    """A rectangle of one colour; width and height in pixels."""

    colour: Colour
    width: int
    height: int


class UniformGists:
    """Gists of parts of one colour: to the bit those that the quad-trees below them would give.

    A part has at most four kinds of children, and so have they, so that few gists must be made however large it is.
    """

    def __init__(self, tile_gister: TileGister) -> None:
        self._tile_gister = tile_gister
        self._known: dict[tuple[Uniform, int], Gist] = {}
        self._colour: Colour | None = None

    def gist(self, part: Uniform, level: int) -> Gist:
        """The gist of a part that is a node of ``level`` (0: a tile)."""
        if part.colour != self._colour:
            self._known.clear()  # neighbours mostly have the same colour; of a million, few are held
            self._colour = part.colour
        return self._gist(part, level)

    def _gist(self, part: Uniform, level: int) -> Gist:
        if (part, level) not in self._known:
            self._known[part, level] = self._of_tile(part) if level == 0 else self._of_children(part, level)
        return self._known[part, level]

    def _of_tile(self, part: Uniform) -> Gist:
        (gist,) = self._tile_gister.gists([np.full((part.height, part.width, 3), part.colour, dtype=np.uint8)])
        return gist

    def _of_children(self, part: Uniform, level: int) -> Gist:
        half = TILE_PX << (level - 1)
        parts = {
            (row, column): part._replace(width=width, height=height)
            for row, height in enumerate((min(half, part.height), part.height - half))
            for column, width in enumerate((min(half, part.width), part.width - half))
            if width > 0 and height > 0
        }
        gists = [self._gist(child, level - 1).astype(np.float16).astype(np.float32) for child in parts.values()]
        n_leaves = [math.prod(count_patches(child.width, child.height)) for child in parts.values()]
        return self._tile_gister.gister.of_gists(gists, n_leaves, list(parts))
