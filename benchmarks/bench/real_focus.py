"""One question to one memory of real documents: what focus opens, beside what full-text search would, at equal cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_megacontext.eval.real_documents.answers import holds_answer, is_exact
from mm_megacontext.eval.real_documents.dataset import Place, Sample
from mm_megacontext.eval.real_documents.gold import (
    blocks_of,
    blocks_on_page,
    covered_words,
    is_open,
    is_quoted,
    page_boxes,
    sharp_blocks,
)
from mm_megacontext.memory import MegaContext
from mm_megacontext.reading.question_words import search_words
from mm_megacontext.reading.ranking import fused
from mm_megacontext.reading.runtime import ReadContext, Runtime
from mm_megacontext.store.store import Store
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import Leaves, Node, NodeId

Block = tuple[Node, Leaves]

LEAVES_PER_HIT = 4
"""As many hits are asked for as fit the budget if blocks were this short."""


class Recorder:
    """A runtime that remembers the last reading; everything else is the runtime's own."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.last: ReadContext | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)

    def read(self, *args: Any, **kwargs: Any) -> ReadContext:
        self.last = self.runtime.read(*args, **kwargs)
        return self.last


@dataclass(slots=True)
class Watched:
    """An open memory whose readings are looked at."""

    memory: MegaContext
    recorder: Recorder

    @classmethod
    def of(cls, memory: MegaContext) -> Watched:
        assert memory._store is not None
        meaning = memory._meaning(memory._store)
        recorder = Recorder(Runtime(memory.base, memory.model.lens, meaning=meaning))
        memory._asking._runtime = lambda scope, modalities: recorder  # type: ignore[assignment, method-assign, return-value]
        return cls(memory, recorder)

    @property
    def store(self) -> Store:
        assert self.memory._store is not None
        return self.memory._store

    def places(self, sample: Sample) -> list[Stored]:
        """Where the gold words of a question are in the memory."""
        record = self.store.find(str(sample.path.resolve()))
        assert record is not None
        return [Stored.of(self.memory._tree_of(None), record.number, place) for place in sample.places]


def measure(watched: Watched, sample: Sample, budget: int) -> dict[str, Any]:
    """Ask one question; says what was opened, quoted and answered."""
    return {**opened_for(watched, sample, budget), **answered(watched, sample, budget)}


def answered(watched: Watched, sample: Sample, budget: int) -> dict[str, Any]:
    """What the model answers, and whether what it had open, and what it quotes, are the gold words."""
    question = sample.question
    begun = time.perf_counter()
    answer = watched.memory.ask(question.question, budget=budget)
    row: dict[str, Any] = {
        "kind": question.kind,
        "answer": answer.text,
        "found": answer.found,
        "exact": not answer.found if question.is_absent else answer.found and is_exact(answer.text, sample.references),
        "holds": not answer.found
        if question.is_absent
        else answer.found and holds_answer(answer.text, sample.references),
        "cost": answer.usage.cost,
        "seconds": round(time.perf_counter() - begun, 4),
    }
    if question.is_absent:
        return row
    assert watched.recorder.last is not None
    sharp = sharp_blocks(watched.recorder.last.focused.context)
    return row | {
        "open_when_asked": any(place.is_open(sharp) for place in watched.places(sample)),
        "quoted": is_quoted(sample.places, answer.evidence, str(sample.path.resolve())),
    }


def opened_for(watched: Watched, sample: Sample, budget: int) -> dict[str, Any]:
    """Whether the gold words are open for readers, and in what search ranks highest at the same cost."""
    question = sample.question
    if question.is_absent:
        return {"kind": question.kind}
    tree, runtime, places = watched.memory._tree_of(None), watched.recorder.runtime, watched.places(sample)
    asked = (tree, watched.store, question.question)
    capacity = budget - watched.memory.prompt_cost(question.question, budget)
    begun = time.perf_counter()
    shown = sharp_blocks(runtime.look(*asked, capacity).focused.context)
    look_seconds = time.perf_counter() - begun
    opened = sharp_blocks(runtime.open(*asked, capacity).focused.context)
    orders = {"bm25": search_hits(watched.store, question.question, capacity)}
    if runtime.meaning is not None:
        orders["dense"] = [id for id, _ in runtime.meaning.search(question.question, most_hits(capacity))]
        orders["fused"] = fused(list(orders.values()), weights=(1.0, 1.0), shift=60)
    near = {f"{name}_near": with_neighbours(tree, order) for name, order in orders.items()}
    return {
        "kind": question.kind,
        "kept": round(max(place.kept for place in places), 4),
        "open": any(place.is_open(shown) for place in places),
        "answer_open": any(place.is_answer_open(shown) for place in places),
        "open_in_embeddings": any(place.is_open(opened) for place in places),
        "leaves": sum(len(leaves) for _, leaves in shown),
        "look_seconds": round(look_seconds, 4),
        **{name: opens(places, tree, order, capacity) for name, order in {**orders, **near}.items()},
    }


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A place, and the boxes of all leaves that the memory holds of its page."""

    source: int
    place: Place
    boxes: npt.NDArray[np.float32]

    @classmethod
    def of(cls, tree: CollectionTree, source: int, place: Place) -> Stored:
        return cls(source, place, page_boxes(blocks_on_page(tree, source, place.page), source, place.page))

    @property
    def kept(self) -> float:
        """Share of the gold words that ingest kept."""
        return float(covered_words(self.place.boxes, self.boxes).mean())

    def is_open(self, blocks: Iterable[Block]) -> bool:
        return is_open(self.place.boxes, page_boxes(blocks, self.source, self.place.page), self.boxes)

    def is_answer_open(self, blocks: Iterable[Block]) -> bool:
        return is_open(self.place.answer_boxes, page_boxes(blocks, self.source, self.place.page), self.boxes)


def opens(places: Sequence[Stored], tree: CollectionTree, ids: Sequence[NodeId], capacity: int) -> bool:
    """Whether the best of ``ids`` that fit hold all of some place."""
    blocks = blocks_of(tree, fitting(tree, ids, capacity))
    return any(place.is_open(blocks) for place in places)


def search_hits(store: Store, question: str, capacity: int) -> list[NodeId]:
    """Blocks by BM25, best first."""
    return [id for id, _ in store.search_text(search_words(question), most_hits(capacity))]


def most_hits(capacity: int) -> int:
    """How many hits are asked for."""
    return max(1, capacity // LEAVES_PER_HIT)


def with_neighbours(tree: CollectionTree, hits: Sequence[NodeId]) -> list[NodeId]:
    """Each hit, then the block behind and the one before it, if there is one next to it."""
    near = {id for hit in hits for id in _beside(hit)}
    blocks = {node.id for node in tree.nodes(sorted(near)) if node.lod == 1 and node.modality == "text"}
    ordered = [id for hit in hits for id in (hit, *_beside(hit)) if id == hit or id in blocks]
    return list(dict.fromkeys(ordered))


def _beside(hit: NodeId) -> Iterator[NodeId]:
    """Post-order: behind a block there is always another node of its source, before it unless it is the first."""
    yield NodeId(hit.source, hit.index + 1)
    if hit.index > 0:
        yield NodeId(hit.source, hit.index - 1)


def fitting(tree: CollectionTree, ids: Sequence[NodeId], capacity: int) -> list[NodeId]:
    """The first of ``ids``, as many as all their leaves fit; in document order."""
    chosen: list[NodeId] = []
    for node in tree.nodes(ids):
        if node.n_leaves > capacity:
            break
        chosen.append(node.id)
        capacity -= node.n_leaves
    return sorted(chosen)
