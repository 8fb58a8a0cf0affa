"""Questions on real documents through a text reader: is what it could answer answered, and does evidence lie on it.

The reader is perfect: it finds the gold text if it was shown it. It stands behind a chat server on this machine, so
what is measured is the way there and back: passages, prompt, reply, citations, boxes. Beside it, candidates of the
model that reads by default: is the gold among the three, or the evidence.

Usage: python benchmarks/readers_real.py [--split dev] [--scope file whole] [--budget 4096] [--limit N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from bench import record
from bench.perfect_reader import lines_of, overlap, perfect

from mm_megacontext.answer import Answer
from mm_megacontext.eval.chat_double import ChatDouble
from mm_megacontext.eval.real_documents import Place, Sample, load_manifest, load_samples
from mm_megacontext.eval.real_documents.fetch import FetchFailed, fetch
from mm_megacontext.eval.real_documents.gold import blocks_on_page, is_open, page_boxes
from mm_megacontext.memory import MegaContext
from mm_megacontext.models import open_reader
from mm_megacontext.passages.context import Context

NAME = "readers_real"
ROOT = Path(__file__).parents[1]
LEAST_ANSWERED, LEAST_BOXED, LEAST_CANDIDATES = 0.95, 0.95, 0.75
LEAST_OVERLAP = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=Path, default=ROOT / "build/real_documents", metavar="DIR")
    parser.add_argument("--memory", type=Path, metavar="DIR", help="kept; by default a new one")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--scope", nargs="+", choices=("file", "whole"), default=["file"])
    parser.add_argument("--budget", type=int, nargs="+", default=[4096], metavar="N", help="tokens of the reader")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions of each document")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    try:
        fetch(args.documents, load_manifest(), lambda line: print(line, file=sys.stderr))
    except FetchFailed as error:
        raise SystemExit(f"error: {error}") from error
    samples = [s for s in load_samples(args.documents, split=args.split) if not s.question.is_absent]
    groups = groupby(samples, key=lambda sample: sample.path)
    samples = [sample for _, group in groups for sample in list(group)[: args.limit]]
    with memory_of(samples, args.memory) as directory:
        asked = [ask_all(directory, samples, scope, budget) for scope in args.scope for budget in args.budget]
        rows = asked + [candidates(directory, samples, scope) for scope in args.scope]
    notes = {"split": args.split, "documents": len({s.path for s in samples}), "limit": args.limit}
    result = record.Record(name=NAME, seed=args.seed, rows=rows, targets=list(targets(rows)), notes=notes)
    result.publish(args.out, load)


@contextmanager
def memory_of(samples: Sequence[Sample], kept: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mmctx-readers-") as scratch:
        directory = kept or Path(scratch) / "memory"
        with MegaContext.open(directory) as memory:
            for path in dict.fromkeys(sample.path for sample in samples):
                memory.ingest(path)
        yield directory


def ask_all(directory: Path, samples: Sequence[Sample], scope: str, budget: int) -> dict[str, Any]:
    """All questions through the perfect reader."""
    outcomes = []
    current: list[Sample] = []
    with ChatDouble(lambda asked: perfect(asked, current[0])) as server:
        reader = open_reader("api:perfect", base_url=server.base_url)
        with MegaContext.open(directory, create=False, reader=reader) as memory:
            for sample in samples:
                current[:] = [sample]
                answer = memory.ask(sample.question.question, budget=budget, source=within(sample, scope))
                outcomes.append(judge(memory, sample, answer))
    opened = [outcome for outcome in outcomes if outcome["open"]]
    answered = [outcome for outcome in opened if outcome["answered"]]
    return row(
        "perfect reader",
        scope,
        budget,
        len(samples),
        open=share(outcomes, "open"),
        answered=share(opened, "answered"),
        boxed=share(answered, "boxed"),
        candidates=share(outcomes, "candidate"),
        cost=float(np.mean([outcome["cost"] for outcome in outcomes])),
        seconds=float(np.median([outcome["seconds"] for outcome in outcomes])),
    )


def candidates(directory: Path, samples: Sequence[Sample], scope: str) -> dict[str, Any]:
    """All questions to the default model at its default budget."""
    outcomes = []
    with MegaContext.open(directory, create=False) as memory:
        for sample in samples:
            answer = memory.ask(sample.question.question, source=within(sample, scope))
            outcomes.append(judge(memory, sample, answer))
    return row(
        "mmctx-tiny",
        scope,
        512,
        len(samples),
        open=share(outcomes, "open"),
        answered=share(outcomes, "answered"),
        boxed=share([o for o in outcomes if o["answered"]], "boxed"),
        candidates=share(outcomes, "candidate"),
        cost=float(np.mean([outcome["cost"] for outcome in outcomes])),
        seconds=float(np.median([outcome["seconds"] for outcome in outcomes])),
    )


def within(sample: Sample, scope: str) -> Path | None:
    return sample.path if scope == "file" else None


def judge(memory: MegaContext, sample: Sample, answer: Answer) -> dict[str, Any]:
    uri = str(sample.path.resolve())
    number = next(record.number for record in memory.sources if record.uri == uri)
    tree = memory._tree_of(None)
    shown = [
        Shown(answer.context, uri, place, page_boxes(blocks_on_page(tree, number, place.page), number, place.page))
        for place in sample.places
    ]
    pieces = (*answer.evidence, *answer.candidates)
    return {
        "open": any(place.is_open for place in shown),
        "answered": answer.found,
        "boxed": any(is_boxed(place, answer, uri) for place in sample.places),
        "candidate": any(
            holds(place, [p.bbox for p in pieces if (p.source, p.page) == (uri, place.page)]) for place in sample.places
        ),
        "cost": answer.usage.cost,
        "seconds": answer.usage.seconds,
    }


class Shown:
    """Whether the gold words of a place are all among the words of passages."""

    def __init__(self, context: Context, uri: str, place: Place, stored: Any) -> None:
        here = [p for p in context.passages if (p.source, p.page) == (uri, place.page)]
        boxes = np.array([word.bbox for p in here for word in p.words], dtype=np.float32).reshape(-1, 4)
        self.is_open = is_open(place.boxes, boxes, stored)


def is_boxed(place: Place, answer: Answer, uri: str) -> bool:
    """Whether evidence lies on the words of the answer, or on those of the gold text."""
    boxes = [e.bbox for e in answer.evidence if (e.source, e.page) == (uri, place.page)]
    gold = (place.answer_boxes, place.boxes)
    return any(overlap(boxes, lines_of(words)) >= LEAST_OVERLAP for words in gold)


def holds(place: Place, boxes: Sequence[Any]) -> bool:
    """Whether the middles of most words of the answer lie in one of the boxes."""
    inside = [
        any(x0 - 1 <= (w[0] + w[2]) / 2 <= x1 + 1 and y0 - 1 <= (w[1] + w[3]) / 2 <= y1 + 1 for x0, y0, x1, y1 in boxes)
        for w in place.answer_boxes
    ]
    return sum(inside) > len(inside) / 2


def share(outcomes: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([outcome[name] for outcome in outcomes])) if outcomes else 0.0


def row(reader: str, scope: str, budget: int, n: int, **figures: float) -> dict[str, Any]:
    return {"reader": reader, "scope": scope, "budget": budget, "n": n, **{k: round(v, 3) for k, v in figures.items()}}


def targets(rows: Sequence[dict[str, Any]]) -> Iterator[record.Target]:
    for one in rows:
        name = f"{one['reader']}, {one['scope']}, {one['budget']}"
        if one["reader"] == "perfect reader":
            yield record.Target(name=f"{name}: answered of open", value=one["answered"], at_least=LEAST_ANSWERED)
            yield record.Target(name=f"{name}: boxed of answered", value=one["boxed"], at_least=LEAST_BOXED)
        else:
            yield record.Target(name=f"{name}: candidates", value=one["candidates"], at_least=LEAST_CANDIDATES)


if __name__ == "__main__":
    main()
