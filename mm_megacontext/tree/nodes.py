"""The gist tree as data: nodes, leaves, and the protocol by which anything reads a tree.

A source's nodes are numbered in post-order, so the subtree of node ``k`` is the index range ``first.index .. k``
and document order is index order. No parent pointers are stored: "is ``h`` below ``n``" is ``n.first <= h <= n.last``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box

Modality = Literal["text", "image", "mixed"]

BLOCK_TOKENS = 32
"""A text block holds at most this many leaves, unless it is a row of a table."""
ROW_TOKENS = 128
"""A row of a table of up to so many leaves is one block."""
GROUP_ARITY = 32
"""Blocks, regions, pages, documents are grouped at most this many at a time."""
TILE_PATCHES = 8
"""A tile is this many patches on a side."""
PATCH_PX = 16
"""Pixels on the side of an image patch: the unit of x and y positions in an image."""
TILE_PX = PATCH_PX * TILE_PATCHES
"""Pixels on the side of a tile."""
PATCH_PT = 8.0
"""PDF points on the side of a patch (a page is read at 144 dpi): the unit of x and y positions on a page."""
UNIFORM = "uniform"
"""Kind of an image node above LOD 1 that has no children, since all pixels below it have one colour."""
COLLECTION = 0
"""The source number of collection nodes, which stand above the documents; stored sources count from 1."""


def count_patches(width: int, height: int) -> tuple[int, int]:
    """(columns, rows) of patches that hold at least one of ``width`` x ``height`` pixels.

    Example:
        >>> count_patches(128, 17)
        (8, 2)
    """
    return -(-width // PATCH_PX), -(-height // PATCH_PX)


class NodeId(NamedTuple):
    """Source number and post-order index in that source. Ids sort in document order."""

    source: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody needs on an id


@dataclass(frozen=True, slots=True)
class PixelRef:
    """Where an image node's pixels are: a rectangle of one level of one page, in pixels of that level."""

    page: int
    level: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """The patches below an image node, row by row: everything about them that is not pixels.

    Attributes:
        x, y: Top-left corner, in pixels of ``level`` in the raster of the page.
        width, height: In pixels of ``level``; the last column and row of patches may hold less than 16 of them.
        level: Mipmap level; a patch is 16 pixels of it wide and high.
        right, bottom: Where the image ends, in level-0 pixels of the page: no box goes beyond.
        unit: Source units per level-0 pixel.
        t: Timeline unit of all patches.

    Example:
        >>> grid = PatchGrid(x=128, y=0, width=40, height=16, level=0, right=168, bottom=16, unit=1.0, t=7)
        >>> len(grid), grid.boxes()[2].tolist(), grid.moments().mean.tolist()
        (3, [160.0, 0.0, 168.0, 16.0], [7.0, 9.5, 0.5])
    """

    x: int
    y: int
    width: int
    height: int
    level: int
    right: int
    bottom: int
    unit: float
    t: int

    @property
    def columns(self) -> int:
        return -(-self.width // PATCH_PX)

    @property
    def rows(self) -> int:
        return -(-self.height // PATCH_PX)

    def __len__(self) -> int:
        return self.columns * self.rows

    def mu(self) -> npt.NDArray[np.float64]:
        """Centres (n, 3): t, and x and y in patches of the page."""
        scale = 2.0**self.level
        corner = np.array([self.t, self.x * (scale / PATCH_PX), self.y * (scale / PATCH_PX)])
        return np.asarray(_patch_layout(self.columns, self.rows, self.level).centres + corner)

    def boxes(self) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) in source units, cut at the edge of the image."""
        x, y = self.x << self.level, self.y << self.level
        edges = _patch_layout(self.columns, self.rows, self.level).edges + np.array([x, y, x, y])
        np.minimum(edges, np.array([self.right, self.bottom, self.right, self.bottom]), out=edges)
        return np.asarray(edges * self.unit, dtype=np.float32)

    def moments(self) -> Moments:
        """Those of ``mu``, in closed form: exact however many patches there are."""
        scale = 2.0**self.level
        mean = (self.t, (self.x / PATCH_PX + self.columns / 2) * scale, (self.y / PATCH_PX + self.rows / 2) * scale)
        variance = (0.0, (self.columns**2 - 1) / 12 * scale**2, (self.rows**2 - 1) / 12 * scale**2)
        return Moments(len(self), np.array(mean, dtype=np.float64), np.array(variance, dtype=np.float64))


class _PatchLayout(NamedTuple):
    """Patches of a tile from its corner: centres (n, 3) in patches of the page with t = 0, edges (n, 4) in pixels."""

    centres: npt.NDArray[np.float64]
    edges: npt.NDArray[np.int64]


@lru_cache(maxsize=4 * TILE_PATCHES**2)
def _patch_layout(columns: int, rows: int, level: int) -> _PatchLayout:
    y, x = np.divmod(np.arange(rows * columns), columns)
    centres = np.stack([np.zeros(len(x)), x + 0.5, y + 0.5], axis=1) * 2.0**level
    first = np.stack([x, y], axis=1) * PATCH_PX
    return _PatchLayout(centres, np.concatenate([first, first + PATCH_PX], axis=1) << level)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What a node says of the leaves below it, wherever the node is numbered.

    Attributes:
        lod: Level of detail, from 1.
        modality: Of the leaves.
        kind: What it was made of: the kind of a region, "page", "tile" …
        page: First page it covers, from 1; ``last_page`` the last one.
        bbox: Box on the first page, in source units.
        t_span: Half-open range of the timeline, in timeline units.
        n_leaves: How many there are.
        mu: Mean (t, x, y) of the leaves, float64 (3,); x and y in patches.
        sigma: Standard deviation of the same, float64 (3,).
        gist: float16 (slots, dim).
    """

    lod: int
    modality: Modality
    kind: str
    page: int
    last_page: int
    bbox: Box
    t_span: tuple[int, int]
    n_leaves: int
    mu: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    gist: npt.NDArray[np.float16]

    @property
    def moments(self) -> Moments:
        """Number, mean and variance of the leaves' positions."""
        return Moments(self.n_leaves, self.mu, self.sigma**2)


@dataclass(frozen=True, slots=True, eq=False)
class Node(Summary):
    """A member of the tree at LOD 1 or above; its ``t_span`` is on the timeline of whoever reads it.

    A node above LOD 1 without children is ``UNIFORM``: below it lies nothing but one colour, which its gist says.
    It stands for all its leaves and cannot be expanded.

    Attributes:
        first: First id of the subtree (its smallest in document order); ``last`` its last, the node itself unless
            it is a collection node.
        text: Text of a text block, else empty.
        child_slots: Slots of all children together; None where each has as many as the node itself.
    """

    id: NodeId
    first: NodeId
    last: NodeId
    children: tuple[NodeId, ...]
    text: str = ""
    pixels: PixelRef | None = None
    links: tuple[NodeId, ...] = ()
    child_slots: int | None = None

    @property
    def order(self) -> tuple[int, NodeId]:
        """Sort key of the working context: time first, then document order."""
        return (self.t_span[0], self.first)

    def covers(self, other: NodeId) -> bool:
        """Whether ``other`` is this node or lies below it."""
        return self.first <= other <= self.last


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """The leaves of one block or tile.

    Attributes:
        mu: (n, 3) float64, as for nodes; leaves have no spread.
        boxes: (n, 4) float32 in source units: a token's share of its word's box, or a patch.
        token_ids: (n,) int64 for text, empty for image.
        roles: (n,) uint8 for text: index into ``blocks.ROLES``, plus ``blocks.LINE_START``.
        pixels: (n, 3, patch, patch) uint8 for image, else None.
    """

    mu: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float32]
    token_ids: npt.NDArray[np.int64]
    roles: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.mu)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NodeRow(Summary):
    """A node as a source writes it, with its leaves: all numbers, and its ``t_span``, are the source's own.

    Attributes:
        index: Post-order index; rows are written in this order, without gaps, from 0.
        first: Smallest index of the subtree.
        children: Indexes of the children, ascending; empty at LOD 1.
        child_slots: Slots of all children together; None where each has as many as the node itself.
        context: Words from elsewhere that the block is also found by, as a table's header is for a row; not read.
        token_ids: int32 (n,), text leaves; empty otherwise.
        leaf_mu: float64 (n, 3), leaves of a block or tile; empty (0, 3) above LOD 1.
        leaf_boxes: float32 (n, 4), source units.
        leaf_roles: uint8 (n,), text leaves; empty otherwise.
        grid: Of a tile: what ``leaf_mu`` and ``leaf_boxes`` follow from, and what is stored in their place.
    """

    index: int
    first: int
    children: tuple[int, ...]
    text: str = ""
    context: str = ""
    pixels: PixelRef | None = None
    links: tuple[int, ...] = ()
    child_slots: int | None = None
    token_ids: npt.NDArray[np.int32]
    leaf_mu: npt.NDArray[np.float64]
    leaf_boxes: npt.NDArray[np.float32]
    leaf_roles: npt.NDArray[np.uint8]
    grid: PatchGrid | None = None


