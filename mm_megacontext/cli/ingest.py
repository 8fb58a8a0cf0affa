"""``mmctx ingest``: files and directories into a memory."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import failure, terminal
from mm_megacontext.cli.arguments import add_json, add_reading, image_limits, reading_options
from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_megacontext.cli.arguments import ReadingOptions, Subparsers
    from mm_megacontext.ingest import IngestReport, SourceSummary
    from mm_megacontext.memory import MegaContext


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "ingest",
        help="take files up into a memory",
        description="Take up PDFs, images and texts, directories recursively. Unchanged files are left alone. "
        "A file that cannot be read is reported and the next one goes on.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files or directories")
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="the memory, made if it is not there")
    add_reading(parser)
    parser.add_argument(
        "--running-titles",
        action="store_true",
        help="take up headers and footers that come back on page after page, too",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ingest all paths; 1 if some files could not be read, 2 if none could."""
    for path in args.paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or directory")
    options = reading_options(args)
    from mm_megacontext.memory import MegaContext

    started = time.monotonic()
    with MegaContext.open(args.memory, limits=image_limits(args)) as memory:
        report = _ingest_all(memory, args.paths, options, args.running_titles)
    seconds = time.monotonic() - started

    warn_of_pages(report.ingested)
    _report_failures(report, args.paths)
    result = to_json(report, seconds)
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return failure.FAILED if report.failed else 0


def _ingest_all(
    memory: MegaContext, paths: Sequence[Path], options: ReadingOptions, running_titles: bool
) -> IngestReport:
    from mm_megacontext.ingest import IngestReport

    total = IngestReport()
    with terminal.ProgressBar() as bar:
        for path in paths:
            report = memory.ingest(path, **options, running_titles=running_titles, on_progress=bar.update)
            total.ingested += report.ingested
            total.unchanged += report.unchanged
            total.failed += report.failed
    return total


def warn_of_pages(sources: Sequence[SourceSummary]) -> None:
    """One warning for each page that could not be read whole."""
    for source in sources:
        for page, message in source.problems:
            terminal.warn(f"{source.uri}, page {page}: {message}")


def _report_failures(report: IngestReport, paths: Sequence[Path]) -> None:
    """One warning for each file that could not be read; an error if nothing else was there."""
    lines = [f"{failed.uri}: {failed.message}" for failed in report.failed]
    is_in_vain = not report.ingested and not report.unchanged
    if is_in_vain and len(lines) == 1:
        raise UsageError(lines[0])
    for line in lines:
        terminal.warn(line)
    if is_in_vain:
        raise UsageError(f"no file in {', '.join(map(str, paths))} could be read")


def to_json(report: IngestReport, seconds: float) -> dict[str, Any]:
    """The documented JSON object of ``mmctx ingest``."""
    return {
        "ingested": [_summary(source) for source in report.ingested],
        "unchanged": report.unchanged,
        "failed": [{"uri": failed.uri, "message": failed.message} for failed in report.failed],
        "seconds": round(seconds, 3),
    }


def _summary(source: SourceSummary) -> dict[str, Any]:
    return {
        "uri": source.uri,
        "kind": source.kind,
        "pages": source.pages,
        "nodes": source.nodes,
        "problems": [{"page": page, "message": message} for page, message in source.problems],
    }


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people: one line per new source, then the counts."""
    lines = [
        f"{source['uri']}: {source['kind']}, {source['pages']} pages, {source['nodes']} nodes"
        for source in result["ingested"]
    ]
    lines.append(
        f"{len(result['ingested'])} ingested, {len(result['unchanged'])} unchanged, {len(result['failed'])} failed "
        f"in {result['seconds']:.1f} s"
    )
    return "\n".join(lines)
