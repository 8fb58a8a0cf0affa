"""Ways of choosing what the base reads, at the same budget: focus, and the baselines it must beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from mm_megacontext.document import Box
from mm_megacontext.eval.task import EvidenceBox, Prediction, Sample
from mm_megacontext.limits import IngestLimits
from mm_megacontext.models import Model
from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.question_words import search_words
from mm_megacontext.reading.runtime import Runtime
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.registry import Registry
from mm_megacontext.store.store import Store
from mm_megacontext.tile_pixels import StoredPixels
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import Leaves, Node, NodeId


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One question to the documents that it is about, taken up into a memory of their own.

    Attributes:
        blocks: All text blocks of the documents, in order.
        budget: Embeddings before the answer, question included.
        rng: Seeded by the sample: the same draws for each, whatever was asked before.
    """

    sample: Sample
    runtime: Runtime
    store: Store
    tree: CollectionTree
    blocks: Sequence[NodeId]
    budget: int
    rng: random.Random

    @property
    def question(self) -> str:
        return self.sample.question

    @property
    def capacity(self) -> int:
        """What the entries may cost."""
        return self.budget - self.runtime.base.prompt_cost(self.question)

    @property
    def t_end(self) -> int:
        return max(node.t_span[1] for node in self.tree.nodes(self.tree.roots()))

    def evidence(self) -> list[NodeId]:
        """The blocks and tiles that state the answer; none if the documents do not hold it."""
        return sorted({id for each in self.sample.evidence for id in self._showing(each)})

    def read(self, entries: Sequence[Entry]) -> Prediction:
        """What the base answers from these entries."""
        return self.predict(self.runtime.base.read(entries, self.question, self.t_end), entries)

    def predict(self, reading: Reading, entries: Iterable[Entry]) -> Prediction:
        """A reading of these entries, its leaves as boxes."""
        by_id = {entry.id: entry for entry in entries}
        places = tuple(self._place(by_id[one.node], one.leaf) for one in reading.pointed)
        return Prediction(reading.text, reading.found, places, reading.confidence)

    def _place(self, entry: Entry, leaf: int) -> EvidenceBox:
        assert entry.leaves is not None, "a leaf was pointed at"
        x0, y0, x1, y1 = map(float, entry.leaves.boxes[leaf])
        return EvidenceBox(entry.node.page, (x0, y0, x1, y1), self._numbers().index(entry.id.source))

    def _numbers(self) -> list[int]:
        return [record.number for record in self.store.sources()]

    def _showing(self, wanted: EvidenceBox) -> Iterator[NodeId]:
        number = self._numbers()[wanted.document]
        nodes = [
            node
            for node in lod1_nodes(self.tree, lambda node: node.page <= wanted.page <= node.last_page)
            if node.id.source == number
        ]
        for node, leaves in zip(nodes, self.tree.leaves([node.id for node in nodes]), strict=True):
            if _shows(leaves, wanted.box):
                yield node.id


class System(Protocol):
    """Answers a question; what it puts before the base may cost ``asked.capacity``."""

    def __call__(self, asked: Asked, /) -> Prediction: ...


def focus(asked: Asked) -> Prediction:
    """The product: lens, hints, allocator."""
    read = asked.runtime.read(asked.tree, asked.store, asked.question, asked.capacity)
    return asked.predict(read.reading, read.focused.context)


def full(asked: Asked) -> Prediction:
    """Every leaf of the document, whatever it costs."""
    return asked.read(expanded(asked, asked.blocks))


def uniform(asked: Asked) -> Prediction:
    """The whole document at one level of detail, as fine as the budget allows, the beginning finer by one level."""
    context = WorkingContext.start(asked.tree, asked.capacity)
    while True:
        coarsest = max((e.node.lod for e in context if e.is_expandable), default=0)
        fitting = [
            e for e in context if e.is_expandable and e.node.lod == coarsest and e.expansion_cost <= context.slack
        ]
        if not fitting:
            return asked.read(context.entries)
        context = context.expand([fitting[0].id])


def random_blocks(asked: Asked) -> Prediction:
    """Blocks drawn at random until the budget is used."""
    return asked.read(within(asked, asked.rng.sample(asked.blocks, min(len(asked.blocks), asked.capacity))))


