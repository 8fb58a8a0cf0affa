"""The ways from the roots of a tree down to blocks, read level by level for many blocks at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from mm_megacontext.tree.nodes import COLLECTION, Node, NodeId, TreeReader

_last = attrgetter("last")


class Paths:
    """What has been read of a tree on the way to some of its nodes.

    Args:
        tree: Where nodes are read.
        roots: Its roots, in document order.
    """

    def __init__(self, tree: TreeReader, roots: Sequence[Node]) -> None:
        self._tree, self._roots = tree, roots
        self._families: dict[NodeId, list[Node]] = {}

    def load(self, ids: Sequence[NodeId]) -> None:
        """Read what lies on the way to ``ids``: one read for each level of the tree, whatever their number."""
        while True:
            ends = [path[-1] for id in ids if (path := self.to(id)) and path[-1].id != id]
            missing = {node.id: node for node in ends if node.children and node.id not in self._families}
            if not missing:
                return
            children = iter(self._tree.nodes([child for node in missing.values() for child in node.children]))
            for node in missing.values():
                self._families[node.id] = [next(children) for _ in node.children]

    def to(self, id: NodeId) -> list[Node]:
        """The nodes from a root to ``id``, as far down as they have been read; none if no root covers it."""
        path: list[Node] = []
        family: Sequence[Node] | None = self._roots
        while family:
            at = bisect_left(family, id, key=_last)
            if at == len(family) or not family[at].covers(id):
                break
            path.append(family[at])
            family = self._families.get(family[at].id) if family[at].id != id else None
        return path

    def find(self, id: NodeId) -> list[Node] | None:
        """The nodes from a root to ``id`` itself; None if it was not loaded or is not in the tree."""
        path = self.to(id)
        return path if path and path[-1].id == id else None

    def end_of(self, id: NodeId) -> int:
        """The last index in the source of a node that was loaded."""
        tops = [node.id.index for node in self.to(id) if node.id.source != COLLECTION]
        return tops[0] if tops else id.index
