"""``--model`` and ``--encoder``: the models that a command opens a memory with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.models import Model
    from mm_megacontext.vision.encoders import PatchEncoder

WEIGHTS: dict[str | None, bool | None] = {"pretrained": True, "random": False, None: None}
"""What ``--encoder-weights`` says that is no checkpoint or tag."""


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--encoder`` and ``--encoder-weights``."""
    parser.add_argument(
        "--model",
        "--base",
        default="mmctx-tiny",
        metavar="NAME|DIR",
        help="the model that reads: mmctx-tiny reads text (default), finder finds objects in pictures, DIR is what "
        "`mmctx train` wrote (`mmctx doctor` lists all names); a memory is opened with the one that it was made with; "
        "--base is the same",
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


def add_embedder(parser: argparse.ArgumentParser) -> None:
    """Add ``--embedder``."""
    parser.add_argument(
        "--embedder",
        metavar="KIND:NAME|DIR",
        help="search by meaning as well as by words, with a text embedder (sentence-transformers:NAME, model2vec:NAME, "
        "onnx:DIR, or a directory); sources get its vectors when they are ingested with it",
    )


def chosen_model(args: argparse.Namespace) -> Model:
    """The model that was asked for, with the encoder that was.

    Raises:
        UsageError: The encoder's weights were not said, or not what they can be.
        UnknownName: There is no such model or encoder.
        IncompatibleGists: The encoder does not fit the model.
        MissingExtra, WeightsUnavailable, UnsupportedModel: See ``create_encoder``.
    """
    if args.encoder is None and args.encoder_weights is not None:
        raise UsageError("--encoder-weights goes with --encoder")
    from mm_megacontext.models import assemble, open_model

    model = open_model(args.model)
    return model if args.encoder is None else assemble(model, encoder=_encoder(args, model.reader.dim))


def _encoder(args: argparse.Namespace, dim: int) -> PatchEncoder:
    from mm_megacontext.vision.encoders import TOWERS, create_encoder

    if args.encoder_weights is None and args.encoder.partition(":")[0] in TOWERS:
        raise UsageError(
            f"{args.encoder} has weights: say which, with --encoder-weights pretrained (its own, fetched once), "
            "random, or the path of a checkpoint"
        )
    try:
        return create_encoder(args.encoder, dim, pretrained=WEIGHTS.get(args.encoder_weights, args.encoder_weights))
    except ValueError as error:
        raise UsageError(str(error)) from error
