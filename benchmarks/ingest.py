"""Pages per second and peak memory of ingest, beside PyMuPDF's plain word extraction of the same file.

Every measurement has a process of its own; the two systems take turns. The time of ingest is from the call to a
memory that is committed, synced to disk, indexed and closed; loading the model is not in it.

Usage: python benchmarks/ingest.py [--pages 100 2000] [--repeat 3] [--engine auto]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import record
from bench.child import measure, peak_rss_mib

NAME = "ingest"
PAGES_PER_SECOND = 20.0
"""At least, on two cores."""
MEMORY_GROWTH = 1.2
"""At most, from the shortest file to the longest."""
SYSTEMS = ("words", "ingest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, nargs="+", default=[100, 2000], metavar="N", help="default 100 2000")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each; medians count (default 3)")
    parser.add_argument("--engine", default="auto", help="reads the PDF for ingest: auto, pymupdf or pdfium")
    parser.add_argument("--worker", nargs=3, metavar=("SYSTEM", "PDF", "MEMORY"), help=argparse.SUPPRESS)
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    if args.worker:
        system, pdf, memory = args.worker
        run = extract_words(Path(pdf)) if system == "words" else ingest(Path(pdf), Path(memory), args.engine)
        print(json.dumps(run))
        return
    load = record.load()
    rows = [row for n_pages in sorted(args.pages) for row in measure_length(n_pages, args)]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows)).publish(args.out, load)


def measure_length(n_pages: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Both systems on one file, in turn, ``--repeat`` times."""
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        pdf = Path(directory) / "generated.pdf"
        make_pdf(pdf, n_pages, args.seed)
        runs: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
        for number in range(args.repeat):
            for system in SYSTEMS:
                memory = Path(directory) / f"memory-{number}"
                runs[system].append(
                    measure(__file__, "--engine", args.engine, "--worker", system, str(pdf), str(memory))
                )
    speed = {system: median(n_pages / run["seconds"] for run in runs[system]) for system in SYSTEMS}
    return [
        {
            "pages": n_pages,
            "system": system,
            "pages_per_second": round(speed[system], 2),
            "of_words": round(speed[system] / speed["words"], 4),
            "cpu_ms_per_page": round(median(1000 * run["cpu_seconds"] / n_pages for run in runs[system]), 2),
            "peak_rss_mib": round(median(run["peak_rss_mib"] for run in runs[system]), 1),
            "rss_before_mib": round(median(run["rss_before_mib"] for run in runs[system]), 1),
            "megabytes": round(runs[system][0]["bytes"] / 1e6, 2),
        }
        for system in SYSTEMS
    ]


def make_pdf(path: Path, n_pages: int, seed: int) -> None:
    from bench.generated import write_pdf

    write_pdf(path, n_pages, f"ingest-{seed}")


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    ours = [row for row in rows if row["system"] == "ingest"]
    found = [
        record.Target(
            name=f"pages per second, {row['pages']} pages",
            value=row["pages_per_second"],
            at_least=PAGES_PER_SECOND,
        )
        for row in ours
    ]
    if len(ours) > 1:
        growth = ours[-1]["peak_rss_mib"] / ours[0]["peak_rss_mib"]
        name = f"peak memory, {ours[-1]['pages']} pages : {ours[0]['pages']} pages"
        found.append(record.Target(name=name, value=growth, at_most=MEMORY_GROWTH))
    return found


def extract_words(pdf: Path) -> dict[str, Any]:
    """What PyMuPDF takes to give the words of every page, and nothing else."""
    import pymupdf

    before, begun, cpu = peak_rss_mib(), time.perf_counter(), time.process_time()
    n_words = 0
    with pymupdf.open(pdf) as document:
        for page in document:
            n_words += len(page.get_text("words"))
    if not n_words:
        raise SystemExit(f"{pdf.name} has no words")
    return _run(begun, cpu, before, pdf.stat().st_size)


def ingest(pdf: Path, memory: Path, engine: str) -> dict[str, Any]:
    """What a new memory takes up the file in."""
    from mm_megacontext import MegaContext

    context = MegaContext.open(memory)
    before, begun, cpu = peak_rss_mib(), time.perf_counter(), time.process_time()
    report = context.ingest(pdf, engine=engine)
    context.close()
    if report.failed or len(report.ingested) != 1:
        raise SystemExit(f"{pdf.name} could not be ingested: {report}")
    run = _run(begun, cpu, before, 0)
    return {**run, "bytes": sum(file.stat().st_size for file in memory.rglob("*") if file.is_file())}


def _run(begun: float, cpu: float, before: float, size: int) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - cpu,
        "rss_before_mib": before,
        "peak_rss_mib": peak_rss_mib(),
        "bytes": size,
    }


if __name__ == "__main__":
    main()
