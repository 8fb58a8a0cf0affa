"""Damages every file of a memory in four ways, and looks at what each operation makes of it.

The memory is made of a few small texts by three ingests, of which two replace a source, and a source is forgotten; so
there are rows of deleted sources, parts of an index, and older versions. Each of its files is once missing, once cut in
half, once zeroed, once with a bit flipped. Then, each on a copy of its own:

- `open` reads every source, node and leaf and searches for each word;
- `verify` checks;
- `ask` answers a question about a source;
- `ingest` takes up one more file;
- `vacuum` gives space back.

An operation may fail with a StoreError, may warn, or may do what it would have done. It must not raise anything else,
and must not lose a committed source without an error (`open` and `ask`: a warning, as they change nothing). Of the
damages that change what can be read, `verify` must find 99 of 100; for this, more bits are flipped.

Exits 1 if anything of that is broken.

Usage: python benchmarks/damaged_memory.py [--flips 30]
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import record

from mm_megacontext.errors import StoreError
from mm_megacontext.memory import MegaContext
from mm_megacontext.store.store import Store, StoreWarning
from mm_megacontext.tree.nodes import NodeId

NAME = "damaged_memory"
LEAST_FOUND = 0.99
WORDS = "harbour copper lamp signal invoice total rent annual keeper tower".split()
WAYS = ("missing", "truncated", "zeroed", "bit-flipped")
ADDED = "added.txt"


def write_text(path: Path, rng: random.Random) -> None:
    lines = [" ".join(rng.choices(WORDS, k=9)) + f" {rng.randrange(10_000)}." for _ in range(12)]
    path.write_text("\n\n".join(["# " + path.stem, *lines]) + "\n")


def make_memory(place: Path, rng: random.Random) -> Path:
    """A memory that has been written to, and forgotten from, more than once."""
    documents, memory = place / "documents", place / "memory"
    documents.mkdir()
    for i in range(3):
        write_text(documents / f"report-{i}.md", rng)
    with MegaContext.open(memory) as opened:
        opened.ingest(documents)
    for i in (1, 3):
        write_text(documents / f"report-{i}.md", rng)
    with MegaContext.open(memory) as opened:
        opened.ingest(documents)
        opened.forget(str(documents / "report-0.md"))
    (documents / "report-0.md").unlink()
    write_text(documents / "report-2.md", rng)
    with MegaContext.open(memory) as opened:
        opened.ingest(documents)
    write_text(place / ADDED, rng)
    return memory


def damage(file: Path, way: str, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if way == "missing":
        file.unlink()
        return
    if way == "bit-flipped" and content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes({"truncated": content[: len(content) // 2], "zeroed": bytes(len(content))}.get(way, content))


def everything(memory: Path) -> dict[str, str]:
    """A digest of all that can be read of each source, by uri; and of what searches find."""
    store = Store.open(memory)
    read = {}
    for source in store.sources():
        digest = hashlib.sha256(repr((source.number, source.kind, source.unit, source.problems)).encode())
        digest.update(repr((source.n_pages, source.content_hash, source.engine, source.t_length)).encode())
        digest.update(source.page_sizes.tobytes() + source.gist.tobytes() + source.mu.tobytes())
        ids = [NodeId(source.number, index) for index in range(source.n_nodes)]
        nodes = store.nodes(ids)
        digest.update(repr([(n.text, n.bbox, n.page, n.children, n.links, n.kind, n.t_span) for n in nodes]).encode())
        digest.update(b"".join(node.gist.tobytes() + node.mu.tobytes() for node in nodes))
        for leaves in store.leaves([node.id for node in nodes if node.lod == 1]):
            digest.update(leaves.mu.tobytes() + leaves.boxes.tobytes() + leaves.token_ids.tobytes())
        read[source.uri] = digest.hexdigest()
    found = [store.search_text(word, 100) for word in WORDS]
    read["search"] = hashlib.sha256(repr((found, sorted(store.counts().items()))).encode()).hexdigest()
    return read


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did: "as before", "warned", "error", or "bare" for an exception of another kind."""

    kind: str
    said: str = ""


def attempt(operation: Callable[[], object]) -> Outcome:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StoreWarning)
        try:
            operation()
        except StoreError as error:
            return Outcome("error", str(error))
        except Exception as error:
            return Outcome("bare", f"{type(error).__name__}: {error}")
    told = [str(warning.message) for warning in caught if issubclass(warning.category, StoreWarning)]
    return Outcome("warned", told[0]) if told else Outcome("as before")