class HasGist(Protocol):
    """A node or its row, as far as its gist goes."""

    @property
    def gist(self) -> npt.NDArray[np.float16]: ...


def slots_below(gist: npt.NDArray[np.floating[Any]], children: Sequence[HasGist]) -> int | None:
    """``child_slots`` of a node with that gist above ``children``."""
    counts = [len(child.gist) for child in children]
    return None if set(counts) == {len(gist)} else sum(counts)


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """The first rows of a source, as far as they are safe on disk; none of it by default.

    Attributes:
        n_rows: How many.
        tops: Roots of the subtrees that are whole and wait for their parent, in document order, without leaves.
    """

    n_rows: int = 0
    tops: tuple[NodeRow, ...] = ()


class TreeReader(Protocol):
    """Anything that can serve a tree: a memory on disk, or a tree in main memory."""

    def roots(self) -> list[NodeId]:
        """Ids that cover every leaf exactly once, in document order; few enough for a small budget."""
        ...

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        """The nodes of ``ids``, in that order. Raises NodeNotFound."""
        ...

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        """The leaves of LOD-1 nodes, in that order. Raises NodeNotFound."""
        ...


class Moments(NamedTuple):
    """Count, mean and variance of leaf positions; merging is exact (Chan, Golub and LeVeque 1979)."""

    n: int
    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]

    @classmethod
    def of(cls, mu: npt.NDArray[np.float64]) -> Moments:
        """Moments of positions (n, 3)."""
        return cls(len(mu), mu.mean(axis=0), mu.var(axis=0))

    @classmethod
    def merge(cls, parts: Sequence[Moments]) -> Moments:
        """Moments of the union of disjoint parts (at least one)."""
        n = np.array([p.n for p in parts], dtype=np.float64)[:, None]
        means = np.stack([p.mean for p in parts])
        mean = (n * means).sum(axis=0) / n.sum()
        spread = np.stack([p.variance for p in parts]) + (means - mean) ** 2
        return cls(int(n.sum()), mean, (n * spread).sum(axis=0) / n.sum())
