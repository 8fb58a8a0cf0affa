"""Time from a question to its answer, and to the passages for another reader, by the size of the memory, at one budget.

Documents are generated straight into the store, 200 pages a source, and asked through ``MegaContext.ask``. The model
is the one in the package, or ``--base`` and ``--lens``; how well it answers does not matter here, but how much it says
does, so the length of answers is in the table.

Usage: python benchmarks/ask_latency.py [--pages 1 10 100 1000 10000] [--questions 60] [--budget 512] [--profile FILE]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench import record

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.memory import MegaContext
from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.lens import LENS_DIR, Lens
from mm_megacontext.store.catalogue import SourceInfo
from mm_megacontext.store.store import Store
from mm_megacontext.training.data.corpus import make_document
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, PageConfig
from mm_megacontext.tree.text_gists import MeanTextGister

NAME = "ask_latency"
PAGES_PER_SOURCE = 200
ABSENT_SHARE = 0.2
LEXICON_WORDS = 40_000
"""For all sizes; with the 4,000 of the split, a word of a question would stand in some 40 places of 10,000 pages."""
WARM_UPS = 3
REFERENCE_PAGES, LARGE_PAGES, MOST_GROWTH = 10, 10_000, 1.5
"""Target: a question to ``LARGE_PAGES`` takes at most this many times as long as one to ``REFERENCE_PAGES``."""


@dataclass(slots=True)
class Clock:
    """Seconds by phase since the last reset."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def take(self) -> dict[str, float]:
        taken, self.seconds = self.seconds, {}
        return taken


class ClockedBase(NativeBase):
    """A base that notes how long reading takes."""

    clock: Clock

    def read(self, *args: Any, **kwargs: Any) -> Reading:
        with self.clock.phase("reading"):
            return super().read(*args, **kwargs)


class ClockedLens(Lens):
    """A lens that notes how long scoring takes."""

    clock: Clock

    def score(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock.phase("lens"):
            return super().score(*args, **kwargs)


class ClockedStore:
    """Notes how long the search of a store takes; everything else is the store's own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search_text(self, *args: Any, **kwargs: Any) -> Any:
        with self._clock.phase("text search"):
            return self._store.search_text(*args, **kwargs)

    def search_vectors(self, *args: Any, **kwargs: Any) -> Any:
        with self._clock.phase("vector search"):
            return self._store.search_vectors(*args, **kwargs)


PHASES = ("text search", "vector search", "lens", "focus", "reading", "rest")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: seconds altogether and by phase, and what it came to."""

    seconds: float
    context_seconds: float
    phases: dict[str, float]
    steps: int
    cost: int
    words: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, nargs="+", default=[1, 10, 100, 1_000, 10_000], metavar="N")
    parser.add_argument("--questions", type=int, default=60, metavar="N", help="per size, after 3 to warm up")
    parser.add_argument("--budget", type=int, default=512, metavar="N", help="default 512")
    parser.add_argument("--base", type=Path, default=TINY_DIR, metavar="DIR", help="other weights than the package's")
    parser.add_argument("--lens", type=Path, default=LENS_DIR, metavar="DIR", help="the lens of --base")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="cProfile of the largest size, for pstats")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    base, lens, clock = load_model(args.base, args.lens)
    sizes = sorted(args.pages)
    profiler = cProfile.Profile() if args.profile is not None else None
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmctx-bench-")))
        measured = [Measured.build(directory, n_pages, base, lens, clock, args, stack) for n_pages in sizes]
        for turn in range(args.questions):  # in turns, so that a machine that gets slower does so for all sizes
            for one in measured:
                one.ask(turn, clock, args.budget, profiler if one.n_pages == sizes[-1] else None)
    if profiler is not None:
        profiler.dump_stats(args.profile)
    rows = [row(one.n_pages, one.first, one.built, one.asked) for one in measured]
    add_ratios(rows)
    notes = {"model": base.id, "budget": args.budget, "pages_per_source": PAGES_PER_SOURCE, "warm_ups": WARM_UPS}
    result = record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows), notes=notes)
    result.publish(args.out, load)


def load_model(base_directory: Path, lens_directory: Path) -> tuple[ClockedBase, ClockedLens, Clock]:
    clock = Clock()
    ClockedBase.clock = ClockedLens.clock = clock
    base = ClockedBase.from_pretrained(base_directory)
    assert isinstance(base, ClockedBase)
    lens = ClockedLens.from_pretrained(base.id, lens_directory)
    assert isinstance(lens, ClockedLens)
    return base, lens, clock


