"""Where a run stands in its schedule, by the clock or by steps, and its log."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass(slots=True)
class Schedule:
    """How much of the run is over, from ``start`` to 1."""

    minutes: float
    steps: int | None
    start: float = 0.0
    step: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def progress(self) -> float:
        done = self.seconds / (60 * self.minutes) if self.steps is None else self.step / self.steps
        return self.start + (1 - self.start) * done

    def rate(self, peak: float) -> float:
        """Learning rate: linear warm-up over 100 steps, flat to 40 % of the run, then linear to zero."""
        return peak * min(1.0, (self.step + 1) / 100) * min(1.0, max(0.0, (1 - self.progress) / 0.6))


def write_log(log: TextIO, schedule: Schedule, **record: Any) -> None:
    """One JSON line: where the run stands, and what is to be said."""
    head = {"step": schedule.step, "seconds": round(schedule.seconds, 1), "progress": round(schedule.progress, 4)}
    log.write(json.dumps({**head, **record}) + "\n")
    log.flush()
