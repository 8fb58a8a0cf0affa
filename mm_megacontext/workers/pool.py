"""Workers that have nothing to do at the moment, kept for who needs their file next."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers.messages import DocumentFile, ImageFile
from mm_megacontext.workers.process import WorkerProcess
from mm_megacontext.workers.start import import_path

_MOST_IDLE = 4
"""A question to many files may need pixels of several. Whoever comes back later has to open the file again."""

_lock = threading.Lock()
_idle: list[WorkerProcess] = []


def take(limits: IngestLimits, file: DocumentFile | ImageFile) -> WorkerProcess:
    """A worker that nobody else asks, until ``give_back`` or its ``kill``: one that has ``file`` open, or a new one.

    A file never meets a worker that another one may have taken over. Raises WorkerFailed.
    """
    with _lock:
        known = [w for w in _idle if w.serves == file.identity and w.limits == limits]
        for worker in [w for w in known if w.import_path == import_path()]:
            _idle.remove(worker)
            if worker.is_sound:
                return worker
            worker.kill()
    return WorkerProcess(limits, file.purpose)


def give_back(worker: WorkerProcess) -> None:
    """Keep a worker for others, or end it: one that is worn, still works on something, or is one too many."""
    if worker.is_worn or worker.n_waiting or not worker.is_sound:
        worker.kill()
        return
    with _lock:
        _idle.append(worker)
        superfluous = _idle[:-_MOST_IDLE]
        del _idle[:-_MOST_IDLE]
    for old in superfluous:
        old.kill()


def end_idle(file: DocumentFile | ImageFile) -> None:
    """End the workers that have a file open and nothing to do: it may take much of memory or disk there."""
    with _lock:
        over = [worker for worker in _idle if worker.serves == file.identity]
        for worker in over:
            _idle.remove(worker)
    for worker in over:
        worker.kill()


@contextmanager
def borrowed(limits: IngestLimits, file: DocumentFile | ImageFile) -> Iterator[WorkerProcess]:
    """A worker for the body; ended if the body raises."""
    worker = take(limits, file)
    try:
        yield worker
    except BaseException:
        worker.kill()
        raise
    give_back(worker)


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
