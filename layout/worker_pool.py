"""PDF workers that have nothing to do, kept for the next one who needs one: starting one takes a third of a second."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mm_megacontext.ingest_limits import IngestLimits
from mm_megacontext.layout.worker_process import WorkerProcess, import_path

_MOST_IDLE = 2
"""One that reads pages, and one that renders figures of them."""

_lock = threading.Lock()
_idle: list[WorkerProcess] = []


def take(limits: IngestLimits, preload: str = "") -> WorkerProcess:
    """A worker that nobody else asks, until ``give_back`` or its ``kill``; the one that was given back last."""
    with _lock:
        places = import_path()
        fitting = [w for w in reversed(_idle) if w.limits == limits and w.import_path == places]
        for worker in fitting:
            _idle.remove(worker)
            if worker.is_alive:
                return worker
            worker.kill()
    return WorkerProcess(limits, preload)


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
def borrowed(limits: IngestLimits, preload: str = "") -> Iterator[WorkerProcess]:
    """A worker for the body; ended if the body raises."""
    worker = take(limits, preload)
    try:
        yield worker
    except BaseException:
        worker.kill()
        raise
    give_back(worker)


def start_early(limits: IngestLimits, preload: str) -> None:
    """Start a worker now, beside what this process has to do before it needs one."""
    give_back(WorkerProcess(limits, preload))


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
