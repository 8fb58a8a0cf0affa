"""``mmctx context``: what a question opens, as passages, for a reader of one's own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_reading
from mm_megacontext.cli.ask import add_question, opened
from mm_megacontext.cli.model_choice import add_embedder, add_models

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers
    from mm_megacontext.tree.nodes import Modality


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "context",
        help="show the passages that a question opens",
        description="Show the passages that a question opens, with their places. Nothing answers the question.",
    )
    add_question(parser)
    parser.add_argument("--images", action="store_true", help="open pictures, too; with --json they come as data URLs")
    parser.add_argument("--words", action="store_true", help="with --json: the box of every word")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the result as JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, with tables")
    add_reading(parser)
    add_models(parser)
    add_embedder(parser)
    parser.set_defaults(run=run, reader=None, base_url=None, tokenizer=None)


def run(args: argparse.Namespace) -> int:
    """Print what is opened."""
    is_seen, args.images = args.images, False  # no reader is told to look; pictures are asked of the memory
    with opened(args) as (memory, source):
        modalities: tuple[Modality, ...] | None = ("text", "image") if is_seen else None
        found = memory.context(args.question, budget=args.budget, source=source, modalities=modalities)
    if args.json:
        terminal.print_json(found.to_json(words=args.words, images=is_seen))
    else:
        text = found.to_markdown() if args.markdown else found.to_text()
        print("\n".join(map(terminal.printable, text.split("\n"))))
    return 0
