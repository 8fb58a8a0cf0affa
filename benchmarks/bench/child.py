"""Measurements in a process of their own, so that none sees the memory or the warm caches of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

_PEAK, _NOW = "VmHWM:", "VmRSS:"
_SAMPLE_SECONDS = 0.1


def measure(script: str, *arguments: str) -> dict[str, Any]:
    """Run ``script`` with ``arguments`` in a new interpreter and read the JSON object on the last line it prints."""
    done = subprocess.run([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} ended with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_rss_mib() -> float:
    """The most memory this process has had resident, in MiB.

    Read from the kernel's account of this address space: ``getrusage`` would carry over the peak of the parent, whose
    memory a new process shares for a moment.
    """
    found = _status_mib("self", _PEAK)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {_PEAK}")
    return found


class TreePeak:
    """The most memory that this process and all that it started have had resident together, in MiB.

    Sampled ten times a second. Pages that processes share are counted for each of them, so it is an upper bound, but
    for what is shorter than a sample.

    Attributes:
        mib: What was seen so far.
    """

    def __init__(self) -> None:
        self.mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> TreePeak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            together = sum(_status_mib(str(pid), _NOW) or 0.0 for pid in _tree(os.getpid()))
            self.mib = max(self.mib, together)
            if self._stop.wait(_SAMPLE_SECONDS):
                return


def tree_cpu_seconds() -> float:
    """Processor time of this process and of all that it started, ended or not, on all cores."""
    ticks = sum(_ticks(pid) for pid in _tree(os.getpid()))
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    """Processor time of a process and of its children that it has waited for (proc(5), stat, fields 14 to 17)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants, as they are now."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _status_mib(pid: str, name: str) -> float | None:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(name):
                    return int(line.removeprefix(name).split()[0]) / 1024
    except OSError:  # it has ended
        return None
    return None
