"""What became of files and pages that were taken up: for people while it goes on, and for programs afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from mm_megacontext.document import Page, PageStatus
from mm_megacontext.errors import ErrorCode
from mm_megacontext.store.catalogue import SourceRecord


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far the ingest of one file is; ``file`` counts from 1 to ``n_files``, ``page`` from 1 to ``n_pages``."""

    uri: str
    file: int
    n_files: int
    page: int
    n_pages: int


class PageProblem(NamedTuple):
    """What is wrong with a page, from 1: for people, and for programs."""

    page: int
    message: str
    code: ErrorCode


@dataclass(slots=True)
class PageCounts:
    """How many pages were read whole, in part, and not at all."""

    ok: int = 0
    degraded: int = 0
    failed: int = 0

    def __add__(self, other: PageCounts) -> PageCounts:
        return PageCounts(self.ok + other.ok, self.degraded + other.degraded, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """A source that was taken up."""

    uri: str
    kind: str
    pages: int
    nodes: int
    problems: tuple[PageProblem, ...]
    statuses: PageCounts


@dataclass(frozen=True, slots=True)
class MovedSource:
    """A source whose file was found elsewhere; it was not read again."""

    uri: str
    was: str


@dataclass(frozen=True, slots=True)
class IngestFailure:
    """A file that could not be read; the memory is as before."""

    uri: str
    message: str
    code: ErrorCode


@dataclass(slots=True)
class IngestReport:
    """What became of each file."""

    ingested: list[SourceSummary] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    moved: list[MovedSource] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    failed: list[IngestFailure] = field(default_factory=list)


class PageLog:
    """What became of each page while it was read and built."""

    def __init__(self, on_page: Callable[[Page], None]) -> None:
        self._on_page = on_page
        self._statuses: dict[int, PageStatus] = {}
        self.sizes: list[tuple[float, float]] = []
        self.problems: list[PageProblem] = []
        self.told: list[tuple[int, str]] = []

    def page(self, page: Page) -> None:
        """Take a page that was read."""
        self.sizes.append(page.size)
        self._statuses[page.number] = page.status
        if page.problem is not None:
            self._add(PageProblem(page.number, page.problem, page.code or "corrupt"))
        self._on_page(page)

    def figure(self, number: int, message: str, code: ErrorCode) -> None:
        """Take a figure that had to be left out."""
        if self._statuses[number] == "ok":
            self._statuses[number] = "degraded"
        self._add(PageProblem(number, message, code))

    def summary(self, record: SourceRecord) -> SourceSummary:
        """The source as it was stored."""
        counts = Counter(self._statuses.values())
        statuses = PageCounts(counts["ok"], counts["degraded"], counts["failed"])
        return SourceSummary(record.uri, record.kind, record.n_pages, record.n_nodes, tuple(self.problems), statuses)

    def _add(self, problem: PageProblem) -> None:
        self.problems.append(problem)
        self.told.append((problem.page, problem.message))
