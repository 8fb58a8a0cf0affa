"""Measurements in a process of their own, so that none sees the memory or the warm caches of another."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_PEAK = "VmHWM:"


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
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(_PEAK):
                return int(line.removeprefix(_PEAK).split()[0]) / 1024
    raise RuntimeError(f"/proc/self/status has no {_PEAK}")
