"""Which blocks fit a question best: full-text search, then BM25 over what it found, with what stands around each block.

The index of a memory knows words as they are spelled, block by block. A block of 32 tokens says little by itself: the
word that a question asks for may stand in the sentence before it, in its heading or in the header of its table. So the
index is asked for every spelling of a word, and what it finds is ranked anew, on stems, with the words around it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.hints import Index
from mm_megacontext.reading.question_words import search_words
from mm_megacontext.reading.stems import spellings, terms
from mm_megacontext.tree.nodes import Node, NodeId, TreeReader

K1, B = 1.2, 0.5
"""Of BM25; length counts less than usual, for all blocks are short."""
N_FOUND = 400
"""Blocks that the index is asked for."""
RANK_SHIFT = 5
MEANING_WEIGHT = 0.3
"""What search by meaning counts beside search by words: blocks are short, and names and numbers mean little to an
embedder. Both were chosen on the dev split of real_documents, with MiniLM."""
N_RANKED = 256
"""The best of them, which are read and ranked anew; the others follow as the index ranks them."""
BESIDE_WEIGHT = 0.4
"""What a word in the block before or after counts, where one in the block counts 1."""
HEADING_WEIGHT = 0.4
"""The same for a word in the last heading before it that has words of the question."""
HEADER_WEIGHT = 0.5
"""The same for a word in the header of a table."""
HEADING_REACH = 96
"""Nodes that a heading is looked for before a block: some pages of text."""
HEADER_LINKS = 2
"""Links of a block that may be header rows: they are its first ones."""


def rank_blocks(index: Index, tree: TreeReader, question: str, within: Sequence[int] | None = None) -> list[NodeId]:
    """The blocks that fit a question, or stand beside such, the best first; in the same order for every budget.

    Args:
        index: The memory's search.
        tree: Where blocks are read.
        question: Any text; letter case does not count.
        within: Source numbers to search, or None for all.
    """
    asked = list(dict.fromkeys(terms(search_words(question))))
    found = index.search_text(" ".join(spellings(search_words(question))), N_FOUND, within) if asked else []
    candidates = [node for node in tree.nodes([id for id, _ in found[:N_RANKED]]) if node.modality == "text"]
    if not candidates:
        return []
    blocks = {node.id: node for node in candidates}
    blocks.update(_beside(tree, candidates))
    linked = _headers(tree, blocks.values())
    ids = sorted(blocks)
    counts = np.array([_counts(blocks[id], asked) for id in ids], dtype=np.float64)  # (blocks, terms)
    is_candidate = np.isin(np.arange(len(ids)), [bisect_left(ids, node.id) for node in candidates])
    idf = _idf(counts[is_candidate])
    lengths = np.array([max(len(terms(blocks[id].text)), 1) for id in ids], dtype=np.float64)
    tf = counts + BESIDE_WEIGHT * _counts_beside(ids, counts) + HEADING_WEIGHT * _counts_above(ids, counts, blocks)
    tf += HEADER_WEIGHT * np.array([_header_counts(blocks[id], linked, asked) for id in ids])
    norm = K1 * (1 - B + B * lengths / lengths[is_candidate].mean())
    scores = (idf * tf * (K1 + 1) / (tf + norm[:, None])).sum(axis=1)
    order = [i for i in np.lexsort((np.arange(len(ids)), -scores)).tolist() if scores[i] > 0]
    others = [id for id, _ in found[N_RANKED:] if id not in blocks]
    return [*(ids[i] for i in order), *others]


def fused(orders: Sequence[Sequence[NodeId]], weights: Sequence[float], shift: int = RANK_SHIFT) -> list[NodeId]:
    """One order of several, by reciprocal ranks (Cormack, Clarke and Büttcher 2009); of two alike, the first's.

    Args:
        orders: The best first.
        weights: What each counts.
        shift: The larger, the less the very first count more than those after them.
    """
    scores: dict[NodeId, float] = {}
    for order, weight in zip(orders, weights, strict=True):
        for rank, id in enumerate(order, 1):
            scores[id] = scores.get(id, 0.0) + weight / (shift + rank)
    return sorted(scores, key=lambda id: -scores[id])


def _beside(tree: TreeReader, blocks: Sequence[Node]) -> dict[NodeId, Node]:
    """The blocks of text right before and after some."""
    known = {block.id for block in blocks}
    wanted = {NodeId(id.source, id.index + step) for id in known for step in (-1, 1)} - known
    nodes = tree.nodes(sorted(id for id in wanted if id.index >= 0))  # behind a block there is always another node
    return {node.id: node for node in nodes if node.lod == 1 and node.modality == "text"}


def _headers(tree: TreeReader, blocks: Iterable[Node]) -> dict[NodeId, set[str]]:
    """Stems of what blocks link to as their header rows."""
    wanted = {link for block in blocks for link in block.links[:HEADER_LINKS]}
    return {node.id: set(terms(node.text)) for node in tree.nodes(sorted(wanted)) if node.modality == "text"}


def _counts(block: Node, asked: Sequence[str]) -> list[int]:
    counted = Counter(terms(block.text))
    return [counted[term] for term in asked]


def _header_counts(block: Node, linked: Mapping[NodeId, set[str]], asked: Sequence[str]) -> list[int]:
    held = set[str]().union(*(linked.get(link, ()) for link in block.links[:HEADER_LINKS]))
    return [int(term in held) for term in asked]


def _idf(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much each term tells among the candidates: one that most of them hold says little."""
    held = (counts > 0).sum(axis=0)
    return np.array([math.log(1 + (len(counts) - n + 0.5) / (n + 0.5)) for n in held.tolist()])


def _counts_beside(ids: Sequence[NodeId], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """In how many of the two blocks beside each stands each term."""
    held = (counts > 0).astype(np.float64)
    beside = np.zeros_like(held)
    follows = np.array([(b.source, b.index - 1) == a for a, b in pairwise(ids)], dtype=bool)
    at = np.flatnonzero(follows)
    beside[at] += held[at + 1]
    beside[at + 1] += held[at]
    return beside


def _counts_above(
    ids: Sequence[NodeId], counts: npt.NDArray[np.float64], blocks: Mapping[NodeId, Node]
) -> npt.NDArray[np.float64]:
    """Which terms the last heading before each block holds, of those headings that are among the blocks."""
    above = np.zeros_like(counts)
    last: int | None = None
    for i, id in enumerate(ids):
        if last is not None and ids[last].source == id.source and id.index - ids[last].index <= HEADING_REACH:
            above[i] = counts[last] > 0
        if blocks[id].kind == "heading" and counts[i].any():
            last = i
    return above
