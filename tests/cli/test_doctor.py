"""The doctor's report, checked against importlib.metadata and torch themselves."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import torch

from mm_megacontext import attention, doctor
from mm_megacontext.cli.main import main
from mm_megacontext.vision.encoders import ENCODERS, DctEncoder

KEYS = {
    "ok", "version", "python", "platform", "packages", "extras", "devices", "threads", "attention",
    "attention_backends", "tesseract", "models", "names", "cache", "problems",
}  # fmt: skip


def test_json_is_the_documented_object(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report) == KEYS
    assert report["ok"] == (not report["problems"])
    assert code == (0 if report["ok"] else 1)
    assert report["packages"]["torch"] == importlib.metadata.version("torch")
    assert report["devices"][0] == "cpu"
    assert len(report["devices"]) == 1 + torch.cuda.device_count()


def test_text_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    out = capsys.readouterr().out
    for name in (*doctor.REQUIRED, "devices", "attention", "tesseract", "model", "cache"):
        assert name in out


def test_what_can_be_chosen_by_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    ENCODERS.register("mine", DctEncoder)
    try:
        main(["doctor", "--json"])
        names = json.loads(capsys.readouterr().out)["names"]
        main(["doctor"])
        out = capsys.readouterr().out
    finally:
        ENCODERS.unregister("mine")
    assert set(names) == set(doctor.REGISTRIES)
    assert names["models"] == {"finder": "built in", "mmctx-tiny": "built in"}
    assert names["encoders"] == {"dct": "built in", "mine": "registered"}
    assert {"pdfium", "pymupdf"} <= set(names["layout_engines"])
    assert "dct, mine (registered)" in out


def test_every_device_has_an_attention_backend(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert list(report["attention_backends"]) == [device.split()[0] for device in report["devices"]]
    assert report["attention_backends"]["cpu"] == {
        "backend": "sdpa",
        "why_not_xformers": "needs a CUDA device, not cpu",
    }


def test_attention_of_a_gpu_is_decided_as_in_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    for state, backend in (("ready", "xformers"), ("unloadable", "sdpa"), ("missing", "sdpa")):
        monkeypatch.setattr(attention, "find_xformers", lambda state=state: state)
        found = doctor.find_attention(("cpu", "cuda:0 Some GPU"))
        assert found["cpu"]["backend"] == "sdpa"
        assert found["cuda:0"]["backend"] == backend
        assert (found["cuda:0"]["why_not_xformers"] is None) == (backend == "xformers")


def test_broken_library_is_a_problem_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    (problem,) = doctor.find_broken()
    assert problem.startswith("pylance does not import (ModuleNotFoundError")
    assert problem.endswith("pip install pylance")


def test_missing_distribution_has_no_version() -> None:
    assert doctor.find_version("mm-megacontext-no-such-thing") is None


def test_tesseract_is_looked_for_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.find_tesseract() is None
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\necho 'tesseract 5.3.0'\necho ' leptonica'\n", encoding="utf-8")
    program.chmod(0o755)
    assert doctor.find_tesseract() == "tesseract 5.3.0"


def test_file_in_the_way_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.is_writable(tmp_path / "new" / "cache")
    assert not doctor.is_writable(tmp_path / "file" / "cache")