def bm25(asked: Asked) -> Prediction:
    """The blocks that full-text search ranks highest, as retrieval-augmented generation would take them."""
    return asked.read(within(asked, [id for id, _ in asked.store.search_text(search_words(asked.question), 128)]))


def truncation(asked: Asked) -> Prediction:
    """The beginning of the document."""
    return asked.read(within(asked, asked.blocks[: asked.capacity]))


def oracle(asked: Asked) -> Prediction:
    """Only the blocks that state the answer; for a question without one, random blocks."""
    evidence = asked.evidence()
    return asked.read(within(asked, evidence)) if evidence else random_blocks(asked)


SYSTEMS = Registry[System](
    "system",
    group="mm_megacontext.systems",
    built_in={
        "focus": f"{__name__}:focus",
        "full": f"{__name__}:full",
        "uniform": f"{__name__}:uniform",
        "random": f"{__name__}:random_blocks",
        "bm25": f"{__name__}:bm25",
        "truncation": f"{__name__}:truncation",
        "oracle": f"{__name__}:oracle",
    },
)


def answers(
    samples: Iterable[Sample], systems: Mapping[str, System], model: Model, budget: int, seed: int = 0
) -> Iterator[tuple[Sample, dict[str, Prediction]]]:
    """What each system answers to each sample; documents are taken up once for all that is asked about them.

    Args:
        samples: Of a task; those about the same documents stand together.
        systems: By the name that their answers go by.
        model: Reads.
        budget: Embeddings before the answer, question included.
        seed: Of what systems draw at random.
    """
    runtime = Runtime(model.reader, model.lens)
    for group in _by_documents(samples):
        with TemporaryDirectory(prefix="mmctx-eval-") as directory:
            group[0].documents.take_up(Path(directory) / "memory", model)
            with closing(Store.open(Path(directory) / "memory", model.identity)) as store:
                records = {record.number: record for record in store.sources()}
                tree = CollectionTree(store, list(records.values()), StoredPixels(records, {}, IngestLimits()))
                blocks = [node.id for node in lod1_nodes(tree) if node.modality == "text"]
                for sample in group:
                    outcome = {}
                    for name, system in systems.items():
                        rng = random.Random(f"{seed}-{name}-{sample.id}")
                        outcome[name] = system(Asked(sample, runtime, store, tree, blocks, budget, rng))
                    yield sample, outcome


def _by_documents(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    group: list[Sample] = []
    for sample in samples:
        if group and group[0].documents is not sample.documents:
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


def lod1_nodes(tree: CollectionTree, is_wanted: Callable[[Node], bool] = lambda node: True) -> list[Node]:
    """All blocks and tiles, in order; of a source only what lies below nodes that are wanted."""
    found, level = [], tree.nodes(tree.roots())
    while level:
        wanted = [node for node in level if node.kind == "collection" or is_wanted(node)]
        found += [node for node in wanted if node.lod == 1]
        level = tree.nodes([id for node in wanted if node.lod > 1 for id in node.children])
    return sorted(found, key=lambda node: node.id)


def _shows(leaves: Leaves, box: Box) -> bool:
    """Whether the middle of a leaf lies in the box, or that of the box in a leaf: patches may be larger than it."""
    x0, y0, x1, y1 = leaves.boxes.T
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    inside = (box[0] <= x) & (x <= box[2]) & (box[1] <= y) & (y <= box[3])
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    around = (x0 <= across) & (across <= x1) & (y0 <= down) & (down <= y1)
    return bool((inside | around).any())


def expanded(asked: Asked, ids: Iterable[NodeId]) -> list[Entry]:
    """Entries of blocks read leaf by leaf, in document order."""
    ordered = sorted(ids)
    nodes, leaves = asked.tree.nodes(ordered), asked.tree.leaves(ordered)
    return [Entry(node, own) for node, own in zip(nodes, leaves, strict=True)]


def within(asked: Asked, ids: Sequence[NodeId]) -> list[Entry]:
    """Blocks in the order given while they fit the budget, then put in document order."""
    chosen: list[NodeId] = []
    left = asked.capacity
    for node in asked.tree.nodes(ids):
        if node.n_leaves > left:
            break
        chosen.append(node.id)
        left -= node.n_leaves
    return expanded(asked, chosen)
