"""The working context: an ordered cut of the gist tree within a hard capacity; what the base model reads.

A context is a value: ``expand`` and ``collapse`` return a new one, and one that costs more than its capacity cannot
be made. Only nodes of the tree can be named, so a misaligned or partial collapse cannot be asked for.

The tree stores no parent pointers; a context remembers the **opened** nodes above its entries instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal

from mm_megacontext.errors import BudgetTooSmall, CorruptStore, IllegalAction
from mm_megacontext.tree.nodes import Leaves, Node, NodeId, TreeReader

ActionKind = Literal["expand", "collapse"]


@dataclass(frozen=True, slots=True)
class Action:
    """One change of a working context. ``cost_delta`` is what it adds to the cost, negative for most collapses."""

    kind: ActionKind
    id: NodeId
    score: float
    cost_delta: int


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One member of a working context: a node read as its gist or, with ``leaves``, a block or tile read at LOD0."""

    node: Node
    leaves: Leaves | None = None

    @property
    def id(self) -> NodeId:
        return self.node.id

    @property
    def is_expanded(self) -> bool:
        """Whether the entry is read leaf by leaf."""
        return self.leaves is not None

    @property
    def lod(self) -> int:
        """0 if expanded, else the node's own level of detail."""
        return self.node.lod if self.leaves is None else 0

    @property
    def cost(self) -> int:
        """Embeddings it puts before the base model: gist slots, or leaves."""
        return len(self.node.gist) if self.leaves is None else len(self.leaves)

    @property
    def n_slots(self) -> int:
        """Embeddings of the gist."""
        return len(self.node.gist)

    @property
    def order(self) -> tuple[int, NodeId]:
        """Sort key of the working context."""
        return self.node.order

    @property
    def is_expandable(self) -> bool:
        """Whether it is a gist with something below it."""
        if self.leaves is not None:
            return False
        return self.node.n_leaves > 0 if self.node.lod == 1 else bool(self.node.children)

    @property
    def expansion_cost(self) -> int:
        """What expanding it adds to the cost. Exact without reading: a node knows the slots of its children."""
        node = self.node
        finer = node.n_leaves if node.lod == 1 else _slots_below(node)
        return finer - self.n_slots


