"""The working context against brute force over all leaves, and the mistakes it must make impossible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.errors import BrokenInvariant, BudgetTooSmall, CorruptStore, IllegalAction, NodeNotFound
from mm_megacontext.reading import invariants
from mm_megacontext.reading.working_context import Action, Entry, WorkingContext
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Leaves, NodeId
from tests.strategies import TreeBuilder, UniformTree, assert_is_exact_cut, start, subtree, trees

EXAMPLES = 200


def small_tree() -> InMemoryTree:
    """One document of two pages: a text block, a tile, and a region of four text blocks each."""
    builder = TreeBuilder(np.random.default_rng(3))
    pages = []
    for _ in range(2):
        parts = [builder.block(1), builder.tile(1)]
        pages.append(builder.parent(1, [*parts, builder.parent(1, [builder.block(1) for _ in range(4)])]))
    return builder.tree([builder.parent(1, pages)])


BLOCK_1, TILE_1, REGION_1, PAGE_1, BLOCK_2, PAGE_2, DOCUMENT = (NodeId(1, k) for k in (0, 1, 6, 7, 8, 15, 16))


@settings(max_examples=EXAMPLES)
@given(tree=trees(), capacity=st.integers(1, 300), data=st.data())
def test_invariants_hold_after_every_random_action(tree: InMemoryTree, capacity: int, data: st.DataObject) -> None:
    context = start(tree, capacity)
    for _ in range(data.draw(st.integers(1, 6), label="steps")):
        context = random_step(context, data)
        invariants.check(context, deep=True)
        assert_is_exact_cut(context, tree)


def random_step(context: WorkingContext, data: st.DataObject) -> WorkingContext:
    """Apply a random legal batch that fits; one that does not fit must raise and change nothing."""
    expandable = [entry.id for entry in context if entry.is_expandable]
    collapsible = [*context.opened, *(entry.id for entry in context if entry.is_expanded)]
    if collapsible and (not expandable or data.draw(st.booleans(), label="collapse")):
        id = data.draw(st.sampled_from(collapsible), label="node")
        below = {node.id for node in subtree(context.reader, id)}
        (node,) = context.reader.nodes([id])
        cost = sum(entry.cost for entry in context if entry.id not in below) + len(node.gist)
        return attempt(context, context.collapse, [id], cost)
    ids = data.draw(st.lists(st.sampled_from(expandable), unique=True), label="nodes")
    return attempt(context, context.expand, ids, context.cost + sum(context.by_id[id].expansion_cost for id in ids))


def attempt(
    context: WorkingContext, act: Callable[[Sequence[NodeId]], WorkingContext], ids: Sequence[NodeId], cost: int
) -> WorkingContext:
    before = context.cut, context.cost, list(context.opened)
    if cost <= context.capacity:
        after = act(ids)
        assert after.cost == cost
    else:
        with pytest.raises(IllegalAction, match=rf"would cost {cost}, its capacity is {context.capacity}"):
            act(ids)
        after = context
    assert (context.cut, context.cost, list(context.opened)) == before
    return after


@settings(max_examples=80)
@given(tree=trees(), data=st.data())
def test_expanding_everything_and_collapsing_the_roots_returns_to_the_start(
    tree: InMemoryTree, data: st.DataObject
) -> None:
    first = context = start(tree, 1_000_000)
    while ids := [entry.id for entry in context if entry.is_expandable]:
        context = context.expand(ids)
    assert all(entry.is_expanded for entry in context)
    assert context.cost == sum(root.n_leaves for root in tree.nodes(tree.roots()))
    order = data.draw(st.permutations([id for id, _ in first.cut]))
    assert context.collapse(order).cut == first.cut


def test_starts_at_the_roots_and_names_both_numbers_when_they_do_not_fit() -> None:
    builder = TreeBuilder(np.random.default_rng(0))
    tree = builder.tree([builder.block(source) for source in range(1, 6)])
    assert len(WorkingContext.start(tree, 5)) == 5
    with pytest.raises(BudgetTooSmall, match=r"may cost 4, .* cost 5"):
        WorkingContext.start(tree, 4)


def test_a_batch_of_expansions_reads_once() -> None:
    tree = UniformTree([4, 3])
    context = WorkingContext.start(tree, 500).expand([tree.at([])]).expand([tree.at([0])])
    before = tree.n_reads
    context = context.expand([tree.at([0, 1]), tree.at([1]), tree.at([3]), tree.at([0, 2])])
    assert tree.n_reads == before + 2  # one of nodes, one of leaves
    invariants.check(context)
    assert context.cost == 1 + 64 + 3 + 1 + 3


def test_an_expanded_family_goes_whole_with_its_leaves() -> None:
    context = WorkingContext.start(small_tree(), 200).expand([DOCUMENT]).expand([PAGE_1]).expand([BLOCK_1, TILE_1])
    assert [entry.lod for entry in context] == [0, 0, 2, 3]
    collapsed = context.collapse([PAGE_1])
    assert [entry.id for entry in collapsed] == [PAGE_1, PAGE_2]
    assert collapsed.cost == 2
    assert context.collapse([TILE_1, PAGE_1]).cut == collapsed.cut


@pytest.mark.parametrize(
    ("method", "ids"),
    [
        ("expand", [DOCUMENT]),  # opened already
        ("expand", [BLOCK_1]),  # expanded already
        ("expand", [BLOCK_2]),  # below an entry, not an entry
        ("expand", [REGION_1, REGION_1]),
        ("expand", [REGION_1, NodeId(1, 2)]),  # two levels at once
        ("expand", [NodeId(7, 7)]),
        ("collapse", [TILE_1]),  # a gist already
        ("collapse", [PAGE_2]),
        ("collapse", [BLOCK_2]),
        ("collapse", [PAGE_1, BLOCK_1]),  # gone with its page
        ("collapse", [NodeId(7, 7)]),
    ],
)
def test_illegal_actions_raise_and_leave_the_context_unchanged(method: str, ids: list[NodeId]) -> None:
    context = WorkingContext.start(small_tree(), 200).expand([DOCUMENT]).expand([PAGE_1]).expand([BLOCK_1])
    cut, cost, opened = context.cut, context.cost, list(context.opened)
    with pytest.raises(IllegalAction):
        getattr(context, method)(ids)
    assert (context.cut, context.cost, list(context.opened)) == (cut, cost, opened)
    invariants.check(context, deep=True)


def test_applying_actions_stops_at_the_first_illegal_one() -> None:
    context = WorkingContext.start(small_tree(), 200).expand([DOCUMENT])
    actions = [Action("expand", PAGE_1, 1.0, 2), Action("expand", PAGE_2, 1.0, 2), Action("collapse", BLOCK_1, 0.0, 0)]
    assert len(context.apply(actions[:2])) == 6
    with pytest.raises(IllegalAction, match="1:0"):
        context.apply(actions)


def test_defect_4_a_misaligned_or_partial_collapse_cannot_be_asked_for() -> None:
    """The origin replaced leaves 6..9 by the gist of 4..7. Here a collapse names a node, so it covers its leaves."""
    tree = small_tree()
    context = WorkingContext.start(tree, 500).expand([DOCUMENT]).expand([PAGE_1, PAGE_2])
    with pytest.raises(IllegalAction):  # two siblings of three: no node stands for them
        context.collapse([BLOCK_1, TILE_1])
    collapsed = context.collapse([PAGE_1])
    n_collapsed = sum(entry.node.n_leaves for entry in context) - sum(
        e.node.n_leaves for e in collapsed if e.id != PAGE_1
    )
    assert n_collapsed == collapsed.by_id[PAGE_1].node.n_leaves
    lost = {id: entry for id, entry in context.by_id.items() if id != TILE_1}
    with pytest.raises(BrokenInvariant, match=r"^cut"):
        invariants.check(replace(context, by_id=lost))


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 32])
def test_defect_4_a_partial_last_block_and_blocks_appended_at_once_have_gists(n_blocks: int) -> None:
    builder = TreeBuilder(np.random.default_rng(n_blocks))
    tree = builder.tree([builder.parent(1, [builder.block(1) for _ in range(n_blocks)])])
    context = WorkingContext.start(tree, 2000)
    context = context.expand([context.entries[0].id])
    assert len(context) == n_blocks
    assert all(entry.node.gist.any() for entry in context)
    invariants.check(context.expand([entry.id for entry in context]), deep=True)


def test_defect_5_the_budget_is_hard() -> None:
    """The origin went from 16 to 28 in four expansions, and dropped the head at its hard limit."""
    tree = UniformTree([16, 4])
    context = WorkingContext.start(tree, 16).expand([tree.at([])])
    assert context.cost == context.capacity == 16
    for child in range(4):
        with pytest.raises(IllegalAction, match="cost 19, its capacity is 16"):
            context.expand([tree.at([child])])
    with pytest.raises(IllegalAction, match="capacity is 16"):
        replace(context, by_id={**context.by_id, NodeId(9, 9): context.entries[0]})
    assert [entry.id for entry in context] == [tree.at([child]) for child in range(16)]


def test_defect_6_positions_are_the_centre_and_spread_of_the_span() -> None:
    """The origin used the start of the span, its full width as spread, and a spread of 1 for leaves."""
    tree = UniformTree([4])
    context = WorkingContext.start(tree, 200).expand([tree.at([])]).expand([tree.at([2])])
    invariants.check(context, deep=True)
    gist, expanded = context.by_id[tree.at([1])].node, context.by_id[tree.at([2])]
    assert gist.mu[0] == 32 + 15.5
    assert gist.sigma[0] == pytest.approx(32 / np.sqrt(12), rel=1e-3)
    assert expanded.leaves is not None
    np.testing.assert_array_equal(expanded.leaves.mu[:, 0], np.arange(64, 96))


def with_entry(context: WorkingContext, at: NodeId, **changes: object) -> WorkingContext:
    """The context with one node forged."""
    forged = Entry(replace(context.by_id[at].node, **changes), context.by_id[at].leaves)  # type: ignore[arg-type]
    return replace(context, by_id={**{k: v for k, v in context.by_id.items() if k != at}, forged.id: forged})


def forge_cost(context: WorkingContext) -> WorkingContext:
    object.__setattr__(context, "cost", context.cost - 1)
    return context


def forge_capacity(context: WorkingContext) -> WorkingContext:
    object.__setattr__(context, "capacity", context.cost - 1)
    return context


def forge_order(context: WorkingContext) -> WorkingContext:
    object.__setattr__(context, "entries", context.entries[::-1])
    return context


def forge_overlap(context: WorkingContext) -> WorkingContext:
    page = context.opened[PAGE_1]
    return replace(context, by_id={**context.by_id, PAGE_1: Entry(page)})


def forge_expanded_page(context: WorkingContext) -> WorkingContext:
    page = context.by_id[PAGE_2].node
    leaves = context.reader.leaves([TILE_1])[0]
    entry = Entry(replace(page, n_leaves=64), leaves)
    roots = (replace(context.roots[0], n_leaves=context.roots[0].n_leaves - page.n_leaves + 64),)
    return replace(context, by_id={**context.by_id, PAGE_2: entry}, roots=roots)


def without_last_leaf(context: WorkingContext) -> WorkingContext:
    leaves = context.by_id[BLOCK_1].leaves
    assert leaves is not None
    fewer = Leaves(leaves.mu[:-1], leaves.boxes[:-1], leaves.token_ids[:-1], leaves.roles[:-1])
    return replace(context, by_id={**context.by_id, BLOCK_1: Entry(context.by_id[BLOCK_1].node, fewer)})


@pytest.mark.parametrize(
    ("invariant", "forge"),
    [
        ("budget", forge_cost),
        ("budget", forge_capacity),
        ("cut", forge_overlap),
        ("cut", without_last_leaf),
        ("cut", lambda context: with_entry(context, PAGE_2, first=NodeId(2, 0), last=NodeId(2, 9))),
        ("cut", lambda context: with_entry(context, PAGE_2, n_leaves=3)),
        ("order", forge_order),
        ("family", forge_expanded_page),
        ("family", lambda context: with_entry(context, PAGE_2, id=NodeId(1, 14))),
        ("positions", lambda context: with_entry(context, PAGE_2, mu=np.zeros(3))),
        ("positions", lambda context: with_entry(context, TILE_1, sigma=np.ones(3))),
        ("positions", lambda context: with_entry(context, BLOCK_1, sigma=np.zeros(3))),
    ],
)
def test_check_names_the_broken_invariant(invariant: str, forge: Callable[[WorkingContext], WorkingContext]) -> None:
    context = WorkingContext.start(small_tree(), 200).expand([DOCUMENT]).expand([PAGE_1]).expand([BLOCK_1])
    invariants.check(context, deep=True)
    with pytest.raises(BrokenInvariant) as caught:
        invariants.check(forge(context))
    assert caught.value.invariant == invariant
    assert str(caught.value).startswith(invariant)


def test_deep_check_reads_what_a_gist_stands_for() -> None:
    tree = small_tree()
    nodes = tree.nodes([NodeId(1, k) for k in range(17)])
    wrong = [replace(node, mu=node.mu + 1) if node.id == DOCUMENT else node for node in nodes]
    leaves = {node.id: tree.leaves([node.id])[0] for node in nodes if node.lod == 1}
    context = WorkingContext.start(InMemoryTree(wrong, leaves), 10)
    invariants.check(context)
    with pytest.raises(BrokenInvariant, match=r"^positions"):
        invariants.check(context, deep=True)


def test_a_family_that_does_not_fit_its_parent_is_a_corrupt_store() -> None:
    builder = TreeBuilder(np.random.default_rng(1))
    root = builder.parent(1, [builder.block(1), builder.block(1)])
    first = NodeId(1, 0)
    two_slots = builder.nodes | {first: replace(builder.nodes[first], gist=np.ones((2, 4), dtype=np.float16))}
    with pytest.raises(CorruptStore, match="gists below node 1:2 have 3 slots together, 2 were announced"):
        WorkingContext.start(InMemoryTree(list(two_slots.values()), builder.leaves), 100).expand([root.id])
    longer = builder.nodes | {first: replace(builder.nodes[first], n_leaves=99)}
    with pytest.raises(CorruptStore, match="99 leaves"):
        WorkingContext.start(InMemoryTree(list(longer.values()), builder.leaves), 200).expand([root.id]).expand([first])


def test_a_tree_in_memory_names_what_it_does_not_have() -> None:
    tree = small_tree()
    assert tree.roots() == [DOCUMENT]
    assert len(tree) == 17
    with pytest.raises(NodeNotFound, match="no node 3:1 "):
        tree.nodes([DOCUMENT, NodeId(3, 1)])
    with pytest.raises(NodeNotFound, match="no node with leaves 1:16"):
        tree.leaves([DOCUMENT])
