"""``mmctx eval``: measures a model on generated questions, beside its baselines."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import add_json, names, positive_int, positive_ints
from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers

DEFAULT_PAGES = (1, 20, 200)
DEFAULT_BUDGET = 512


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("eval", help="measure a model", description="Measure a model beside its baselines.")
    tasks = parser.add_subparsers(title="tasks", metavar="lookup", required=True)

    lookup = tasks.add_parser(
        "lookup",
        help="values looked up in forms, tables and sentences",
        description="Exact match on values whose words never occurred in training, per system and number of pages.",
    )
    lookup.add_argument("--split", choices=("dev", "test"), default="dev", help="dev (default) or test")
    lookup.add_argument("-n", type=positive_int, default=500, metavar="N", help="questions per row (default 500)")
    lookup.add_argument(
        "--pages", type=positive_ints, default=DEFAULT_PAGES, metavar="N,N", help="document lengths (default 1,20,200)"
    )
    lookup.add_argument("--budget", type=positive_int, default=DEFAULT_BUDGET, metavar="N", help="default 512")
    lookup.add_argument("--systems", type=names, metavar="NAME,NAME", help="default: focus and all baselines")
    lookup.add_argument("--seed", type=int, default=0, metavar="N")
    lookup.add_argument("--base", type=Path, metavar="DIR", help="another base than the one in the package")
    lookup.add_argument("--lens", type=Path, metavar="DIR", help="another LensNet than the one in the package")
    lookup.add_argument("--out", type=Path, metavar="FILE.json", help="write the JSON to a file as well")
    add_json(lookup)
    lookup.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table or the JSON, and write ``--out``."""
    from mm_megacontext.eval.lookup import LookupConfig, run_lookup

    given = {name: getattr(args, name) for name in ("base", "lens") if getattr(args, name) is not None}
    try:
        config = LookupConfig(
            split=args.split,
            n=args.n,
            pages=args.pages,
            budget=args.budget,
            systems=args.systems,
            seed=args.seed,
            **given,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    result = run_lookup(config, terminal.note)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result["rows"]))
    return 0


def render(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for people."""
    lines = [
        f"{'system':<11} {'pages':>5} {'budget':>6} {'n':>5}  exact match          cells (n)                  "
        "not found: precision recall"
    ]
    for row in rows:
        budget = "all" if row["budget"] is None else row["budget"]
        lines.append(
            f"{row['system']:<11} {row['pages']:>5} {budget:>6} {row['n']:>5}  "
            f"{_share(row['exact_match'], row['ci95'])}  {_share(row['exact_match_cells'], row['ci95_cells'])} "
            f"{'(' + str(row['n_cells']) + ')':<7} {row['not_found_precision']:>18.3f} {row['not_found_recall']:>6.3f}"
        )
    return "\n".join(lines)


def _share(value: float, interval: list[float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
