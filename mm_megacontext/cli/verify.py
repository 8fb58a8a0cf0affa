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
        description="Check files, hashes, pointers and the cut invariant. Exits 1 if there are problems.",
    )
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="first take out what is damaged and make anew what can be; exits 1 if a source has to be ingested again",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the problems; 1 if there are any, or if repairing lost a source."""
    directory = existing_memory(args.memory)
    from mm_megacontext.store.repair import Repairs, repair
    from mm_megacontext.store.store import Store

    repairs = repair(directory) if args.repair else Repairs()
    with Store.open(directory) as store:  # whatever made it
        problems = store.verify()
    result = {"ok": not problems, "problems": problems}
    if args.repair:
        result |= {"repaired": repairs.done, "lost": repairs.lost}
    if args.json:
        terminal.print_json(result)
    else:
        lines = repairs.done + [f"{lost}: ingest again" for lost in repairs.lost] + (problems or ["ok"])
        print("\n".join(map(terminal.printable, lines)))
    return failure.FAILED if problems or repairs.lost else 0
