"""Parses the command line, runs one sub-command, and turns every failure into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import mm_megacontext
from mm_megacontext.cli import (
    ask,
    context,
    doctor,
    encoders,
    evaluate,
    failure,
    forget,
    ingest,
    inspect,
    layout,
    port_model,
    refresh,
    terminal,
    train,
    vacuum,
    verify,
)

COMMANDS = (
    ask,
    context,
    ingest,
    refresh,
    inspect,
    forget,
    vacuum,
    verify,
    layout,
    train,
    evaluate,
    port_model,
    encoders,
    doctor,
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors take the same way as all others, and that takes no abbreviated options."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise failure.UsageError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``mmctx`` with all its sub-commands."""
    parser = Parser(
        prog="mmctx",
        description="Ask documents and images of any size, and see where the answer stands.",
        epilog="Exit codes: 0 done, 1 failed, 2 bad usage, 3 done in part, 65 unusable input. "
        "MMCTX_DEBUG=1 adds tracebacks to errors.",
    )
    parser.add_argument("--version", action="version", version=f"mmctx {mm_megacontext.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmctx`` and return its exit code.

    Args:
        argv: The arguments after the program's name; ``sys.argv`` if None.
    """
    with warnings.catch_warnings(), _ended_by_sigterm():
        warnings.showwarning = _show_warning
        try:
            return _run(argv)
        except BrokenPipeError:
            # The reader (head, less) has seen enough. Python flushes stdout once more at exit: give it somewhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return failure.BROKEN_PIPE
        except KeyboardInterrupt as error:
            print("mmctx: interrupted", file=sys.stderr)
            return failure.TERMINATED if isinstance(error, failure.Terminated) else failure.INTERRUPTED
        except Exception as error:
            if os.environ.get("MMCTX_DEBUG") == "1":
                traceback.print_exc()
            terminal.print_error(failure.message(error))
            return failure.exit_code(error)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While a command runs, SIGTERM ends it like Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def _terminate(number: int, frame: object) -> NoReturn:
    raise failure.Terminated


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(argv)
        code: int = args.run(args)
    finally:
        sys.stdout.flush()  # here, where a reader that went away is still handled, not at exit; also after --help
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    terminal.warn(str(message))
