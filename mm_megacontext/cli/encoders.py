"""``mmctx encoders``: what images can be encoded with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers
    from mm_megacontext.vision.encoders.catalogue import Catalogue, Listed


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "encoders",
        help="list what images can be encoded with",
        description="List the encoders of image patches. Without a pattern, models of other libraries are counted.",
    )
    parser.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="list the models that match: 'timm:vit_small*', or a part of a name",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the encoders."""
    from mm_megacontext.vision.encoders.catalogue import list_libraries, list_plain

    result = to_json(list_plain(args.pattern), list_libraries(args.pattern), is_counted=args.pattern is None)
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return 0


def to_json(plain: list[Listed], libraries: list[Catalogue], *, is_counted: bool) -> dict[str, Any]:
    """The documented JSON object of ``mmctx encoders``."""
    models = [] if is_counted else [model for library in libraries for model in library.models]
    return {
        "encoders": [{"name": one.name, "pretrained": list(one.tags)} for one in [*plain, *models]],
        "libraries": [
            {
                "prefix": f"{library.prefix}:",
                "distribution": library.distribution,
                "version": library.version,
                "models": len(library.models),
                "missing": library.missing or None,
            }
            for library in libraries
        ],
    }


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people: encoders with the tags of their weights, then libraries."""
    lines = [f"{one['name']:<44} {' '.join(one['pretrained'])}".rstrip() for one in result["encoders"]]
    lines += [f"{library['prefix'] + 'MODEL':<44} {_describe(library)}" for library in result["libraries"]]
    return "\n".join(lines)


def _describe(library: dict[str, Any]) -> str:
    if library["missing"]:
        return str(library["missing"])
    installed = f"{library['distribution']} {library['version']}"
    if library["prefix"] == "hf:":
        return f"{installed}: the path of a vision model or of a vision-language model, or its name on the Hub"
    return f"{installed}: {library['models']} models match; list with: mmctx encoders '{library['prefix']}*'"
