"""``mmctx vacuum``: give back the space of what was forgotten or replaced."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json, existing_memory

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "vacuum",
        help="give back the space of what was forgotten",
        description="Give back the space of forgotten and replaced sources, and build the search indexes anew.",
    )
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Vacuum, and say what it gave."""
    directory = existing_memory(args.memory)
    from mm_megacontext.store.store import Store

    with Store.open(directory, mode="w") as store:  # whatever made it
        before = store.size_bytes()
        store.vacuum()
    with Store.open(directory) as store:
        after = store.size_bytes()
    if args.json:
        terminal.print_json({"bytes_before": before, "bytes": after})
    else:
        print(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now")
    return 0
