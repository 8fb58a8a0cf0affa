"""Hypothesis strategies and builders for gist trees, and the slow oracles that read them leaf by leaf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from mm_megacontext.document import union
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import (
    BLOCK_TOKENS,
    COLLECTION,
    GROUP_ARITY,
    TILE_PATCHES,
    Leaves,
    Moments,
    Node,
    NodeId,
    TreeReader,
)

PAGE_SIZE = (612.0, 792.0)
POSITION_TOLERANCE = 1e-6
"""Patches: float64 sums in another order."""


@dataclass
class TreeBuilder:
    """Grows random trees as ingest would: post-order per source, collection nodes above several sources.

    Attributes:
        slots: Gist slots of every node.
        restart_clock: Whether every source's timeline starts at 0, so that sources interleave in time.
        max_blocks: Blocks and tiles per source, about.
    """

    rng: np.random.Generator
    slots: int = 1
    dim: int = 4
    restart_clock: bool = False
    max_blocks: int = 60
    nodes: dict[NodeId, Node] = field(default_factory=dict)
    leaves: dict[NodeId, Leaves] = field(default_factory=dict)
    clock: int = 0
    _blocks_left: int = field(init=False, default=0)
    _n_nodes: Counter[int] = field(init=False, default_factory=Counter)

    def source(self, number: int, depth: int, max_arity: int = GROUP_ARITY) -> Node:
        """Add a source whose root has LOD at most ``depth``."""
        if self.restart_clock:
            self.clock = 0
        self._blocks_left = self.max_blocks
        return self._grow(number, depth, max_arity)

    def collect(self, roots: Sequence[Node], max_arity: int = GROUP_ARITY) -> list[Node]:
        """Group roots under collection nodes until at most ``max_arity`` (at least 2) are left."""
        level = list(roots)
        while len(level) > max_arity:
            groups = [level[at : at + max_arity] for at in range(0, len(level), max_arity)]
            level = [self.parent(COLLECTION, group, "collection") for group in groups]
        return level

    def tree(self, roots: Sequence[Node]) -> InMemoryTree:
        """Everything added so far, below ``roots``."""
        return InMemoryTree(list(self.nodes.values()), self.leaves, [root.id for root in roots])

    def _grow(self, source: int, depth: int, max_arity: int) -> Node:
        if depth == 1 or self._blocks_left <= 1:
            self._blocks_left -= 1
            return self.tile(source) if self.rng.random() < 0.3 else self.block(source)
        arity = int(self.rng.choice([1, 2, int(self.rng.integers(1, max_arity + 1))]))
        return self.parent(source, [self._grow(source, depth - 1, max_arity) for _ in range(arity)], f"group{depth}")

    def block(self, source: int) -> Node:
        """Add a text block of 1 to 32 leaves."""
        n = int(self.rng.integers(1, BLOCK_TOKENS + 1))
        mu = np.column_stack([self.clock + np.arange(n), self.rng.uniform(0, 76, (n, 2))])
        leaves = Leaves(mu, _boxes(mu), self.rng.integers(0, 999, n), np.zeros(n, dtype=np.uint8))
        return self._leaf_node(source, leaves, n, "text")

    def tile(self, source: int) -> Node:
        """Add a tile of 64 leaves that share their time."""
        n = TILE_PATCHES**2
        grid = np.stack(np.meshgrid(np.arange(TILE_PATCHES), np.arange(TILE_PATCHES)), axis=-1).reshape(n, 2)
        mu = np.column_stack([np.full(n, self.clock), grid + self.rng.integers(0, 60, 2) + 0.5])
        leaves = Leaves(mu, _boxes(mu), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8))
        return self._leaf_node(source, leaves, 1, "tile")

    def _leaf_node(self, source: int, leaves: Leaves, duration: int, kind: str) -> Node:
        id = self._next_id(source)
        boxes = [(float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in leaves.boxes]
        self.leaves[id] = leaves
        self.nodes[id] = node = Node(
            id=id,
            first=id,
            last=id,
            children=(),
            lod=1,
            modality="text" if kind == "text" else "image",
            kind=kind,
            page=1,
            last_page=1,
            bbox=union(boxes),
            t_span=(self.clock, self.clock + duration),
            n_leaves=len(leaves),
            mu=leaves.mu.mean(axis=0),
            sigma=leaves.mu.std(axis=0),
            gist=self._gist(),
        )
        self.clock += duration
        return node

    def parent(self, source: int, children: Sequence[Node], kind: str = "group") -> Node:
        """Add a node above ``children``, which must be the latest of their source."""
        id = self._next_id(source)
        n, mean, variance = Moments.merge([node.moments for node in children])
        modalities = {node.modality for node in children}
        self.nodes[id] = parent = Node(
            id=id,
            first=children[0].first,
            last=children[-1].last if source == COLLECTION else id,
            children=tuple(node.id for node in children),
            lod=1 + max(node.lod for node in children),
            modality=children[0].modality if len(modalities) == 1 else "mixed",
            kind=kind,
            page=1,
            last_page=1,
            bbox=union([node.bbox for node in children]),
            t_span=(min(node.t_span[0] for node in children), max(node.t_span[1] for node in children)),
            n_leaves=n,
            mu=mean,
            sigma=np.sqrt(variance),
            gist=self._gist(),
        )
        return parent

    def _next_id(self, source: int) -> NodeId:
        self._n_nodes[source] += 1
        return NodeId(source, self._n_nodes[source] - 1)

    def _gist(self) -> npt.NDArray[np.float16]:
        return self.rng.standard_normal((self.slots, self.dim)).astype(np.float16)


def _boxes(mu: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    corners = mu[:, 1:] * 8.0
    return np.hstack([corners, corners + 8.0]).astype(np.float32)


@st.composite
def trees(draw: st.DrawFn, max_sources: int = 4, max_depth: int = 5) -> InMemoryTree:
    """Random trees: 1 to 32 children a node, blocks of 1 to 32 leaves, tiles of 64, several sources, mixed depths."""
    builder = TreeBuilder(
        rng=np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed")),
        slots=draw(st.integers(1, 2), label="gist slots"),
        restart_clock=draw(st.booleans(), label="restart clock"),
        max_blocks=draw(st.integers(1, 60), label="blocks per source"),
    )
    depths = draw(st.lists(st.integers(1, max_depth), min_size=1, max_size=max_sources), label="depths")
    max_arity = draw(st.sampled_from([2, 3, 5, GROUP_ARITY]), label="arity")
    roots = [builder.source(number, depth, max_arity) for number, depth in enumerate(depths, start=1)]
    return builder.tree(builder.collect(roots, draw(st.integers(2, 4), label="collection arity")))


def subtree(tree: TreeReader, id: NodeId) -> list[Node]:
    """``id`` and every node below it, parents first."""
    (node,) = tree.nodes([id])
    return [node] + [below for child in node.children for below in subtree(tree, child)]


def leaf_positions(tree: TreeReader, id: NodeId) -> npt.NDArray[np.float64]:
    """Position of every leaf below ``id``, one by one: the oracle for means and spreads."""
    blocks = [node.id for node in subtree(tree, id) if node.lod == 1]
    return np.concatenate([leaves.mu for leaves in tree.leaves(blocks)])


class UniformTree:
    """A document of any size made on demand: every node of a level has the same number of children.

    Args:
        arities: Children per node, from the root down; the nodes below the last level are full blocks.
    """

    def __init__(self, arities: Sequence[int]) -> None:
        self.arities = tuple(arities)
        self._sizes = [1]  # of subtrees, by height
        self._leaves = [BLOCK_TOKENS]
        for arity in reversed(arities):
            self._sizes.append(1 + arity * self._sizes[-1])
            self._leaves.append(arity * self._leaves[-1])
        self.n_reads = 0
        self._made: dict[NodeId, Node] = {}

    def at(self, path: Sequence[int]) -> NodeId:
        """The node reached from the root by taking the given child at each level."""
        start, height = 0, len(self.arities)
        for child in path:
            height -= 1
            start += child * self._sizes[height]
        return NodeId(1, start + self._sizes[height] - 1)

    def path(self, id: NodeId) -> list[int]:
        """The inverse of ``at``."""
        start, height, path = 0, len(self.arities), []
        while id.index != start + self._sizes[height] - 1:
            height -= 1
            path.append((id.index - start) // self._sizes[height])
            start += path[-1] * self._sizes[height]
        return path

    def roots(self) -> list[NodeId]:
        return [self.at([])]

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        self.n_reads += 1
        return [self._node(id) for id in ids]

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        self.n_reads += 1
        return [self._leaves_of(node) for node in map(self._node, ids)]

    def _node(self, id: NodeId) -> Node:
        if id not in self._made:
            self._made[id] = self._make(id)
        return self._made[id]

    def _make(self, id: NodeId) -> Node:
        path = self.path(id)
        height = len(self.arities) - len(path)
        n = self._leaves[height]
        begin = sum(child * self._leaves[len(self.arities) - depth] for depth, child in enumerate(path, start=1))
        arity = self.arities[len(path)] if height else 0
        return Node(
            id=id,
            first=NodeId(1, id.index - self._sizes[height] + 1),
            last=id,
            children=tuple(self.at([*path, child]) for child in range(arity)),
            lod=height + 1,
            modality="text",
            kind="text",
            page=1,
            last_page=1,
            bbox=(0.0, 0.0, *PAGE_SIZE),
            t_span=(begin, begin + n),
            n_leaves=n,
            mu=np.array([begin + (n - 1) / 2, 0.5, 0.5]),
            sigma=np.array([((n * n - 1) / 12) ** 0.5, 0.0, 0.0]),
            gist=np.zeros((1, 4), dtype=np.float16),
        )

    def _leaves_of(self, node: Node) -> Leaves:
        t = np.arange(*node.t_span, dtype=np.float64)
        mu = np.column_stack([t, np.full((len(t), 2), 0.5)])
        return Leaves(mu, _boxes(mu), np.zeros(len(t), dtype=np.int64), np.zeros(len(t), dtype=np.uint8))


def start(tree: InMemoryTree, capacity: int) -> WorkingContext:
    """A start context, with the capacity raised to what the roots need."""
    return WorkingContext.start(tree, max(capacity, sum(len(node.gist) for node in tree.nodes(tree.roots()))))


def assert_is_exact_cut(context: WorkingContext, tree: InMemoryTree) -> None:
    """The five invariants by brute force: every leaf is walked to."""
    assert sum(len(entry.node.gist) if entry.leaves is None else len(entry.leaves) for entry in context) == context.cost
    assert context.cost <= context.capacity
    blocks = Counter(node.id for entry in context for node in subtree(tree, entry.id) if node.lod == 1)
    assert blocks == Counter(node.id for root in tree.roots() for node in subtree(tree, root) if node.lod == 1)
    assert [entry.id for entry in context] == [entry.id for entry in sorted(context, key=lambda e: e.node.order)]
    for entry in context:
        positions = leaf_positions(tree, entry.id)
        np.testing.assert_allclose(entry.node.mu, positions.mean(axis=0), atol=POSITION_TOLERANCE)
        np.testing.assert_allclose(entry.node.sigma, positions.std(axis=0), atol=POSITION_TOLERANCE)
        if entry.leaves is not None:
            assert entry.lod == 0
            np.testing.assert_array_equal(entry.leaves.mu, positions)
