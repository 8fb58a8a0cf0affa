"""Ways of choosing what the base reads, at the same budget: focus, and the baselines it must beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.question_words import search_words
from mm_megacontext.reading.runtime import Runtime
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.store.store import Store
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import NodeId


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One question to one document.

    Attributes:
        blocks: All text blocks of the document, in order.
        evidence: Those that state the answer; empty if the document does not hold it.
        capacity: What the entries may cost.
    """

    runtime: Runtime
    store: Store
    tree: CollectionTree
    question: str
    blocks: Sequence[NodeId]
    evidence: Sequence[NodeId]
    capacity: int
    rng: random.Random

    @property
    def t_end(self) -> int:
        return max(node.t_span[1] for node in self.tree.nodes(self.tree.roots()))

    def read(self, entries: Sequence[Entry]) -> Reading:
        return self.runtime.base.read(entries, self.question, self.t_end)


def focus(asked: Asked) -> Reading:
    """The product: lens, hints, allocator."""
    return asked.runtime.read(asked.tree, asked.store, asked.question, asked.capacity).reading


def full(asked: Asked) -> Reading:
    """Every leaf of the document, whatever it costs."""
    return asked.read(expanded(asked, asked.blocks))


def uniform(asked: Asked) -> Reading:
    """The whole document at one level of detail, as fine as the budget allows, the beginning finer by one level."""
    context = WorkingContext.start(asked.tree, asked.capacity)
    while True:
        coarsest = max((e.node.lod for e in context if e.is_expandable), default=0)
        fitting = [
            e for e in context if e.is_expandable and e.node.lod == coarsest and e.expansion_cost <= context.slack
        ]
        if not fitting:
            return asked.read(context.entries)
        context = context.expand([fitting[0].id])


def random_blocks(asked: Asked) -> Reading:
    """Blocks drawn at random until the budget is used."""
    return asked.read(within(asked, asked.rng.sample(asked.blocks, min(len(asked.blocks), asked.capacity))))


def bm25(asked: Asked) -> Reading:
    """The blocks that full-text search ranks highest, as retrieval-augmented generation would take them."""
    return asked.read(within(asked, [id for id, _ in asked.store.search_text(search_words(asked.question), 128)]))


def truncation(asked: Asked) -> Reading:
    """The beginning of the document."""
    return asked.read(within(asked, asked.blocks[: asked.capacity]))


def oracle(asked: Asked) -> Reading:
    """Only the blocks that state the answer; for a question without one, random blocks."""
    return asked.read(within(asked, asked.evidence)) if asked.evidence else random_blocks(asked)


SYSTEMS: dict[str, Callable[[Asked], Reading]] = {
    "focus": focus,
    "full": full,
    "uniform": uniform,
    "random": random_blocks,
    "bm25": bm25,
    "truncation": truncation,
    "oracle": oracle,
}


def expanded(asked: Asked, ids: Iterable[NodeId]) -> list[Entry]:
    """Entries of blocks read leaf by leaf, in document order."""
    ordered = sorted(ids)
    nodes, leaves = asked.tree.nodes(ordered), asked.tree.leaves(ordered)
    return [Entry(node, own) for node, own in zip(nodes, leaves, strict=True)]


def within(asked: Asked, ids: Sequence[NodeId]) -> list[Entry]:
    """Blocks in the order given while they fit the budget, then put in document order."""
    chosen: list[NodeId] = []
    left = asked.capacity
    for node in asked.tree.nodes(ids):
        if node.n_leaves > left:
            break
        chosen.append(node.id)
        left -= node.n_leaves
    return expanded(asked, chosen)
