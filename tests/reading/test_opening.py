"""Opening in one pass. Oracles: the invariants, every order cut short, and a replay of the trace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.reading import invariants
from mm_megacontext.reading.around import FIRST_HITS, in_order
from mm_megacontext.reading.opening import UNLIMITED, every_block, in_embeddings, in_leaves, open_in_order
from mm_megacontext.reading.paths import Paths
from mm_megacontext.reading.trace import TraceEvent, replay
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import NodeId
from tests.strategies import TreeBuilder, trees


def all_blocks(tree: InMemoryTree) -> list[NodeId]:
    paths = Paths(tree, tree.nodes(tree.roots()))
    return list(every_block(paths, tree.nodes(tree.roots()), lambda node: True))


def opened(context: WorkingContext) -> set[NodeId]:
    return {entry.id for entry in context if entry.is_expanded}


def open_embeddings(tree: InMemoryTree, order: list[NodeId], room: int, events: list[TraceEvent]) -> WorkingContext:
    roots = WorkingContext.start(tree, UNLIMITED)
    start = WorkingContext.start(tree, roots.cost + room)
    return open_in_order(start, order, Paths(tree, start.roots), room, in_embeddings, events.append).context


@settings(max_examples=60)
@given(trees(), st.data())
def test_a_larger_budget_opens_the_same_and_more(tree: InMemoryTree, data: st.DataObject) -> None:
    order = data.draw(st.permutations(all_blocks(tree)))
    small, more = data.draw(st.integers(0, 400)), data.draw(st.integers(0, 400))
    events: list[TraceEvent] = []
    before = open_embeddings(tree, order, small, events)
    after = open_embeddings(tree, order, small + more, [])
    invariants.check(before, deep=True)
    invariants.check(after, deep=True)
    assert opened(before) <= opened(after)
    assert [context.cut for context in replay(WorkingContext.start(tree, before.capacity), events)][-1] == before.cut
    wanted = [id for id in order if tree.nodes([id])[0].n_leaves]
    assert opened(before) == set(wanted[: len(opened(before))]), "the beginning of the order"


@settings(max_examples=60)
@given(trees(), st.data())
def test_leaves_alone_count_for_a_reader_of_text(tree: InMemoryTree, data: st.DataObject) -> None:
    order = data.draw(st.permutations(all_blocks(tree)))
    room = data.draw(st.integers(0, 300))
    start = WorkingContext.start(tree, UNLIMITED)
    context = open_in_order(start, order, Paths(tree, start.roots), room, in_leaves).context
    sizes = [node.n_leaves for node in tree.nodes(order) if node.n_leaves]
    n_fitting = sum(total <= room for total in np.cumsum(sizes).tolist())
    assert len(opened(context)) == n_fitting
    invariants.check_cut(context)


def test_what_is_named_but_not_there_is_passed_over() -> None:
    builder = TreeBuilder(np.random.default_rng(0))
    blocks = [builder.block(1) for _ in range(3)]
    tree = builder.tree([builder.parent(1, blocks)])
    start = WorkingContext.start(tree, UNLIMITED)
    order = [NodeId(9, 0), NodeId(1, 3), NodeId(1, 1), NodeId(1, 1)]
    focused = open_in_order(start, order, Paths(tree, start.roots), 1000, in_leaves)
    assert opened(focused.context) == {NodeId(1, 1)}
    assert focused.steps == 2


class Counting(InMemoryTree):
    """Counts reads."""

    reads = 0

    def nodes(self, ids):  # type: ignore[no-untyped-def]
        Counting.reads += 1
        return super().nodes(ids)


def test_steps_and_reads_do_not_grow_with_the_budget() -> None:
    builder = TreeBuilder(np.random.default_rng(0))
    pages = [builder.parent(1, [builder.block(1) for _ in range(16)]) for _ in range(32)]
    own = builder.tree([builder.parent(1, pages)])
    order = all_blocks(own)[:48]
    tree = Counting(list(builder.nodes.values()), builder.leaves)
    start = WorkingContext.start(tree, UNLIMITED)
    reads: list[int] = []
    for room in (100, 400, 100_000):
        Counting.reads = 0
        focused = open_in_order(start, order, Paths(tree, start.roots), room, in_leaves)
        reads.append(Counting.reads)
        assert focused.steps == 3
    assert reads[0] == reads[1] == reads[2]


def row_of_blocks(n: int) -> InMemoryTree:
    builder = TreeBuilder(np.random.default_rng(0))
    return builder.tree([builder.parent(1, [builder.block(1) for _ in range(n)])])


def ordered(tree: InMemoryTree, hits: list[int], pictures: list[NodeId] | None = None) -> list[NodeId]:
    ids = [NodeId(1, hit) for hit in hits]
    found = list(in_order(ids, pictures or [], tree, Paths(tree, tree.nodes(tree.roots())), False))
    return list(dict.fromkeys(found))


def test_each_hit_comes_with_its_neighbours_and_the_first_with_more() -> None:
    hits = [10, 30, 50, 70, 90]
    order = [id.index for id in ordered(row_of_blocks(100), hits)]
    assert order[:5] == [10, 11, 9, 12, 8]
    assert order[5 * FIRST_HITS : 5 * FIRST_HITS + 3] == [70, 71, 69]
    assert set(order[: 5 * FIRST_HITS + 6]) == {
        *(hit + step for hit in hits[:FIRST_HITS] for step in range(-2, 3)),
        *(hit + step for hit in hits[FIRST_HITS:] for step in range(-1, 2)),
    }
    assert set(order) == set(range(100)), "then what stands further off"


def test_neighbours_end_where_the_source_does() -> None:
    assert [id.index for id in ordered(row_of_blocks(3), [0])] == [0, 1, 2]
    assert [id.index for id in ordered(row_of_blocks(3), [2])] == [2, 1, 0]


def test_pictures_come_in_turn_with_hits() -> None:
    tiles = [NodeId(7, 1), NodeId(7, 2), NodeId(7, 3)]
    order = ordered(row_of_blocks(60), [10, 40], tiles)
    assert order.index(tiles[0]) == 5
    assert [id for id in order if id.source == 7] == tiles


@pytest.mark.parametrize("accepts", [lambda node: True, lambda node: node.modality != "image"])
def test_every_block_comes_in_document_order(accepts: Callable[..., bool]) -> None:
    tree = row_of_blocks(40)
    paths = Paths(tree, tree.nodes(tree.roots()))
    assert list(every_block(paths, tree.nodes(tree.roots()), accepts)) == [NodeId(1, i) for i in range(40)]
