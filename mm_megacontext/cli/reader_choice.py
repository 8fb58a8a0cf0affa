"""``--reader`` and what belongs to it: the text reader that answers in the model's place."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli.failure import UsageError

if TYPE_CHECKING:
    from mm_megacontext.reading.base import TextReader

_OPTIONS = {"base_url": "--base-url", "images": "--images", "tokenizer": "--tokenizer"}


def add_reader(parser: argparse.ArgumentParser) -> None:
    """Add ``--reader``, ``--base-url``, ``--images`` and ``--tokenizer``."""
    parser.add_argument(
        "--reader",
        metavar="KIND:MODEL",
        help="a model that reads in the place of --model, whatever the memory was made with: api:MODEL asks a server, "
        "hf:MODEL runs in transformers, by a directory or name",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="of the server of an api: reader, as http://127.0.0.1:8000/v1 (default: OPENAI_BASE_URL in the "
        "environment; the key comes from OPENAI_API_KEY there)",
    )
    parser.add_argument("--images", action="store_true", help="the reader sees: show it the pictures that are opened")
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="tokenizer.json of the reader, to count its budget (default: an estimate)"
    )


def chosen_reader(args: argparse.Namespace) -> TextReader | None:
    """The reader that was asked for, or None for the model itself.

    Raises:
        UsageError: Options are given that go with ``--reader``, and it is not.
        UnknownName, InvalidReader, MissingExtra: See ``models.open_reader``.
    """
    given: dict[str, Any] = {name: value for name in _OPTIONS if (value := getattr(args, name))}
    if args.reader is None:
        if given:
            raise UsageError(f"{_OPTIONS[next(iter(given))]} goes with --reader")
        return None
    from mm_megacontext.models import open_reader

    return open_reader(args.reader, **given)