class Trial:
    """Operations on a damaged memory, each on a fresh copy."""

    def __init__(self, memory: Path, added: Path, model: MegaContext) -> None:
        self._memory, self._added, self._model = memory, added, model
        self.whole = everything(memory)
        self._question = "What stands in the report about the harbour?"

    def copy(self, name: str, way: str, rng: random.Random) -> Path:
        copy = Path(shutil.copytree(self._memory, self._memory.with_name("copy")))
        damage(copy / name, way, rng)
        return copy

    def operations(self) -> dict[str, Callable[[Path], object]]:
        return {
            "open": everything,
            "verify": self.verify,
            "ask": self._ask,
            "ingest": self._ingest,
            "vacuum": self._vacuum,
        }

    def verify(self, memory: Path) -> None:
        if problems := Store.open(memory).verify():
            raise StoreError(problems[0])

    def read_as_before(self, memory: Path) -> None:
        if everything(memory) != self.whole:
            raise StoreError("what is read has changed")

    def _opened(self, memory: Path) -> MegaContext:
        return MegaContext.open(memory, base=self._model.base)

    def _ask(self, memory: Path) -> None:
        with self._opened(memory) as opened:
            opened.ask(self._question)

    def _ingest(self, memory: Path) -> None:
        with self._opened(memory) as opened:
            opened.ingest(self._added)

    def _vacuum(self, memory: Path) -> None:
        with self._opened(memory) as opened:
            opened.vacuum()

    def lost(self, memory: Path) -> list[str]:
        """Committed sources that are not there any more, as far as the memory can be opened."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)
            try:
                there = {source.uri for source in Store.open(memory).sources()}
            except StoreError:
                return []  # it says so
        return sorted(set(self.whole) - {"search"} - there)


def run_operations(trial: Trial, names: list[str], rng: random.Random) -> tuple[list[dict[str, Any]], list[str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    broken = []
    for way in WAYS:
        for name in names:
            seed = rng.random()
            for operation, run in trial.operations().items():
                copy = trial.copy(name, way, random.Random(seed))
                outcome = attempt(partial(run, copy))
                counts[way, operation, outcome.kind] += 1
                lost = trial.lost(copy) if outcome.kind == "as before" else []
                if operation in ("ingest", "vacuum") and outcome.kind == "warned":
                    lost = trial.lost(copy)
                if lost or outcome.kind == "bare":
                    broken.append(f"{name} {way}, {operation}: lost {lost}, {outcome.said}")
                shutil.rmtree(copy)
    rows = [
        {"damage": way, "operation": operation}
        | {kind.replace(" ", "_"): counts[way, operation, kind] for kind in ("as before", "warned", "error", "bare")}
        for way in WAYS
        for operation in trial.operations()
    ]
    return rows, broken


def run_verify(trial: Trial, names: list[str], flips: int, rng: random.Random) -> tuple[dict[str, Any], list[str]]:
    """How many of the damages that change what can be read are found by ``verify``."""
    changed, unfound = 0, []
    ways = [*WAYS[:-1], *[WAYS[-1]] * flips]
    for name in names:
        for way in ways:
            copy = trial.copy(name, way, rng)
            outcome = attempt(partial(trial.read_as_before, copy))
            if outcome.kind != "as before":
                changed += 1
                if attempt(partial(trial.verify, copy)).kind != "error":
                    unfound.append(f"{name} {way}: {outcome.kind} {outcome.said}")
            shutil.rmtree(copy)
    found = changed - len(unfound)
    row = {"damages": len(ways) * len(names), "change_what_is_read": changed, "found_by_verify": found}
    return row | {"share": round(found / changed, 4)}, unfound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=30, help="bits flipped in each file, for the share that is found")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load, rng = record.load(), random.Random(args.seed)
    with tempfile.TemporaryDirectory() as place:
        memory = make_memory(Path(place), rng)
        trial = Trial(memory, Path(place) / ADDED, MegaContext(memory))
        names = sorted(file.relative_to(memory).as_posix() for file in memory.rglob("*") if file.is_file())
        rows, broken = run_operations(trial, names, rng)
        found, unfound = run_verify(trial, names, args.flips, rng)
    targets = [
        record.Target(name="operations that lose silently or end in a bare exception", value=len(broken), at_most=0),
        record.Target(name="share that verify finds", value=found["share"], at_least=LEAST_FOUND),
    ]
    notes = {"files": len(names), "verify": found, "broken": broken, "unfound": unfound}
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
