"""Whether the gold words of a place are read sharply, quoted as evidence, or in the memory at all; by their boxes.

Boxes and not words are compared, so that neither the order of a table's cells nor the spelling of a ligature counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Box
from mm_megacontext.eval.real_documents.dataset import Place
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import COLLECTION, Leaves, Node, NodeId, TreeReader

SAME_LINE = 0.5
"""Share of the lower box's height that two boxes of one word have in common at least: engines differ by ascenders."""
LEAST_KEPT = 0.5
"""Share of the gold words that ingest must have kept for the rest of them to be called punctuation and bullets."""


def covered_words(words: Sequence[Box], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which words have a box on their line that their middle falls into.

    Args:
        words: Boxes of words.
        boxes: (n, 4), of words or of their tokens.

    Returns:
        (words,), one for each word.

    Example:
        >>> covered_words([(0, 0, 10, 10), (20, 0, 30, 10)], np.array([[4, 2, 11, 9]], dtype=np.float32)).tolist()
        [True, False]
    """
    if not len(boxes) or not words:
        return np.zeros(len(words), dtype=np.bool_)
    x0, y0, x1, y1 = np.asarray(words, dtype=np.float64).T[:, :, None]  # each (words, 1)
    left, top, right, bottom = boxes.astype(np.float64).T[:, None, :]  # each (1, n)
    middle = (x0 + x1) / 2
    common = np.minimum(y1, bottom) - np.maximum(y0, top)
    is_same_line = common >= SAME_LINE * np.minimum(y1 - y0, bottom - top)
    found: npt.NDArray[np.bool_] = ((left <= middle) & (middle <= right) & is_same_line & (common > 0)).any(axis=1)
    return found


def page_boxes(blocks: Iterable[tuple[Node, Leaves]], source: int, page: int) -> npt.NDArray[np.float32]:
    """Boxes (n, 4) of the leaves of those blocks that lie on one page of one source."""
    found = [leaves.boxes for node, leaves in blocks if (node.id.source, node.page) == (source, page)]
    return np.concatenate(found) if found else np.zeros((0, 4), dtype=np.float32)


def sharp_blocks(context: WorkingContext) -> list[tuple[Node, Leaves]]:
    """The text blocks that a working context reads leaf by leaf."""
    return [(e.node, e.leaves) for e in context if e.leaves is not None and e.node.modality == "text"]


def blocks_of(tree: TreeReader, ids: Sequence[NodeId]) -> list[tuple[Node, Leaves]]:
    """Blocks with their leaves."""
    return list(zip(tree.nodes(ids), tree.leaves(ids), strict=True))


def blocks_on_page(tree: TreeReader, source: int, page: int) -> list[tuple[Node, Leaves]]:
    """All text blocks of one page of one source."""
    found: list[NodeId] = []
    level = tree.nodes(tree.roots())
    while level:
        level = [n for n in level if _reaches(n, source, page) and n.modality in ("text", "mixed")]
        found += [n.id for n in level if n.lod == 1]
        level = tree.nodes([child for n in level if n.lod > 1 for child in n.children])
    return blocks_of(tree, sorted(found))


def _reaches(node: Node, source: int, page: int) -> bool:
    """Whether something below a node may lie on a page; nodes above the sources have no pages of their own."""
    if node.id.source == COLLECTION:
        return node.first.source <= source <= node.last.source
    return node.id.source == source and node.page <= page <= node.last_page


def is_open(words: Sequence[Box], read: npt.NDArray[np.float32], stored: npt.NDArray[np.float32]) -> bool:
    """Whether all of the words that the memory holds are read sharply, and it holds at least half of them.

    Args:
        words: Boxes of the words, from a ``Place``.
        read: (n, 4), boxes of the leaves of that page that are read.
        stored: (m, 4), those of all leaves of that page.
    """
    kept = covered_words(words, stored)
    if not kept.any() or kept.mean() < LEAST_KEPT:
        return False
    return bool(covered_words(words, read)[kept].all())


def is_quoted(places: Iterable[Place], evidence: Sequence[Evidence], uri: str) -> bool:
    """Whether some evidence lies on a gold word."""

    def boxes_on(page: int) -> npt.NDArray[np.float32]:
        boxes = [e.bbox for e in evidence if (e.source, e.page) == (uri, page)]
        return np.array(boxes, dtype=np.float32).reshape(-1, 4)

    return any(covered_words(place.boxes, boxes_on(place.page)).any() for place in places)
