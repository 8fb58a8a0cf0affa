"""What an import costs and drags in, seen from a fresh interpreter; and the layers that pyproject.toml declares."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mm_megacontext

ROOT = Path(__file__).parents[1]
IMPORT_SECONDS = 1.0
"""The promise of the package, in CPU time, so that a busy machine does not count; it takes some hundredths."""
HEAVY = {"lance", "numpy", "PIL", "pyarrow", "pymupdf", "pypdfium2", "pyvips", "tokenizers", "torch", "transformers"}
ABSENT_ON_A_GPU_BOX = ("lance", "open_clip", "pyarrow", "pymupdf")
TRAINING_SIDE = ("mm_megacontext.bases", "mm_megacontext.positional", "mm_megacontext.training")

MEASURE = """
import json, sys, time
started = time.process_time()
import {module}
print(json.dumps([time.process_time() - started, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in {absent!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError, as if it were not installed
for name in {packages!r}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        print(module.name)
"""


def run_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["mm_megacontext", "mm_megacontext.cli.main"])
def test_import_is_quick_and_loads_nothing_heavy(module: str) -> None:
    seconds, loaded = json.loads(run_python(MEASURE.format(module=module)))
    assert seconds < IMPORT_SECONDS
    assert HEAVY.isdisjoint(loaded)


def test_asking_does_not_load_the_compiler() -> None:
    """``torch._dynamo`` takes longer than the answer; other models and libraries are for those who use them."""
    loaded = run_python("import sys, mm_megacontext.memory; print(*sys.modules)").split()
    assert "torch" in loaded
    assert {"mm_megacontext.bases.finder", "mm_megacontext.vision.gists.gistnet"}.isdisjoint(loaded)
    assert {"open_clip", "pyvips", "timm", "torch._dynamo", "torchvision", "transformers", "xformers"}.isdisjoint(
        loaded
    )


def test_asking_loads_neither_what_reads_files_nor_what_draws() -> None:
    loaded = run_python("import sys, mm_megacontext.memory; print(*sys.modules)").split()
    assert "mm_megacontext.reading.runtime" in loaded
    assert {"mm_megacontext.ingest", "mm_megacontext.layout.reader", "PIL.ImageDraw"}.isdisjoint(loaded)


def test_training_side_imports_where_readers_and_store_are_absent() -> None:
    imported = run_python(IMPORT_ALL.format(absent=ABSENT_ON_A_GPU_BOX, packages=TRAINING_SIDE)).split()
    assert {name.rpartition(".")[0] for name in imported} >= set(TRAINING_SIDE)


PACKAGES = [
    ".".join(path.parent.relative_to(ROOT).parts) for path in sorted(ROOT.glob("mm_megacontext/**/__init__.pyi"))
] + [
    "mm_megacontext." + ".".join(path.parent.relative_to(ROOT).parts)
    for folder in ("eval", "layout", "positional", "vision")
    for path in sorted((ROOT / folder).rglob("__init__.pyi"))
]


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_of_a_package_are_there(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__all__
    assert {public for public in package.__all__ if getattr(package, public, None) is None} == set()
    assert set(package.__all__) <= set(dir(package))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="MegaContex"):
        mm_megacontext.MegaContex  # type: ignore[attr-defined]  # noqa: B018


def test_layers_hold() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
