"""Which headings a block stands below, told from the tree: what of its page is in sight, and what comes before it.

The tree knows that a block is a heading, not its level. Levels are told by size: what comes later and is as large takes
the place of what came before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Node, NodeId, TreeReader

LOOK_BACK = 96
"""Nodes before an open page that are searched for the heading it goes on below: some pages of text."""
SAME_SIZE = 1.08
"""Headings whose letters differ by less than this factor are of one level."""
ASPECT = 0.6
"""Area of a letter with its leading, in squares of the font's size."""


class _Heading(NamedTuple):
    at: int
    text: str
    size: float
    above: int = -1
    """Where in the list is the heading that it stands below; -1 for none."""


@dataclass(frozen=True, slots=True)
class Headings:
    """Headings by source, in document order; those that are in sight, not all of a document."""

    by_source: Mapping[int, Sequence[_Heading]]

    @classmethod
    def near(cls, context: WorkingContext) -> Headings:
        """Those on the pages that a working context shows something of, and before these."""
        seen = [entry.node for entry in context if entry.node.modality != "image"]
        nodes = {node.id: node for node in (*seen, *_before(context))}
        by_source: dict[int, list[_Heading]] = {}
        for node in sorted(nodes.values(), key=lambda n: n.id):
            if node.kind == "heading" and node.lod == 1 and node.text:
                known = by_source.setdefault(node.id.source, [])
                known.append(_below(known, _heading(node)))
        return cls(by_source)

    def above(self, id: NodeId) -> tuple[str, ...]:
        """Headings that a block stands below, the outermost first; of a heading, those above it."""
        found = self.by_source.get(id.source, ())
        at = bisect_left(found, id.index, key=lambda h: h.at)
        is_heading = at < len(found) and found[at].at == id.index
        up = found[at].above if is_heading else at - 1
        path: list[str] = []
        while up >= 0:
            path.append(found[up].text)
            up = found[up].above
        return tuple(reversed(path))

    def within(self, node: Node) -> str:
        """The first heading in what a node covers, else the one that it begins below, else nothing."""
        found = self.by_source.get(node.id.source, ())
        at = bisect_left(found, node.first.index, key=lambda h: h.at)
        if at < len(found) and found[at].at <= node.last.index:
            return found[at].text
        above = self.above(node.first)
        return above[-1] if above else ""


def _before(context: WorkingContext) -> list[Node]:
    """What stands before each stretch of open blocks, read at once."""
    reader: TreeReader = context.reader
    wanted: set[NodeId] = set()
    for node in _firsts(context):
        begin = max(node.id.index - LOOK_BACK, 0)
        wanted.update(NodeId(node.id.source, index) for index in range(begin, node.id.index))
    return reader.nodes(sorted(wanted)) if wanted else []


def _firsts(context: WorkingContext) -> Iterable[Node]:
    """The first open block of text on each page."""
    pages: dict[tuple[int, int], Node] = {}
    for entry in context:
        if entry.is_expanded and entry.node.modality == "text":
            pages.setdefault((entry.id.source, entry.node.page), entry.node)
    return pages.values()


def _below(known: Sequence[_Heading], heading: _Heading) -> _Heading:
    """A heading that knows the last larger one before it."""
    up = len(known) - 1
    while up >= 0 and known[up].size <= SAME_SIZE * heading.size:
        up = known[up].above if known[up].size * SAME_SIZE <= heading.size else up - 1
    return heading._replace(above=up)


def _heading(node: Node) -> _Heading:
    """A heading with the size of its letters, from the area that they take."""
    x0, y0, x1, y1 = node.bbox
    return _Heading(node.id.index, node.text, sqrt((x1 - x0) * (y1 - y0) / (ASPECT * len(node.text))))
