"""Sources on one timeline. Oracles: each source's own tree moved by hand, and every leaf walked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.errors import NodeNotFound
from mm_megacontext.reading import invariants
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree import collection
from mm_megacontext.tree.collection import MOST_AHEAD, CollectionTree
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import COLLECTION, GROUP_ARITY, Leaves, Node, NodeId
from tests.strategies import TreeBuilder, assert_is_exact_cut, subtree


@dataclass(frozen=True)
class Span:
    """What a catalogue knows of a source."""

    root_id: NodeId
    t_length: int


def stored(depths: Sequence[int], seed: int = 0, first: int = 1) -> tuple[InMemoryTree, list[Span]]:
    """Sources as a store serves them: every timeline begins at 0."""
    builder = TreeBuilder(np.random.default_rng(seed), restart_clock=True, max_blocks=20)
    roots = [builder.source(number, depth, 5) for number, depth in enumerate(depths, start=first)]
    return builder.tree(roots), [Span(root.id, root.t_span[1]) for root in roots]


DEPTHS = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@settings(max_examples=40)
@given(DEPTHS, st.integers(0, 2**32 - 1))
def test_sources_follow_each_other_in_time(depths: list[int], seed: int) -> None:
    reader, records = stored(depths, seed)
    tree = CollectionTree(reader, records)
    begin = 0
    for record in records:
        for own in subtree(reader, record.root_id):
            (moved,) = tree.nodes([own.id])
            assert moved.t_span == (own.t_span[0] + begin, own.t_span[1] + begin)
            np.testing.assert_allclose(moved.mu, own.mu + np.array([begin, 0, 0]))
            np.testing.assert_array_equal(moved.sigma, own.sigma)
            assert (moved.children, moved.first, moved.last) == (own.children, own.first, own.last)
            if own.lod == 1:
                (leaves,), (own_leaves,) = tree.leaves([own.id]), reader.leaves([own.id])
                np.testing.assert_array_equal(leaves.mu, own_leaves.mu + np.array([begin, 0, 0]))
                np.testing.assert_array_equal(leaves.boxes, own_leaves.boxes)
        begin += record.t_length
    assert tree.n_leaves == sum(reader.nodes([r.root_id])[0].n_leaves for r in records)


@settings(max_examples=40)
@given(DEPTHS, st.integers(0, 2**32 - 1))
def test_a_collection_can_be_cut(depths: list[int], seed: int) -> None:
    """Its contexts keep all invariants on the way from the root down to every leaf."""
    reader, records = stored(depths, seed)
    tree: Any = CollectionTree(reader, records)
    context = WorkingContext.start(tree, 100_000)
    for _ in range(8):
        invariants.check(context, deep=True)
        assert_is_exact_cut(context, tree)
        gists = [entry.id for entry in context if entry.is_expandable]
        if not gists:
            break
        context = context.expand(gists)
    assert all(entry.is_expanded for entry in context)
    assert [entry.id for entry in context] == sorted(entry.id for entry in context)


@pytest.mark.parametrize("n", [1, 2, 32, 33, 64, 100, 1025])
def test_sources_are_grouped(n: int) -> None:
    reader, records = stored([1] * n)
    tree = CollectionTree(reader, records)
    (root,) = tree.roots()
    nodes = subtree(tree, root)
    assert [node.id for node in nodes if node.id.source != COLLECTION] == [r.root_id for r in records]
    for node in nodes:
        if node.id.source == COLLECTION:
            assert 2 <= len(node.children) <= GROUP_ARITY
            assert node.kind == "collection"
            below = [r.root_id for r in records if node.covers(r.root_id)]
            assert (node.first, node.last) == (below[0], below[-1])
            children = tree.nodes(node.children)
            assert node.lod == 1 + max(child.lod for child in children)
            assert node.t_span == (children[0].t_span[0], children[-1].t_span[1])
            voices = [child for child in children if child.modality != "image"] or children
            weights = [child.n_leaves for child in voices]
            mean = np.average([c.gist.astype(np.float64) for c in voices], axis=0, weights=weights)
            np.testing.assert_allclose(node.gist, mean, atol=2e-3)
    assert len(nodes) < 2 * n + 1


def test_the_scope_of_one_source_begins_at_its_beginning() -> None:
    reader, records = stored([3, 3, 3])
    tree = CollectionTree(reader, [records[1]])
    assert tree.roots() == [records[1].root_id]
    (node,), (own,) = tree.nodes(tree.roots()), reader.nodes([records[1].root_id])
    assert node.t_span == own.t_span
    assert tree.n_leaves == own.n_leaves


def test_order_is_that_of_the_records() -> None:
    """Numbers need not be contiguous: sources were forgotten and replaced."""
    builder = TreeBuilder(np.random.default_rng(1), restart_clock=True)
    roots = [builder.source(number, 2) for number in (3, 8, 20)]
    tree = CollectionTree(builder.tree(roots), [Span(r.id, r.t_span[1]) for r in roots])
    (top,) = tree.nodes(tree.roots())
    assert top.children == tuple(root.id for root in roots)
    assert 15 not in {child.source for child in top.children}


def test_what_is_not_in_scope_is_not_found() -> None:
    reader, records = stored([2, 2])
    tree = CollectionTree(reader, [records[0]])
    with pytest.raises(NodeNotFound, match="source 2"):
        tree.nodes([records[1].root_id])
    with pytest.raises(NodeNotFound):
        tree.nodes([NodeId(COLLECTION, 0)])
    with pytest.raises(NodeNotFound):
        tree.nodes([NodeId(1, 10_000)])
    block = next(node.id for node in subtree(reader, records[1].root_id) if node.lod == 1)
    with pytest.raises(NodeNotFound):
        tree.leaves([block])
    assert records[0].root_id in tree
    assert records[1].root_id not in tree


def test_nodes_come_in_the_order_asked_for() -> None:
    reader, records = stored([2, 2, 2])
    tree = CollectionTree(reader, records)
    ids = [records[2].root_id, tree.roots()[0], records[0].root_id, records[2].root_id]
    assert [node.id for node in tree.nodes(ids)] == ids
    assert tree.nodes([]) == []
    assert tree.leaves([]) == []


def test_pixels_are_read_for_tiles_alone() -> None:
    builder = TreeBuilder(np.random.default_rng(2), restart_clock=True)
    block, tile = builder.block(1), builder.tile(1)
    root = builder.parent(1, [block, tile])
    asked: list[NodeId] = []

    class Pixels:
        def with_pixels(self, tiles: Sequence[Node], leaves: Sequence[Leaves]) -> list[Leaves]:
            asked.extend(node.id for node in tiles)
            return [replace(own, pixels=np.zeros((len(own), 3, 16, 16), np.uint8)) for own in leaves]

    tree = CollectionTree(builder.tree([root]), [Span(root.id, root.t_span[1])], Pixels())
    of_tile, of_block = tree.leaves([tile.id, block.id])
    assert asked == [tile.id]
    assert of_tile.pixels is not None
    assert of_block.pixels is None


def test_a_collection_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one source"):
        CollectionTree(InMemoryTree([], {}), [])


@dataclass
class Recording:
    """Notes what is asked of a tree, call by call."""

    tree: InMemoryTree
    asked: list[list[NodeId]]

    def roots(self) -> list[NodeId]:
        return self.tree.roots()

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        self.asked.append(list(ids))
        return self.tree.nodes(ids)

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        return self.tree.leaves(ids)


@pytest.mark.parametrize("n_blocks", [1, 6])
def test_what_paths_pass_next_is_read_along_if_they_are_few(n_blocks: int) -> None:
    inner, records = stored([4] * 6)
    reader = Recording(inner, [])
    tree = CollectionTree(reader, records)
    reader.asked.clear()
    edges = [inner.nodes([inner.nodes([record.root_id])[0].children[0]])[0] for record in records]
    blocks = [next(node.id for node in subtree(inner, edge.id) if node.lod == 1) for edge in edges][:n_blocks]
    assert [node.id for node in tree.nodes(blocks)] == blocks
    (asked,) = reader.asked
    ahead = [child for edge in edges[:n_blocks] for child in edge.children] if n_blocks <= MOST_AHEAD else []
    assert sorted(asked) == sorted([*blocks, *ahead])


@pytest.mark.parametrize("held", [0, 3, 10, 10_000])
def test_what_is_held_does_not_change_what_is_read(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, records = stored([3, 2, 4, 1, 3])
    wanted = [node.id for record in records for node in subtree(inner, record.root_id)]
    monkeypatch.setattr(collection, "HELD_NODES", 10_000)
    expected = CollectionTree(inner, records).nodes(wanted)
    monkeypatch.setattr(collection, "HELD_NODES", held)
    reader = Recording(inner, [])
    tree = CollectionTree(reader, records)
    for one, other in zip(tree.nodes(wanted), expected, strict=True):
        assert (one.id, one.t_span, one.children) == (other.id, other.t_span, other.children)
    assert sum(map(len, reader.asked[1:-1])) <= held
