"""Kills `mmctx refresh` with SIGKILL at random moments, and looks at what it left.

A moment is drawn evenly from the time the new gists appear to the end of an undisturbed run. After each kill:

- `mmctx verify` is clean;
- the memory answers as before with the model that it was made with;
- of the new gists some sources are there, each whole, and no other;
- `mmctx refresh` again completes them, after which all rows equal those of the undisturbed run, and it verifies.

Exits 1 if anything of that is broken.

Usage: python benchmarks/kill_refresh.py [--kills 20] [--files 6] [--model finder]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import record
from bench.generated import write_pdf

from mm_megacontext.memory import MegaContext
from mm_megacontext.models import open_model
from mm_megacontext.store.rows import encode_rows
from mm_megacontext.store.spaces import space_of
from mm_megacontext.store.store import Store

NAME = "kill_refresh"
MMCTX = (sys.executable, "-m", "mm_megacontext")
PAGES = 12
POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What becomes of a memory when nobody interferes.

    Attributes:
        question: Of what the memory holds, with ``answer`` from the model that made it.
        rows: Digest of all rows of each source in the new gists.
        seconds: From the appearance of the new gists to the end.
    """

    memory: Path
    space: Path
    model: str
    question: str
    answer: str
    rows: dict[str, str]
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default %(default)s")
    parser.add_argument("--files", type=int, default=6, metavar="N", help="PDFs in the memory (default %(default)s)")
    parser.add_argument("--model", default="finder", metavar="NAME|DIR", help="default %(default)s")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load, rng = record.load(), random.Random(args.seed)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        whole = undisturbed(Path(scratch), args)
        latest, n_late = whole.seconds, 0
        while len(rows) < args.kills:
            after = rng.uniform(0, latest)
            row = kill_once(whole, Path(scratch) / "killed", after)
            if row is None:  # it had ended by then, so later moments are out of the question
                latest, n_late = after, n_late + 1
                continue
            rows.append(row)
            print(f"kill {len(rows)}: {row['sources']} sources, {row['problems'] or 'ok'}", file=sys.stderr)
    n_broken = sum(bool(row["problems"]) for row in rows)
    notes = {"files": args.files, "model": args.model, "too_late": n_late, "undisturbed_s": round(whole.seconds, 2)}
    target = record.Target(name="kills that broke something", value=n_broken, at_most=0)
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=[target], notes=notes).publish(args.out, load)
    return int(n_broken > 0)


def undisturbed(scratch: Path, args: argparse.Namespace) -> Undisturbed:
    """Make a memory, and refresh a copy of it without interference."""
    files, memory, copy = scratch / "files", scratch / "memory", scratch / "copy"
    files.mkdir()
    facts = [write_pdf(files / f"{n:02d}.pdf", PAGES, f"{NAME}-{args.seed}-{n}") for n in range(args.files)]
    question = f"What is the {' '.join(facts[0][0].key)}?"
    with MegaContext.open(memory) as made:
        made.ingest(files)
        answer = made.ask(question).text
    shutil.copytree(memory, copy)
    space = space_of(Path(), open_model(args.model).identity)
    process = start(copy, args.model)
    wait_for(copy / space, process)
    begun = time.perf_counter()
    if process.wait():
        raise SystemExit("mmctx refresh failed without being killed")
    seconds = time.perf_counter() - begun
    return Undisturbed(memory, space, args.model, question, answer, digests(copy / space), seconds)


def start(memory: Path, model: str) -> subprocess.Popen[bytes]:
    command = (*MMCTX, "refresh", str(memory), model)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(POLL_SECONDS)


def kill_once(whole: Undisturbed, memory: Path, after: float) -> dict[str, object] | None:
    """One kill in a copy of the memory, and all checks; None if the process had ended by then."""
    shutil.rmtree(memory, ignore_errors=True)
    shutil.copytree(whole.memory, memory)
    process = start(memory, whole.model)
    wait_for(memory / whole.space, process)
    time.sleep(after)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        return None
    problems = verified(memory)
    left = digests(memory / whole.space) if Store.exists(memory / whole.space) else {}
    problems += [f"{uri} is not whole" for uri, digest in left.items() if digest != whole.rows.get(uri)]
    with MegaContext.open(memory, create=False) as opened:
        if opened.ask(whole.question).text != whole.answer:
            problems.append("the memory answers otherwise than before")
    if start(memory, whole.model).wait():
        problems.append("refresh after the kill failed")
    elif digests(memory / whole.space) != whole.rows:
        problems.append("refresh after the kill gave other rows")
    return {"after_s": round(after, 3), "sources": len(left), "problems": problems + verified(memory)}


def verified(memory: Path) -> list[str]:
    done = subprocess.run((*MMCTX, "verify", str(memory), "--json"), capture_output=True, text=True, check=False)
    is_clean = not done.returncode and not done.stderr and json.loads(done.stdout)["ok"]
    return [] if is_clean else [f"verify: {done.stdout} {done.stderr}".strip()]


def digests(space: Path) -> dict[str, str]:
    """Of all rows of each source."""
    found = {}
    with Store.open(space) as store:
        for source in store.sources():
            digest = hashlib.sha256()
            for rows in store.rows_of(source.number):
                for value in encode_rows(0, rows, store.identity.shape)["hash"].to_pylist():
                    digest.update(value)
            found[source.uri] = digest.hexdigest()
    return found


if __name__ == "__main__":
    sys.exit(main())
