"""``mmctx verify --repair``, and how a command ends. Oracle: exit codes, and what the memory held before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mm_megacontext.cli.main import main
from mm_megacontext.cli.terminal import print_json
from mm_megacontext.store.store import Store
from tests.store.store_worker import IDENTITY, source_info, tree_rows


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "memory"
    with Store.create(path, IDENTITY) as store:
        for i in (1, 2):
            store.add_source(source_info(f"doc-{i}", i), tree_rows(i))
    return path


def test_a_memory_without_its_file_is_repaired(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (memory / "memory.json").read_bytes()
    (memory / "memory.json").unlink()
    assert main(["verify", str(memory)]) == 1
    assert f"mmctx verify {memory} --repair" in capsys.readouterr().err
    assert main(["verify", str(memory), "--repair", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["ok"], result["lost"]) == (True, [])
    assert "memory.json: rebuilt from the catalogue" in result["repaired"][0]
    assert (memory / "memory.json").read_bytes() == before
    assert main(["verify", str(memory)]) == 0


def test_a_source_that_is_lost_is_named_and_is_no_success(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newest = max((memory / "nodes" / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(bytes(newest.stat().st_size))
    assert main(["verify", str(memory), "--repair"]) == 1
    assert "doc-2: ingest again" in capsys.readouterr().out
    assert main(["verify", str(memory)]) == 0
    assert [source.uri for source in Store.open(memory).sources()] == ["doc-1"]


def test_json_has_nothing_that_a_terminal_obeys_or_cannot_show(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"uri": "two\nlines \x1b[2J \x9b31m \udcff \u202e é 漢 \U0001f600 \U000e0041"}
    print_json(value)
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert json.loads(out) == value
    assert "é 漢 \U0001f600" in out


@pytest.mark.skipif(os.name == "nt" or not shutil.which("mkfifo"), reason="there is no SIGTERM, or no pipe to wait at")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_says_what_ctrl_c_says(number: signal.Signals, code: int) -> None:
    """A command that waits: it says that it runs, and sleeps."""
    command = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who runs the tests may ignore it
        "from mm_megacontext.cli import main as module\n"
        "def wait(argv):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "module._run = wait\n"
        "sys.exit(module.main([]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, "mmctx: interrupted\n")
