"""What was read from the nodes table last: runs of neighbouring rows as they are on disk, and the nodes made of them.

Reading some hundred rows that lie together takes as long as reading one, and a tree in post-order has what is below a
node right before it. So rows are read in runs, of which only the nodes that are asked for are decoded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mm_megacontext.errors import NodeNotFound
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import decode_leaves, decode_node, gists_of
from mm_megacontext.tree.nodes import Leaves, Node, NodeId

CACHED_NODES = 8192
"""Nodes kept decoded: the upper levels of the tree are asked for again at every step of the focus loop."""
CACHED_BYTES = 64 << 20
"""Rows kept as they are on disk."""
RUN_ROWS = 64
"""Rows of a run: about a page."""
MOST_RUNS = 16
"""Nodes asked for at once that lie in more runs than this are scattered, and read alone."""
RUN_BYTES = 512 << 10
"""Of gists in a run, at most: where they are large, runs are shorter."""

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what was not asked for longest; may be used from several threads.

    Args:
        capacity: The weight it may hold.
        weigh: Weight of a value.
    """

    def __init__(self, capacity: int, weigh: Callable[[V], int]) -> None:
        self._capacity, self._weigh = capacity, weigh
        self._held: OrderedDict[K, V] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def get(self, keys: Iterable[K]) -> dict[K, V]:
        """Those of ``keys`` that are here."""
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
        return found

    def put(self, values: Mapping[K, V]) -> None:
        """Keep ``values``, as far as they fit."""
        with self._lock:
            for key, value in values.items():
                if key in self._held:
                    self._weight -= self._weigh(self._held.pop(key))
                self._held[key] = value
                self._weight += self._weigh(value)
            while self._weight > self._capacity:
                _, forgotten = self._held.popitem(last=False)
                self._weight -= self._weigh(forgotten)


class Span(NamedTuple):
    """Neighbouring nodes of a source, by index: ``begin`` up to ``end``."""

    source: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Neighbouring rows of one source, not decoded.

    Attributes:
        span: Which.
        records: Row by row, as ``rows`` packs them.
        gists: (rows, slots, dim), with zeros where a gist has fewer slots.
        shape: How many slots a gist has.
        leaves: As packed; None above LOD 1.
    """

    span: Span
    records: list[bytes]
    gists: npt.NDArray[np.float16]
    shape: GistShape
    leaves: list[bytes | None]

    @property
    def nbytes(self) -> int:
        return self.gists.nbytes + sum(map(len, self.records)) + sum(len(packed or b"") for packed in self.leaves)

    def node(self, id: NodeId) -> Node:
        """One of its nodes; holds nothing of the run."""
        at = id.index - self.span.begin
        return decode_node(id.source, self.records[at], self.gists[at], self.shape)

    def leaves_of(self, id: NodeId) -> Leaves:
        """The leaves of one of its nodes. Raises NodeNotFound."""
        packed = self.leaves[id.index - self.span.begin]
        if packed is None:
            raise NodeNotFound(f"node {id.source}:{id.index} is above LOD 1 and has no leaves of its own")
        return decode_leaves(packed)


def split_runs(table: pa.Table, spans: Sequence[Span], shape: GistShape) -> dict[Span, Run]:
    """Runs from a table of ``NODE_COLUMNS`` and ``LEAF_COLUMNS`` with the rows of ``spans`` one after the other."""
    records, leaves = (table.column(name).to_pylist() for name in ("record", "leaves"))
    gists = gists_of(table, shape)
    runs, at = {}, 0
    for span in spans:
        rows = slice(at, at := at + span.end - span.begin)
        runs[span] = Run(span, records[rows], gists[rows].copy(), shape, leaves[rows])
    return runs


@dataclass(frozen=True, slots=True)
class RowCache:
    """What all snapshots of a store keep of what they read.

    Numbers of sources are never used twice and their rows never change, so nothing here becomes wrong.
    """

    nodes: Recent[NodeId, Node] = field(default_factory=lambda: Recent(CACHED_NODES, lambda node: 1))
    runs: Recent[Span, Run] = field(default_factory=lambda: Recent(CACHED_BYTES, lambda run: run.nbytes))


@cache
def rows_per_run(shape: GistShape) -> int:
    """Rows of a run."""
    return max(1, min(RUN_ROWS, RUN_BYTES // (2 * shape.width)))
