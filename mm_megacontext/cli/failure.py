"""From an exception to one line on stderr and an exit code: 0 done, 1 failed, 2 bad usage, 65 unusable input."""

from __future__ import annotations

from mm_megacontext.errors import IngestError, MegaContextError, MemoryLocked

FAILED = 1
BAD_USAGE = 2
PARTIAL = 3
"""Some pages could be read, others not or not whole."""
UNUSABLE = 65
"""Nothing of the input could be read (EX_DATAERR of sysexits.h)."""
INTERRUPTED = 130
"""What shells report for a command that Ctrl-C ended."""
TERMINATED = 143
"""What shells report for a command that was asked to end."""
BROKEN_PIPE = 141
"""What shells report for a command whose reader went away."""


class UsageError(Exception):
    """The command line asks for something that cannot be: the message says what, and what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: everything ends as after Ctrl-C."""


_BAD_INPUT: tuple[type[Exception], ...] = (
    UsageError,
    MemoryLocked,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def exit_code(error: Exception) -> int:
    """The exit code that belongs to ``error``."""
    if isinstance(error, IngestError) and error.code != "not_found":
        return UNUSABLE
    is_bad_value = isinstance(error, MegaContextError) and isinstance(error, (ValueError, KeyError, ImportError))
    return BAD_USAGE if is_bad_value or isinstance(error, (*_BAD_INPUT, IngestError)) else FAILED


def message(error: Exception) -> str:
    """What ``error`` says, on one line; errors that nobody foresaw say so and name their type."""
    text = _own_words(error)
    return " ".join(text.split())


def _own_words(error: Exception) -> str:
    if isinstance(error, (MegaContextError, UsageError)):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, RecursionError):
        return "the input is nested too deep (MMCTX_DEBUG=1 shows where)"
    return f"internal error: {type(error).__name__}: {error} (MMCTX_DEBUG=1 shows where)"
