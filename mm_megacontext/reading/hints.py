"""Hints: blocks and tiles that the memory's own indexes find for a question, which lift every entry that covers them.

Gists of a thousand pages cannot hold every invoice number; an index can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.question_words import missing_words, search_words
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import Modality, Node, NodeId, TreeReader

Found = Sequence[tuple[NodeId, float]]


class Index(Protocol):
    """Search over the blocks of a memory, best first."""

    def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found: ...

    def search_vectors(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        within: Sequence[int] | None = None,
        modality: Modality = "text",
    ) -> Found: ...


class SearchByMeaning(Protocol):
    """Search for what means the same in other words, best first."""

    def search(self, question: str, k: int, within: Sequence[int] | None = None) -> Found: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HintConfig:
    """How many hints, and how much they count.

    Attributes:
        n_text: Blocks from the full-text index.
        n_vectors: Blocks from the vector index; it is asked where the best full-text hint lacks a word of the question.
        n_tiles: Tiles from the vector index, for a base that reads images.
        contrast: Exponent of a hint's score relative to the best one: how fast strength falls behind it.
        vector_weight: Strength of the best vector hint; the best full-text hint has 1.
        link_weight: Share of a hint's strength that its linked blocks get (a table row's header).
        next_weight: Share that the next block of the same region gets, where a sentence may go on.
        lead: Full-text hits at least this strong lead, with what they link to.
    """

    n_text: int = 16
    n_vectors: int = 4
    n_tiles: int = 48
    contrast: float = 2.0
    vector_weight: float = 0.5
    link_weight: float = 0.98
    next_weight: float = 0.7
    lead: float = 0.9

    def __post_init__(self) -> None:
        if min(self.n_text, self.n_vectors, self.n_tiles) < 0:
            numbers = f"{self.n_text}, {self.n_vectors} and {self.n_tiles}"
            raise ValueError(f"numbers of hints must not be negative, got {numbers}")


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


class HintSearch:
    """Hints for one question: those that lead first, then all.

    Args:
        index: The memory's search.
        tree: Where the links of found blocks are read.
        question: Words to search for.
        config: How many and how strong.
        within: Source numbers to search, or None for all.
        modalities: What the base reads; nothing else is searched for.
    """

    def __init__(
        self,
        index: Index,
        tree: TreeReader,
        question: str,
        config: HintConfig,
        within: Sequence[int] | None = None,
        modalities: Sequence[Modality] = ("text",),
    ) -> None:
        self._index, self._tree, self._within = index, tree, within
        self._modalities = modalities
        self._config = config
        self._strengths: dict[NodeId, float] = {}
        self._taken: list[tuple[Node, float]] = []
        has_text = config.n_text and "text" in modalities
        found = index.search_text(search_words(question), config.n_text, within) if has_text else []
        hits = _strengths(found, 1.0, config.contrast)
        self._others = {id: strength for id, strength in hits.items() if strength < config.lead}
        self._take({id: strength for id, strength in hits.items() if strength >= config.lead})
        self._is_complete = bool(self._taken) and self._holds_all_words(question, self._taken[0][0])

    def lead(self) -> Hints | None:
        """The strongest full-text hits and their links; None unless the best one holds every word of the question."""
        return Hints(self._strengths) if self._is_complete else None

    def all(self, vector: npt.NDArray[np.float32] | None) -> Hints:
        """All hints, of both indexes.

        Args:
            vector: (dim,) what gists of relevant blocks look like, or None for no vector search.
        """
        self._take(self._others)
        self._others = {}
        if vector is not None and not self._is_complete:
            wanted: dict[Modality, int] = {"text": self._config.n_vectors, "image": self._config.n_tiles}
            for modality in self._modalities:
                if k := wanted[modality]:
                    found = self._index.search_vectors(vector, k, self._within, modality)
                    self._take(_strengths(found, self._config.vector_weight, self._config.contrast))
        self._follow()
        return Hints(self._strengths)

    def _take(self, hits: Mapping[NodeId, float]) -> None:
        """Lift hits and what they link to."""
        blocks = self._tree.nodes(list(hits))
        linked = self._tree.nodes([link for block in blocks for link in block.links])
        read = {node.id for node in linked if node.modality in self._modalities}
        for block, strength in zip(blocks, hits.values(), strict=True):
            self._taken.append((block, strength))
            self._lift(block.id, strength)
            for link in read.intersection(block.links):  # words may link to pictures, and the base be blind
                self._lift(link, self._config.link_weight * strength)

    def _follow(self) -> None:
        """Lift what goes on where a hit ends."""
        following = self._tree.nodes([_next_id(block) for block, _ in self._taken])
        for (block, strength), after in zip(self._taken, following, strict=True):
            if _goes_on(block, after):
                self._lift(after.id, self._config.next_weight * strength)

    def _holds_all_words(self, question: str, block: Node) -> bool:
        """Whether a block, with what it links to and what goes on behind it, holds every word of the question."""
        words = block.text.split()
        if missing_words(question, words):  # only now the others are read
            after, *links = self._tree.nodes([_next_id(block), *block.links])
            for other in links + ([after] if _goes_on(block, after) else []):
                words += other.text.split()
        return not missing_words(question, words)

    def _lift(self, id: NodeId, strength: float) -> None:
        self._strengths[id] = max(self._strengths.get(id, 0.0), strength)


def _strengths(found: Found, weight: float, contrast: float) -> dict[NodeId, float]:
    """What an index found, best first, with scores relative to the best."""
    return {id: weight * (score / found[0][1]) ** contrast for id, score in found if score > 0}


def _next_id(block: Node) -> NodeId:
    """Post-order: a block always has its parent or its next sibling's subtree behind it, so the node exists."""
    return NodeId(block.id.source, block.id.index + 1)


def _goes_on(block: Node, after: Node) -> bool:
    """Whether ``after`` is a block of the same kind on the same page."""
    return after.lod == 1 and (after.kind, after.page) == (block.kind, block.page)