@dataclass(slots=True)
class Measured:
    """A memory of one size, open and warm, and what asking it took.

    Attributes:
        questions: One per turn.
        built: Seconds to write it.
        first: Seconds of the first question to it.
    """

    n_pages: int
    memory: MegaContext
    questions: list[str]
    built: float
    first: float
    asked: list[Asked] = field(default_factory=list)

    @classmethod
    def build(
        cls,
        directory: Path,
        n_pages: int,
        base: ClockedBase,
        lens: ClockedLens,
        clock: Clock,
        args: argparse.Namespace,
        stack: ExitStack,
    ) -> Measured:
        """Write a memory, open it and warm it up."""
        path = directory / str(n_pages)
        begun = time.perf_counter()
        questions = fill(path, base, lens, n_pages, args)
        built = time.perf_counter() - begun
        memory = stack.enter_context(MegaContext.open(path, create=False, base=base, lens=lens))
        memory._stores.store = ClockedStore(memory._store, clock)  # type: ignore[assignment,arg-type]
        begun = time.perf_counter()
        memory.ask(questions[0], budget=args.budget)
        first = time.perf_counter() - begun
        for question in questions[1:WARM_UPS]:
            memory.ask(question, budget=args.budget)
        print(f"{n_pages} pages: written in {built:.0f} s", file=sys.stderr)
        return cls(n_pages, memory, questions[WARM_UPS:], built, first)

    def ask(self, turn: int, clock: Clock, budget: int, profiler: cProfile.Profile | None) -> None:
        self.asked.append(ask(self.memory, self.questions[turn], clock, budget, profiler))


def fill(path: Path, base: ClockedBase, lens: Lens, n_pages: int, args: argparse.Namespace) -> list[str]:
    """Write generated sources into a new memory; returns questions to all of them, warm-ups included."""
    identity = MegaContext(path, base=base, lens=lens).identity
    gister = MeanTextGister(base.embed_tokens, base.dim)
    n_sources = -(-n_pages // PAGES_PER_SOURCE)
    rng = random.Random(f"{args.seed}-{n_pages}")
    n_questions = args.questions + WARM_UPS
    of_source = np.bincount([i % n_sources for i in range(n_questions)], minlength=n_sources).tolist()
    questions: list[str] = []
    with Store.create(path, identity) as store:
        for number in range(n_sources):
            size = min(PAGES_PER_SOURCE, n_pages - number * PAGES_PER_SOURCE)
            seed = f"{NAME}-{args.seed}-{n_pages}-{number}"
            document = make_document(
                base.tokenizer, seed, "test", size, PageConfig(), gister=gister, n_words=LEXICON_WORDS
            )
            store.add_source(source_info(seed, size), [document.rows])
            while of_source[number] > 0:  # a short document has fewer facts than there are questions
                some = document.questions(rng, of_source[number], ABSENT_SHARE)
                questions += [question.text for question, _ in some]
                of_source[number] -= len(some)
    rng.shuffle(questions)
    return questions


def source_info(uri: str, n_pages: int) -> SourceInfo:
    return SourceInfo(
        uri=uri,
        kind="pdf",
        unit="pt",
        n_pages=n_pages,
        content_hash=uri,
        page_sizes=[(PAGE_WIDTH, PAGE_HEIGHT)] * n_pages,
    )


def ask(memory: MegaContext, question: str, clock: Clock, budget: int, profiler: cProfile.Profile | None) -> Asked:
    """One timed question; garbage is collected before it, not in it."""
    gc.collect()
    clock.take()
    if profiler is not None:
        profiler.enable()
    begun = time.perf_counter()
    answer = memory.ask(question, budget=budget)
    seconds = time.perf_counter() - begun
    if profiler is not None:
        profiler.disable()
    phases = clock.take()
    begun = time.perf_counter()
    memory.context(question, budget=budget)
    context_seconds = time.perf_counter() - begun
    phases["focus"] = answer.trace.seconds - phases.get("lens", 0.0)
    phases["rest"] = seconds - sum(phases.values())
    return Asked(seconds, context_seconds, phases, answer.usage.steps, answer.usage.cost, len(answer.text.split()))


def row(n_pages: int, first: float, built: float, asked: list[Asked]) -> dict[str, Any]:
    seconds = np.array([one.seconds for one in asked]) * 1000
    phases = {
        f"{name.replace(' ', '_')}_ms": round(float(np.median([one.phases.get(name, 0.0) for one in asked])) * 1000, 2)
        for name in PHASES
    }
    return {
        "pages": n_pages,
        "n": len(asked),
        "median_ms": round(float(np.median(seconds)), 2),
        "p90_ms": round(float(np.percentile(seconds, 90)), 2),
        "ratio": None,
        "context_median_ms": round(1000 * float(np.median([one.context_seconds for one in asked])), 2),
        "context_ratio": None,
        **phases,
        "steps": float(np.median([one.steps for one in asked])),
        "cost": float(np.median([one.cost for one in asked])),
        "answer_words": round(float(np.mean([one.words for one in asked])), 2),
        "first_ms": round(1000 * first, 2),
        "build_s": round(built, 2),
    }


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """Medians relative to those of 10 pages, where they were measured."""
    reference = next((r for r in rows if r["pages"] == REFERENCE_PAGES), None)
    if reference is not None:
        for r in rows:
            r["ratio"] = round(r["median_ms"] / reference["median_ms"], 3)
            r["context_ratio"] = round(r["context_median_ms"] / reference["context_median_ms"], 3)


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    large = next((r for r in rows if r["pages"] == LARGE_PAGES), None)
    if large is None or large["ratio"] is None:
        return []
    sizes = f"{LARGE_PAGES} pages : {REFERENCE_PAGES} pages"
    return [
        record.Target(name=f"median time, {sizes}", value=large["ratio"], at_most=MOST_GROWTH),
        record.Target(name=f"median time of a context, {sizes}", value=large["context_ratio"], at_most=MOST_GROWTH),
    ]


if __name__ == "__main__":
    main()
