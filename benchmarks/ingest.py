"""Pages per second and peak memory of ingest, beside PyMuPDF's plain word extraction of the same file.

Every measurement has a process of its own; the two systems take turns. The time of ingest is from the call to a
memory that is committed, synced to disk, indexed and closed; loading the model is not in it. Memory is that of the
process and of the workers that it starts, all together.

Usage: python benchmarks/ingest.py [--pages 100 2000] [--file FILE.pdf …] [--repeat 3] [--engine auto]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import record
from bench.child import TreePeak, measure, peak_rss_mib, tree_cpu_seconds

if TYPE_CHECKING:
    from mm_megacontext.ingest_report import ProgressEvent

NAME = "ingest"
PAGES_PER_SECOND = 20.0
"""At least, on two cores."""
MEMORY_GROWTH = 1.2
"""At most, from the shortest file to the longest."""
MEMORY_MIB, FIRST_PAGES, LATER_GROWTH = 1536.0, 50, 1.1
"""At most, and at most so many times what it was when the first pages were read."""
SYSTEMS = ("words", "ingest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, nargs="+", default=[100, 2000], metavar="N", help="default 100 2000")
    parser.add_argument("--file", type=Path, nargs="+", default=[], metavar="FILE.pdf", help="your own, besides")
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
    rows += [row for file in args.file for row in measure_file(file, args)]
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets(rows)).publish(args.out, load)


def measure_length(n_pages: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A generated file of so many pages."""
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        pdf = Path(directory) / "generated.pdf"
        make_pdf(pdf, n_pages, args.seed)
        return measure_file(pdf, args)


def measure_file(pdf: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Both systems on one file, in turn, ``--repeat`` times."""
    runs: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as directory:
        for number in range(args.repeat):
            for system in SYSTEMS:
                memory = Path(directory) / f"memory-{number}"
                runs[system].append(
                    measure(__file__, "--engine", args.engine, "--worker", system, str(pdf), str(memory))
                )
    speed = {system: median(run["pages"] / run["seconds"] for run in runs[system]) for system in SYSTEMS}
    return [row_of(pdf.name, system, runs[system], speed) for system in SYSTEMS]


def row_of(name: str, system: str, runs: list[dict[str, Any]], speed: dict[str, float]) -> dict[str, Any]:
    n_pages = runs[0]["pages"]
    return {
        "file": name,
        "pages": n_pages,
        "system": system,
        "pages_per_second": round(speed[system], 2),
        "of_words": round(speed[system] / speed["words"], 4),
        "cpu_ms_per_page": round(median(1000 * run["cpu_seconds"] / n_pages for run in runs), 2),
        "peak_mib": round(median(run["peak_mib"] for run in runs), 1),
        "before_mib": round(median(run["before_mib"] for run in runs), 1),
        f"page_{FIRST_PAGES}_mib": None if system == "words" else round(median(run["early_mib"] for run in runs), 1),
        "failed_pages": runs[0]["failed_pages"],
        "megabytes": round(runs[0]["bytes"] / 1e6, 2),
    }


def make_pdf(path: Path, n_pages: int, seed: int) -> None:
    from bench.generated import write_pdf

    write_pdf(path, n_pages, f"ingest-{seed}")


def targets(rows: list[dict[str, Any]]) -> list[record.Target]:
    found = []
    ours = [row for row in rows if row["system"] == "ingest"]
    for row in ours:
        what = f"{row['file']}, {row['pages']} pages"
        early = row[f"page_{FIRST_PAGES}_mib"]
        found += [
            record.Target(name=f"pages per second, {what}", value=row["pages_per_second"], at_least=PAGES_PER_SECOND),
            record.Target(name=f"peak memory in MiB, {what}", value=row["peak_mib"], at_most=MEMORY_MIB),
            record.Target(
                name=f"peak memory : that at page {FIRST_PAGES}, {what}",
                value=row["peak_mib"] / early,
                at_most=LATER_GROWTH,
            ),
        ]
    generated = [row for row in ours if row["file"] == "generated.pdf"]
    if len(generated) > 1:
        growth = generated[-1]["peak_mib"] / generated[0]["peak_mib"]
        name = f"peak memory, {generated[-1]['pages']} pages : {generated[0]['pages']} pages"
        found.append(record.Target(name=name, value=growth, at_most=MEMORY_GROWTH))
    return found


def extract_words(pdf: Path) -> dict[str, Any]:
    """What PyMuPDF takes to give the words of every page, and nothing else."""
    import pymupdf

    before, begun, cpu = peak_rss_mib(), time.perf_counter(), tree_cpu_seconds()
    n_words = 0
    with pymupdf.open(pdf) as document:
        n_pages = document.page_count
        for page in document:
            n_words += len(page.get_text("words"))
    if not n_words:
        raise SystemExit(f"{pdf.name} has no words")
    run = {"pages": n_pages, "failed_pages": 0, "before_mib": before, "peak_mib": peak_rss_mib()}
    return {**run, **_spent(begun, cpu), "bytes": pdf.stat().st_size}


def ingest(pdf: Path, memory: Path, engine: str) -> dict[str, Any]:
    """What a new memory takes up the file in."""
    from mm_megacontext import MegaContext

    context = MegaContext.open(memory)
    early = 0.0

    def note(event: ProgressEvent) -> None:
        nonlocal early
        if event.page <= FIRST_PAGES:
            early = peak.mib

    before, begun, cpu = peak_rss_mib(), time.perf_counter(), tree_cpu_seconds()
    with TreePeak() as peak:
        report = context.ingest(pdf, engine=engine, on_progress=note)
        context.close()
        spent = _spent(begun, cpu)
    if report.failed or len(report.ingested) != 1:
        raise SystemExit(f"{pdf.name} could not be ingested: {report}")
    (source,) = report.ingested
    return {
        "pages": source.pages,
        "failed_pages": source.statuses.failed,
        "before_mib": before,
        "peak_mib": peak.mib,
        "early_mib": early,
        **spent,
        "bytes": sum(file.stat().st_size for file in memory.rglob("*") if file.is_file()),
    }


def _spent(begun: float, cpu: float) -> dict[str, float]:
    return {"seconds": time.perf_counter() - begun, "cpu_seconds": tree_cpu_seconds() - cpu}


if __name__ == "__main__":
    main()
