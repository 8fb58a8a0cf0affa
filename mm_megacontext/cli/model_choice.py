"""``--base`` and ``--encoder``: the models that a command opens a memory with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.bases.native_base import NativeBase
    from mm_megacontext.reading.base import Base
    from mm_megacontext.reading.lens import Lens
    from mm_megacontext.vision.gists.tile_gister import VisualGister

TINY, FINDER = "mmctx-tiny", "finder"
WEIGHTS: dict[str | None, bool | None] = {"pretrained": True, "random": False, None: None}
"""What ``--encoder-weights`` says that is no checkpoint or tag."""


class Models(NamedTuple):
    """What ``MegaContext.open`` takes; None for its defaults."""

    base: Base | None = None
    lens: Lens | None = None
    gister: VisualGister | None = None

    @property
    def name(self) -> str:
        """Of what makes memories that the default models cannot read; empty for these."""
        return "" if self.base is None else f"{self.base.id} {self.base.encoder.name}"


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add ``--base``, ``--encoder`` and ``--encoder-weights``."""
    parser.add_argument(
        "--base",
        default=TINY,
        metavar="NAME|DIR",
        help=f"the model that reads: {TINY} reads text (default), {FINDER} finds objects in pictures, DIR is what "
        "`mmctx train` wrote; a memory is opened with the one that it was made with",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="what images are encoded with (default dct; `mmctx encoders` lists them); a memory is opened with the one "
        "that it was made with",
    )
    parser.add_argument(
        "--encoder-weights",
        metavar="pretrained|random|PATH|TAG",
        help="weights of an encoder of another library: its own, fetched once; random ones; a checkpoint; a tag of "
        "open_clip",
    )


def chosen_models(args: argparse.Namespace) -> Models:
    """The models that were asked for; none of them loaded where all are the default.

    Raises:
        UsageError: There is no such base or encoder, the encoder's weights were not said, or its vectors do not fit.
        MissingExtra, WeightsUnavailable, UnsupportedModel: See ``create_encoder``.
    """
    if args.encoder is None and args.encoder_weights is not None:
        raise UsageError("--encoder-weights goes with --encoder")
    if args.base != FINDER and not (Path(args.base) / "gistnet").is_dir():
        return _reader(args)
    if args.encoder is not None:
        raise UsageError(f"--base {args.base} has an encoder of its own: leave --encoder away")
    from mm_megacontext.bases.finder import FINDER_DIR, Finder

    finder = Finder.from_pretrained(FINDER_DIR if args.base == FINDER else Path(args.base))
    return Models(finder, finder.lens(), finder.gister())


def _reader(args: argparse.Namespace) -> Models:
    """A native base, with the lens that lies beside it."""
    if args.base == TINY and args.encoder is None:
        return Models()
    from mm_megacontext.bases.native_base import NativeBase
    from mm_megacontext.reading.lens import Lens

    if args.base == TINY:
        return Models(_with_encoder(NativeBase.from_pretrained(), args))
    directory = Path(args.base)
    if not (directory / "lens").is_dir():
        raise UsageError(
            f"--base {directory}: no base with a lens is there; give {TINY}, {FINDER}, or a directory that "
            "`mmctx train base` and `mmctx train lens`, or `mmctx train finder` wrote"
        )
    base = NativeBase.from_pretrained(directory)
    lens = Lens.from_pretrained(base.id, directory / "lens")
    return Models(base if args.encoder is None else _with_encoder(base, args), lens)


def _with_encoder(base: NativeBase, args: argparse.Namespace) -> NativeBase:
    from mm_megacontext.tree.nodes import PATCH_PX
    from mm_megacontext.vision.encoders import create_encoder
    from mm_megacontext.vision.encoders.registry import TOWERS

    if args.encoder_weights is None and args.encoder.partition(":")[0] in TOWERS:
        raise UsageError(
            f"{args.encoder} has weights: say which, with --encoder-weights pretrained (its own, fetched once), "
            "random, or the path of a checkpoint"
        )
    try:
        encoder = create_encoder(
            args.encoder, base.dim, pretrained=WEIGHTS.get(args.encoder_weights, args.encoder_weights)
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    if (encoder.patch_px, encoder.dim) != (PATCH_PX, base.dim):
        raise UsageError(
            f"{encoder.name} makes vectors of {encoder.dim} from patches of {encoder.patch_px} px, {base.id} reads "
            f"vectors of {base.dim} from patches of {PATCH_PX} px: choose an encoder that makes these"
        )
    return base.with_encoder(encoder)
