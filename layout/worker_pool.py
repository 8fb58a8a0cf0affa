"""PDF workers that have nothing to do, kept for who needs one next: starting one takes a third of a second."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mm_megacontext.ingest_limits import IngestLimits
from mm_megacontext.layout.pdf_messages import RENDERER, PdfFile
from mm_megacontext.layout.worker_process import WorkerProcess, import_path

_MOST_IDLE = 3
"""One that has read the pages of a file, one that renders figures of it, and one that is ready for the next file."""

_lock = threading.Lock()
_idle: list[WorkerProcess] = []


def take(limits: IngestLimits, file: PdfFile) -> WorkerProcess:
    """A worker for ``file`` that nobody else asks, until ``give_back`` or its ``kill``.

    One that has it open already, else one that has opened nothing yet, else a new one: a file never meets a worker that
    another one may have taken over.
    """
    with _lock:
        places = import_path()
        for path in (file.path, None):
            for worker in [w for w in _idle if w.path == path and w.limits == limits and w.import_path == places]:
                _idle.remove(worker)
                if worker.is_alive:
                    return worker
                worker.kill()
    return WorkerProcess(limits, "" if file.engine == RENDERER else file.engine)


def give_back(worker: WorkerProcess) -> None:
    """Keep a worker for others, or end it: one that is worn, still works on something, or is one too many."""
    if worker.is_worn or worker.n_waiting or not worker.is_alive:
        worker.kill()
        return
    with _lock:
        _idle.append(worker)
        superfluous = _idle[:-_MOST_IDLE]
        del _idle[:-_MOST_IDLE]
    for old in superfluous:
        old.kill()


@contextmanager
def borrowed(limits: IngestLimits, file: PdfFile) -> Iterator[WorkerProcess]:
    """A worker for the body; ended if the body raises."""
    worker = take(limits, file)
    try:
        yield worker
    except BaseException:
        worker.kill()
        raise
    give_back(worker)


def prepare(limits: IngestLimits, engine: str) -> None:
    """Start a worker beside what this process has to do before it needs one, unless one is ready."""
    with _lock:
        is_ready = any(w.path is None and w.limits == limits for w in _idle)
    if not is_ready:
        give_back(WorkerProcess(limits, engine))


def close_all() -> None:
    """End all idle workers."""
    with _lock:
        idle = _idle[:]
        _idle.clear()
    for worker in idle:
        worker.kill()


def _forget() -> None:
    """In a child of ``os.fork``: the workers are the parent's."""
    global _lock
    _lock = threading.Lock()
    for worker in _idle:
        worker.disown()
    _idle.clear()


atexit.register(close_all)
os.register_at_fork(after_in_child=_forget)
