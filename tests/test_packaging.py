"""The folders at the top, the links, and what pyproject.toml says hold together; the wheel is checked file by file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mm_megacontext import doctor

ROOT = Path(__file__).parents[1]
FOLDERS = ("eval", "layout", "positional", "vision")
DATA_FOLDERS = {"real_documents", "weights"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def source_files() -> dict[str, Path]:
    """What the wheel must hold of the package: name in the wheel to file in the checkout."""
    found: dict[str, Path] = {}
    for name, folder in [("mm_megacontext", ROOT / "mm_megacontext")] + [
        (f"mm_megacontext/{folder}", ROOT / folder) for folder in FOLDERS
    ]:
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            is_linked = name == "mm_megacontext" and relative.parts[0] in FOLDERS
            is_data = DATA_FOLDERS.intersection(relative.parts) and path.suffix in (".json", ".jsonl", ".safetensors")
            if not is_linked and (path.suffix in (".py", ".pyi") or path.name == "py.typed" or is_data):
                found[f"{name}/{relative.as_posix()}"] = path
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_links_lead_to_the_top_level_folders(folder: str) -> None:
    link = ROOT / "mm_megacontext" / folder
    assert link.is_symlink()
    assert os.readlink(link) == f"../{folder}"
    assert (ROOT / folder).is_dir()


def test_packages_are_exactly_the_folders_with_an_init(pyproject: dict[str, Any]) -> None:
    with_init = {
        name.removesuffix("/__init__.py").replace("/", ".") for name in source_files() if name.endswith("/__init__.py")
    }
    with_code = {name.rpartition("/")[0].replace("/", ".") for name in source_files() if name.endswith(".py")}
    assert with_init == set(pyproject["tool"]["setuptools"]["packages"])
    assert with_code == with_init, "a folder with modules lacks __init__.py"


def test_package_dir_maps_the_top_level_folders(pyproject: dict[str, Any]) -> None:
    expected = {"mm_megacontext": "mm_megacontext"} | {f"mm_megacontext.{folder}": folder for folder in FOLDERS}
    assert pyproject["tool"]["setuptools"]["package-dir"] == expected


def test_every_requirement_is_pinned_within_its_range(pyproject: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    project = pyproject["project"]
    declared = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, declared):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_doctor_knows_the_declared_requirements(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    assert set(doctor.REQUIRED) == {Requirement(r).name for r in project["dependencies"]}
    extras = {
        name: tuple(Requirement(r).name for r in requirements)
        for name, requirements in project["optional-dependencies"].items()
        if name not in ("bench", "dev", "test")
    }
    assert extras == doctor.EXTRAS


@pytest.mark.parametrize("has_links", [True, False], ids=["with links", "without links"])
def test_wheel_holds_the_whole_package_and_nothing_else(tmp_path: Path, has_links: bool) -> None:
    checkout = copy_checkout(tmp_path / "checkout", has_links=has_links)
    wheel = build_wheel(checkout, tmp_path / "dist")

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert len(names) == len(set(names))
    files = {name for name in names if ".dist-info/" not in name}
    assert files == set(source_files())
    assert any(name.endswith("licenses/LICENSE") for name in names)

    # The oracle is the unpacked wheel itself: imported from a foreign directory, it must find its parts in there.
    script = "import mm_megacontext.document as d, mm_megacontext.cli.main as m; print(d.__file__, m.__file__)"
    seen = run_python("-c", script, cwd=tmp_path, path=tmp_path / "site").split()
    assert all(Path(name).is_relative_to(tmp_path / "site") for name in seen)
    assert run_python("-m", "mm_megacontext", "--version", cwd=tmp_path, path=tmp_path / "site").startswith("mmctx ")


def copy_checkout(target: Path, *, has_links: bool) -> Path:
    """The parts of the checkout that a build reads, so that building leaves nothing behind in the checkout itself."""
    target.mkdir()
    for name in ("mm_megacontext", *FOLDERS):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    if not has_links:
        for folder in FOLDERS:
            (target / "mm_megacontext" / folder).unlink()
    return target


def build_wheel(checkout: Path, dist: Path) -> Path:
    """Build without isolation: the tests run offline, and torch has brought setuptools."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist), str(checkout)],
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = dist.glob("mm_megacontext-*.whl")
    return wheel


def run_python(*args: str, cwd: Path, path: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, *args], cwd=cwd, env=environment, capture_output=True, text=True, check=True)
    return done.stdout
