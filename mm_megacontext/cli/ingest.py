"""``mmctx ingest``: files and directories into a memory."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json, add_reading, ingest_limits, reading_options
from mm_megacontext.cli.failure import PARTIAL, UNUSABLE, UsageError
from mm_megacontext.cli.model_choice import add_embedder, add_models, chosen_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_megacontext.cli.arguments import ReadingOptions, Subparsers
    from mm_megacontext.ingest_report import IngestReport, SourceSummary
    from mm_megacontext.memory import MegaContext


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "ingest",
        help="take files up into a memory",
        description="Take up PDFs, images, books, HTML, office files and texts, directories recursively. "
        "Unchanged files are left alone. "
        "A file that cannot be read is reported and the next one goes on.",
        epilog="Exit codes: 0 all pages of all files read, 3 some only in part or not at all, 65 nothing.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files or directories")
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="the memory, made if it is not there")
    add_reading(parser)
    parser.add_argument(
        "--running-titles",
        action="store_true",
        help="take up headers and footers that come back on page after page, too",
    )
    parser.add_argument("--prune", action="store_true", help="forget what lay below these paths and is gone")
    add_models(parser)
    add_embedder(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ingest all paths, print what became of them, and say by the exit code whether that was all, some or nothing."""
    for path in args.paths:
        if not path.exists() and not path.is_symlink():  # of a loop of links, what it leads to is told
            raise UsageError(f"{path}: no such file or directory")
    options = reading_options(args)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    started = time.monotonic()
    with MegaContext.open(args.memory, model, embedder=args.embedder, limits=ingest_limits(args)) as memory:
        report = _ingest_all(memory, args.paths, options, args.running_titles)
        if args.prune:
            report.pruned = [uri for path in args.paths for uri in memory.prune(path)]
    result = to_json(report, time.monotonic() - started)

    warn_of_pages(report.ingested)
    _report_failures(report, args.paths)
    code = exit_code(report)
    if args.json:
        terminal.print_json(result)
    elif code != UNUSABLE:
        print(render(result))
    return code


def exit_code(report: IngestReport) -> int:
    """0 if every page of every file was read whole, else whether anything was."""
    if not (report.ingested or report.unchanged or report.moved or report.pruned):
        return UNUSABLE
    return PARTIAL if report.failed or any(source.problems for source in report.ingested) else 0


def _ingest_all(
    memory: MegaContext, paths: Sequence[Path], options: ReadingOptions, running_titles: bool
) -> IngestReport:
    from mm_megacontext.ingest_report import IngestReport

    total = IngestReport()
    with terminal.ProgressBar() as bar:
        for path in paths:
            report = memory.ingest(path, **options, running_titles=running_titles, on_progress=bar.update)
            total.ingested += report.ingested
            total.unchanged += report.unchanged
            total.moved += report.moved
            total.failed += report.failed
    return total


def warn_of_pages(sources: Sequence[SourceSummary]) -> None:
    """One warning for each page that could not be read whole."""
    for source in sources:
        for problem in source.problems:
            terminal.warn(f"{terminal.printable(source.uri)}, page {problem.page}: {problem.message}")


def _report_failures(report: IngestReport, paths: Sequence[Path]) -> None:
    """One line for each file that could not be read: an error if nothing else was there, else a warning."""
    lines = [f"{terminal.printable(failed.uri)}: {failed.message}" for failed in report.failed]
    if exit_code(report) == UNUSABLE and len(lines) == 1:
        terminal.print_error(lines[0])
        return
    for line in lines:
        terminal.warn(line)
    if exit_code(report) == UNUSABLE:
        terminal.print_error(f"no file in {', '.join(map(str, paths))} could be read")


def to_json(report: IngestReport, seconds: float) -> dict[str, Any]:
    """The documented JSON object of ``mmctx ingest``."""
    from mm_megacontext.ingest_report import PageCounts

    return {
        "ingested": [_summary(source) for source in report.ingested],
        "unchanged": report.unchanged,
        "moved": [asdict(moved) for moved in report.moved],
        "pruned": report.pruned,
        "failed": [asdict(failed) for failed in report.failed],
        "summary": asdict(sum((source.statuses for source in report.ingested), PageCounts())),
        "seconds": round(seconds, 3),
    }


def _summary(source: SourceSummary) -> dict[str, Any]:
    return {
        "uri": source.uri,
        "kind": source.kind,
        "pages": source.pages,
        "nodes": source.nodes,
        "summary": asdict(source.statuses),
        "problems": [problem._asdict() for problem in source.problems],
    }


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people: one line per new source, then the counts of pages and files."""
    lines = [
        f"{terminal.printable(source['uri'])}: {source['kind']}, {source['pages']} pages, {source['nodes']} nodes"
        for source in result["ingested"]
    ]
    lines += [
        f"{terminal.printable(moved['was'])} is now {terminal.printable(moved['uri'])}" for moved in result["moved"]
    ]
    lines += [f"forgotten: {terminal.printable(uri)}" for uri in result["pruned"]]
    pages = result["summary"]
    lines.append(f"pages: {pages['ok']} ok, {pages['degraded']} degraded, {pages['failed']} failed")
    lines.append(
        f"files: {len(result['ingested'])} ingested, {len(result['unchanged'])} unchanged, "
        f"{len(result['failed'])} failed in {result['seconds']:.1f} s"
    )
    return "\n".join(lines)
