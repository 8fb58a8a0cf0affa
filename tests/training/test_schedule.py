"""The schedule and its log. Oracle: by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.training.schedule import Schedule, cut_log, write_log


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_schedule_by_steps(start: float) -> None:
    schedule = Schedule(minutes=1, steps=200, start=start)
    assert schedule.progress == start
    rates = []
    for step in range(200):
        schedule.step = step
        assert schedule.progress == pytest.approx(start + (1 - start) * step / 200)
        rates.append(schedule.rate(1.0))
    assert rates[0] == pytest.approx(0.01 * min(1, (1 - start) / 0.6))
    assert np.argmax(rates) < 120
    schedule.step = 200
    assert schedule.progress == 1
    assert schedule.rate(1.0) == 0
    assert (np.diff(rates[120:]) < 0).all()


@given(start=st.floats(0, 1), steps=st.integers(1, 10**6))
def test_the_last_step_ends_the_schedule_wherever_it_began(start: float, steps: int) -> None:
    assert Schedule(minutes=1, steps=steps, start=start, step=steps).progress == 1


def test_a_resumed_schedule_by_the_clock_has_its_time_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    schedule = Schedule(minutes=10, steps=None, step=40, seconds_before=150.0, began=1000.0)
    assert (schedule.seconds, schedule.progress) == (150.0, 0.25)
    monkeypatch.setattr(time, "monotonic", lambda: 1150.0)
    assert (schedule.seconds, schedule.progress) == (300.0, 0.5)
    assert schedule.rate(1.0) == pytest.approx(0.41 * 0.5 / 0.6)


def test_the_log_is_cut_behind_a_step(tmp_path: Path) -> None:
    path, schedule = tmp_path / "train.jsonl", Schedule(minutes=1, steps=10)
    with path.open("w", encoding="utf-8") as log:
        for schedule.step in (1, 2, 3):
            write_log(log, schedule, out=tmp_path)
        log.write('{"step": 2, "sec')  # killed meanwhile
    cut_log(path, 2)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(record["step"], record["progress"], record["out"]) for record in records] == [
        (1, 0.1, str(tmp_path)),
        (2, 0.2, str(tmp_path)),
    ]
    cut_log(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()
