"""``mmctx ask``: a question to a file or a memory, answered with evidence."""

from __future__ import annotations

import argparse
from contextlib import suppress
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
from mm_megacontext.cli.model_choice import add_models, chosen_model
from mm_megacontext.errors import IngestError

if TYPE_CHECKING:
    from mm_megacontext.cli.arguments import ReadingOptions, Subparsers
    from mm_megacontext.memory import Answer, MegaContext

DEFAULT_BUDGET = 512


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "ask",
        help="ask a file or a memory a question",
        description="Ask a question. A file is ingested into a memory first, so its second question is fast.",
    )
    parser.add_argument("target", type=Path, metavar="FILE|MEMORY", help="a document, an image, or a memory directory")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument(
        "--budget",
        type=positive_int,
        default=DEFAULT_BUDGET,
        metavar="N",
        help=f"the most embeddings that the model may read at once (default {DEFAULT_BUDGET})",
    )
    parser.add_argument(
        "--memory", type=Path, metavar="DIR", help="memory that takes up FILE (default: in your cache directory)"
    )
    parser.add_argument(
        "--show", type=picture_path, metavar="OUT.png", help="draw the evidence and where the model looked"
    )
    parser.add_argument("--trace", type=Path, metavar="OUT.jsonl", help="write every step of the reading")
    add_reading(parser)
    add_models(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer, print, and write what was asked for."""
    if not args.question.strip():
        raise UsageError("the question is empty")
    answer = _ask_memory(args) if args.target.is_dir() else _ask_file(args)
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


def _ask_memory(args: argparse.Namespace) -> Answer:
    if args.memory is not None:
        raise UsageError(f"--memory goes with a file, and {args.target} is a directory")
    directory = existing_memory(args.target)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    with MegaContext.open(directory, model, create=False, limits=ingest_limits(args)) as memory:
        return memory.ask(args.question, budget=args.budget)


def _ask_file(args: argparse.Namespace) -> Answer:
    if not args.target.is_file():
        raise UsageError(f"{args.target}: no such file or memory")
    options = reading_options(args)
    taken_up = memories_of_file(args.target) if args.memory is None else args.memory
    if not taken_up.exists():
        _start_early(args.target, options)
    model = chosen_model(args)
    from mm_megacontext.memory import MegaContext

    directory = memory_for_file(args.target, str(model.identity)) if args.memory is None else args.memory
    with MegaContext.open(directory, model, limits=ingest_limits(args)) as memory:
        memory.prompt_cost(args.question, args.budget)  # a question that cannot be asked shall leave nothing behind
        uri = _take_up(memory, args.target, options)
        return memory.ask(args.question, budget=args.budget, source=uri)


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
    return report.ingested[0].uri if report.ingested else report.unchanged[0]


def render(result: dict[str, Any]) -> str:
    """The answer's JSON for people: the answer, its evidence, and what it cost."""
    lines = [result["answer"]]
    for evidence in result["evidence"]:
        box = " ".join(f"{edge:.1f}" for edge in evidence["bbox"])
        source = terminal.printable(evidence["source"])
        place = f"{source}, page {evidence['page']}, [{box}] {evidence['unit']}"
        lines.append(f"  {place}: {evidence['text']}" if evidence["text"] else f"  {place}")
    usage = result["usage"]
    lines.append(
        f"  read {usage['cost']} of {usage['budget']} allowed: {usage['entries']} entries for {usage['leaves']} leaves "
        f"({usage['compression']:.1f}×) in {usage['seconds']:.2f} s"
    )
    return "\n".join(lines)
