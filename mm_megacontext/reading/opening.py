"""Opens blocks in the order of their rank as far as a budget goes, in one pass.

What is opened for a budget is the beginning of one order, which does not depend on the budget: a larger one opens the
same and more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from mm_megacontext.reading.allocator import Focused
from mm_megacontext.reading.paths import Paths
from mm_megacontext.reading.trace import TraceEvent
from mm_megacontext.reading.working_context import Action, Entry, WorkingContext
from mm_megacontext.tree.nodes import Node, NodeId

UNLIMITED = 1 << 62
"""Capacity of a working context whose reader pays for something else than its embeddings."""
CHUNK = 64
"""Blocks whose ways are read at once."""

Cost = Callable[[Node], int]
"""What it costs to open a node."""


def in_embeddings(node: Node) -> int:
    """For a reader of embeddings: what is opened takes the place of its gist, and comes with all beside it."""
    return Entry(node).expansion_cost


def in_leaves(node: Node) -> int:
    """For a reader of text: what is not open is a line at most, so only leaves count."""
    return node.n_leaves if node.lod == 1 else 0


@dataclass(slots=True)
class _Plan:
    """What shall be opened: nodes above blocks by depth, and blocks in the order of their rank, each with its score."""

    levels: list[dict[NodeId, float]] = field(default_factory=list)
    blocks: dict[NodeId, float] = field(default_factory=dict)

    def add(self, new: list[tuple[int, Node]], block: Node) -> None:
        """Take a block with the nodes above it that are not open yet, each with its depth."""
        score = 1 / (1 + len(self.blocks))
        self.blocks[block.id] = score
        for depth, node in new:
            while len(self.levels) <= depth:
                self.levels.append({})
            self.levels[depth][node.id] = score

    @property
    def scores(self) -> dict[NodeId, float]:
        return {id: score for part in (*self.levels, self.blocks) for id, score in part.items()}


def open_in_order(
    start: WorkingContext,
    order: Iterable[NodeId],
    paths: Paths,
    left: int,
    cost: Cost,
    on_step: Callable[[TraceEvent], None] = lambda event: None,
) -> Focused:
    """Open blocks, the first ones first, until the next one does not fit.

    Args:
        start: Where to begin; what is open stays so.
        order: Blocks and tiles; such as are open, or are not in the tree, are passed over.
        paths: Of the same tree.
        left: What opening may cost.
        cost: What opening a node costs.
        on_step: Told of every step; the last one, without actions, has the scores of the final context.
    """
    begun = time.perf_counter()
    plan = _plan(start, order, paths, left, cost)
    scores, context = plan.scores, start
    for part in [*plan.levels, plan.blocks]:
        actions = [Action("expand", id, score, context.by_id[id].expansion_cost) for id, score in part.items()]
        if not actions:
            continue
        after = context.apply(actions)
        on_step(_event(context, scores, actions, after, begun))
        context, begun = after, time.perf_counter()
    on_step(_event(context, scores, [], context, begun))
    own = np.array([scores.get(entry.id, 0.0) for entry in context])
    return Focused(context, own, sum(map(bool, [*plan.levels, plan.blocks])), True)


def _plan(start: WorkingContext, order: Iterable[NodeId], paths: Paths, left: int, cost: Cost) -> _Plan:
    plan = _Plan()
    opened = {*start.opened, *(entry.id for entry in start if entry.is_expanded)}
    left_for_ways = left  # nodes above blocks are opened first, and gists may take more than the leaves below
    waiting = iter(order)
    while chunk := list(islice(waiting, CHUNK)):
        paths.load(chunk)
        for *above, block in filter(None, map(paths.find, chunk)):
            if block.id in opened or block.lod > 1 or not block.n_leaves:
                continue
            new = [(depth, node) for depth, node in enumerate(above) if node.id not in opened]
            way = sum(cost(node) for _, node in new)
            needed = way + cost(block)
            if needed > left or way > left_for_ways:
                return plan
            left, left_for_ways = left - needed, left_for_ways - way
            opened.update(node.id for _, node in new)
            opened.add(block.id)
            plan.add(new, block)
    return plan


def _event(
    before: WorkingContext,
    scores: dict[NodeId, float],
    actions: list[Action],
    after: WorkingContext,
    begun: float,
) -> TraceEvent:
    own = {entry.id: scores.get(entry.id, 0.0) for entry in before}
    return TraceEvent(0, own, tuple(actions), after.cost, len(after), time.perf_counter() - begun)


def every_block(paths: Paths, roots: Iterable[Node], is_read: Callable[[Node], bool]) -> Iterator[NodeId]:
    """All blocks and tiles below roots, in document order, of nodes that are read."""
    for root in roots:
        if not is_read(root):
            continue
        if root.lod == 1:
            yield root.id
        elif root.children:
            paths.load([root.children[0]])
            children = [path[-1] for id in root.children if (path := paths.find(id))]
            yield from every_block(paths, children, is_read)
