"""Questions on real documents: is the block that holds the answer open, is it quoted, is the answer right.

"open" is what a reader of text is shown (``memory.context``, the budget in leaves), "open_in_embeddings" what a reader
of embeddings is given (the budget pays for gists, too), "open_when_asked" what the model had open when it answered.

Every document is asked in a memory of its own (scope "file") and in one memory with all documents ("whole"), beside the
blocks that full-text search ranks highest, alone and with the block before and after each, at the same cost.

With an embedder, search goes by meaning, too, and beside it stand the blocks whose vectors are nearest, and both orders
fused.

Documents are fetched on the first run (Debian 12). Memories stay in the work directory as long as nothing that ingest
depends on changes, and so do answers as long as nothing at all does: an interrupted run goes on where it was.

Usage: python benchmarks/focus_real.py [--split dev] [--scope file whole] [--budget 512 2048 8192] [--limit N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import real_focus, record
from bench.real_focus import Watched, measure, opened_for

import mm_megacontext
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.embedders import TextEmbedder, open_embedder
from mm_megacontext.eval.metrics import wilson_interval
from mm_megacontext.eval.real_documents import KINDS, RealDocument, Sample, load_manifest, load_samples
from mm_megacontext.eval.real_documents.fetch import FetchFailed, fetch
from mm_megacontext.memory import MegaContext

NAME = "focus_real"
ROOT = Path(__file__).parents[1]
PACKAGE = Path(mm_megacontext.__file__).parent
NOT_INGEST = (
    *(
        "answer.py",
        "asking.py",
        "cli",
        "doctor.py",
        "embedders",
        "eval",
        "evidence.py",
        "gist_spaces.py",
        "meaning.py",
        "memory.py",
        "passages",
        "pictures",
        "reading",
    ),
    "training",
)
"""Parts of the package that a memory does not depend on."""
LEAST_OPEN = {
    ("file", 512): 0.80,
    ("file", 2048): 0.90,
    ("file", 8192): 0.97,
    ("whole", 512): 0.72,
    ("whole", 2048): 0.85,
    ("whole", 8192): 0.93,
}
"""Targets: share of the answerable questions whose gold words are all open."""
SHARES = (
    "open",
    "open_in_embeddings",
    "open_when_asked",
    "answer_open",
    "quoted",
    "exact",
    "holds",
    "bm25",
    "bm25_near",
    "dense",
    "dense_near",
    "fused",
    "fused_near",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=Path, default=ROOT / "build/real_documents", metavar="DIR")
    parser.add_argument("--work", type=Path, default=ROOT / "build/focus_real", metavar="DIR", help="memories, answers")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--scope", nargs="+", choices=("file", "whole"), default=["file", "whole"])
    parser.add_argument("--budget", type=int, nargs="+", default=[512, 2048, 8192], metavar="N")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions of each document")
    parser.add_argument("--only-open", action="store_true", help="do not ask the model: what is opened alone, quicker")
    parser.add_argument("--embedder", metavar="KIND:NAME|DIR", help="search by meaning, too")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load = record.load()
    documents = load_manifest()
    try:
        fetch(args.documents, documents, note)
    except FetchFailed as error:
        raise SystemExit(f"error: {error}") from error
    samples = first_of_each(load_samples(args.documents, split=args.split), args.limit)
    base = NativeBase.from_pretrained()
    embedder = None if args.embedder is None else open_embedder(args.embedder)
    look = opened_for if args.only_open else measure
    kind = f"{look.__name__}{'' if embedder is None else f'-{embedder.id}'}"
    known = f"{digest([*parts(), Path(real_focus.__file__)])}-{kind}"
    answers = Answers(args.work / f"answers-{known}.jsonl")
    memories = args.work / f"memories-{digest(parts(NOT_INGEST))}"
    rows: list[dict[str, Any]] = []
    for scope in args.scope:
        for budget in args.budget:
            found = list(
                ask_all(scope, samples, documents, budget, args.documents, memories, base, embedder, answers, look)
            )
            rows += [row for row in summarise(scope, budget, found) if row["n"]]
    notes = {
        "model": base.id,
        "embedder": None if embedder is None else embedder.id,
        "split": args.split,
        "documents": len({sample.path for sample in samples}),
        "documents_in_whole": len(documents),
        "pages_in_whole": sum(document.n_pages for document in documents),
        "limit": args.limit,
    }
    result = record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows), notes=notes)
    result.publish(args.out, load)


def note(line: str) -> None:
    print(line, file=sys.stderr)


def first_of_each(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    groups = groupby(samples, key=lambda sample: sample.path)
    return [sample for _, group in groups for sample in list(group)[:limit]]


def parts(without: Sequence[str] = ()) -> list[Path]:
    """Of the package, but for some."""
    return [part for part in sorted(PACKAGE.iterdir()) if part.name not in without]


def digest(paths: Sequence[Path]) -> str:
    """Of all code, weights and questions below some folders, or in files."""
    total = hashlib.sha256()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.resolve().rglob("*")):
            if file.suffix in (".py", ".json", ".jsonl", ".safetensors"):
                total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:12]


class Answers:
    """What was measured before, by question, scope and budget; a line of JSON each."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self._rows = {row["key"]: row for row in map(json.loads, lines)}

    def get(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self._rows:
            row = {"key": key, **make()}
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._rows[key] = row
        return self._rows[key]

    def has(self, key: str) -> bool:
        return key in self._rows


def ask_all(
    scope: str,
    samples: Sequence[Sample],
    documents: Sequence[RealDocument],
    budget: int,
    directory: Path,
    memories: Path,
    base: NativeBase,
    embedder: TextEmbedder | None,
    answers: Answers,
    look: Callable[[Watched, Sample, int], dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Every question at one budget, in the memories of one scope."""
    every = [document.file(directory) for document in documents]
    groups = [list(group) for _, group in groupby(samples, key=lambda s: s.path)] if scope == "file" else [samples]
    for group in groups:
        keys = {sample.question.id: f"{scope} {budget} {sample.question.id}" for sample in group}
        if all(map(answers.has, keys.values())):
            yield from (answers.get(key, dict) for key in keys.values())
            continue
        files = [group[0].path] if scope == "file" else every
        with opened(memories / (files[0].stem if scope == "file" else "whole"), files, base, embedder) as watched:
            for sample in group:
                yield answers.get(keys[sample.question.id], lambda s=sample: look(watched, s, budget))  # type: ignore[misc]
        note(f"{scope}, budget {budget}: {group[0].path.stem if scope == 'file' else 'all documents'}")


@contextmanager
def opened(path: Path, files: Sequence[Path], base: NativeBase, embedder: TextEmbedder | None) -> Iterator[Watched]:
    """A memory of some files, read now if they were not before; opened again, with its indexes up to date."""
    with MegaContext.open(path, base=base, embedder=embedder) as memory:
        for file in files:
            report = memory.ingest(file)
            if report.failed:
                raise SystemExit(f"{file}: {report.failed[0].reason}")
    with MegaContext.open(path, create=False, base=base, embedder=embedder) as memory:
        yield Watched.of(memory)


def summarise(scope: str, budget: int, found: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Shares over all answerable questions, and by kind."""
    answerable = [row for row in found if row["kind"] != "absent"]
    yield summary(scope, budget, "answerable", answerable)
    for kind in KINDS:
        yield summary(scope, budget, kind, [row for row in found if row["kind"] == kind])


def summary(scope: str, budget: int, kind: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table; of absent questions only whether they were refused."""
    shares: dict[str, Any] = {}
    for name in SHARES:
        asked = [row[name] for row in rows if name in row]
        low, high = wilson_interval(sum(asked), len(asked))
        shares[name] = round(sum(asked) / len(asked), 4) if asked else None
        shares[f"{name}_ci95"] = f"{low:.2f}-{high:.2f}" if asked else None
    kept = [row["kept"] for row in rows if "kept" in row]
    return {
        "scope": scope,
        "budget": budget,
        "kind": kind,
        "n": len(rows),
        "kept": round(sum(kept) / len(kept), 4) if kept else None,
        **shares,
        "mean_leaves": mean(rows, "leaves"),
        "mean_look_ms": mean(rows, "look_seconds", 1000),
        "mean_cost": mean(rows, "cost"),
        "mean_ms": mean(rows, "seconds", 1000),
    }


def mean(rows: Sequence[dict[str, Any]], name: str, scale: float = 1) -> float | None:
    """Of those that have it; absent questions have none."""
    values = [row[name] for row in rows if name in row]
    return round(scale * sum(values) / len(values), 1) if values else None


def targets(rows: Sequence[dict[str, Any]]) -> list[record.Target]:
    return [
        record.Target(
            name=f"gold {name.replace('_', ' ')}, {row['scope']}, budget {row['budget']}",
            value=row[name],
            at_least=LEAST_OPEN[row["scope"], row["budget"]],
        )
        for name in ("open", "open_in_embeddings")
        for row in rows
        if row["kind"] == "answerable" and (row["scope"], row["budget"]) in LEAST_OPEN
    ]


if __name__ == "__main__":
    main()
