"""``mmctx port-model``: whether a model of transformers can read working contexts, and how."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import failure, terminal
from mm_megacontext.cli.arguments import add_json

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "port-model",
        help="try whether a model of transformers reads working contexts",
        description="Load a model of transformers, name the adapter of its family, and compare what it reads as "
        "vectors with what it reads as its own tokens: logits, generation, gists, packed contexts, boxes.",
        epilog="Exit codes: 0 all checks passed, 1 one did not, 2 no adapter fits the model.",
    )
    parser.add_argument("model_name", metavar="MODEL", help="a directory, or a name that the hub or its cache has")
    parser.add_argument("--dtype", default="auto", metavar="NAME", help="as float32 (default: as saved)")
    parser.add_argument("--write", type=Path, metavar="FILE.json", help="write a config for --reader FILE.json")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Try the model and say how it went; write its config if all checks passed."""
    from mm_megacontext.bases.hf.compatibility import check_all
    from mm_megacontext.bases.hf.families import family_of
    from mm_megacontext.bases.hf.loading import load

    loaded = load(args.model_name, {"dtype": args.dtype})
    family = family_of(loaded.model.config)
    checks = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in check_all(loaded)]
    result: dict[str, Any] = {
        "model": args.model_name,
        "model_type": loaded.model.config.model_type,
        "adapter": f"{type(family).__module__}.{type(family).__qualname__}",
        "modalities": ["text", "image"] if loaded.sees else ["text"],
        "boxes": None if family.boxes is None else family.boxes.name,
        "window": loaded.window,
        "checks": checks,
        "passed": all(check["passed"] for check in checks),
    }
    if args.write is not None and result["passed"]:
        config = {"reader": f"hf-embed:{args.model_name}", "options": {"dtype": args.dtype}}
        args.write.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return 0 if result["passed"] else failure.FAILED


def render(result: dict[str, Any]) -> str:
    """The result's JSON for people."""
    lines = [
        f"{result['model']}: {result['model_type']}, adapter {result['adapter']}",
        f"reads {' and '.join(result['modalities'])}; boxes: {result['boxes'] or 'none'}; window: {result['window']}",
    ]
    lines += [f"{'ok    ' if c['passed'] else 'FAILED'} {c['name']}: {c['detail']}" for c in result["checks"]]
    return "\n".join(map(terminal.printable, lines))
