"""Geometry of tiles: which patches an image has, and in which order its quad-tree is walked. No pixels here.

A patch is 16 x 16 pixels, a tile 8 x 8 patches; both grids start at the top-left corner. Only patches that hold at
least one pixel of the image are leaves, so tiles at the right and bottom edge may have fewer than 64.
Above the tiles (level 0) each level halves both sides of the grid, rounding up, until one node is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mm_megacontext.tree.nodes import TILE_PX


class GridNode(NamedTuple):
    """A node of the quad-tree: level 0 is a tile; (tx, ty) counts nodes of that level.

    ``n_children`` nodes came before it and not yet under another parent; a tile has none, nor has a node of which
    something was ``known`` that made it needless to go below it.
    """

    level: int
    tx: int
    ty: int
    n_children: int
    known: object = None


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of an image of ``width`` x ``height`` pixels and the quad-tree above them.

    Example:
        >>> grid = TileGrid(300, 100)
        >>> grid.columns, grid.rows, grid.top_level
        (3, 1, 2)
        >>> [(n.level, n.tx, n.n_children) for n in grid.postorder()]
        [(0, 0, 0), (0, 1, 0), (1, 0, 2), (0, 2, 0), (1, 1, 1), (2, 0, 2)]
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an image must have at least 1 x 1 pixels, got {self.width} x {self.height}")

    @property
    def columns(self) -> int:
        """Tiles across."""
        return -(-self.width // TILE_PX)

    @property
    def rows(self) -> int:
        """Tiles down."""
        return -(-self.height // TILE_PX)

    @property
    def top_level(self) -> int:
        """Level of the root: 0 if the image is one tile."""
        return (max(self.columns, self.rows) - 1).bit_length()

    def __len__(self) -> int:
        """Number of nodes of the quad-tree."""
        return sum(-(-self.columns >> level) * -(-self.rows >> level) for level in range(self.top_level + 1))

    def rect(self, level: int, tx: int, ty: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the image's pixels under a node, at full resolution."""
        side = TILE_PX << level
        x, y = tx * side, ty * side
        return x, y, min(side, self.width - x), min(side, self.height - y)

    def cells(self, node: GridNode) -> list[tuple[int, int]]:
        """(row, column) of each child of ``node`` in its 2 x 2, in the order of ``postorder``; none for a tile.

        Example:
            >>> TileGrid(100, 300).cells(GridNode(1, 0, 0, 2)), TileGrid(300, 100).cells(GridNode(1, 0, 0, 2))
            ([(0, 0), (1, 0)], [(0, 0), (0, 1)])
        """
        if node.level == 0:
            return []
        across = min(2, -(-self.columns >> (node.level - 1)) - 2 * node.tx)
        return [divmod(i, across) for i in range(node.n_children)]

    def postorder(self, known: Callable[[int, int, int], object] | None = None) -> Iterator[GridNode]:
        """All nodes in Morton (Z) order, each parent right after its last descendant; memory O(depth).

        Args:
            known: Asked about (level, tx, ty) of each node before what is below it is walked. If it answers, the node
                comes with that answer and nothing below it does; None goes on.
        """
        return self._walk(self.top_level, 0, 0, known)

    def _walk(
        self, level: int, tx: int, ty: int, known: Callable[[int, int, int], object] | None
    ) -> Iterator[GridNode]:
        answer = None if known is None else known(level, tx, ty)
        n_children = 0
        if level and answer is None:
            below = level - 1
            columns, rows = -(-self.columns >> below), -(-self.rows >> below)
            for y in range(2 * ty, min(2 * ty + 2, rows)):
                for x in range(2 * tx, min(2 * tx + 2, columns)):
                    n_children += 1
                    yield from self._walk(below, x, y, known)
        yield GridNode(level, tx, ty, n_children, answer)
