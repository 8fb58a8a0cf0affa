"""``mmctx doctor``: what is installed, what is missing, and what the models would run on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import failure, terminal
from mm_megacontext.cli.arguments import add_json
from mm_megacontext.registry import BUILT_IN

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="show versions, devices and missing parts",
        description="Show versions, devices, extras and problems. Exits 1 if something that is needed is missing.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine this installation; 1 if it cannot work."""
    from mm_megacontext.doctor import examine

    result = examine().to_json()
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return 0 if result["ok"] else failure.FAILED


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people."""
    lines = [
        f"mm-megacontext  {result['version']}",
        f"python          {result['python']} on {result['platform']}",
        *(f"{name:<15} {version or 'not installed'}" for name, version in result["packages"].items()),
        f"devices         {', '.join(result['devices'])} ({result['threads']} CPU threads)",
        f"attention       {result['attention']}",
        *(f"  on {device:<10} {describe(found)}" for device, found in result["attention_backends"].items()),
        f"tesseract       {result['tesseract'] or 'not installed: scans get no text'}",
        f"model           {', '.join(result['models']) or 'missing'}",
        *(f"{kind.replace('_', ' '):<15} {describe_names(names)}" for kind, names in result["names"].items()),
        f"cache           {result['cache']}",
        *(
            f"extra {name:<9} {'ok' if not missing else 'missing ' + ', '.join(missing)}"
            for name, missing in result["extras"].items()
        ),
        *(f"problem: {problem}" for problem in result["problems"]),
    ]
    return "\n".join(lines)


def describe_names(names: dict[str, str]) -> str:
    """Names, each with where it comes from if that is not this package."""
    return ", ".join(name if origin == BUILT_IN else f"{name} ({origin})" for name, origin in names.items())


def describe(found: dict[str, str | None]) -> str:
    """Backend of one device, and why it is not xformers."""
    reason = found["why_not_xformers"]
    return str(found["backend"]) if reason is None else f"{found['backend']} (xformers {reason})"
