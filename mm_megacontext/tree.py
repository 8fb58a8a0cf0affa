"""The gist tree as data: nodes, leaves, and the protocol by which anything reads a tree.

A source's nodes are numbered in post-order, so the subtree of node ``k`` is the index range ``first.index .. k``
and document order is index order. No parent pointers are stored: "is ``h`` below ``n``" is ``n.first <= h <= n.last``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.layout.document import Box

Modality = Literal["text", "image", "mixed"]

BLOCK_TOKENS = 32
"""A text block holds at most this many leaves."""
GROUP_ARITY = 32
"""Blocks, regions, pages, documents are grouped at most this many at a time."""
TILE_PATCHES = 8
"""A tile is this many patches on a side."""
PATCH_PX = 16
"""Pixels on the side of an image patch: the unit of x and y positions in an image."""
PATCH_PT = 8.0
"""PDF points on the side of a patch (a page is read at 144 dpi): the unit of x and y positions on a page."""
COLLECTION = 0
"""The source number of collection nodes, which stand above the documents; stored sources count from 1."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A member of the tree at LOD 1 or above.

    Attributes:
        first: First id of the subtree (its smallest in document order); ``last`` its last, the node itself unless
            it is a collection node.
        page: First page it covers, from 1; ``last_page`` the last one.
        bbox: Box on the first page, in source units.
        t_span: Half-open range of the timeline, in timeline units.
        mu: Mean (t, x, y) of the covered leaves, float64 (3,); x and y in patches.
        sigma: Standard deviation of the same, float64 (3,).
        gist: float16 (slots, dim).
        text: Text of a text block, else empty.
    """

    id: NodeId
    first: NodeId
    last: NodeId
    children: tuple[NodeId, ...]
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
    text: str = ""
    pixels: PixelRef | None = None
    links: tuple[NodeId, ...] = ()

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
class NodeRow:
    """A node as a source writes it: all numbers local to the source, leaves included.

    Attributes:
        index: Post-order index; rows are written in this order, without gaps, from 0.
        first: Smallest index of the subtree.
        children: Indexes of the children, ascending; empty at LOD 1.
        t_span: Half-open range of the source's own timeline.
        mu, sigma: float64 (3,), moments of the covered leaves.
        gist: float16 (slots, dim).
        context: Words from elsewhere that the block is also found by, as a table's header is for a row; not read.
        token_ids: int32 (n,), text leaves; empty otherwise.
        leaf_mu: float64 (n, 3), leaves of a block or tile; empty (0, 3) above LOD 1.
        leaf_boxes: float32 (n, 4), source units.
        leaf_roles: uint8 (n,), text leaves; empty otherwise.
    """

    index: int
    first: int
    children: tuple[int, ...]
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
    text: str = ""
    context: str = ""
    pixels: PixelRef | None = None
    links: tuple[int, ...] = ()
    token_ids: npt.NDArray[np.int32]
    leaf_mu: npt.NDArray[np.float64]
    leaf_boxes: npt.NDArray[np.float32]
    leaf_roles: npt.NDArray[np.uint8]

    @property
    def moments(self) -> Moments:
        return Moments(self.n_leaves, self.mu, self.sigma**2)


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
