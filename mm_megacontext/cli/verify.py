"""``mmctx verify``: whether a memory is whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mm_megacontext.cli import failure, terminal
from mm_megacontext.cli.arguments import add_json, existing_memory

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "verify",
        help="check that a memory is whole",
        description="Check hashes, pointers and the cut invariant. Exits 1 if there are problems.",
    )
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the problems; 1 if there are any."""
    directory = existing_memory(args.memory)
    from mm_megacontext.store.store import Store

    with Store.open(directory) as store:  # whatever made it
        problems = store.verify()
    if args.json:
        terminal.print_json({"ok": not problems, "problems": problems})
    else:
        print("\n".join(problems) if problems else "ok")
    return failure.FAILED if problems else 0
