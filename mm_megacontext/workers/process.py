"""A worker seen from the process that asks it: started, asked, listened to, and ended by its process id.

The worker is not trusted: what it sends is bounded and checked, and it has the time that it may take. All that it is
asked is about one file: what that file does to it must not reach another one.
"""

from __future__ import annotations

import signal
import socket
from collections import deque
from contextlib import suppress
from typing import Any

from mm_megacontext.document import Page
from mm_megacontext.errors import ErrorCode
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers import frames, wire
from mm_megacontext.workers import start as worker_start
from mm_megacontext.workers.allowance import Allowance, allowance
from mm_megacontext.workers.answers import check_answer
from mm_megacontext.workers.messages import (
    EXIT_NO_MEMORY,
    Count,
    Counted,
    CountImage,
    Failure,
    Identified,
    Identify,
    Measure,
    Measured,
    OpenPixels,
    PixelRows,
    PixelsOpened,
    Purpose,
    ReadImage,
    ReadOverview,
    ReadPage,
    ReadPixels,
    Render,
    Request,
    most_bytes,
)
from mm_megacontext.workers.start import Origin, OriginLost

_GRACE_SECONDS = 5.0  # the worker's own clock comes first; ours is for one that was tampered with, and for its start
_TIDY_SECONDS = 1.0  # to remove what it has on disk

_SIGNALS = {number.value: number.name for number in signal.Signals}
_ANSWERS: dict[type[Any], type[Any]] = {
    Count: Counted,
    ReadPage: Page,
    Measure: Measured,
    Render: PixelRows,
    Identify: Identified,
    CountImage: Counted,
    ReadImage: Page,
    OpenPixels: PixelsOpened,
    ReadPixels: PixelRows,
    ReadOverview: PixelRows,
}


class WorkerFailed(Exception):
    """A worker died, took too long or sent nonsense. It is gone; ``code`` and the message say why."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


class WorkerProcess:
    """A running worker. Requests are answered in order; several may be on their way.

    Args:
        limits: What it may use.
        purpose: What it will be asked to read: what that takes is imported before it is made, for those after it too.

    Raises:
        WorkerFailed: It could not be started.
    """

    def __init__(self, limits: IngestLimits, purpose: Purpose) -> None:
        self.limits = limits
        self._allowed = allowance(limits, purpose.opener)
        self.serves: object = None
        self._asked: deque[Request] = deque()
        self._n_asked = 0
        self._is_over = False
        self._end, theirs = socket.socketpair()
        with theirs:
            self._origin, self.pid = _fork(theirs, self._allowed, purpose)

    @property
    def import_path(self) -> list[str]:
        """Where it finds modules."""
        return self._origin.import_path

    @property
    def n_waiting(self) -> int:
        """Requests without an answer yet."""
        return len(self._asked)

    @property
    def is_worn(self) -> bool:
        """Whether it has answered so much that a new one should take its place."""
        return self._n_asked >= self._allowed.requests

    @property
    def is_sound(self) -> bool:
        """Whether it runs and has sent nothing that it was not asked for."""
        self._end.setblocking(False)
        try:
            self._end.recv(1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def ask(self, request: Request) -> None:
        """Send a request; ``answer`` gives what comes of it. Raises WorkerFailed."""
        assert self.serves in (None, request.file.identity), "a worker opens one file"
        self.serves = request.file.identity
        self._asked.append(request)
        self._n_asked += 1
        self._end.settimeout(self._seconds)
        try:
            frames.send(self._end, wire.pack(request))
        except TimeoutError as e:
            raise self._failed_slowly() from e
        except OSError as e:
            raise self._died() from e

    def answer(self, seconds: float | None = None) -> Any:
        """The answer to the oldest request that has none: what belongs to it, or a Failure.

        Args:
            seconds: Wait at most so long, if that is less than a request may take.

        Raises:
            WorkerFailed: There is none, or what came is no answer.
        """
        request = self._asked[0]
        allowed = self._seconds if seconds is None else min(seconds, self._seconds)
        try:
            answer = wire.unpack(
                frames.receive(self._end, most_bytes(request), allowed), _ANSWERS[type(request)], Failure
            )
            check_answer(answer, request, self.limits)
        except TimeoutError as e:
            raise self._failed_slowly() from e
        except (EOFError, OSError) as e:
            raise self._died() from e
        except (frames.FrameTooLong, wire.BadMessage) as e:
            self.kill()
            raise WorkerFailed(f"what the {self._allowed.what} answered makes no sense ({e})", "bad_answer") from e
        self._asked.popleft()  # not before: an interrupt leaves an answer on its way
        return answer

    def kill(self) -> None:
        """End it and what it has started. It is over when this returns; a second time does nothing."""
        self._close(_TIDY_SECONDS if self._allowed.settings.file_bytes and not self.n_waiting else 0.0)

    def disown(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._end.close()
        self._is_over = True

    def _close(self, seconds: float) -> int | None:
        """See ``Origin.end``. Where the origin is gone, the worker ends by its clocks or because its socket closed."""
        self._end.close()
        if self._is_over:
            return None
        self._is_over = True
        with suppress(OriginLost):
            return self._origin.end(self.pid, seconds)
        return None

    @property
    def _seconds(self) -> float:
        return self._allowed.settings.seconds + _GRACE_SECONDS

    def _failed_slowly(self) -> WorkerFailed:
        self.kill()
        return self._too_slow()

    def _too_slow(self, *, is_cpu: bool = False) -> WorkerFailed:
        allowed = self._allowed
        name = f"{allowed.prefix}_cpu_seconds" if is_cpu else f"{allowed.prefix}_seconds"
        taken = f"{allowed.settings.cpu_seconds:g} s of processor time" if is_cpu else f"{allowed.settings.seconds:g} s"
        return WorkerFailed(
            f"reading it took more than the limit of {taken}: raise {name} if you trust the file", "limit_time"
        )

    def _died(self) -> WorkerFailed:
        """What became of a worker whose end of the socket is closed."""
        code, allowed = self._close(_GRACE_SECONDS), self._allowed
        if code is None:
            return WorkerFailed(f"the {allowed.what} stopped answering", "engine_crash")
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return self._too_slow(is_cpu=code == -signal.SIGXCPU)
        if code == EXIT_NO_MEMORY:
            limit = f"the limit of {allowed.settings.memory_bytes} bytes of memory: raise {allowed.memory_name}"
            return WorkerFailed(f"reading it takes more than {limit} if you trust the file", "limit_memory")
        if code == -signal.SIGKILL:
            return WorkerFailed(
                f"the {allowed.what} was killed, perhaps because the machine ran out of memory", "limit_memory"
            )
        how = _SIGNALS.get(-code, f"exit code {code}")
        return WorkerFailed(f"the {allowed.what} crashed ({how})", "engine_crash")


def _fork(end: socket.socket, allowed: Allowance, purpose: Purpose) -> tuple[Origin, int]:
    """A new worker: what made it, and its process id. Raises WorkerFailed."""
    for _ in range(2):  # an origin may have been killed long ago, by whoever was short of memory
        maker = worker_start.origin()
        try:
            return maker, maker.fork(end, allowed.settings, purpose)
        except OriginLost as e:
            worker_start.drop(maker)
            lost = e
    raise WorkerFailed(f"no process for the {allowed.what} could be started ({lost})", "engine_crash")
