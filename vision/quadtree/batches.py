"""The tiles of an image in the order of its quad-tree, read in large squares, in batches of bounded size.

Reading a square that holds a whole subtree costs a fraction of reading its tiles one by one: every call has its price,
and files are compressed in strips and blocks of their own. The next batches are read, decoded and hashed in another
thread while the last one is encoded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from mm_megacontext.vision.gists.tile_gister import TileBatch, TileGister
from mm_megacontext.vision.quadtree.ahead import run_ahead
from mm_megacontext.vision.quadtree.grid import GridNode, TileGrid
from mm_megacontext.vision.sources.source import ImageSource, Pixels

SQUARE_LEVEL = 3
"""Level of the subtrees whose pixels are read at once: 8 x 8 tiles, 1024 x 1024 pixels, 3 MB."""
BATCH_TILES = 64
"""A batch is closed with the subtree in which it reaches so many tiles, so it has fewer than twice as many."""
BATCH_NODES = 1024
"""It is closed with so many nodes, too, where hardly any of them are tiles that must be read."""
BATCHES_AHEAD = 2
"""Read batches that wait to be encoded: 6 MB each."""
READ_AHEAD = 1
"""Those before them that wait to be hashed."""


class Batch(NamedTuple):
    """Neighbours in post-order, and the pixels of the tiles among them that nothing is known of."""

    nodes: list[GridNode]
    tiles: TileBatch


def read_batches(
    source: ImageSource, grid: TileGrid, nodes: Iterable[GridNode], tile_gister: TileGister
) -> Generator[Batch]:
    """All ``nodes``, which are in post-order, with the pixels of their tiles: read in one thread, hashed in another."""
    with closing(run_ahead(partial(_read, source, grid), plan_batches(nodes), READ_AHEAD)) as read:
        yield from run_ahead(partial(_recognise, tile_gister), read, BATCHES_AHEAD)


@dataclass(slots=True)
class Plan:
    """A batch before it is read; ``squares`` are the tiles that are read together."""

    nodes: list[GridNode] = field(default_factory=list)
    squares: list[list[GridNode]] = field(default_factory=lambda: [[]])
    n_tiles: int = 0

    def add(self, node: GridNode) -> None:
        self.nodes.append(node)
        if node.level == 0 and node.known is None:
            self.squares[-1].append(node)
            self.n_tiles += 1
        if node.level >= SQUARE_LEVEL and self.squares[-1]:
            self.squares.append([])

    @property
    def is_full(self) -> bool:
        return self.n_tiles >= BATCH_TILES or len(self.nodes) >= BATCH_NODES


def plan_batches(nodes: Iterable[GridNode]) -> Iterator[Plan]:
    """Cut nodes in post-order into batches at the ends of squares."""
    plan = Plan()
    for node in nodes:
        plan.add(node)
        if node.level >= SQUARE_LEVEL and plan.is_full:
            yield plan
            plan = Plan()
    if plan.nodes:
        yield plan


def _read(source: ImageSource, grid: TileGrid, plan: Plan) -> tuple[Plan, list[Pixels]]:
    return plan, [pixels for square in plan.squares if square for pixels in _read_square(source, grid, square)]


def _recognise(tile_gister: TileGister, read: tuple[Plan, list[Pixels]]) -> Batch:
    plan, pixels = read
    return Batch(plan.nodes, tile_gister.recognise(pixels))


def _read_square(source: ImageSource, grid: TileGrid, tiles: list[GridNode]) -> Iterator[Pixels]:
    """The pixels of some tiles of one square; in one go, unless most of what that reads would be for nothing."""
    rects = np.array([grid.rect(0, tile.tx, tile.ty) for tile in tiles])
    x0, y0 = rects[:, :2].min(axis=0).tolist()
    x1, y1 = (rects[:, :2] + rects[:, 2:]).max(axis=0).tolist()
    if 2 * int(np.prod(rects[:, 2:], axis=1).sum()) < (x1 - x0) * (y1 - y0):
        for x, y, width, height in rects.tolist():
            yield source.read((x, y, width, height))
        return
    square = source.read((x0, y0, x1 - x0, y1 - y0))
    for x, y, width, height in rects.tolist():
        yield square[y - y0 : y - y0 + height, x - x0 : x - x0 + width]
