"""Kills `mmctx ingest` of a directory of PDFs with SIGKILL at random moments, and looks at what it left.

A moment is drawn evenly from the time the memory appears to the end of an undisturbed run. The process is stopped
there, what a reader sees is noted, and then it is killed. After each kill:

- `mmctx verify` is clean;
- the sources that a reader saw are still there, no others, and they are the first ones in the order of ingest;
- each is whole (pages and nodes as in the undisturbed run), is found by full-text search, and answers a question;
- `mmctx ingest` again completes the memory, after which it equals that of the undisturbed run and verifies.

Exits 1 if anything of that is broken.

Usage: python benchmarks/kill_ingest.py [--kills 50] [--files 6]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import record
from bench.generated import write_pdf

from mm_megacontext.memory import MegaContext
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.store import Store
from mm_megacontext.training.data.facts import Fact

NAME = "kill_ingest"
MMCTX = (sys.executable, "-m", "mm_megacontext")
POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Sources:
    """The directory that is ingested, and what becomes of it when nobody interferes.

    Attributes:
        facts: What the first page of each file states, by uri in the order of ingest.
        whole: Pages and nodes of each source.
        seconds: From the appearance of the memory to the end of the process.
    """

    directory: Path
    facts: dict[str, list[Fact]]
    whole: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: after how long, how many sources were in, and what was wrong afterwards."""

    after: float
    n_sources: int
    n_answered: int
    left_rows: bool
    problems: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="default %(default)s")
    parser.add_argument("--files", type=int, default=6, metavar="N", help="PDFs in the directory (default %(default)s)")
    parser.add_argument("--pages", type=int, default=12, metavar="N", help="of a PDF on average (default %(default)s)")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load, rng = record.load(), random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        sources = undisturbed(make_sources(Path(scratch) / "files", args), Path(scratch) / "reference")
        kills: list[Kill] = []
        n_late, latest = 0, sources.seconds
        while len(kills) < args.kills:
            after = rng.uniform(0, latest)
            kill = kill_once(sources, Path(scratch) / "memory", after, rng)
            if kill is None:  # it had ended by then, so later moments are out of the question
                n_late, latest = n_late + 1, after
                continue
            kills.append(kill)
            print(f"kill {len(kills)}: {kill.n_sources} sources, {kill.problems or 'ok'}", file=sys.stderr)
    return publish(args, kills, sources, n_late, load)


