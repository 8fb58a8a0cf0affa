"""``--encoder``: another encoder of image patches for the base that a command opens a memory with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.bases.native_base import NativeBase

WEIGHTS: dict[str | None, bool | None] = {"pretrained": True, "random": False, None: None}
"""What ``--encoder-weights`` says that is no checkpoint or tag."""


def add_encoder(parser: argparse.ArgumentParser) -> None:
    """Add ``--encoder`` and ``--encoder-weights``."""
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


def chosen_base(args: argparse.Namespace) -> NativeBase | None:
    """The base of the package with the encoder that was asked for; None if none was.

    Raises:
        UsageError: There is no such encoder, its weights were not said, or its vectors do not fit the base or the tree.
        MissingExtra, WeightsUnavailable, UnsupportedModel: See ``create_encoder``.
    """
    if args.encoder is None:
        if args.encoder_weights is not None:
            raise UsageError("--encoder-weights goes with --encoder")
        return None
    from mm_megacontext.bases.native_base import NativeBase
    from mm_megacontext.tree import PATCH_PX
    from mm_megacontext.vision.encoders import create_encoder
    from mm_megacontext.vision.encoders.registry import TOWERS

    if args.encoder_weights is None and args.encoder.partition(":")[0] in TOWERS:
        raise UsageError(
            f"{args.encoder} has weights: say which, with --encoder-weights pretrained (its own, fetched once), "
            "random, or the path of a checkpoint"
        )
    base = NativeBase.from_pretrained()
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
