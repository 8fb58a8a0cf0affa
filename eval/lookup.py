"""``mmctx eval lookup``: values looked up in generated documents of words that training never held.

Documents go through the store, questions through the same reading as anyone's; only the text layer is generated
instead of parsed.
"""

from __future__ import annotations

import importlib.metadata
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.eval.metrics import exact_match, wilson_interval
from mm_megacontext.eval.systems import SYSTEMS, Asked
from mm_megacontext.reading.lens import LENS_DIR, Lens
from mm_megacontext.reading.runtime import Runtime
from mm_megacontext.store.catalogue import SourceInfo
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.training.data.corpus import Evidence, LookupDocument, make_document
from mm_megacontext.training.data.facts import Question
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, PageConfig
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import NodeId
from mm_megacontext.tree.text_gists import MeanTextGister

ABSENT_SHARE = 0.2
"""Questions without an answer, on top of ``n`` with one: this share of all."""
LONGEST_FULL = 1
"""Pages up to which the whole document is read at once."""
VERSIONS = ("mm-megacontext", "torch", "pylance", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupConfig:
    """What to measure.

    Attributes:
        n: Questions with an answer per row; a quarter as many without one are asked as well.
        pages: Document lengths.
        budget: Embeddings before the answer, question included.
        n_facts: On a page.
        systems: Names from ``eval.systems.SYSTEMS``, or None for all.
        base, lens: Directories of other weights than those in the package.
    """

    split: Literal["dev", "test"] = "dev"
    n: int = 500
    pages: Sequence[int] = (1, 20, 200)
    budget: int = 512
    n_facts: int = 16
    systems: Sequence[str] | None = None
    seed: int = 0
    base: Path | None = None
    lens: Path = LENS_DIR

    def __post_init__(self) -> None:
        unknown = sorted(set(self.systems or ()) - set(SYSTEMS))
        if unknown:
            raise ValueError(f"unknown system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")

    def systems_for(self, pages: int) -> list[str]:
        chosen = list(self.systems or SYSTEMS)
        return [s for s in chosen if s != "full" or pages <= LONGEST_FULL]


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
    wrong: list[str] = field(default_factory=list)

    def add(self, question: Question, text: str, *, found: bool) -> bool:
        """Count one answer; says whether it was right."""
        self.refused += not found
        if question.fact is None:
            self.n_absent += 1
            self.refused_absent += not found
            return not found
        is_right = found and exact_match(text, " ".join(question.fact.value))
        is_cell = question.kind == "cell"
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
    base = NativeBase.from_pretrained() if config.base is None else NativeBase.from_pretrained(config.base)
    runtime = Runtime(base, Lens.from_pretrained(base.id, config.lens))
    rows: list[dict[str, Any]] = []
    for pages in config.pages:
        tallies = {name: Tally() for name in config.systems_for(pages)}
        differences: list[dict[str, str]] = []
        for question, asked in lookup_questions(config, runtime, base, pages):
            outcome = {name: SYSTEMS[name](asked) for name in tallies}
            right = {
                name: tallies[name].add(question, reading.text, found=reading.found)
                for name, reading in outcome.items()
            }
            if {"bm25", "focus"} <= right.keys() and right["bm25"] != right["focus"]:
                differences.append(_difference(question, outcome["focus"].text, outcome["bm25"].text))
            if on_progress is not None:
                on_progress(f"{pages} pages: {sum(right.values())} of {len(right)} systems right")
        for name, tally in tallies.items():
            row = {"system": name, "pages": pages, "budget": None if name == "full" else config.budget, **tally.row()}
            rows.append({**row, "differences": differences} if name == "bm25" else row)
    return {"rows": rows, "seed": config.seed, "split": config.split, "model": base.id, "versions": _versions()}


def _difference(question: Question, focus: str, bm25: str) -> dict[str, str]:
    truth = "" if question.fact is None else " ".join(question.fact.value)
    return {"question": question.text, "kind": question.kind, "answer": truth, "focus": focus, "bm25": bm25}


def lookup_questions(
    config: LookupConfig, runtime: Runtime, base: NativeBase, pages: int
) -> Iterator[tuple[Question, Asked]]:
    """Questions to as many documents as it takes, each in a memory of its own."""
    per_document = min(config.n_facts * pages // 2, 125)
    left, number = config.n, 0
    while left > 0:
        rng = random.Random(f"{config.seed}-{config.split}-{pages}-{number}")
        document = _document(config, base, pages, number)
        with tempfile.TemporaryDirectory(prefix="mmctx-eval-") as directory:
            store = _store(Path(directory) / "memory", base, document)
            tree = CollectionTree(store, store.sources())
            n = min(per_document, left, len(document.facts))
            for question, evidence in _questions(document, rng, n):
                yield question, _asked(config, runtime, store, tree, document, question, evidence, rng)
            store.close()
        left -= n
        number += 1


def _document(config: LookupConfig, base: NativeBase, pages: int, number: int) -> LookupDocument:
    seed = f"eval-{config.seed}-{config.split}-{pages}-{number}"
    gister = MeanTextGister(base.embed_tokens, base.dim)
    return make_document(base.tokenizer, seed, config.split, pages, PageConfig(n_facts=config.n_facts), gister=gister)


def _questions(document: LookupDocument, rng: random.Random, n: int) -> list[tuple[Question, Evidence | None]]:
    n_absent = round(n * ABSENT_SHARE / (1 - ABSENT_SHARE))
    asked = document.questions(rng, n, 0.0) + document.questions(rng, n_absent, 1.0)
    rng.shuffle(asked)
    return asked


def _store(path: Path, base: NativeBase, document: LookupDocument) -> Store:
    identity = Identity(base=base.id, gistnet="mean", encoder=base.encoder.name, dim=base.dim, slots=1)
    n_pages = document.rows[-1].last_page
    info = SourceInfo(
        uri="generated",
        kind="pdf",
        unit="pt",
        n_pages=n_pages,
        content_hash="generated",
        page_sizes=[(PAGE_WIDTH, PAGE_HEIGHT)] * n_pages,
    )
    store = Store.create(path, identity)
    store.add_source(info, [document.rows])
    store.close()
    return Store.open(path, identity)


def _asked(
    config: LookupConfig,
    runtime: Runtime,
    store: Store,
    tree: CollectionTree,
    document: LookupDocument,
    question: Question,
    evidence: Evidence | None,
    rng: random.Random,
) -> Asked:
    number = store.sources()[0].number
    return Asked(
        runtime=runtime,
        store=store,
        tree=tree,
        question=question.text,
        blocks=[NodeId(number, row.index) for row in document.rows if row.lod == 1],
        evidence=[] if evidence is None else [NodeId(number, i) for i in evidence.blocks],
        capacity=config.budget - runtime.base.prompt_cost(question.text),
        rng=rng,
    )


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
