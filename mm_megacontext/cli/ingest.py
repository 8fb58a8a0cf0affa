"""``mmctx ingest``: files and directories into a memory."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import failure, terminal
from mm_megacontext.cli.arguments import add_json, add_reading, check_engine
from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers
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
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ingest all paths; 1 if some files could not be read, 2 if none could."""
    for path in args.paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or directory")
    check_engine(args.engine)
    from mm_megacontext.memory import MegaContext

    started = time.monotonic()
    with MegaContext.open(args.memory) as memory:
        result = _ingest_all(memory, args)
    result["seconds"] = round(time.monotonic() - started, 3)

    failures = [f"{failed['uri']}: {failed['message']}" for failed in result["failed"]]
    is_in_vain = not result["ingested"] and not result["unchanged"]
    if is_in_vain and len(failures) == 1:
        raise UsageError(failures[0])
    for line in failures:
        terminal.warn(line)
    if is_in_vain:
        raise UsageError(f"no file in {', '.join(map(str, args.paths))} could be read")
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return failure.FAILED if result["failed"] else 0


def _ingest_all(memory: MegaContext, args: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"ingested": [], "unchanged": [], "failed": []}
    with terminal.ProgressBar() as bar:
        for path in args.paths:
            report = memory.ingest(path, engine=args.engine, password=args.password, on_progress=bar.update)
            for source in report.ingested:
                result["ingested"].append(
                    {"uri": source.uri, "kind": source.kind, "pages": source.pages, "nodes": source.nodes}
                )
            result["unchanged"] += report.unchanged
            result["failed"] += [{"uri": failed.uri, "message": failed.message} for failed in report.failed]
    return result


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
