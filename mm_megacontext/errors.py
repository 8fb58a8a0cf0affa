"""Every error a user can meet, each also a builtin so that ``except ValueError`` keeps working.

Messages follow one form: what was asked, what was got, what to do.
"""

from __future__ import annotations


class MegaContextError(Exception):
    """Base of all errors raised on purpose by mm-megacontext."""


class IngestError(MegaContextError, OSError):
    """A source could not be read; names the source and, where known, the page (from 1)."""

    def __init__(self, message: str, *, source: str, page: int | None = None) -> None:
        where = source if page is None else f"{source}, page {page}"
        super().__init__(f"{where}: {message}")
        self.reason = message if page is None else f"page {page}: {message}"
        self.source = source
        self.page = page


class LimitExceeded(IngestError):
    """A source is larger than the configured ingest limits allow."""


class StoreError(MegaContextError, OSError):
    """The memory on disk could not be read or written."""


class CorruptStore(StoreError):
    """The memory on disk is damaged beyond what opening can repair."""


class MemoryLocked(StoreError):
    """Another process has the memory open for writing."""


class IncompatibleGists(MegaContextError, ValueError):
    """The memory holds gists of another (base, gistnet) pair than the one in use."""


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


class UnsupportedModel(MegaContextError, ValueError):
    """A model of another library is not built as an adapter needs it; the message names its class."""


class AttachmentError(MegaContextError, RuntimeError):
    """Something was attached to a model twice, or is used after it was removed."""
