"""The examples run as a reader would run them, and the documentation shows their code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
from PIL import Image

from mm_megacontext import doctor
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


def test_a_model_of_ones_own_reads() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_model.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    memory, answer = done.stdout.splitlines()
    assert memory.endswith(": 1 source, read by most-words-1>")
    assert "The key of the cellar hangs behind the blue door." in answer
    assert "from notes.txt, page 1, [72.0 72.0" in answer


@pytest.mark.parametrize(
    ("page", "example", "names"),
    [
        ("vision-encoders.md", "own_encoder.py", ["Strongest"]),
        ("models.md", "own_model.py", ["MostWords", "Alike", "Loudest", "most_words"]),
    ],
)
def test_the_documentation_shows_the_code_of_the_example(page: str, example: str, names: list[str]) -> None:
    shown = (ROOT / "docs" / page).read_text(encoding="utf-8")
    run = (ROOT / "examples" / example).read_text(encoding="utf-8")
    defined = {n.name: n for n in ast.parse(run).body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    for name in names:
        code = ast.get_source_segment(run, defined[name])
        assert code is not None
        assert f"\n{code}\n" in shown, name


def test_the_table_of_registries_is_complete() -> None:
    """Oracle: the registries themselves, which the doctor lists."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `(mm_megacontext\.\w+)` \|", page, re.MULTILINE)
    for name, reference in doctor.REGISTRIES.items():
        place, attribute = reference.removeprefix("mm_megacontext.").split(":")
        assert (f"{place}.{attribute}", resolve_name(reference).group) in rows, name
    assert len(rows) == len(doctor.REGISTRIES)


def test_the_scene_is_what_its_script_makes(tmp_path: Path) -> None:
    """And the finder of the package finds what the README asks for, and does not find what is not there."""
    made = tmp_path / "scene.png"
    script: list[str | Path] = [sys.executable, ROOT / "examples" / "make_scene.py", made]
    subprocess.run(script, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    with Image.open(made) as new, Image.open(ROOT / "examples" / "scene.png") as committed:
        np.testing.assert_array_equal(np.asarray(new), np.asarray(committed))
    with MegaContext.open(tmp_path / "memory", model="finder") as memory:
        memory.ingest(made)
        there = memory.ask("Where is the pink heart marked E?")
        absent = memory.ask("Where is the blue star marked X?")
    x0, y0, x1, y1 = there.evidence[0].bbox
    assert 1844 <= (x0 + x1) / 2 < 1884
    assert 1137 <= (y0 + y1) / 2 < 1177
    assert not absent.found
    assert absent.evidence == ()
