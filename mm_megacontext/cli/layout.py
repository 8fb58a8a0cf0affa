"""``mmctx layout``: what is read of a file before anything is made of it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import (
    add_json,
    add_reading,
    ingest_limits,
    picture_path,
    positive_int,
    reading_options,
)
from mm_megacontext.cli.failure import PARTIAL, UNUSABLE, UsageError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers
    from mm_megacontext.document import Document, Page

_TEXT_COLUMNS = 60


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "layout",
        help="show how a file is read: regions, reading order, tables",
        description="Show how a file is read: its regions in reading order, with kinds, boxes and table cells.",
        epilog="Exit codes: 0 all pages read, 3 some only in part or not at all, 65 none.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--page", type=positive_int, metavar="N", help="only this page, from 1")
    parser.add_argument(
        "--show", type=picture_path, metavar="OUT.png", help="draw the regions on the page (the first, or --page)"
    )
    form = parser.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--markdown", action="store_true", help="print the text as Markdown")
    add_reading(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, print, and draw what was asked for."""
    options = reading_options(args)
    from mm_megacontext.layout.export import document_to_json, page_to_markdown
    from mm_megacontext.layout.reader import read

    document = read(args.file.resolve(), **options, limits=ingest_limits(args))
    if args.page is not None and args.page > document.n_pages:
        raise UsageError(f"{args.file}: there is no page {args.page}, it has {document.n_pages}")
    pages = list(_pages(document, args.page))
    if args.show is not None:
        _draw(args, document, pages[0])
    if args.json:
        terminal.print_json(document_to_json(document, pages))
    elif args.markdown:
        print("\n\n".join(page_to_markdown(page) for page in pages))
    else:
        for page in pages:
            print(render(page, document.unit))
    for page in pages:
        if page.problem is not None:
            terminal.warn(f"{document.uri}, page {page.number}: {page.problem}")
    return exit_code(pages)


def _pages(document: Document, only: int | None) -> Iterator[Page]:
    for page in document.pages():
        if only is None or page.number == only:
            yield page
        if page.number == only:
            return


def _draw(args: argparse.Namespace, document: Document, page: Page) -> None:
    from mm_megacontext.pictures.regions_picture import draw_regions, render_page

    if min(page.size) <= 0:
        raise UsageError(f"{document.uri}, page {page.number}: cannot be drawn, it could not be read: {page.problem}")
    image = render_page(document.uri, document.kind, page.number, args.password, ingest_limits(args))
    args.show.parent.mkdir(parents=True, exist_ok=True)
    draw_regions(image, page).save(args.show)


def exit_code(pages: list[Page]) -> int:
    """0 if all pages were read whole, else whether anything was read."""
    counts = Counter(page.status for page in pages)
    if counts["ok"] == len(pages):
        return 0
    return UNUSABLE if counts["failed"] == len(pages) else PARTIAL


def render(page: Page, unit: str) -> str:
    """A page for people: one line per region."""
    width, height = page.size
    lines = [f"page {page.number}: {width:g} x {height:g} {unit}, {page.engine}, {page.status}"]
    for order, region in enumerate(page.regions, 1):
        box = " ".join(f"{edge:.1f}" for edge in region.bbox)
        kind = region.kind if region.level is None else f"{region.kind} {region.level}"
        if region.hidden is not None:
            kind = f"HIDDEN ({region.hidden})"
        text = " ".join(region.text.split())
        if region.table is not None:
            text = f"({region.table.n_rows} x {region.table.n_columns}) {text}"
        lines.append(f"  {order:3} {kind:10} [{box}] {_shortened(text)}".rstrip())
    return "\n".join(lines)


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_COLUMNS else text[: _TEXT_COLUMNS - 1] + "…"
