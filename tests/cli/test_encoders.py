"""``mmctx encoders``, checked against what timm and open_clip say themselves."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

import pytest

from mm_megacontext.cli.main import main
from mm_megacontext.vision.encoders.registry import TOWERS

timm = pytest.importorskip("timm")
open_clip = pytest.importorskip("open_clip")


def listed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main(["encoders", *argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_without_a_pattern_models_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    result = listed(capsys)
    assert {"name": "dct", "pretrained": []} in result["encoders"]
    assert not any(":" in one["name"] for one in result["encoders"])
    libraries = {one.pop("prefix"): one for one in result["libraries"]}
    assert libraries["timm:"]["models"] == len(timm.list_models())
    assert libraries["open_clip:"] == {
        "distribution": "open_clip_torch",
        "version": importlib.metadata.version("open_clip_torch"),
        "models": len(open_clip.list_models()),
        "missing": None,
    }


def test_a_pattern_lists_what_matches_with_its_weights(capsys: pytest.CaptureFixture[str]) -> None:
    found = {one["name"]: one["pretrained"] for one in listed(capsys, "timm:vit_small_patch1*")["encoders"]}
    assert set(found) == {f"timm:{name}" for name in timm.list_models("vit_small_patch1*")}
    tags = [name.partition(".")[2] for name in timm.list_pretrained("vit_small_patch16_224.*")]
    assert found["timm:vit_small_patch16_224"] == tags


def test_a_part_of_a_name_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    names = [one["name"] for one in listed(capsys, "RN50-quickgelu")["encoders"]]
    assert names == ["open_clip:RN50-quickgelu"]
    assert listed(capsys, "no-such-thing")["encoders"] == []


def test_text_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "open_clip:RN50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["open_clip:RN50", *open_clip.list_pretrained_tags_by_model("RN50")] for line in lines)
    assert main(["encoders"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["dct", *(f"{prefix}:MODEL" for prefix in TOWERS)]


def test_a_missing_library_is_named_with_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.delitem(sys.modules, TOWERS["open_clip"].module, raising=False)
    (library,) = (one for one in listed(capsys)["libraries"] if one["prefix"] == "open_clip:")
    assert library["version"] is None
    assert library["missing"] == "open_clip is not installed; get it with: pip install 'mm-megacontext[vision]'"
    assert main(["encoders"]) == 0
    assert library["missing"] in capsys.readouterr().out
