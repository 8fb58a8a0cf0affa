"""A gist tree held in main memory, for tests, training and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from mm_megacontext.errors import NodeNotFound
from mm_megacontext.tree.nodes import Leaves, Node, NodeId

T = TypeVar("T")


class InMemoryTree:
    """Serves a tree from dictionaries; a ``TreeReader``.

    Args:
        nodes: Every node, in any order.
        leaves: The leaves of every LOD-1 node that may be expanded.
        roots: Ids that cover every leaf exactly once, in document order; by default the nodes that are nobody's child.
    """

    def __init__(
        self, nodes: Sequence[Node], leaves: Mapping[NodeId, Leaves], roots: Sequence[NodeId] | None = None
    ) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._leaves = dict(leaves)
        if roots is None:
            inner = {child for node in nodes for child in node.children}
            tops = sorted((node for node in nodes if node.id not in inner), key=lambda node: node.first)
            roots = [node.id for node in tops]
        self._roots = list(roots)
        self.nodes(self._roots)

    def __len__(self) -> int:
        return len(self._nodes)

    def roots(self) -> list[NodeId]:
        """See ``TreeReader.roots``."""
        return list(self._roots)

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        """See ``TreeReader.nodes``."""
        return _take(self._nodes, ids, "node")

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        """See ``TreeReader.leaves``."""
        return _take(self._leaves, ids, "node with leaves")


def _take(table: Mapping[NodeId, T], ids: Sequence[NodeId], what: str) -> list[T]:
    try:
        return [table[id] for id in ids]
    except KeyError as missing:
        source, index = missing.args[0]
        raise NodeNotFound(f"no {what} {source}:{index} in this tree of {len(table)}") from None
