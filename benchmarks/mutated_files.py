"""Takes up damaged files by `mmctx ingest`, one at a time, and looks at how it ends.

Thirty good files of all formats (`bench/good_files.py`, or those of the directories given) are damaged in turn: bytes
changed, pieces cut out, put in twice, zeroed or exchanged, the end cut off. Of archives (office files, EPUB) every
second time it is one member that is damaged and packed anew, since its checksum would stop nearly everything else.
Each file goes into a memory of its own, which holds a good source before. Of each run it counts if

- the exit code is not 0, 1, 2, 3 or 65, or 1 for another reason than a limit: an error that nobody foresaw;
- a traceback or the text of an internal error is printed;
- the memory is not whole afterwards, or has lost what was in it.

The command runs as the console script does, in a copy (a fork) of a process that has imported it. Results go to a file
of lines as they come (`--log`), and a run that is repeated goes on behind them. Exits 1 if anything is counted.

Usage: nice python benchmarks/mutated_files.py [--mutations 1000] [--jobs 1] [--log FILE] [DIRECTORY ...]
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from bench import record
from bench.good_files import write_good_files

NAME = "mutated_files"
ALLOWED = (0, 1, 2, 3, 65)
MOST_SECONDS = 300.0
KEPT = "kept.txt"
_UNFORESEEN = re.compile(r"Traceback \(most recent call last\)|internal error:|RecursionError|recursion depth")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an ingest ended: its exit code (minus a signal's number), what it said, what is wrong with the memory."""

    number: int
    file: str
    code: int
    said: str
    problems: list[str]

    @property
    def is_bad(self) -> bool:
        return self.code not in ALLOWED or bool(_UNFORESEEN.search(self.said)) or bool(self.problems)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with up to a dozen damages, or one member of it if it is an archive."""
    if content.startswith(b"PK") and rng.random() < 0.5:
        return _with_member_mutated(content, rng)
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 6, 12))):
        _damage(data, rng)
    return bytes(data)


def _damage(data: bytearray, rng: random.Random) -> None:
    length = max(1, len(data))
    at, n = rng.randrange(length), min(rng.choice((1, 2, 4, 16, 64, 512)), length)
    way = rng.choice(("byte", "byte", "bit", "number", "cut", "twice", "zero", "random", "move", "end"))
    if way == "byte":
        data[at : at + 1] = rng.randbytes(1)
    elif way == "bit":
        data[at : at + 1] = bytes([data[at] ^ 1 << rng.randrange(8)]) if data else b"\0"
    elif way == "number":
        data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"9999", b"-1 0"))
    elif way == "cut":
        del data[at : at + n]
    elif way == "twice":
        data[at:at] = data[at : at + n]
    elif way == "zero":
        data[at : at + n] = bytes(n)
    elif way == "random":
        data[at : at + n] = rng.randbytes(n)
    elif way == "move":
        other = rng.randrange(length)
        data[at : at + n] = data[other : other + n]
    else:
        del data[max(1, length - n if rng.random() < 0.5 else at) :]


def _with_member_mutated(content: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(sorted(members))
    data = bytearray(members[name])
    for _ in range(rng.choice((1, 2, 4))):
        _damage(data, rng)
    members[name] = bytes(data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, value in members.items():
            archive.writestr(member, value)
    return out.getvalue()


def run_command(arguments: Sequence[str], output: Path, errors: Path) -> None:
    """What the console script does, in this process, which ends with it."""
    for stream, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    from mm_megacontext.cli.main import main as command

    code = 70
    try:
        code = command(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(target: Any, *arguments: object) -> int:
    """The exit code of a function in a copy of this process; minus a signal's number."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    process.join(MOST_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode or 0


def check_memory(memory: Path, found: Path) -> None:
    """What is wrong with a memory, into a file; nothing if it is whole and holds what it held before."""
    from mm_megacontext.store.store import Store

    try:
        store = Store.open(memory)
        problems = list(store.verify())
        if not any(source.uri.endswith(KEPT) for source in store.sources()):
            problems.append("the source that it held is gone")
    except Exception as error:
        problems = [f"{type(error).__name__}: {error}"]
    found.write_text(json.dumps(problems))
    os._exit(0)


