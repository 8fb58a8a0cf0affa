"""Kills the ingest of a large image with SIGKILL at random moments, and lets it go on.

A moment is drawn evenly from the duration of an undisturbed run. After each kill:

- the memory verifies, and a reader sees the whole image or nothing of it;
- the next ingest goes on after what was safe, and completes;
- every row then equals that of the undisturbed run, in all columns, and the memory verifies.

Exits 1 if anything of that is broken.

Usage: python benchmarks/kill_vision.py [--kills 20] [--megapixels 1000]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import record

NAME = "kill_vision"
DIM = 192
URI = "texture"
POLL_SECONDS = 0.002


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default %(default)s")
    parser.add_argument("--megapixels", type=float, default=1000, metavar="N", help="default %(default)s")
    parser.add_argument("--worker", metavar="MEMORY", help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(ingest(Path(args.worker), args)))
        return 0
    load, rng = record.load(), random.Random(args.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        whole = Path(scratch) / "whole"
        process = start(whole, args)
        wait_for(whole, process)
        begun = time.perf_counter()
        undisturbed = result(process)
        latest = seconds = time.perf_counter() - begun
        n_late = 0
        while len(rows) < args.kills:
            after = rng.uniform(0, latest)
            with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
                row = kill_once(Path(directory) / "memory", whole, after, args)
            if row is None:  # it had ended by then, so later moments are out of the question
                n_late, latest = n_late + 1, after
                continue
            rows.append(row)
            print(f"kill {len(rows)}: {row}", file=sys.stderr)
    broken = sum(bool(row["problems"]) for row in rows)
    notes = {**undisturbed, "seconds_undisturbed": round(seconds, 2), "ended_before_the_kill": n_late}
    targets = [record.Target(name="kills that broke something", value=broken, at_most=0)]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)
    return 1 if broken else 0


def ingest(memory: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What is killed."""
    from bench.images import Texture, TimedEncoder, identity, take_up

    from mm_megacontext.store.store import Store
    from mm_megacontext.vision.gists.tile_gister import TileGister

    tiles = TileGister(TimedEncoder(DIM))
    exists = Store.exists(memory)
    with Store.open(memory, identity(tiles), "w") if exists else Store.create(memory, identity(tiles)) as store:
        source = Texture(round(math.sqrt(args.megapixels * 1e6)), args.seed)
        return {"rows_before": take_up(store, source, tiles, URI), "tiles_encoded": tiles.n_encoded}


def start(memory: Path, args: argparse.Namespace) -> subprocess.Popen[str]:
    options = ["--seed", str(args.seed), "--megapixels", str(args.megapixels), "--worker", str(memory)]
    return subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True)


def wait_for(memory: Path, process: subprocess.Popen[str]) -> None:
    while not memory.exists() and process.poll() is None:
        time.sleep(POLL_SECONDS)


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"ingest failed without being killed: exit code {process.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def kill_once(memory: Path, whole: Path, after: float, args: argparse.Namespace) -> dict[str, Any] | None:
    """One kill into a new memory, and all checks; None if the process had ended by then."""
    process = start(memory, args)
    wait_for(memory, process)
    time.sleep(after)
    process.kill()
    process.communicate()
    if process.returncode != -signal.SIGKILL:
        return None
    problems = [f"after the kill: {problem}" for problem in verified(memory)]
    run = result(start(memory, args))
    problems += [f"after going on: {problem}" for problem in verified(memory)]
    if not rows_of(memory).equals(rows_of(whole)):
        problems.append("the rows are not those of the undisturbed run")
    return {"after": round(after, 3), **run, "problems": "; ".join(problems)}


def verified(memory: Path) -> list[str]:
    from mm_megacontext.store.store import Store

    return Store.open(memory).verify() if Store.exists(memory) else []


def rows_of(memory: Path) -> Any:
    """All rows of the image as they are stored, apart from the number of the source."""
    import lance

    from mm_megacontext.store.store import Store

    record_ = Store.open(memory).find(URI)
    assert record_ is not None
    table = lance.dataset(memory / "nodes").to_table(filter=f"source = {record_.number}")
    return table.sort_by("node").drop_columns(["source"])


if __name__ == "__main__":
    sys.exit(main())
