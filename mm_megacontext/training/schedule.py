"""Where a run stands in its schedule, by the clock or by steps: the rate of learning there, and its log."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

LOG = "train.jsonl"
WARM_UP = 100
"""Steps in which the rate rises."""
FLAT = 0.4
"""Share of the run after which the rate falls."""


@dataclass(slots=True)
class Schedule:
    """How much of the run is over, from ``start`` to 1.

    Attributes:
        minutes: Length of the run.
        steps: Length in steps; takes the place of ``minutes``.
        start: Share of the schedule that the weights it begins with have behind them.
        step: Updates made so far, those before an interruption included.
        seconds_before: Time that the run took before it was interrupted.
    """

    minutes: float
    steps: int | None
    start: float = 0.0
    step: int = 0
    seconds_before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    @property
    def progress(self) -> float:
        return self.progress_at(self.step)

    def progress_at(self, step: int) -> float:
        """Progress after so many steps; a run by the clock does not know it ahead, and says where it stands now."""
        done = self.seconds / (60 * self.minutes) if self.steps is None else step / self.steps
        return 1 - (1 - self.start) * (1 - done)

    def rate(self, peak: float) -> float:
        """Learning rate: linear warm-up, flat to ``FLAT`` of the run, then linear to zero."""
        fall = min(1.0, max(0.0, (1 - self.progress) / (1 - FLAT)))
        return peak * min(1.0, (self.step + 1) / WARM_UP) * fall


def write_log(log: TextIO, schedule: Schedule, **record: Any) -> None:
    """One JSON line: where the run stands, and what is to be said."""
    head = {"step": schedule.step, "seconds": round(schedule.seconds, 1), "progress": round(schedule.progress, 4)}
    log.write(json.dumps({**head, **record}, default=str, allow_nan=False) + "\n")
    log.flush()


def cut_log(path: Path, step: int) -> None:
    """Take off what was logged after ``step``: an interrupted run takes those steps once more."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if _is_until(line, step)]
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text("".join(kept), encoding="utf-8")
    os.replace(partial, path)


def _is_until(line: str, step: int) -> bool:
    """False also for a line that was not written to its end."""
    return line.endswith("\n") and bool(json.loads(line)["step"] <= step)