def try_mutation(number: int, files: Sequence[Path], memory: Path, seed: int) -> Outcome:
    """Damage one of the files, ingest it into a copy of a memory, and look at both."""
    file = files[number % len(files)]
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as name:
        place = Path(name)
        copy = Path(shutil.copytree(memory, place / "memory"))
        damaged = place / file.name
        damaged.write_bytes(mutated(file.read_bytes(), random.Random(f"{seed}/{number}/{file.name}")))
        arguments = ["ingest", str(damaged), "--memory", str(copy)]
        code = ended(run_command, arguments, place / "out", place / "err")
        ended(check_memory, copy, place / "problems")
        said = (place / "out").read_text(errors="replace") + (place / "err").read_text(errors="replace")
        problems = json.loads((place / "problems").read_text())
        return Outcome(number, file.name, code, said.replace(str(place), "")[-2000:], problems)


def earlier(log: Path) -> list[Outcome]:
    """What an earlier run has written."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


def run_all(numbers: Iterable[int], attempt: Any, jobs: int, log: Path) -> list[Outcome]:
    outcomes = []
    with ThreadPool(jobs) as pool, log.open("a") as lines:
        for outcome in pool.imap_unordered(attempt, numbers):
            outcomes.append(outcome)
            lines.write(json.dumps(asdict(outcome)) + "\n")
            lines.flush()
            if outcome.is_bad:
                print(f"{outcome.number} {outcome.file}: {outcome.code} {outcome.problems} {outcome.said[-300:]}")
    return outcomes


def counted(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """How the ingests of each format ended."""
    rows = []
    for suffix in sorted({Path(outcome.file).suffix for outcome in outcomes}):
        of_kind = [outcome for outcome in outcomes if Path(outcome.file).suffix == suffix]
        codes = Counter(outcome.code for outcome in of_kind)
        row: dict[str, Any] = {"format": suffix[1:], "mutations": len(of_kind)}
        row |= {f"exit_{code}": codes[code] for code in ALLOWED}
        rows.append(row | {"bad": sum(outcome.is_bad for outcome in of_kind)})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="*", metavar="DIRECTORY", help="of good files (default: made)")
    parser.add_argument("--mutations", type=int, default=1000, metavar="N", help="in all (default 1000)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="at the same time (default 1)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="results as they come (default: beside --out)")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    log = args.log or args.out.with_suffix(".jsonl")
    load = record.load()
    multiprocessing.set_forkserver_preload(["mm_megacontext.cli.main", "mm_megacontext.memory", "torch", "lance"])
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as name:
        place = Path(name)
        files = write_good_files(place / "files") if not args.directories else []
        files += sorted(path for directory in args.directories for path in directory.rglob("*") if path.is_file())
        memory = place / "memory"
        (place / KEPT).write_text("The harbour light was built in 1861.\n")
        if ended(run_command, ["ingest", str(place / KEPT), "--memory", str(memory)], place / "out", place / "err"):
            raise SystemExit((place / "err").read_text())
        outcomes = [outcome for outcome in earlier(log) if outcome.number < args.mutations]
        done = {outcome.number for outcome in outcomes}
        rest = [number for number in range(args.mutations) if number not in done]
        attempt = partial(try_mutation, files=files, memory=memory, seed=args.seed)
        outcomes += run_all(rest, attempt, args.jobs, log)
    bad = [asdict(outcome) for outcome in outcomes if outcome.is_bad]
    targets = [record.Target(name="ingests that end as they must not", value=len(bad), at_most=0)]
    notes = {"files": len(files), "bad": bad}
    record.Record(name=NAME, seed=args.seed, rows=counted(outcomes), targets=targets, notes=notes).publish(
        args.out, load
    )
    return 0 if not bad else 1


if __name__ == "__main__":
    sys.exit(main())
