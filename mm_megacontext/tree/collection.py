"""All sources of a memory as one tree on one timeline, or one of them alone.

Sources follow each other in the order they were added. Above more than one of them stand collection nodes, grouped
32-ary, so the roots fit a small budget whatever the size of the collection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Protocol

import numpy as np

from mm_megacontext.errors import NodeNotFound
from mm_megacontext.tree.nodes import (
    COLLECTION,
    GROUP_ARITY,
    Leaves,
    Modality,
    Moments,
    Node,
    NodeId,
    TreeReader,
    slots_below,
)


class SourceSpan(Protocol):
    """What a collection needs of a source's record."""

    @property
    def root_id(self) -> NodeId: ...

    @property
    def t_length(self) -> int: ...


class PixelReader(Protocol):
    """Adds the pixels to the leaves of image tiles."""

    def with_pixels(self, tiles: Sequence[Node], leaves: Sequence[Leaves]) -> list[Leaves]: ...


HELD_NODES = 2048
"""Nodes below the roots of sources that a collection keeps: every question to many sources passes through there."""

MOST_AHEAD = 4
"""Families read ahead at once; of more, the budget will open only some."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Sources in order with the time at which each one begins."""

    records: tuple[SourceSpan, ...]
    begins: tuple[int, ...]

    @classmethod
    def of(cls, records: Sequence[SourceSpan]) -> Scope:
        begins = np.cumsum([0, *(r.t_length for r in records)])[:-1]
        return cls(tuple(records), tuple(int(b) for b in begins))


class CollectionTree:
    """A ``TreeReader`` over the sources of a store.

    Args:
        reader: Serves nodes with source-local times, as a store does.
        records: The sources in scope, in order; at least one.
        pixels: Reads the pixels of expanded tiles; without one, tiles stay as they come from ``reader``.
    """

    def __init__(self, reader: TreeReader, records: Sequence[SourceSpan], pixels: PixelReader | None = None) -> None:
        if not records:
            raise ValueError("a collection needs at least one source")
        scope = Scope.of(records)
        self._reader = reader
        self._pixels = pixels
        self._begins = {r.root_id.source: t for r, t in zip(scope.records, scope.begins, strict=True)}
        self._held: dict[NodeId, Node] = {}
        self._edge: list[Node] = []
        self._n_collected = 0
        tops = self._read([r.root_id for r in scope.records])
        self._roots = self._group(tops)
        if len(tops) > 1:
            self._hold_below(tops)

    def __contains__(self, id: NodeId) -> bool:
        return id.source in self._begins or id in self._held

    @property
    def n_leaves(self) -> int:
        return sum(node.n_leaves for node in self.nodes(self._roots))

    def roots(self) -> list[NodeId]:
        return list(self._roots)

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        deep = [id for id in ids if id not in self._held]
        read = iter(self._read(deep, self._on_the_way(deep)))
        return [self._held[id] if id in self._held else next(read) for id in ids]

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        found = [
            replace(leaves, mu=leaves.mu + np.array([self._begin(id), 0.0, 0.0]))
            for id, leaves in zip(ids, self._reader.leaves(ids), strict=True)
        ]
        if self._pixels is None:
            return found
        tiles = [i for i, leaves in enumerate(found) if not len(leaves.token_ids)]
        if tiles:
            nodes = self.nodes([ids[i] for i in tiles])
            for i, leaves in zip(tiles, self._pixels.with_pixels(nodes, [found[i] for i in tiles]), strict=True):
                found[i] = leaves
        return found

    def _begin(self, id: NodeId) -> int:
        try:
            return self._begins[id.source]
        except KeyError:
            raise NodeNotFound(f"source {id.source} is not in this collection of {len(self._begins)}") from None

    def _on_the_way(self, ids: Sequence[NodeId]) -> list[NodeId]:
        """What a path down to ``ids`` passes right below what is held; read with them, it need not be waited for."""
        at = {bisect_left(self._edge, id, key=_last) for id in ids}
        above = [self._edge[i] for i in at if i < len(self._edge)]
        if len(above) > MOST_AHEAD:
            return []
        return [child for node in above if any(map(node.covers, ids)) for child in node.children]

    def _read(self, ids: Sequence[NodeId], ahead: Sequence[NodeId] = ()) -> list[Node]:
        """Nodes of sources, moved to where their source begins on the common timeline."""
        moved = []
        for id, node in zip(ids, self._reader.nodes([*ids, *ahead]), strict=False):
            begin = self._begin(id)
            moved.append(_later(node, begin) if begin else node)
        return moved

    def _hold_below(self, tops: Sequence[Node]) -> None:
        """Keep the roots of the sources and what is right below them, as far as there is room."""
        children: list[NodeId] = []
        for top in tops:
            if len(tops) + len(children) + len(top.children) > HELD_NODES:
                break
            children += top.children
        self._edge = self._read(children)
        self._held.update((node.id, node) for node in [*tops[:HELD_NODES], *self._edge])

    def _group(self, tops: list[Node]) -> list[NodeId]:
        while len(tops) > 1:
            groups = [tops[i : i + GROUP_ARITY] for i in range(0, len(tops), GROUP_ARITY)]
            tops = [group[0] if len(group) == 1 else self._collect(group) for group in groups]
        return [top.id for top in tops]

    def _collect(self, children: Sequence[Node]) -> Node:
        moments = Moments.merge([child.moments for child in children])
        modalities: set[Modality] = {c.modality for c in children}
        voices = [c for c in children if c.modality != "image"] or children
        weights = np.array([c.n_leaves for c in voices], dtype=np.float32)
        gist = np.tensordot(weights / weights.sum(), np.stack([c.gist for c in voices]).astype(np.float32), axes=1)
        node = Node(
            id=NodeId(COLLECTION, self._n_collected),
            first=children[0].first,
            last=children[-1].last,
            children=tuple(c.id for c in children),
            lod=1 + max(c.lod for c in children),
            modality=modalities.pop() if len(modalities) == 1 else "mixed",
            kind="collection",
            page=children[0].page,
            last_page=children[-1].last_page,
            bbox=children[0].bbox,
            t_span=(children[0].t_span[0], children[-1].t_span[1]),
            n_leaves=moments.n,
            mu=moments.mean,
            sigma=np.sqrt(moments.variance),
            gist=gist.astype(np.float16),
            child_slots=slots_below(gist, children),
        )
        self._n_collected += 1
        self._held[node.id] = node
        return node


_last = attrgetter("last")
_NAMES = [field.name for field in fields(Node)]
_fields = attrgetter(*_NAMES)
_T_SPAN, _MU = map(_NAMES.index, ("t_span", "mu"))


def _later(node: Node, begin: int) -> Node:
    """The node where its source begins at ``begin``; ``dataclasses.replace`` takes twice as long."""
    values = list(_fields(node))
    values[_T_SPAN] = (node.t_span[0] + begin, node.t_span[1] + begin)
    values[_MU] = node.mu.copy()
    values[_MU][0] += begin
    return Node(*values)