@dataclass(frozen=True, slots=True, eq=False)
class WorkingContext:
    """A cut of the tree below ``roots``; iterating gives its entries in order.

    Attributes:
        reader: Where expanded families are read from, one call for nodes and one for leaves per step.
        capacity: The cost it can never exceed.
        roots: The scope: what is covered lies below these.
        by_id: The entries, in no particular order.
        opened: Nodes above the entries that were expanded into their children, parents before children.
        entries: The entries in order.
        cost: Their summed cost.
    """

    reader: TreeReader
    capacity: int
    roots: tuple[Node, ...]
    by_id: Mapping[NodeId, Entry]
    opened: Mapping[NodeId, Node] = field(default_factory=dict)
    entries: tuple[Entry, ...] = field(init=False)
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        entries = tuple(sorted(self.by_id.values(), key=lambda entry: entry.node.order))
        cost = sum(entry.cost for entry in entries)
        if cost > self.capacity:
            raise IllegalAction(
                f"the working context would cost {cost}, its capacity is {self.capacity}; collapse something first"
            )
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "cost", cost)

    @classmethod
    def start(cls, reader: TreeReader, capacity: int) -> WorkingContext:
        """The coarsest cut: the roots of the tree.

        Raises:
            BudgetTooSmall: The roots cost more than ``capacity``.
        """
        roots = tuple(reader.nodes(reader.roots()))
        by_id = {node.id: Entry(node) for node in roots}
        needed = sum(entry.cost for entry in by_id.values())
        if needed > capacity:
            raise BudgetTooSmall(
                f"the working context may cost {capacity}, the roots of the tree alone cost {needed}; "
                f"raise the budget by at least {needed - capacity}"
            )
        return cls(reader, capacity, roots, by_id)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def slack(self) -> int:
        """Cost that may still be added."""
        return self.capacity - self.cost

    @property
    def cut(self) -> tuple[tuple[NodeId, bool], ...]:
        """Ids of the entries in order, each with whether it is expanded; equal for equal contexts of one tree."""
        return tuple((entry.id, entry.is_expanded) for entry in self.entries)

    def expand(self, ids: Sequence[NodeId]) -> WorkingContext:
        """Replace entries by what lies one level below: all children, or the leaves of a block or tile.

        Raises:
            IllegalAction: Not an entry, named twice, nothing below it, or over capacity.
            CorruptStore: The reader served a family that does not fit its parent.
        """
        chosen = [self._expandable(id) for id in ids]
        if len(set(ids)) < len(chosen):
            raise IllegalAction(f"a node can be expanded once, got {_names(ids)}")
        parents = [entry.node for entry in chosen if entry.node.lod > 1]
        blocks = [entry.node for entry in chosen if entry.node.lod == 1]
        by_id = dict(self.by_id)
        for entry in chosen:
            del by_id[entry.id]
        for child in self._read_children(parents):
            by_id[child.id] = Entry(child)
        for block, leaves in zip(blocks, self._read_leaves(blocks), strict=True):
            by_id[block.id] = Entry(block, leaves)
        return replace(self, by_id=by_id, opened={**self.opened, **{node.id: node for node in parents}})

    def collapse(self, ids: Sequence[NodeId]) -> WorkingContext:
        """Replace everything below opened nodes, and the leaves of expanded blocks or tiles, by their one gist.

        What lies below an opened node is collapsed with it, so only whole families ever go.

        Args:
            ids: Opened nodes or expanded entries; taken in turn, so an inner one may only come before an outer one.

        Raises:
            IllegalAction: Neither opened nor expanded, or over capacity (a gist can have more slots than leaves).
        """
        by_id, opened = dict(self.by_id), dict(self.opened)
        for id in ids:
            inner, covered = family_below(id, opened, by_id)
            node = opened[id] if id in opened else by_id[id].node
            for below in inner:
                del opened[below]
            for below in covered:
                del by_id[below]
            by_id[id] = Entry(node)
        return replace(self, by_id=by_id, opened=opened)

    def apply(self, actions: Sequence[Action]) -> WorkingContext:
        """Apply actions in turn; neighbours of one kind make one step, and one read.

        Raises:
            IllegalAction: One of them is not legal when its turn comes.
        """
        context = self
        for kind, run in groupby(actions, key=lambda action: action.kind):
            ids = [action.id for action in run]
            context = context.expand(ids) if kind == "expand" else context.collapse(ids)
        return context

    def _expandable(self, id: NodeId) -> Entry:
        entry = self.by_id.get(id)
        if entry is None:
            raise IllegalAction(f"node {_names([id])} is not an entry of the working context, so it cannot be expanded")
        if not entry.is_expandable:
            why = "it is expanded already" if entry.is_expanded else "nothing lies below it"
            raise IllegalAction(f"node {_names([id])} cannot be expanded: {why}")
        return entry

    def _read_children(self, parents: Sequence[Node]) -> list[Node]:
        if not parents:
            return []
        children = self.reader.nodes([child for parent in parents for child in parent.children])
        expected, served = sum(map(_slots_below, parents)), sum(len(child.gist) for child in children)
        if served != expected:
            raise CorruptStore(
                f"the gists below node {_names([parent.id for parent in parents])} have {served} slots together, "
                f"{expected} were announced; ingest the source again"
            )
        return children

    def _read_leaves(self, blocks: Sequence[Node]) -> list[Leaves]:
        if not blocks:
            return []
        found = self.reader.leaves([block.id for block in blocks])
        for block, leaves in zip(blocks, found, strict=True):
            if len(leaves) != block.n_leaves:
                raise CorruptStore(
                    f"node {_names([block.id])} says it has {block.n_leaves} leaves, {len(leaves)} were read; "
                    "ingest the source again"
                )
        return found


def family_below(
    id: NodeId, opened: Mapping[NodeId, Node], by_id: Mapping[NodeId, Entry]
) -> tuple[list[NodeId], list[NodeId]]:
    """The opened nodes and the entries that a collapse of ``id`` takes away, itself among them.

    Raises:
        IllegalAction: ``id`` is neither an opened node nor an expanded entry.
    """
    if id not in opened:
        entry = by_id.get(id)
        if entry is None or not entry.is_expanded:
            raise IllegalAction(f"node {_names([id])} is neither opened nor expanded, so it cannot be collapsed")
        return [], [id]
    inner: list[NodeId] = []
    covered: list[NodeId] = []
    todo = [id]
    while todo:
        node = opened.get(below := todo.pop())
        if node is None:
            covered.append(below)
        else:
            inner.append(below)
            todo.extend(node.children)
    return inner, covered


def _names(ids: Sequence[NodeId]) -> str:
    return ", ".join(f"{source}:{index}" for source, index in ids)


def _slots_below(node: Node) -> int:
    """Slots of the gists of all children together."""
    return len(node.children) * len(node.gist) if node.child_slots is None else node.child_slots
