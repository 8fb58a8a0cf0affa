"""``mmctx forget``: take sources out of a memory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json, existing_memory
from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "forget",
        help="take sources out of a memory",
        description="Take sources out of a memory, at once and for good. `mmctx vacuum` gives their space back.",
    )
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a path or uri, as `mmctx inspect` lists it; the file may be gone"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Forget all that are named, or none if one of them is not there."""
    directory = existing_memory(args.memory)
    from mm_megacontext.source_file import names_of
    from mm_megacontext.store.store import Store

    with Store.open(directory, mode="w") as store:  # whatever made it
        uris = []
        for source in args.sources:
            found = next(filter(None, map(store.find, names_of(source))), None)
            if found is None:
                raise UsageError(f"{directory} holds no source {source}; `mmctx inspect {directory}` lists them")
            uris.append(found.uri)
        for uri in dict.fromkeys(uris):
            store.forget(uri)
    result = {"forgotten": list(dict.fromkeys(uris))}
    if args.json:
        terminal.print_json(result)
    else:
        print("\n".join(f"forgotten: {terminal.printable(uri)}" for uri in result["forgotten"]))
    return 0
