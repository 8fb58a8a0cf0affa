"""``mmctx ask``: a question to a file or a memory, answered with evidence."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_megacontext.cli import terminal
from mm_megacontext.cli.arguments import (
    add_json,
    add_reading,
    existing_memory,
    ingest_limits,
    picture_path,
    positive_int,
    reading_options,
)
from mm_megacontext.cli.failure import UsageError
from mm_megacontext.cli.ingest import warn_of_pages
from mm_megacontext.cli.memory_place import memories_of_file, memory_for_file
from mm_megacontext.cli.model_choice import add_embedder, add_models, chosen_model
from mm_megacontext.cli.reader_choice import add_reader, chosen_reader
from mm_megacontext.errors import IngestError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import ReadingOptions, Subparsers
    from mm_megacontext.memory import MegaContext
    from mm_megacontext.reading.base import TextReader

_SHOWN_CHARS = 200
"""Of the text of a candidate."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "ask",
        help="ask a file or a memory a question",
        description="Ask a question. A file is ingested into a memory first, so its second question is fast.",
    )
    add_question(parser)
    parser.add_argument(
        "--show", type=picture_path, metavar="OUT.png", help="draw the evidence and where the model looked"
    )
    parser.add_argument("--trace", type=Path, metavar="OUT.jsonl", help="write every step of the reading")
    add_reading(parser)
    add_models(parser)
    add_embedder(parser)
    add_reader(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def add_question(parser: argparse.ArgumentParser) -> None:
    """Add what is asked, of what, and how much of it may be read."""
    parser.add_argument("target", type=Path, metavar="FILE|MEMORY", help="a document, an image, or a memory directory")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument(
        "--budget",
        type=positive_int,
        metavar="N",
        help="the most that the model may read at once: embeddings (default 512), with --reader tokens (default 4096)",
    )
    parser.add_argument(
        "--memory", type=Path, metavar="DIR", help="memory that takes up FILE (default: in your cache directory)"
    )
    parser.add_argument("--source", type=Path, metavar="PATH", help="the only source of MEMORY to read")


def run(args: argparse.Namespace) -> int:
    """Answer, print, and write what was asked for."""
    with opened(args) as (memory, source):
        answer = memory.ask(args.question, budget=args.budget, source=source)
    if args.show is not None:
        args.show.parent.mkdir(parents=True, exist_ok=True)
        answer.show().save(args.show)
    if args.trace is not None:
        args.trace.parent.mkdir(parents=True, exist_ok=True)
        answer.trace.write(args.trace)
    result = answer.to_json()
    if args.json:
        terminal.print_json(result)
    else:
        print(render(result))
    return 0


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[tuple[MegaContext, str | Path | None]]:
    """The memory that is asked, a file taken up into one first, and the source that is asked about; None for all."""
    if not args.question.strip():
        raise UsageError("the question is empty")
    reader = chosen_reader(args)
    with _memory(args, reader) if args.target.is_dir() else _memory_of_file(args, reader) as found:
        yield found


@contextmanager
def _memory(args: argparse.Namespace, reader: TextReader | None) -> Iterator[tuple[MegaContext, str | Path | None]]:
    if args.memory is not None:
        raise UsageError(f"--memory goes with a file, and {args.target} is a directory")
    directory = existing_memory(args.target)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    with MegaContext.open(
        directory, model, create=False, reader=reader, embedder=args.embedder, limits=ingest_limits(args)
    ) as memory:
        yield memory, args.source


@contextmanager
def _memory_of_file(
    args: argparse.Namespace, reader: TextReader | None
) -> Iterator[tuple[MegaContext, str | Path | None]]:
    if not args.target.is_file():
        raise UsageError(f"{args.target}: no such file or memory")
    if args.source is not None:
        raise UsageError(f"--source goes with a memory, and {args.target} is a file")
    options = reading_options(args)
    taken_up = memories_of_file(args.target) if args.memory is None else args.memory
    if not taken_up.exists():
        _start_early(args.target, options)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    directory = memory_for_file(args.target, str(model.identity)) if args.memory is None else args.memory
    with MegaContext.open(
        directory, model, reader=reader, embedder=args.embedder, limits=ingest_limits(args)
    ) as memory:
        if reader is None:
            memory.prompt_cost(args.question, args.budget)  # one that cannot be asked shall leave nothing behind
        yield memory, _take_up(memory, args.target, options)


def _start_early(file: Path, options: ReadingOptions) -> None:
    """Let the process that files are read from start while this one imports what takes longest: the model."""
    from mm_megacontext.layout.engines.protocol import candidates
    from mm_megacontext.layout.formats import is_image_name, is_pdf
    from mm_megacontext.workers.messages import Purpose
    from mm_megacontext.workers.start import OriginLost, origin

    with suppress(OriginLost):  # whoever needs it starts it again, or says why it cannot be started
        if is_pdf(file):
            origin().preload(Purpose("pdf pages", candidates(options["engine"], options["layout"])[0]))
        elif is_image_name(file):
            origin().preload(Purpose("image"))


def _take_up(memory: MegaContext, file: Path, options: ReadingOptions) -> str:
    """Ingest the file if the memory does not hold it yet; return its uri."""
    with terminal.ProgressBar() as bar:
        report = memory.ingest(file, **options, on_progress=bar.update)
    if report.failed:
        failed = report.failed[0]
        raise IngestError(failed.message, source=failed.uri, code=failed.code)
    warn_of_pages(report.ingested)
    taken = [*(source.uri for source in report.ingested), *(moved.uri for moved in report.moved), *report.unchanged]
    return taken[0]


def render(result: dict[str, Any]) -> str:
    """The answer's JSON for people: the answer, its evidence or what comes nearest, and what it cost."""
    lines = [terminal.printable(result["answer"])]
    if result["found"]:
        lines += [f"  {_piece(evidence)}" for evidence in result["evidence"]]
        lines += ["  nothing in what was read says so"] * (not result["grounded"])
    else:
        lines.append(f"  {terminal.printable(result['explanation'])}")
        lines += [f"  perhaps: {_piece(candidate)}" for candidate in result["candidates"]]
    usage = result["usage"]
    unit = "" if usage["unit"] == "embeddings" else f" {usage['unit']}"
    lines.append(
        f"  read {usage['cost']} of {usage['budget']}{unit} allowed: {usage['entries']} entries for {usage['leaves']} "
        f"leaves ({usage['compression']:.1f}×) in {usage['seconds']:.2f} s"
    )
    return "\n".join(lines)


def _piece(evidence: dict[str, Any]) -> str:
    """One piece of evidence, or a candidate, on one line."""
    box = " ".join(f"{edge:.1f}" for edge in evidence["bbox"])
    place = f"{terminal.printable(evidence['source'])}, page {evidence['page']}, [{box}] {evidence['unit']}"
    text = " ".join(evidence["text"].split())
    shown = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return f"{place}: {terminal.printable(shown)}" if shown else place
