"""Which blocks fit a question best. Oracle: made documents in which one block is the only right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from mm_megacontext.reading.ranking import HEADING_REACH, rank_blocks
from mm_megacontext.reading.stems import terms
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Modality, NodeId
from tests.strategies import TreeBuilder

Found = list[tuple[NodeId, float]]
FILLER = "nothing of it stands here"


@dataclass
class WordIndex:
    """Finds blocks by the words that they hold, as they are spelled, the one with most of them first."""

    texts: Sequence[str]

    def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found:
        asked = set(query.lower().split())
        counted = [(len(asked & set(text.lower().split())), NodeId(1, i)) for i, text in enumerate(self.texts)]
        return [(id, float(n)) for n, id in sorted(counted, key=lambda pair: -pair[0]) if n][:k]

    def search_vectors(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        within: Sequence[int] | None = None,
        modality: Modality = "text",
    ) -> Found:
        return []


def ranked(
    question: str,
    texts: Sequence[str],
    kinds: dict[int, str] | None = None,
    links: dict[int, tuple[int, ...]] | None = None,
) -> list[int]:
    """Indexes of the blocks of a source with these texts, the most fitting first."""
    builder = TreeBuilder(np.random.default_rng(0))
    made = [builder.block(1) for _ in texts]
    root = builder.parent(1, made)
    for i, text in enumerate(texts):
        own = tuple(NodeId(1, target) for target in (links or {}).get(i, ()))
        node = replace(builder.nodes[NodeId(1, i)], text=text, kind=(kinds or {}).get(i, "text"), links=own)
        builder.nodes[NodeId(1, i)] = node
    tree: InMemoryTree = builder.tree([root])
    return [id.index for id in rank_blocks(WordIndex(texts), tree, question)]


@pytest.mark.parametrize("question", ["What are the deposits?", "WHAT IS THE DEPOSIT?", "what was deposited"])
def test_words_are_found_in_any_case_and_with_any_ending(question: str) -> None:
    assert ranked(question, [FILLER, FILLER, FILLER, "a deposit of 300", FILLER])[0] == 3


def test_a_code_selects_its_own_row_or_none() -> None:
    rows = [f"ORD-{1050 + i} {name}" for i, name in enumerate(("Miller", "Jones", "Smith", "Brown"))]
    texts = [word for row in rows for word in (row.replace("-", " "), FILLER)]
    for i in range(4):
        assert ranked(f"Who ordered ORD-{1050 + i}?", texts)[0] == 2 * i


def test_a_word_that_stands_nowhere_is_no_reason_to_find_nothing() -> None:
    assert ranked("What is the qwyxt deposit?", [FILLER, "the deposit is 300", FILLER])[0] == 1


def test_of_equal_blocks_the_one_beside_another_word_of_the_question_is_first() -> None:
    texts = ["rent of 500", FILLER, FILLER, "the garage", "rent of 600", FILLER]
    order = ranked("What is the rent of the garage?", texts)
    assert order.index(4) < order.index(0)


def test_of_equal_blocks_the_one_below_the_heading_is_first() -> None:
    texts = ["kitchen", FILLER, "rent of 500", FILLER, "garage", FILLER, "rent of 600", FILLER]
    kinds = {0: "heading", 4: "heading"}
    garage, kitchen = ranked("garage rent", texts, kinds), ranked("kitchen rent", texts, kinds)
    assert garage.index(6) < garage.index(2)
    assert kitchen.index(2) < kitchen.index(6)


def test_a_heading_reaches_only_some_pages() -> None:
    far = [FILLER] * HEADING_REACH
    texts = [FILLER, "rent of 500", FILLER, "garage", *far, "rent of 600", FILLER]
    order = ranked("garage rent", texts, {3: "heading"})
    assert order.index(1) < order.index(len(texts) - 2), "as without it: in document order"


def test_a_row_is_found_by_the_words_of_its_header() -> None:
    texts = ["weight", FILLER, "bolt 12", FILLER, "price", FILLER, "bolt 15", FILLER]
    assert ranked("bolt price", texts, links={2: (0,), 6: (4,)}).index(6) < 2
    assert ranked("bolt weight", texts, links={2: (0,), 6: (4,)}).index(2) < 2


def test_nothing_is_found_where_no_word_stands() -> None:
    assert ranked("qwyxt", [FILLER, "rent"]) == []
    assert ranked("?!", [FILLER, "rent"]) == []


def test_terms_are_stems() -> None:
    assert terms("Deposits, deposited: ORD-1050") == ["deposit", "deposit", "ord", "1050"]
