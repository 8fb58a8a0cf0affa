"""What ``mmctx ingest`` says of files that are read whole, in part, and not at all. Oracle: how they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext.cli.main import main
from mm_megacontext.workers import process as worker_process
from tests.layout import attack_files
from tests.layout.shim_engine import MISDEEDS, install_shim

SHORT = ["--limit", "page-seconds=60", "--limit", "page_cpu_seconds=1", "--limit", "worker-bytes=600000000"]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_GRACE_SECONDS", 0.5)


def ingest(path: Path, memory: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["ingest", str(path), "--memory", str(memory), "--json", *SHORT, *options])
    return code, json.loads(capsys.readouterr().out)


def test_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pdf").write_bytes(attack_files.good())
    code, result = ingest(tmp_path / "a.pdf", tmp_path / "memory", capsys)
    assert code == 0
    assert result["summary"] == {"ok": 5, "degraded": 0, "failed": 0}
    code, result = ingest(tmp_path / "a.pdf", tmp_path / "memory", capsys)
    assert (code, len(result["unchanged"])) == (0, 1)


def test_hostile_files_cost_only_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, memory = tmp_path / "in", tmp_path / "memory"
    folder.mkdir()
    for name, data in {
        "1 good.pdf": attack_files.good(),
        "2 bomb.pdf": attack_files.deflate_bomb(),
        "3 empty.pdf": attack_files.no_pages(),
        "4 half.pdf": attack_files.good()[:700],
        "5 huge.pdf": attack_files.box_of(b"0 0 1000000 1000000")(),
        "6\x1b[2Jgood.pdf": attack_files.good().replace(b"holds", b"keeps"),
    }.items():
        (folder / name).write_bytes(data)
    code, result = ingest(folder, memory, capsys)
    assert code == 3
    taken = {Path(str(s["uri"])).name: s for s in result["ingested"]}
    assert {"1 good.pdf", "2 bomb.pdf", "5 huge.pdf", "6\x1b[2Jgood.pdf"} <= set(taken)
    assert taken["1 good.pdf"]["problems"] == []
    assert [(p["page"], p["code"]) for p in taken["5 huge.pdf"]["problems"]] == [(3, "limit_pixels")]
    assert taken["2 bomb.pdf"]["summary"] == {"ok": 4, "degraded": 0, "failed": 1}
    failed = {Path(str(f["uri"])).name: f["code"] for f in result["failed"]}
    assert failed["3 empty.pdf"] == "zero_pages"
    assert main(["verify", str(memory)]) == 0
    assert main(["ask", str(memory), "What does page 3 keep?", *SHORT]) == 0
    assert "\x1b" not in "".join(capsys.readouterr())


def test_part_and_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pdf").write_bytes(attack_files.good())
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=MISDEEDS["aborts"])
    code, result = ingest(tmp_path / "a.pdf", tmp_path / "memory", capsys, "--engine", "shim")
    assert code == 3
    assert result["summary"] == {"ok": 4, "degraded": 0, "failed": 1}
    assert main(["layout", str(tmp_path / "a.pdf"), "--engine", "shim", "--json", *SHORT]) == 3
    page = json.loads(capsys.readouterr().out)["pages"][2]
    assert (page["status"], page["code"]) == ("failed", "engine_crash")

    (tmp_path / "b.pdf").write_bytes(attack_files.tree_that_holds_itself())
    code, result = ingest(tmp_path / "b.pdf", tmp_path / "new", capsys)
    assert code == 65
    assert [failed["code"] for failed in result["failed"]] == ["corrupt"]
    assert not (tmp_path / "new").exists()
    assert main(["layout", str(tmp_path / "b.pdf")]) == 65
    assert main(["ask", str(tmp_path / "b.pdf"), "What?", "--memory", str(tmp_path / "new")]) == 65


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("page-seconds=0", "must be a number above 0"),
        ("page-seconds=soon", "N is a number of seconds"),
        ("pages=3", "NAME is one of"),
        ("max-pages=1.5", "N is a whole number"),
    ],
)
def test_limits_that_are_none(limit: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Rent: 3")
    assert main(["ingest", str(tmp_path / "a.txt"), "--memory", str(tmp_path / "m"), "--limit", limit]) == 2
    assert said in capsys.readouterr().err
