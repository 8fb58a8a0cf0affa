"""Every error a user can meet, each also a builtin so that ``except ValueError`` keeps working.

Messages follow one form: what was asked, what was got, what to do.
"""

from __future__ import annotations

from typing import Literal, get_args

ErrorCode = Literal[
    "not_found",
    "empty",
    "unsupported",
    "misnamed",
    "corrupt",
    "zero_pages",
    "password_required",
    "password_wrong",
    "limit_time",
    "limit_memory",
    "limit_pixels",
    "limit_pages",
    "limit_size",
    "engine_crash",
    "bad_answer",
    "layout_failed",
    "layout_model_failed",
    "visibility_unknown",
    "visibility_unsure",
    "marks_unread",
    "text_layer_disagrees",
    "channels_left_out",
    "text_illegible",
    "ocr_unavailable",
    "ocr_failed",
    "missing_extra",
    "nothing_readable",
    "source_changed",
]
"""What is wrong with a source or a page, for programs: messages may change, these do not. See docs/errors.md."""

ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)


MOST_LETTERS = 300
"""Of what a library says of a failure: what is wrong must stay one line."""


def first_line(error: BaseException) -> str:
    r"""What an error says, on one line that is not too long: libraries repeat what files hold.

    >>> first_line(ValueError("no\nmore")), first_line(KeyError()), first_line(RecursionError("maximum depth"))
    ('no', 'KeyError', 'nested too deep')
    """
    if isinstance(error, RecursionError):
        return "nested too deep"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MOST_LETTERS]


def first_words(error: BaseException) -> str:
    """The same with the kind of error before it.

    >>> first_words(ValueError("no")), first_words(KeyError())
    ('ValueError: no', 'KeyError')
    """
    said, kind = first_line(error), type(error).__name__
    return said if isinstance(error, RecursionError) or said == kind else f"{kind}: {said}"


class MegaContextError(Exception):
    """Base of all errors raised on purpose by mm-megacontext."""


class IngestError(MegaContextError, OSError):
    """A source could not be read; names the source and, where known, the page (from 1). ``code`` is for programs."""

    def __init__(self, message: str, *, source: str, page: int | None = None, code: ErrorCode = "corrupt") -> None:
        where = source if page is None else f"{source}, page {page}"
        super().__init__(f"{where}: {message}")
        self.reason = message if page is None else f"page {page}: {message}"
        self.source = source
        self.page = page
        self.code = code


class LimitExceeded(IngestError):
    """A source is larger, or takes longer, than the configured ingest limits allow."""

    def __init__(self, message: str, *, source: str, page: int | None = None, code: ErrorCode = "limit_pixels") -> None:
        super().__init__(message, source=source, page=page, code=code)


class StoreError(MegaContextError, OSError):
    """The memory on disk could not be read or written."""


class CorruptStore(StoreError):
    """The memory on disk is damaged beyond what opening can repair."""


class MemoryLocked(StoreError):
    """Another process has the memory open for writing."""


class IncompatibleGists(MegaContextError, ValueError):
    """The memory holds gists of others than those in use, or two parts of a model do not fit; names both."""


class UnknownName(MegaContextError, ValueError):
    """Nothing goes by that name; the message lists what there is."""


class BrokenEntry(MegaContextError, ImportError):
    """Another distribution offers something by name that cannot be loaded."""


class BudgetTooSmall(MegaContextError, ValueError):
    """The token budget cannot hold even the roots of the tree and the question."""


class NodeNotFound(MegaContextError, KeyError):
    """No such node in the tree."""

    __str__ = Exception.__str__  # KeyError would show the repr of its argument


class MissingExtra(MegaContextError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class WeightsUnavailable(MegaContextError, OSError):
    """Weights of a model could not be fetched or do not fit it; the message says what to pass instead."""


class IllegalAction(MegaContextError, ValueError):
    """An expand or collapse that the tree, the cut or the budget does not allow; the working context is unchanged."""


class BrokenInvariant(MegaContextError, AssertionError):
    """A working context is not a cut in order within budget; ``invariant`` names what is broken."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


ReaderErrorCode = Literal[
    "unreachable",
    "timeout",
    "broken_off",
    "unauthorised",
    "unknown_model",
    "too_long",
    "rate_limited",
    "refused",
    "server_error",
    "cut_off",
    "bad_reply",
]
"""In which way a reader failed, for programs. See docs/readers.md."""

READER_ERROR_CODES: tuple[ReaderErrorCode, ...] = get_args(ReaderErrorCode)


class ReaderFailed(MegaContextError, OSError):
    """A reader could not be asked, or its reply cannot be used; ``code`` is for programs."""

    def __init__(self, message: str, *, code: ReaderErrorCode) -> None:
        super().__init__(message)
        self.code = code


class InvalidReader(MegaContextError, ValueError):
    """A reader cannot be made as it was asked for; the message says what is missing or does not fit."""


class EmptyQuestion(MegaContextError, ValueError):
    """Nothing was asked."""


class UnsupportedModel(MegaContextError, ValueError):
    """A model of another library is not built as an adapter needs it; the message names its class."""


class AttachmentError(MegaContextError, RuntimeError):
    """Something was attached to a model twice, or is used after it was removed."""


class NoCheckpoint(MegaContextError, FileNotFoundError):
    """A training run is to be resumed where none left a checkpoint that says where it stands."""


class TrainingDiverged(MegaContextError, FloatingPointError):
    """The loss of a training run is no number any more; the message says at which step."""
