"""Hints from an index. Oracle: every hint against every entry, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.reading.hints import HintConfig, Hints, HintSearch
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Modality, NodeId
from tests.strategies import TreeBuilder, start, subtree, trees

VECTOR = np.ones(4, dtype=np.float32)
Found = list[tuple[NodeId, float]]


@dataclass
class FakeIndex:
    text: Found = field(default_factory=list)
    vectors: Found = field(default_factory=list)
    asked: list[tuple[str, int, Any]] = field(default_factory=list)

    def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found:
        self.asked.append(("text", k, within))
        return self.text[:k]

    def search_vectors(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        within: Sequence[int] | None = None,
        modality: Modality = "text",
    ) -> Found:
        self.asked.append((f"vectors {modality}", k, within))
        return self.vectors[:k]


def blocks(n: int, links: dict[int, tuple[int, ...]] | None = None, texts: Sequence[str] = ()) -> InMemoryTree:
    """A source of ``n`` blocks under one root, with links between them."""
    builder = TreeBuilder(np.random.default_rng(0))
    made = [builder.block(1) for _ in range(n)]
    root = builder.parent(1, made)
    for index, targets in (links or {}).items():
        id = NodeId(1, index)
        builder.nodes[id] = replace(builder.nodes[id], links=tuple(NodeId(1, target) for target in targets))
    for index, text in enumerate(texts):
        builder.nodes[NodeId(1, index)] = replace(builder.nodes[NodeId(1, index)], text=text)
    return builder.tree([root])


def strengths(hints: Hints, tree: InMemoryTree, n: int) -> list[float]:
    """Strength at each of the first ``n`` nodes, read through a context of single blocks."""
    context = start(tree, 1000).expand(tree.roots())
    return [float(s) for s in hints.of(context.entries)][:n]


def test_strength_is_relative_to_the_best_of_its_kind() -> None:
    tree = blocks(5)
    index = FakeIndex(
        text=[(NodeId(1, 0), 8.0), (NodeId(1, 1), 2.0)], vectors=[(NodeId(1, 2), 0.5), (NodeId(1, 1), 0.4)]
    )
    hints = HintSearch(index, tree, "question", HintConfig(vector_weight=0.5, next_weight=0, contrast=1)).all(VECTOR)
    assert strengths(hints, tree, 5) == pytest.approx([1.0, 0.4, 0.5, 0.0, 0.0])


def test_what_is_no_match_is_no_hint() -> None:
    tree = blocks(3)
    index = FakeIndex(text=[(NodeId(1, 0), 0.0)], vectors=[(NodeId(1, 1), -0.2), (NodeId(1, 2), -0.4)])
    assert len(HintSearch(index, tree, "question", HintConfig()).all(VECTOR)) == 0


def test_contrast_makes_the_best_stand_out() -> None:
    tree = blocks(3)
    index = FakeIndex(text=[(NodeId(1, 0), 8.0), (NodeId(1, 1), 4.0), (NodeId(1, 2), 2.0)])
    hints = HintSearch(index, tree, "question", HintConfig(next_weight=0, contrast=3)).all(None)
    assert strengths(hints, tree, 3) == pytest.approx([1.0, 1 / 8, 1 / 64])


@pytest.mark.parametrize(
    ("text", "header", "after", "is_asked"),
    [
        ("Harbour fee: 12", "", "", False),
        ("HARBOUR", "Port Fee", "", False),
        ("the harbour", "", "fee: 12", False),
        ("harbour", "Port", "", True),
        ("", "Harbour fee", "", True),
    ],
)
def test_vectors_are_asked_where_the_best_block_lacks_a_word(
    text: str, header: str, after: str, is_asked: bool
) -> None:
    """The block with its column headers and with what follows in the same region."""
    tree = blocks(3, {1: (0,)}, [header, text, after])
    index = FakeIndex(text=[(NodeId(1, 1), 1.0)] if text else [], vectors=[(NodeId(1, 2), 0.4)])
    HintSearch(index, tree, "What is the harbour fee?", HintConfig()).all(VECTOR)
    assert ("vectors text" in [kind for kind, *_ in index.asked]) == is_asked


def test_the_strongest_lead_where_the_best_holds_every_word() -> None:
    tree = blocks(5, {1: (0,)}, ["Fee", "harbour 12", "rent", "harbour fee", ""])
    index = FakeIndex(text=[(NodeId(1, 1), 10.0), (NodeId(1, 3), 9.8), (NodeId(1, 2), 8.0)])
    search = HintSearch(index, tree, "What is the harbour fee?", HintConfig(contrast=1, lead=0.95))
    lead = search.lead()
    assert lead is not None
    assert strengths(lead, tree, 5) == pytest.approx([0.98, 1.0, 0.0, 0.98, 0.0])
    assert strengths(search.all(VECTOR), tree, 5) == pytest.approx([0.98, 1.0, 0.8, 0.98, 0.7 * 0.98])
    assert [kind for kind, *_ in index.asked] == ["text"]


@pytest.mark.parametrize("found", [[], [(NodeId(1, 1), 10.0)], [(NodeId(1, 2), 10.0), (NodeId(1, 1), 9.9)]])
def test_nothing_leads_where_the_best_lacks_a_word(found: Found) -> None:
    tree = blocks(4, texts=["", "harbour fees", "rent", ""])
    search = HintSearch(FakeIndex(text=found), tree, "What is the harbour fee?", HintConfig())
    assert search.lead() is None


def test_links_get_their_share_and_lose_nothing() -> None:
    tree = blocks(4, {1: (0,), 2: (3,)})
    index = FakeIndex(text=[(NodeId(1, 1), 10.0), (NodeId(1, 3), 10.0), (NodeId(1, 2), 5.0)])
    hints = HintSearch(index, tree, "question", HintConfig(link_weight=0.9, next_weight=0, contrast=1)).all(None)
    assert strengths(hints, tree, 4) == pytest.approx([0.9, 1.0, 0.5, 1.0])


def test_the_next_block_gets_its_share() -> None:
    tree = blocks(5)
    index = FakeIndex(text=[(NodeId(1, 1), 10.0), (NodeId(1, 2), 2.0), (NodeId(1, 4), 1.0)])
    hints = HintSearch(index, tree, "question", HintConfig(next_weight=0.7, contrast=1)).all(None)
    assert strengths(hints, tree, 5) == pytest.approx([0.0, 1.0, 0.7, 0.14, 0.1])


def test_a_block_of_another_kind_or_page_does_not_go_on() -> None:
    builder = TreeBuilder(np.random.default_rng(0))
    made = [builder.block(1) for _ in range(4)]
    root = builder.parent(1, made)
    builder.nodes[made[1].id] = replace(made[1], kind="heading")
    builder.nodes[made[3].id] = replace(made[3], page=2)
    tree = builder.tree([root])
    index = FakeIndex(text=[(NodeId(1, 0), 10.0), (NodeId(1, 2), 10.0)])
    hints = HintSearch(index, tree, "question", HintConfig(next_weight=0.7)).all(None)
    assert strengths(hints, tree, 4) == pytest.approx([1.0, 0.0, 1.0, 0.0])


def test_function_words_are_not_searched_for() -> None:
    class Recording(FakeIndex):
        def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found:
            self.asked.append((query, k, within))
            return []

    index, tree = Recording(), blocks(1)
    HintSearch(index, tree, "What is the rent of Marvolo?", HintConfig(n_text=1)).all(None)
    HintSearch(index, tree, "What is it?", HintConfig(n_text=1)).all(None)
    assert [query for query, _, _ in index.asked] == ["rent Marvolo?", "What is it?"]


def test_indexes_are_asked_for_what_is_configured() -> None:
    index, tree = FakeIndex(), blocks(1)
    HintSearch(index, tree, "question", HintConfig(n_text=7, n_vectors=3), within=[2, 5]).all(VECTOR)
    HintSearch(index, tree, "question", HintConfig(n_text=7)).all(None)
    HintSearch(index, tree, "question", HintConfig(n_text=0, n_vectors=0)).all(VECTOR)
    assert index.asked == [("text", 7, [2, 5]), ("vectors text", 3, [2, 5]), ("text", 7, None)]


def test_numbers_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        HintConfig(n_text=-1)


def test_no_hints_lift_nothing() -> None:
    tree = blocks(3)
    assert Hints({}).of(start(tree, 100).entries).tolist() == [0.0]


@settings(max_examples=60)
@given(trees(), st.integers(0, 2**32 - 1))
def test_an_entry_is_hinted_at_by_what_it_covers(tree: InMemoryTree, seed: int) -> None:
    rng = np.random.default_rng(seed)
    block_ids = [node.id for root in tree.roots() for node in subtree(tree, root) if node.lod == 1]
    chosen = [block_ids[i] for i in rng.permutation(len(block_ids))[: rng.integers(0, 12)]]
    strength = {id: float(rng.uniform(0.01, 1)) for id in chosen}
    hints = Hints(strength)
    context = start(tree, 100_000)
    for _ in range(5):
        below = [{node.id for node in subtree(tree, entry.id)} for entry in context]
        expected = [max((s for id, s in strength.items() if id in ids), default=0.0) for ids in below]
        assert hints.of(context.entries).tolist() == pytest.approx(expected)
        gists = [entry.id for entry in context if entry.is_expandable]
        if not gists:
            break
        context = context.expand([gists[i] for i in rng.permutation(len(gists))[: max(1, len(gists) // 2)]])


def test_only_what_the_base_reads_is_searched_for() -> None:
    index, tree = FakeIndex(text=[(NodeId(1, 0), 9.0)], vectors=[(NodeId(1, 2), 0.5)]), blocks(4)
    hints = HintSearch(index, tree, "the red star", HintConfig(vector_weight=0.6), modalities=("image",)).all(VECTOR)
    assert strengths(hints, tree, 4)[:3] == pytest.approx([0.0, 0.0, 0.6])
    assert [what for what, _, _ in index.asked] == ["vectors image"]
