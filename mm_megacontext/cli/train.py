"""``mmctx train``: trains the native base, the lens on top of one, or the finder of objects in images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli.arguments import positive_float, positive_int, share, whole_number

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import Subparsers


SHARED = (
    *("out", "minutes", "steps", "seed", "device", "threads", "resume"),
    *("accumulate", "evaluate_every", "save_every"),
)
"""Options that all recipes have."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train a base, a lens or a finder",
        description="Train on pages and scenes made by the generators in this package.",
    )
    parts = parser.add_subparsers(title="what to train", metavar="base|lens|finder", required=True)

    base = parts.add_parser("base", help="the native base", description="Train the native base end to end.")
    _add_shared(base)
    base.add_argument("--init", type=Path, metavar="DIR", help="begin with these weights instead of random ones")
    base.add_argument(
        "--init-progress", type=share, metavar="S", help="share of the schedule that those have behind them, 0 to 1"
    )
    base.add_argument("--optimizer", choices=("adamw", "muon"), help="what updates the weights (default: adamw)")
    base.add_argument("--no-compile", dest="compile", action="store_false", default=None, help="for runs of a minute")
    base.set_defaults(run=run_base)

    lens = parts.add_parser("lens", help="the LensNet", description="Train the LensNet of a native base.")
    _add_shared(lens)
    lens.add_argument("--base", type=Path, metavar="DIR", help="the trained base (default: the one in the package)")
    lens.set_defaults(run=run_lens)

    finder = parts.add_parser(
        "finder", help="gists and lens for objects in images", description="Train a UnionNet and its UnionLensNet."
    )
    _add_shared(finder)
    finder.add_argument(
        "--base", type=Path, metavar="DIR", help="whose words it reads (default: the one in the package)"
    )
    finder.set_defaults(run=run_finder)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    """Options without a default here leave the configuration's own in force."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and the log go")
    parser.add_argument("--minutes", type=positive_float, metavar="M", help="length of the run")
    parser.add_argument("--steps", type=positive_int, metavar="N", help="length in steps instead of minutes")
    parser.add_argument("--resume", action="store_true", default=None, help="go on from the checkpoint in --out")
    parser.add_argument("--seed", type=whole_number, metavar="N")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 …")
    parser.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads")
    parser.add_argument("--accumulate", type=positive_int, metavar="N", help="batches for one update (default 1)")
    parser.add_argument("--evaluate-every", type=positive_int, metavar="N", help="steps between evaluations")
    parser.add_argument("--save-every", type=positive_int, metavar="N", help="steps between checkpoints")


def run_base(args: argparse.Namespace) -> int:
    """Train the base into ``--out``."""
    from mm_megacontext.training.train_base import TrainBaseConfig, train_base

    train_base(TrainBaseConfig(**_given(args, *SHARED, "init", "init_progress", "optimizer", "compile")))
    print(args.out)
    return 0


def run_lens(args: argparse.Namespace) -> int:
    """Train the lens into ``--out``."""
    from mm_megacontext.training.train_lens import TrainLensConfig, train_lens

    train_lens(TrainLensConfig(**_given(args, *SHARED, "base")))
    print(args.out)
    return 0


def run_finder(args: argparse.Namespace) -> int:
    """Train a finder into ``--out``."""
    from mm_megacontext.training.train_finder import TrainFinderConfig, train_finder

    train_finder(TrainFinderConfig(**_given(args, *SHARED, "base")))
    print(args.out)
    return 0


def _given(args: argparse.Namespace, *options: str) -> dict[str, Any]:
    """The options that the command line set."""
    return {name: value for name in options if (value := getattr(args, name)) is not None}
