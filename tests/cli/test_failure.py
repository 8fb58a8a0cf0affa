"""The table from errors to exit codes and lines, checked against the documented meaning of 1 and 2."""

from __future__ import annotations

import errno

import pytest

from mm_megacontext import errors
from mm_megacontext.cli.failure import UsageError, exit_code, message

BAD_INPUT = [
    (UsageError("no such file"), "no such file"),
    (errors.IngestError("no such file", source="a.pdf", code="not_found"), "a.pdf: no such file"),
    (errors.MemoryLocked("memory m is being written"), "memory m is being written"),
    (errors.IncompatibleGists("memory m was made by base b"), "memory m was made by base b"),
    (errors.BudgetTooSmall("budget 3"), "budget 3"),
    (errors.NodeNotFound("node 3"), "node 3"),
    (errors.MissingExtra("pip install x"), "pip install x"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.pdf"), "a.pdf: No such file or directory"),
    (PermissionError(errno.EACCES, "Permission denied", "a.pdf"), "a.pdf: Permission denied"),
]

UNUSABLE_INPUT = [
    (errors.IngestError("is not a PDF", source="a.pdf"), "a.pdf: is not a PDF"),
    (errors.LimitExceeded("has 9 pages", source="a.pdf", page=3), "a.pdf, page 3: has 9 pages"),
]

FAILURES = [
    (errors.StoreError("cannot write memory m"), "cannot write memory m"),
    (errors.CorruptStore("node 3 is gone"), "node 3 is gone"),
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (MemoryError(), "out of memory"),
    (KeyError("gist"), "internal error: KeyError: 'gist' (MMCTX_DEBUG=1 shows where)"),
    (ValueError("two\nlines"), "internal error: ValueError: two lines (MMCTX_DEBUG=1 shows where)"),
]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [(e, code, line) for code, cases in ((2, BAD_INPUT), (65, UNUSABLE_INPUT), (1, FAILURES)) for e, line in cases],
)
def test_exit_code_and_line(error: Exception, code: int, line: str) -> None:
    assert exit_code(error) == code
    assert message(error) == line


def test_no_error_of_ours_is_called_internal() -> None:
    for error_type in vars(errors).values():
        if isinstance(error_type, type) and issubclass(error_type, errors.MegaContextError):
            error = error_type.__new__(error_type, "text")
            Exception.__init__(error, "text")
            assert message(error) == "text"


def test_what_python_says_of_recursion_is_not_shown() -> None:
    said = message(RecursionError("maximum recursion depth exceeded while calling a Python object"))
    assert "nested too deep" in said
    assert "ecursion" not in said
