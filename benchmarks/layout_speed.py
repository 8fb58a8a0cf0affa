"""What the neural layout costs beside the geometric one: time and memory of the process that reads a PDF.

Both read the same files in turn, each time in a new process that does what a worker of ``mmctx`` does, on one thread.
Loading (libraries, and the model) is told apart from reading. On a busy machine only processor time means anything.

Usage: python benchmarks/layout_speed.py [--pages 100] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import record
from bench.child import measure, peak_rss_mib

NAME = "layout_speed"
ENGINES = ("pymupdf", "pymupdf+neural")
KINDS = ("two columns", "unruled tables")
PAGES_PER_SECOND = 20.0
"""Of the geometric layout, which is the default, on one core."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=100, metavar="N", help="of the longest file (default 100)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each; medians count (default 3)")
    parser.add_argument("--worker", nargs=2, metavar=("ENGINE", "PDF"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(read_all(args.worker[0], Path(args.worker[1]))))
        return
    load = record.load()
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        rows = [row for name, pdf in write_files(Path(directory), args) for row in measure_file(name, pdf, args)]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows)).publish(args.out, load)


def write_files(directory: Path, args: argparse.Namespace) -> list[tuple[str, Path]]:
    """Forms, tables and paragraphs as ``ingest.py`` has them, and pages of two kinds of ``layout_fidelity.py``."""
    from bench.fidelity import corpus
    from bench.generated import write_pdf

    mixed = directory / "mixed.pdf"
    write_pdf(mixed, args.pages, f"layout-{args.seed}")
    files = [("mixed", mixed)]
    for kind in KINDS:
        (file,) = corpus.write_files(directory, kind, 1, args.seed)
        files.append((kind, file.path))
    return files


def measure_file(name: str, pdf: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Both layouts on one file, in turn, ``--repeat`` times."""
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
    for _ in range(args.repeat):
        for engine in ENGINES:
            runs[engine].append(measure(__file__, "--worker", engine, str(pdf)))
    return [
        {
            "file": name,
            "pages": runs[engine][0]["pages"],
            "engine": engine,
            "pages_per_second": round(median(run["pages"] / run["seconds"] for run in runs[engine]), 2),
            "pages_per_cpu_second": round(median(run["pages"] / run["cpu_seconds"] for run in runs[engine]), 2),
            "load_cpu_seconds": round(median(run["load_cpu_seconds"] for run in runs[engine]), 2),
            "peak_rss_mib": round(median(run["peak_rss_mib"] for run in runs[engine]), 1),
            "peak_address_mib": round(median(run["peak_address_mib"] for run in runs[engine]), 1),
        }
        for engine in ENGINES
    ]


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    return [
        record.Target(
            name=f"pages per processor second, {row['file']}",
            value=row["pages_per_cpu_second"],
            at_least=PAGES_PER_SECOND,
        )
        for row in rows
        if row["engine"] == ENGINES[0]
    ]


def read_all(engine: str, pdf: Path) -> dict[str, Any]:
    """Every page as a worker reads it."""
    from mm_megacontext.layout.engines.protocol import load_engine
    from mm_megacontext.layout.page.from_pdf import read_page
    from mm_megacontext.limits import DEFAULT_DECODED_PIXELS

    opened = load_engine(engine).open(pdf, None)
    loaded = time.process_time()
    begun = time.perf_counter()
    for number in range(1, opened.n_pages + 1):
        page = read_page(opened, engine, number, None, DEFAULT_DECODED_PIXELS)
        if page.status != "ok":
            raise SystemExit(f"{pdf.name}, page {number}: {page.problem}")
    return {
        "pages": opened.n_pages,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - loaded,
        "load_cpu_seconds": loaded,
        "peak_rss_mib": peak_rss_mib(),
        "peak_address_mib": peak_address_mib(),
    }


def peak_address_mib() -> float:
    """What ``worker_bytes`` limits."""
    found = re.search(r"VmPeak:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
