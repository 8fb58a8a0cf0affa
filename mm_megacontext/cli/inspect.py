"""``mmctx inspect``: what a memory holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json, existing_memory

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("inspect", help="show what a memory holds", description="Show what a memory holds.")
    parser.add_argument("memory", type=Path, metavar="MEMORY", help="the memory's directory")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the sources, the nodes per LOD, and the size on disk."""
    directory = existing_memory(args.memory)
    from mm_megacontext.store.inspection import inspect_store
    from mm_megacontext.store.store import Store

    with Store.open(directory) as store:  # whatever made it
        result = inspect_store(store, store.identity)
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return 0


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people."""
    lines = [
        f"{source['uri']}: {source['kind']}, {source['pages']} pages, {source['nodes']} nodes"
        for source in result["sources"]
    ]
    per_lod = ", ".join(f"LOD {lod}: {count}" for lod, count in result["nodes_per_lod"].items())
    lines.append(f"{len(result['sources'])} sources; nodes {per_lod or 'none'}; {result['bytes'] / 1e6:.1f} MB")
    lines.append(f"gists of base {result['base']}, gistnet {result['gistnet']}, encoder {result['encoder']}")
    lines += [f"and of base {s['base']}, gistnet {s['gistnet']}, encoder {s['encoder']}" for s in result["spaces"]]
    return "\n".join(lines)
