"""``mmctx eval lookup``: values looked up in generated documents of words that training never held.

Documents go through the store, questions through the same reading as anyone's; only the text layer is generated
instead of parsed.
"""

from __future__ import annotations

import importlib.metadata
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.eval.metrics import exact_match, wilson_interval
from mm_megacontext.eval.systems import SYSTEMS, answers
from mm_megacontext.eval.task import EvidenceBox, Prediction, Sample, Split, TaskOptions
from mm_megacontext.models import Model
from mm_megacontext.reading.lens import LENS_DIR, Lens
from mm_megacontext.store.catalogue import SourceInfo
from mm_megacontext.store.store import Store
from mm_megacontext.training.data.corpus import WrittenDocument, as_document, write_document
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, PageConfig
from mm_megacontext.tree.build import TreeBuilder

ABSENT_SHARE = 0.2
"""Questions without an answer, on top of ``n`` with one: this share of all."""
LONGEST_FULL = 1
"""Pages up to which the whole document is read at once."""
LOOKUP_SYSTEMS = ("focus", "full", "uniform", "random", "bm25", "truncation", "oracle")
"""What is measured unless systems are named, in the order of the report."""
VERSIONS = ("mm-megacontext", "torch", "pylance", "numpy")


@dataclass(frozen=True, slots=True)
class GeneratedPages:
    """A generated document, its text layer as it was written."""

    written: WrittenDocument

    @property
    def name(self) -> str:
        return self.written.name

    def take_up(self, directory: Path, model: Model) -> None:
        """See ``task.Documents``."""
        builder = TreeBuilder("pt", model.reader.tokenizer, model.text_gister)
        n_pages = len(self.written.pages)
        info = SourceInfo(
            uri="generated",
            kind="pdf",
            unit="pt",
            n_pages=n_pages,
            content_hash="generated",
            page_sizes=[(PAGE_WIDTH, PAGE_HEIGHT)] * n_pages,
        )
        store = Store.create(directory, model.identity)
        store.add_source(info, builder.build(as_document(self.written.pages, self.written.name)))
        store.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupTask:
    """Keys looked up in forms, tables and sentences; the values are words that training never held.

    Attributes:
        pages: Length of each document; there are as many as it takes.
        n_facts: On a page.
    """

    pages: int = 1
    n_facts: int = 16

    def samples(self, options: TaskOptions) -> Iterator[Sample]:
        """A quarter as many without an answer as with one."""
        per_document = min(self.n_facts * self.pages // 2, 125)
        left, number = options.n, 0
        while left > 0:
            name = f"{options.seed}-{options.split}-{self.pages}-{number}"
            written = write_document(f"eval-{name}", options.split, self.pages, PageConfig(n_facts=self.n_facts))
            n = min(per_document, left, len(written.facts))
            yield from _samples(written, random.Random(name), n)
            left -= n
            number += 1


def _samples(written: WrittenDocument, rng: random.Random, n: int) -> Iterator[Sample]:
    n_absent = round(n * ABSENT_SHARE / (1 - ABSENT_SHARE))
    asked = written.draw(rng, n, 0.0) + written.draw(rng, n_absent, 1.0)
    rng.shuffle(asked)
    documents = GeneratedPages(written)
    for number, (question, fact) in enumerate(asked):
        stated = [] if fact is None else written.stated(fact)
        yield Sample(
            id=f"{written.name}-{number}",
            documents=documents,
            question=question.text,
            references=() if question.fact is None else (" ".join(question.fact.value),),
            evidence=tuple(
                EvidenceBox(word.page, word.box, states="answer" if word.is_value else "support") for word in stated
            ),
            answer_type=question.kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupConfig:
    """What to measure.

    Attributes:
        n: Questions with an answer per row; a quarter as many without one are asked as well.
        pages: Document lengths.
        budget: Embeddings before the answer, question included.
        n_facts: On a page.
        systems: Names from ``eval.systems.SYSTEMS``, or None for ``LOOKUP_SYSTEMS``.
        base, lens: Directories of other weights than those in the package.

    Raises:
        UnknownName: No system has one of those names.
    """

    split: Split = "dev"
    n: int = 500
    pages: Sequence[int] = (1, 20, 200)
    budget: int = 512
    n_facts: int = 16
    systems: Sequence[str] | None = None
    seed: int = 0
    base: Path | None = None
    lens: Path = LENS_DIR

    def __post_init__(self) -> None:
        for name in self.systems or ():
            if name not in SYSTEMS:
                raise SYSTEMS.unknown(name)

    def systems_for(self, pages: int) -> list[str]:
        chosen = list(self.systems or LOOKUP_SYSTEMS)
        return [s for s in chosen if s != "full" or pages <= LONGEST_FULL]

    def model(self) -> Model:
        """The weights that are measured."""
        reader = NativeBase.from_pretrained() if self.base is None else NativeBase.from_pretrained(self.base)
        return Model.of(reader, Lens.from_pretrained(reader.id, self.lens))

    def samples(self, pages: int) -> Iterator[Sample]:
        """Of documents of so many pages."""
        task = LookupTask(pages=pages, n_facts=self.n_facts)
        return task.samples(TaskOptions(split=self.split, n=self.n, seed=self.seed))


@dataclass(slots=True)
class Tally:
    """What one system answered."""

    right: int = 0
    n: int = 0
    right_cells: int = 0
    n_cells: int = 0
    refused_absent: int = 0
    n_absent: int = 0
    refused: int = 0

    def add(self, sample: Sample, prediction: Prediction) -> bool:
        """Count one answer; says whether it was right."""
        is_right = exact_match(prediction, sample) == 1
        self.refused += not prediction.found
        if not sample.is_answerable:
            self.n_absent += 1
            self.refused_absent += is_right
            return is_right
        is_cell = sample.answer_type == "cell"
        self.n += 1
        self.right += is_right
        self.n_cells += is_cell
        self.right_cells += is_right and is_cell
        return is_right

    def row(self) -> dict[str, Any]:
        low, high = wilson_interval(self.right, self.n)
        cell_low, cell_high = wilson_interval(self.right_cells, self.n_cells)
        return {
            "n": self.n,
            "exact_match": round(self.right / max(self.n, 1), 4),
            "ci95": [round(low, 4), round(high, 4)],
            "n_cells": self.n_cells,
            "exact_match_cells": round(self.right_cells / max(self.n_cells, 1), 4),
            "ci95_cells": [round(cell_low, 4), round(cell_high, 4)],
            "n_absent": self.n_absent,
            "not_found_recall": round(self.refused_absent / max(self.n_absent, 1), 4),
            "not_found_precision": round(self.refused_absent / max(self.refused, 1), 4),
        }


def run_lookup(config: LookupConfig, on_progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure every system at every length.

    Returns:
        The documented JSON of ``mmctx eval``; each row also has the questions that focus and BM25 answered differently.
    """
    model = config.model()
    rows: list[dict[str, Any]] = []
    for pages in config.pages:
        systems = {name: SYSTEMS.get(name) for name in config.systems_for(pages)}
        tallies = {name: Tally() for name in systems}
        differences: list[dict[str, str]] = []
        for sample, outcome in answers(config.samples(pages), systems, model, config.budget, config.seed):
            right = {name: tallies[name].add(sample, prediction) for name, prediction in outcome.items()}
            if {"bm25", "focus"} <= right.keys() and right["bm25"] != right["focus"]:
                differences.append(_difference(sample, outcome["focus"].text, outcome["bm25"].text))
            if on_progress is not None:
                on_progress(f"{pages} pages: {sum(right.values())} of {len(right)} systems right")
        for name, tally in tallies.items():
            row = {"system": name, "pages": pages, "budget": None if name == "full" else config.budget, **tally.row()}
            rows.append({**row, "differences": differences} if name == "bm25" else row)
    return {"rows": rows, "seed": config.seed, "split": config.split, "model": model.reader.id, "versions": _versions()}


def _difference(sample: Sample, focus: str, bm25: str) -> dict[str, str]:
    truth = " ".join(sample.references)
    return {
        "question": sample.question,
        "kind": sample.answer_type,
        "answer": truth,
        "focus": focus,
        "bm25": bm25,
    }


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
