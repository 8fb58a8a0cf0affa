"""Argument types that several commands share. Each refuses a bad value with a message that names it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, get_args

from mm_megacontext.cli.failure import UsageError
from mm_megacontext.document import LayoutMethod
from mm_megacontext.limits import IngestLimits

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf")

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, is {value}")
    return value


def whole_number(text: str) -> int:
    """A whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, is {value}")
    return value


def positive_float(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, is {text}")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, is {text}")
    return value


def positive_ints(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, separated by commas."""
    return tuple(positive_int(part) for part in names(text))


def names(text: str) -> tuple[str, ...]:
    """Words separated by commas, at least one."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise argparse.ArgumentTypeError("must name at least one")
    return parts


def picture_path(text: str) -> Path:
    """A file name that says which kind of picture is to be written."""
    path = Path(text)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text}: must end in one of {', '.join(PICTURE_SUFFIXES)}")
    return path


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how files are read."""
    parser.add_argument(
        "--engine", default="auto", metavar="NAME", help="how PDFs are read: auto (default), pymupdf, pdfium"
    )
    parser.add_argument(
        "--layout",
        choices=get_args(LayoutMethod),
        default="geometric",
        help="how regions of PDF pages and their order are found: by geometry (default), or by the model of PyMuPDF 2, "
        "which is slower",
    )
    parser.add_argument("--password", metavar="TEXT", help="password of protected files")
    parser.add_argument(
        "--ocr",
        default="auto",
        metavar="auto|off|LANG",
        help="how scanned pages become text: by Tesseract in English if it is installed (default), not at all, "
        "or in its languages LANG, such as eng+deu",
    )
    parser.add_argument(
        "--limit",
        type=limit,
        action="append",
        default=[],
        metavar="NAME=N",
        help="another limit than the default, for images and PDFs; NAME is one of "
        f"{', '.join(f.name for f in fields(IngestLimits))}",
    )


def limit(text: str) -> tuple[str, float]:
    """One limit of ``IngestLimits``, as in ``max_pixels=1000000`` or ``page-seconds=30``."""
    name, _, value = text.partition("=")
    name = name.replace("-", "_")
    known = [field.name for field in fields(IngestLimits)]
    if name not in known:
        raise argparse.ArgumentTypeError(f"{text}: must be NAME=N, where NAME is one of {', '.join(known)}")
    if name.endswith("_seconds"):
        try:
            return name, positive_float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text}: must be {name}=N, where N is a number of seconds") from None
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: must be {name}=N, where N is a whole number")
    return name, positive_int(value)


def ingest_limits(args: argparse.Namespace) -> IngestLimits:
    """The limits that ``--limit`` gives, the others as they are by default."""
    return IngestLimits(**dict(args.limit))


class ReadingOptions(TypedDict):
    """How files are read: keywords of ``layout.reader.read`` and ``MegaContext.ingest``."""

    engine: str
    layout: LayoutMethod
    password: str | None
    ocr: str


def reading_options(args: argparse.Namespace) -> ReadingOptions:
    """What ``add_reading`` added, checked before anything is opened.

    Raises:
        UsageError: There is no such engine, or it has no such layout.
        MissingExtra: The engine, its model or a language of OCR is not installed.
    """
    _check_engine(args.engine, args.layout)
    if args.ocr not in ("auto", "off"):
        from mm_megacontext.layout.page.ocr import find_ocr

        find_ocr(args.ocr)
    return {"engine": args.engine, "layout": args.layout, "password": args.password, "ocr": args.ocr}


def _check_engine(name: str, layout: LayoutMethod) -> None:
    if name == "auto" and layout == "geometric":
        return  # PDFium is always there
    from mm_megacontext.layout.engines.protocol import candidates

    try:
        candidates(name, layout)
    except ValueError as error:
        raise UsageError(str(error)) from error


def existing_memory(path: Path) -> Path:
    """``path`` if there is a memory.

    Raises:
        UsageError: There is none.
    """
    from mm_megacontext.store.store import Store

    if path.is_file():
        raise UsageError(f"{path}: is a file, and a memory is a directory; ask a file directly with: mmctx ask {path}")
    if not Store.exists(path):
        raise UsageError(f"{path}: no such memory; make one with: mmctx ingest FILE --memory {path}")
    return path
