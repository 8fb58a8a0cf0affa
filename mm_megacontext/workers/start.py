"""Starts the process that workers are copies of, see ``origin``, and has it make and end them."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import Any

from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import Purpose

_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from mm_megacontext.workers.origin import main
main()
"""
_START_SECONDS = 60.0
"""For imports on a machine that is busy with other things; they take a third of a second."""
_KEPT = {"PATH", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "TESSDATA_PREFIX", "PYTHONHOME", "PYTHONPATH"}
_KEPT_PREFIXES = ("LC_", "MMCTX_", "VIPS_")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class OriginLost(Exception):
    """The process that makes workers has ended, or does not answer."""


class Origin:
    """That process, running. It has nothing of ours but what programs need to run, and stands in ``/``."""

    def __init__(self) -> None:
        self.import_path = import_path()
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(self.import_path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("MMCTX_DEBUG") == "1" else subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us
            )

    def preload(self, purpose: Purpose) -> None:
        """Have imported what workers of that purpose need, without waiting for it. Raises OriginLost."""
        with self._lock:
            self._send({"what": "preload", "purpose": purpose}, [])

    def fork(self, end: socket.socket, settings: WorkerSettings, purpose: Purpose) -> int:
        """The process id of a new worker that answers at the other end of ``end``. Raises OriginLost."""
        pid = self._ask({"what": "fork", "purpose": purpose, "settings": asdict(settings)}, [end.fileno()])
        return int(pid)

    def end(self, pid: int, seconds: float) -> int | None:
        """End a worker and what it has started; it is over when this returns. Raises OriginLost.

        Args:
            pid: Of the worker.
            seconds: Wait so long for it to end by itself.

        Returns:
            Its exit code, negative for a signal; None if it had to be killed.
        """
        code: int | None = self._ask({"what": "end", "pid": pid, "seconds": seconds}, [])
        return code

    def close(self) -> None:
        """End it. Workers that live end when their sockets are closed."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def disown(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._control.close()
        self._process.returncode = 0  # not ours to wait for

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> Any:
        with self._lock:
            self._send(request, descriptors)
            return self._receive()

    def _send(self, request: dict[str, Any], descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode() + b"\n"], descriptors)
        except OSError as e:
            raise OriginLost(f"the process that makes workers is gone ({e})") from e

    def _receive(self) -> Any:
        line = b""
        while not line.endswith(b"\n"):
            try:
                part = self._control.recv(1)  # a few bytes in all; the next answer stays where it is
            except OSError as e:
                raise OriginLost(f"the process that makes workers does not answer ({e})") from e
            if not part:
                raise OriginLost("the process that makes workers has ended")
            line += part
        return json.loads(line)


_lock = threading.Lock()
_current: Origin | None = None


def origin() -> Origin:
    """The one that finds the modules that this process finds now; started if there is none."""
    global _current
    with _lock:
        if _current is not None and _current.import_path != import_path():
            _current.close()
            _current = None
        if _current is None:
            _current = Origin()
        return _current


def drop(lost: Origin) -> None:
    """Forget one that does not answer; the next one who needs it starts another."""
    global _current
    with _lock:
        if _current is lost:
            _current = None
    lost.close()


def _close() -> None:
    if _current is not None:
        drop(_current)


def _forget() -> None:
    """In a child of ``os.fork``: the process is the parent's."""
    global _current, _lock
    _lock = threading.Lock()
    if _current is not None:
        _current.disown()
        _current = None


def import_path() -> list[str]:
    """Where this process finds modules, so that workers find the same ones; relative places made absolute."""
    return [os.path.abspath(place) for place in sys.path]


def _environment() -> dict[str, str]:
    """Nothing that a document has no business with: other variables often hold credentials."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONDONTWRITEBYTECODE": "1"}


atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
