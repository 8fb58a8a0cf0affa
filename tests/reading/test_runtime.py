"""One question to one tree, with a lens that scores at random: what the hints alone guarantee."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mm_megacontext.reading import invariants
from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.hints import HintConfig
from mm_megacontext.reading.runtime import ReadingConfig, Runtime
from mm_megacontext.reading.trace import replay
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.training.data.corpus import make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import Modality, NodeId
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import CONFIG, as_tree, random_base, random_lens, tokenizer

Found = list[tuple[NodeId, float]]


class OneBlock:
    """An index that always finds the same block."""

    def __init__(self, id: NodeId | None) -> None:
        self.found: Found = [] if id is None else [(id, 5.0)]

    def search_text(self, query: str, k: int, within: Sequence[int] | None = None) -> Found:
        return self.found[:k]

    def search_vectors(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        within: Sequence[int] | None = None,
        modality: Modality = "text",
    ) -> Found:
        return []


def runtime() -> Runtime:
    base = random_base(1)
    return Runtime(base, random_lens(base.id))


def tree(n_pages: int) -> InMemoryTree:
    gister = MeanTextGister(random_base(1).embed_tokens, CONFIG.dim)
    return as_tree(make_document(tokenizer(), "runtime", "dev", n_pages, PageConfig(), gister=gister).rows)


def blocks(of: InMemoryTree) -> list[NodeId]:
    todo, found = of.roots(), []
    while todo:
        nodes = of.nodes(todo)
        found += [node.id for node in nodes if node.lod == 1]
        todo = [child for node in nodes for child in node.children]
    return sorted(found)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_what_is_found_is_read_whatever_the_lens_says(at: float) -> None:
    own = tree(40)
    ids = blocks(own)
    wanted = ids[int(at * len(ids))]
    read = runtime().read(own, OneBlock(wanted), "rent", 200)
    expanded = [entry.id for entry in read.focused.context if entry.is_expanded]
    assert wanted in expanded
    invariants.check(read.focused.context, deep=True)


def test_the_lens_is_asked_where_hints_end(monkeypatch: pytest.MonkeyPatch) -> None:
    own, reader = tree(40), runtime()
    scored: list[int] = []
    original = reader.lens.score

    def counted(entries: Any, question: Any) -> npt.NDArray[np.float64]:
        scored.append(len(entries))
        return original(entries, question)

    monkeypatch.setattr(reader.lens, "score", counted)
    with_hint = reader.read(own, OneBlock(blocks(own)[50]), "rent", 200)
    assert 1 <= len(scored) < len(with_hint.trace.events)
    assert scored[0] > len(own.roots()), "not before the hinted page is open"
    scored.clear()
    without = reader.read(own, OneBlock(None), "rent", 200)
    assert len(scored) == len(without.trace.events)


def says(monkeypatch: pytest.MonkeyPatch, reader: Runtime, confidences: Sequence[float]) -> list[int]:
    """Let the base find something with these probabilities, one after the other; lists the costs it was shown."""
    left, costs = iter(confidences), list[int]()

    def read(entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        costs.append(sum(entry.cost for entry in entries))
        confidence = next(left)
        return Reading("yes" if confidence else "", confidence > 0, (), confidence)

    monkeypatch.setattr(reader.base, "read", read)
    return costs


@pytest.mark.parametrize(("confidences", "answer"), [([0.85], 0.85), ([0.75, 0.5], 0.5), ([0.0, 0.7], 0.7)])
def test_nothing_more_is_read_once_the_base_is_sure(
    confidences: list[float], answer: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, reader = tree(40), runtime()
    wanted = next(node for node in own.nodes(blocks(own)) if len(node.text.split()) > 2)
    costs = says(monkeypatch, reader, confidences)
    read = reader.read(own, OneBlock(wanted.id), " ".join(wanted.text.split()[:2]), 300)
    assert read.reading.confidence == answer
    assert len(costs) == len(confidences)
    assert costs == sorted(set(costs))
    assert costs[0] < 200, "the way to one block"
    assert [event.step for event in read.trace] == list(range(len(read.trace)))
    assert [replayed.cost for replayed in replay(WorkingContext.start(own, 300), read.trace)][-1] == costs[-1]
    assert read.steps == len(read.trace) - len(costs)


def test_what_lacks_a_word_is_not_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own, reader = tree(40), runtime()
    costs = says(monkeypatch, reader, [0.99])
    reader.read(own, OneBlock(blocks(own)[50]), "qwyxt", 300)
    assert len(costs) == 1
    assert costs[0] > 250, "all that there is room for"


def test_what_fits_is_read_whole() -> None:
    own = tree(1)
    read = runtime().read(own, OneBlock(None), "rent", 2000)
    assert [entry.id for entry in read.focused.context] == blocks(own)
    assert all(entry.is_expanded for entry in read.focused.context)


@pytest.mark.parametrize("capacity", [33, 60, 90])
def test_a_hint_never_costs_more_than_there_is(capacity: int) -> None:
    own = tree(40)
    read = runtime().read(own, OneBlock(blocks(own)[-1]), "rent", capacity)
    assert read.focused.context.cost <= capacity
    invariants.check(read.focused.context, deep=True)


class Judged:
    """A base that thinks nothing of what it has opened, but for one block."""

    def __init__(self, wanted: NodeId) -> None:
        self.base, self.wanted = random_base(1), wanted
        self.seen: set[NodeId] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    def judge(self, question: str) -> Any:
        return self._worth

    def _worth(self, entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
        opened = [entry.id for entry in entries if entry.is_expanded]
        self.seen.update(opened)
        worth = {id: 1.0 if id == self.wanted else -0.5 for id in opened}
        return np.array([worth.get(entry.id, np.nan) for entry in entries])


def test_what_the_base_rejects_makes_room_for_what_it_has_not_seen() -> None:
    """More blocks are looked into than fit the budget together, and the one that is wanted stays."""
    own = tree(6)
    ids = blocks(own)
    found = [(id, 5.0 - 0.01 * i) for i, id in enumerate(ids[10:30])]
    base = Judged(found[-1][0])
    index = OneBlock(None)
    index.found = found
    reader = Runtime(base, random_lens(base.base.id), ReadingConfig(hints=HintConfig(n_text=20, lead=2.0)))
    read = reader.read(own, index, "rent", 150)
    invariants.check(read.focused.context, deep=True)
    opened = {entry.id for entry in read.focused.context if entry.is_expanded}
    assert base.wanted in opened
    leaves = {node.id: node.n_leaves for node in own.nodes(sorted(base.seen))}
    assert sum(leaves.values()) > 150
