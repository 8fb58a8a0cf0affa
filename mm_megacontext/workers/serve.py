"""The process that opens files for another one: reads pages, renders and decodes pixels, and is expendable.

It is a copy of ``origin`` and answers the requests of ``messages`` on a socket, all of them about one file. The kernel
ends it when a request takes too long or too much: what a hostile file can do to it ends with it.
"""

from __future__ import annotations

import math
import resource
import signal
import socket

from mm_megacontext.errors import MOST_LETTERS, IngestError, MissingExtra, first_words
from mm_megacontext.workers import frames, wire
from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import (
    EXIT_NO_MEMORY,
    MOST_REQUEST_BYTES,
    REQUESTS,
    DocumentFile,
    Failure,
    ImageFile,
    Request,
    most_bytes,
)
from mm_megacontext.workers.openers import OPENERS, OpenFile

_OPEN_FILES = 128


class Worker:
    """Answers requests one after the other; holds the last file open."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._held: tuple[DocumentFile | ImageFile, OpenFile] | None = None

    def answer(self, request: Request) -> object:
        """The answer; what is wrong with the file or the page is one too, a Failure."""
        try:
            return self._open(request.file).answer(request)
        except IngestError as e:
            return Failure("ingest", e.code, e.reason.removeprefix(f"page {e.page}: ")[:MOST_LETTERS])
        except MissingExtra as e:
            return Failure("missing extra", "missing_extra", str(e))
        except MemoryError:
            raise
        except Exception as e:  # libraries raise anything on damaged files
            what = "image" if isinstance(request.file, ImageFile) else "file"
            return Failure("ingest", "corrupt", f"the {what} cannot be read ({first_words(e)}): export it anew")

    def close(self) -> None:
        """Let go of the file, and of what was decoded of it to disk."""
        held, self._held = self._held, None
        if held is not None:
            held[1].close()

    def _open(self, file: DocumentFile | ImageFile) -> OpenFile:
        if self._held is None or self._held[0] != file:
            self.close()
            self._held = file, OPENERS.get(file.purpose.opener)().open(file, self._settings)
        return self._held[1]


def run(end: socket.socket, settings: WorkerSettings) -> int:
    """Answer on ``end`` until it closes, within the limits of ``settings``; the exit code."""
    _confine(settings)
    try:
        _serve(end, settings)
    except MemoryError:
        return EXIT_NO_MEMORY
    except OSError:
        return 0  # the other end is gone
    return 0


def _serve(end: socket.socket, settings: WorkerSettings) -> None:
    """Answer what comes until the other end closes. The clocks run while a request is worked on, and only then."""
    worker = Worker(settings)
    while True:
        try:
            request = wire.unpack(frames.receive(end, MOST_REQUEST_BYTES), *REQUESTS)
        except EOFError:
            worker.close()
            return
        _start_clocks(settings)
        answer = worker.answer(request)
        data = wire.pack(answer)
        if len(data) > most_bytes(request):
            data = wire.pack(Failure("ingest", "limit_size", f"what was read of it takes {len(data)} bytes: split it"))
        signal.setitimer(signal.ITIMER_REAL, 0)
        frames.send(end, data)


def _start_clocks(settings: WorkerSettings) -> None:
    """The kernel ends this process when a clock runs out; no code of ours or an engine's needs to be able to run."""
    signal.setitimer(signal.ITIMER_REAL, settings.seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(usage.ru_utime + usage.ru_stime + settings.cpu_seconds)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard == resource.RLIM_INFINITY else min(seconds, hard), hard))


def _confine(settings: WorkerSettings) -> None:
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    _lower(resource.RLIMIT_AS, settings.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, settings.file_bytes)  # of Tesseract, too
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
