"""Texts below what is not open, for readers that make gists of their own of it."""

from __future__ import annotations

from functools import cached_property

from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Node, NodeId

MOST_LEAVES = 1024
"""Of a node whose text is read: a page or two. What is larger is too much for one gist, and takes time to read."""


class TextsBelow:
    """Texts of the blocks below entries that are not open; all are read at once, when the first is asked for.

    Args:
        cut: What is open, and what is not.
    """

    def __init__(self, cut: WorkingContext) -> None:
        self._cut = cut

    def of(self, id: NodeId) -> tuple[str, ...]:
        """Of one entry, in reading order; nothing of pictures, nor of nodes above ``MOST_LEAVES``."""
        return self._found.get(id, ())

    @cached_property
    def _found(self) -> dict[NodeId, tuple[str, ...]]:
        closed = [entry.node for entry in self._cut if not entry.is_expanded]
        tops = [node for node in closed if node.modality != "image" and node.n_leaves <= MOST_LEAVES]
        blocks = {top.id: [top] for top in tops}
        while above := [node for nodes in blocks.values() for node in nodes if node.children]:
            below = iter(self._cut.reader.nodes([child for node in above for child in node.children]))
            children = {node.id: [next(below) for _ in node.children] for node in above}
            blocks = {id: [finer for node in nodes for finer in _finer(node, children)] for id, nodes in blocks.items()}
        return {id: tuple(node.text for node in nodes if node.text) for id, nodes in blocks.items()}


def _finer(node: Node, children: dict[NodeId, list[Node]]) -> list[Node]:
    return [child for child in children.get(node.id, [node]) if child.modality != "image"]
