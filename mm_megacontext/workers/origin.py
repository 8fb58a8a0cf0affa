"""The process that workers are copies of: everything is imported once, and no file is ever opened in it.

A worker is then there in some milliseconds, so every file can have one of its own. The other end is ``start``.
Requests are lines of JSON on the socket that is standard input: ``preload`` what a purpose takes; ``fork`` (with the
worker's end of its socket), answered by the process id; ``end`` a worker, answered by its exit code, or null if it had
to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import Purpose
from mm_megacontext.workers.openers import OPENERS
from mm_megacontext.workers.serve import run

_MOST_BYTES = 1 << 16
_POLL_SECONDS = 0.002
_LIKELY_NEXT = Purpose("pdf pages", "pdfium")
"""What reads a page that the first engine could not, and draws them all."""


def main() -> None:
    """Serve until the other end closes."""
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # nothing that is loaded here shall read requests or answer them
    for request, descriptors in _requests(control):
        if request["what"] == "fork":
            _reply(control, _fork(control, descriptors.pop(0), request))
            _preload(_LIKELY_NEXT)  # the worker that was asked for is under way
        elif request["what"] == "end":
            _reply(control, _end(request["pid"], request["seconds"]))
        else:
            _preload(Purpose(*request["purpose"]))


def _requests(control: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """What is asked, until the other end closes, and the descriptors that came with it and were not taken yet."""
    waiting, descriptors = b"", list[int]()
    while True:
        while b"\n" not in waiting:
            part, came, _, _ = socket.recv_fds(control, _MOST_BYTES, 1)
            if not part:
                return
            waiting += part
            descriptors += came
        line, _, waiting = waiting.partition(b"\n")
        yield json.loads(line), descriptors


def _reply(control: socket.socket, value: int | None) -> None:
    control.sendall(json.dumps(value).encode() + b"\n")


def _preload(purpose: Purpose) -> None:
    with suppress(Exception):  # whoever asks for it is told why it cannot be loaded
        OPENERS.get(purpose.opener)().preload(purpose.engine)


def _fork(control: socket.socket, descriptor: int, request: dict[str, Any]) -> int:
    """Make a worker. Returns, here, its process id."""
    _preload(Purpose(*request["purpose"]))
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    code = 1
    try:
        os.setsid()  # what it starts, Tesseract, can then be ended with it
        control.close()
        code = run(socket.socket(fileno=descriptor), WorkerSettings(**request["settings"]))
    except BaseException:
        if os.environ.get("MMCTX_DEBUG") == "1":
            traceback.print_exc()
    finally:
        os._exit(code)  # what follows is the origin's business


def _end(pid: int, seconds: float) -> int | None:
    """The exit code of a worker, negative for a signal; None if it still lived after ``seconds`` and was killed."""
    deadline = time.monotonic() + seconds
    while not (ended := _has_ended(pid)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        os.killpg(pid, signal.SIGKILL)  # while it is not waited for, no other process can have its id
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