def make_sources(directory: Path, args: argparse.Namespace) -> Sources:
    """PDFs of different lengths, short ones among long ones."""
    directory.mkdir()
    facts = {}
    for number in range(args.files):
        path = directory / f"{number:02d}.pdf"
        n_pages = max(1, args.pages * (1 + number % 3) // 2)
        facts[str(path.resolve())] = write_pdf(path, n_pages, f"{NAME}-{args.seed}-{number}")
    return Sources(directory, facts)


def undisturbed(sources: Sources, memory: Path) -> Sources:
    """Ingest without interference: how long it takes and what it gives."""
    process = start_ingest(sources.directory, memory)
    wait_for(memory, process)
    begun = time.perf_counter()
    if process.wait():
        raise SystemExit("mmctx ingest failed without being killed")
    seconds = time.perf_counter() - begun
    whole = {r.uri: (r.n_pages, r.n_nodes) for r in Store.open(memory).sources()}
    if list(whole) != list(sources.facts):
        raise SystemExit(f"mmctx ingest took up {list(whole)} of {list(sources.facts)}")
    return Sources(sources.directory, sources.facts, whole, seconds)


def start_ingest(directory: Path, memory: Path) -> subprocess.Popen[bytes]:
    command = (*MMCTX, "ingest", str(directory), "--memory", str(memory))
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(memory: Path, process: subprocess.Popen[bytes]) -> None:
    while not memory.exists() and process.poll() is None:
        time.sleep(POLL_SECONDS)


def kill_once(sources: Sources, memory: Path, after: float, rng: random.Random) -> Kill | None:
    """One kill into a new memory, and all checks; None if the process had ended by then."""
    shutil.rmtree(memory, ignore_errors=True)
    process = start_ingest(sources.directory, memory)
    wait_for(memory, process)
    time.sleep(after)
    process.send_signal(signal.SIGSTOP)
    seen = list(held(memory))
    process.kill()
    if process.wait() != -signal.SIGKILL:
        return None
    problems = check_verified(memory, "after the kill")
    left = held(memory)
    if list(left) != seen:
        problems.append(f"before the kill a reader saw {len(seen)} sources, after it {len(left)}")
    if list(left) != list(sources.whole)[: len(left)]:
        problems.append(f"the sources left are not the first ones: {list(left)}")
    problems += [f"{uri} is not whole" for uri, r in left.items() if (r.n_pages, r.n_nodes) != sources.whole.get(uri)]
    silent = check_answers(memory, sources, rng) if left else []
    left_rows = Store.exists(memory) and has_hidden_rows(memory)
    problems += silent + check_completed(sources, memory)
    return Kill(after, len(left), len(left) - len(silent), left_rows, problems)


def held(memory: Path) -> dict[str, SourceRecord]:
    """What a reader sees; nothing where the memory is not made yet."""
    return {r.uri: r for r in Store.open(memory).sources()} if Store.exists(memory) else {}


def has_hidden_rows(memory: Path) -> bool:
    """Whether the killed writer had written rows of a source that never came to be."""
    import lance

    return bool(lance.dataset(memory / "nodes").count_rows() > sum(r.n_nodes for r in held(memory).values()))


def check_verified(memory: Path, when: str) -> list[str]:
    """`mmctx verify`; before there is a memory there is nothing to verify."""
    if not Store.exists(memory):
        return []
    done = subprocess.run((*MMCTX, "verify", str(memory), "--json"), capture_output=True, text=True, check=False)
    if done.returncode or not json.loads(done.stdout)["ok"]:
        return [f"verify {when}: {done.stdout} {done.stderr}".strip()]
    return [f"verify warned {when}: {done.stderr.strip()}"] if done.stderr else []


def check_answers(memory: Path, sources: Sources, rng: random.Random) -> list[str]:
    """Each source finds a fact of its first page by full text, and answers a question about it."""
    silent = []
    with MegaContext.open(memory, create=False) as context, Store.open(memory) as store:
        for record_ in context.sources:
            fact = rng.choice(sources.facts[record_.uri])
            key = " ".join(fact.key)
            blocks = store.nodes([id for id, _ in store.search_text(key, 20, [record_.number])])
            if not any(fact.key[0].lower() in block.text.lower() for block in blocks):
                silent.append(f"{record_.uri}: full text does not find {key!r}")
            elif not context.ask(f"What is the {key}?", source=record_.uri).usage.entries:
                silent.append(f"{record_.uri}: nothing was read for {key!r}")
    return silent


def check_completed(sources: Sources, memory: Path) -> list[str]:
    """Ingest again and compare with the undisturbed run."""
    if start_ingest(sources.directory, memory).wait():
        return ["ingest after the kill failed"]
    found = {uri: (r.n_pages, r.n_nodes) for uri, r in held(memory).items()}
    problems = [] if found == sources.whole else [f"ingest after the kill gave {found}, not {sources.whole}"]
    if has_hidden_rows(memory):
        problems.append("ingest after the kill left rows of no source")
    return problems + check_verified(memory, "after completion")


def publish(args: argparse.Namespace, kills: list[Kill], sources: Sources, n_late: int, load: float) -> int:
    by_sources = Counter(kill.n_sources for kill in kills)
    rows: list[dict[str, Any]] = [
        {
            "sources_in": n,
            "kills": by_sources[n],
            "answered": sum(kill.n_answered for kill in kills if kill.n_sources == n),
            "left_rows": sum(kill.left_rows for kill in kills if kill.n_sources == n),
            "broken": sum(bool(kill.problems) for kill in kills if kill.n_sources == n),
        }
        for n in sorted(by_sources)
    ]
    broken = sum(bool(kill.problems) for kill in kills)
    notes = {
        "kills": len(kills),
        "ended_before_the_kill": n_late,
        "files": len(sources.whole),
        "pages": sum(pages for pages, _ in sources.whole.values()),
        "seconds_undisturbed": round(sources.seconds, 3),
        "moments": [round(kill.after, 4) for kill in kills],
        "problems": [problem for kill in kills for problem in kill.problems],
    }
    targets = [record.Target(name="kills that broke something", value=broken, at_most=0)]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
