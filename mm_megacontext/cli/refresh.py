"""``mmctx refresh``: the gists of another model into a memory."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mm_megacontext.cli import ingest, terminal
from mm_megacontext.cli.arguments import add_json, existing_memory
from mm_megacontext.cli.failure import PARTIAL
from mm_megacontext.cli.model_choice import add_models, chosen_model

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "refresh",
        help="add the gists of another model to a memory",
        description="Add the gists of another model to a memory, or bring them up to date, so that it can be opened "
        "with that model, too. No text is read from files again; pictures are.",
        epilog="Exit codes: 0 all sources, 3 some could not be told again.",
    )
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    parser.add_argument("added", metavar="NAME|DIR", help="the model whose gists to add")
    add_models(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Add the gists, and say what became of each source."""
    directory = existing_memory(args.memory)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    started = time.monotonic()
    with MegaContext.open(directory, model, create=False) as memory, terminal.ProgressBar() as bar:
        report = memory.refresh(args.added, on_progress=bar.update)
    for failed in report.failed:
        terminal.warn(f"{terminal.printable(failed.uri)}: {failed.message}")
    result = ingest.to_json(report, time.monotonic() - started)
    if args.json:
        terminal.print_json(result)
    else:
        print(ingest.render(result))
    return PARTIAL if report.failed else 0
