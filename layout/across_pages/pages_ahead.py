"""Pages of a PDF as one engine reads them in a worker, which goes ahead of whoever wants them."""

from __future__ import annotations

import time

from mm_megacontext.document import Page
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers import pool as worker_pool
from mm_megacontext.workers.messages import DocumentFile, Failure, ReadPage
from mm_megacontext.workers.process import WorkerFailed, WorkerProcess

_N_AHEAD = 4
"""Requests on their way. What is finished waits in the socket's buffer, a few pages; then the worker waits."""


class PagesAhead:
    """Asks a worker for pages before they are wanted; a worker that dies or is worn is replaced.

    Args:
        file: The file and the engine.
        n_pages: The last page that is asked for.
        ocr: See ``messages.ReadPage``.
        limits: Of the worker; ``document_seconds`` is what all pages together may be waited for.
    """

    def __init__(self, file: DocumentFile, n_pages: int, ocr: tuple[str, str] | None, limits: IngestLimits) -> None:
        self._file, self._n_pages, self._ocr, self._limits = file, n_pages, ocr, limits
        self._worker: WorkerProcess | None = None
        self._last_asked = 0
        self.seconds_left = limits.document_seconds

    def page(self, number: int) -> Page:
        """Page ``number``, from 1; those after it are asked for next. One that cannot be read is a failed page."""
        if self.seconds_left <= 0:
            return self._late(number)
        begun = time.monotonic()
        try:
            answer = self._answer(number)
        except WorkerFailed as e:
            self._worker = None
            answer = Failure("ingest", e.code, str(e))
        self.seconds_left -= time.monotonic() - begun
        if number == self._n_pages:
            self.close()  # now, so that who builds this page finds the worker free to render its figures
        if isinstance(answer, Page):
            if answer.code == "limit_memory":
                self.close()  # a process that ran out of memory has little left for the next page
            return answer
        if self.seconds_left <= 0:
            return self._late(number)
        return Page(number, (0.0, 0.0), (), self._file.engine, problem=answer.message, code=answer.code)

    def close(self) -> None:
        """Let go of the worker. One that still works on a page is ended."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker_pool.give_back(worker)

    def _answer(self, number: int) -> Page | Failure:
        worker = self._worker_for(number)
        while self._last_asked < min(number + _N_AHEAD, self._n_pages) and not (worker.is_worn and worker.n_waiting):
            self._last_asked += 1
            worker.ask(ReadPage(self._file, self._last_asked, self._ocr))
        answer: Page | Failure = worker.answer(self.seconds_left)
        return answer

    def _worker_for(self, number: int) -> WorkerProcess:
        if self._worker is not None and self._worker.is_worn and not self._worker.n_waiting:
            self.close()
        if self._worker is None:
            self._worker = worker_pool.take(self._limits, self._file)
            self._last_asked = number - 1
        return self._worker

    def _late(self, number: int) -> Page:
        why = (
            f"the pages before it took more than the limit of {self._limits.document_seconds:g} s: raise "
            "document_seconds"
        )
        return Page(number, (0.0, 0.0), (), self._file.engine, problem=why, code="limit_time")
