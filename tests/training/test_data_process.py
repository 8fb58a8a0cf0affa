"""The process that makes data. Oracle: the system's list of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mm_megacontext.training.data_process import data_process

ROOT = Path(__file__).parents[2]
TRAINER = """
import os, time
from mm_megacontext.training.data_process import data_process
if __name__ == "__main__":
    with data_process() as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_orders_are_carried_out_elsewhere() -> None:
    with data_process() as pool:
        first, second = pool.submit(os.getpid), pool.submit(os.getpid)
        assert first.result() == second.result() != os.getpid()


def test_it_ends_with_a_trainer_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as trainer:
        assert trainer.stdout is not None
        worker = int(trainer.stdout.readline())
        assert is_running(worker)
        trainer.send_signal(signal.SIGKILL)
    while is_running(worker):  # until it ends, or the suite is stopped
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether it is there, and not merely waiting for its parent to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
