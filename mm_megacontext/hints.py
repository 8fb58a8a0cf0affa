"""Hints: blocks that the memory's own indexes find for a question, which lift every entry that covers them.

Gists of a thousand pages cannot hold every invoice number; an index can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.question_words import search_words
from mm_megacontext.tree import Node, NodeId, TreeReader
from mm_megacontext.working_context import Entry

Found = Sequence[tuple[NodeId, float]]


class Index(Protocol):
    """Search over the blocks of a memory, best first."""

    def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found: ...

    def search_vectors(self, vector: npt.NDArray[np.float32], k: int, within: Sequence[int] | None = None) -> Found: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HintConfig:
    """How many hints, and how much they count.

    Attributes:
        n_text: Blocks from the full-text index.
        n_vectors: Blocks from the vector index.
        vector_weight: Strength of the best vector hint; the best full-text hint has 1.
        link_weight: Share of a hint's strength that its linked blocks get (a table row's header).
        next_weight: Share that the next block of the same region gets, where a sentence may go on.
    """

    n_text: int = 16
    n_vectors: int = 4
    vector_weight: float = 0.5
    link_weight: float = 0.98
    next_weight: float = 0.7

    def __post_init__(self) -> None:
        if min(self.n_text, self.n_vectors) < 0:
            raise ValueError(f"numbers of hints must not be negative, got {self.n_text} and {self.n_vectors}")


class Hints:
    """Hinted blocks with their strength in (0, 1]; answers how strongly an entry is hinted at.

    Args:
        strengths: Strength per block.
    """

    def __init__(self, strengths: Mapping[NodeId, float]) -> None:
        self._ids = sorted(strengths)
        self._strengths = np.array([strengths[id] for id in self._ids], dtype=np.float64)
        self._keys = np.array([_key(id) for id in self._ids], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
        """(entries,) strength of the strongest hint that each entry covers, 0 where there is none."""
        scores = np.zeros(len(entries))
        low = np.searchsorted(self._keys, [_key(entry.node.first) for entry in entries], "left")
        high = np.searchsorted(self._keys, [_key(entry.node.last) for entry in entries], "right")
        for i in np.flatnonzero(high > low):
            scores[i] = self._strengths[low[i] : high[i]].max()
        return scores


def _key(id: NodeId) -> int:
    return (id.source << 32) | id.index


def find_hints(
    index: Index,
    tree: TreeReader,
    question: str,
    vector: npt.NDArray[np.float32] | None,
    config: HintConfig,
    within: Sequence[int] | None = None,
) -> Hints:
    """Ask the indexes and follow the links of what they find.

    Args:
        index: The memory's search.
        tree: Where the links of found blocks are read.
        question: Words to search for.
        vector: (dim,) what gists of relevant blocks look like, or None for no vector search.
        config: How many and how strong.
        within: Source numbers to search, or None for all.
    """
    strengths: dict[NodeId, float] = {}
    if config.n_text:
        _collect(strengths, index.search_text(search_words(question), config.n_text, within), 1.0)
    if vector is not None and config.n_vectors:
        _collect(strengths, index.search_vectors(vector, config.n_vectors, within), config.vector_weight)
    _follow(strengths, tree, config)
    return Hints(strengths)


def _follow(strengths: dict[NodeId, float], tree: TreeReader, config: HintConfig) -> None:
    """Lend strength to linked blocks, and to blocks that go on where a found one ends."""
    found = tree.nodes(list(strengths))
    last = {node.id: strengths[node.id] for node in found}
    for node in found:
        for link in node.links:
            strengths[link] = max(strengths.get(link, 0.0), config.link_weight * last[node.id])
    for node, after in zip(found, _next_blocks(tree, found), strict=True):
        if after is not None:
            strengths[after] = max(strengths.get(after, 0.0), config.next_weight * last[node.id])


def _next_blocks(tree: TreeReader, blocks: Sequence[Node]) -> list[NodeId | None]:
    """The block behind each one if its text goes on there: of the same kind, page and region, without a gap in time."""
    candidates = {block.id: NodeId(block.id.source, block.id.index + 1) for block in blocks}
    # Post-order: a block always has its parent or its next sibling's subtree behind it, so the index exists.
    after = dict(zip(candidates, tree.nodes(list(candidates.values())), strict=True))
    return [
        after[block.id].id
        if after[block.id].lod == 1 and (after[block.id].kind, after[block.id].page) == (block.kind, block.page)
        else None
        for block in blocks
    ]


def _collect(strengths: dict[NodeId, float], found: Found, weight: float) -> None:
    """Strength is relative to the best of its kind."""
    for id, score in found:
        if score > 0:
            strengths[id] = max(strengths.get(id, 0.0), weight * score / found[0][1])
