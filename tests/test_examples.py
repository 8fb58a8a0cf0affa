"""The examples run as a reader would run them, and the documentation shows their code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_megacontext.bases.finder import Finder
from mm_megacontext.memory import MegaContext

ROOT = Path(__file__).parents[1]


def test_an_encoder_and_a_gist_network_of_ones_own() -> None:
    pytest.importorskip("timm")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_encoder.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [re.split("[:-]", line)[0] for line in lines] == ["mean", "max", "gistnet", "strongest"]
    assert all("33 nodes over 1408 patches" in line for line in lines)  # 6 x 4 tiles and what is above them
    assert lines[0].partition("root")[2] == lines[2].partition("root")[2], "an untrained GistNet is mean pooling"


def test_the_documentation_shows_the_gist_network_of_the_example() -> None:
    def class_of(text: str) -> str:
        found = re.search(r"^class Strongest.*?\n\n(?=\S)", text, re.MULTILINE | re.DOTALL)
        assert found is not None
        return found[0].strip()

    shown = (ROOT / "docs" / "vision-encoders.md").read_text(encoding="utf-8")
    run = (ROOT / "examples" / "own_encoder.py").read_text(encoding="utf-8")
    assert class_of(shown) == class_of(run)


def test_the_scene_is_what_its_script_makes(tmp_path: Path) -> None:
    """And the finder of the package finds what the README asks for, and does not find what is not there."""
    made = tmp_path / "scene.png"
    script: list[str | Path] = [sys.executable, ROOT / "examples" / "make_scene.py", made]
    subprocess.run(script, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    with Image.open(made) as new, Image.open(ROOT / "examples" / "scene.png") as committed:
        np.testing.assert_array_equal(np.asarray(new), np.asarray(committed))
    finder = Finder.from_pretrained()
    with MegaContext.open(tmp_path / "memory", base=finder, lens=finder.lens(), gister=finder.gister()) as memory:
        memory.ingest(made)
        there = memory.ask("Where is the pink heart marked E?")
        absent = memory.ask("Where is the blue star marked X?")
    x0, y0, x1, y1 = there.evidence[0].bbox
    assert 1844 <= (x0 + x1) / 2 < 1884
    assert 1137 <= (y0 + y1) / 2 < 1177
    assert not absent.found
    assert absent.evidence == ()
