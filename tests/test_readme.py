"""What README and docs promise is run: the Python example, the options named, the links."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mm_megacontext.cli.main import build_parser
from mm_megacontext.eval.chat_double import Asked, ChatDouble
from tests.bases.hf.tiny import save_llama

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/cli.md",
    "docs/design.md",
    "docs/errors.md",
    "docs/formats.md",
    "docs/models.md",
    "docs/readers.md",
    "docs/vision-encoders.md",
    "docs/benchmarks.md",
    "docs/results/README.md",
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"^## Python\n\n```python\n(.+?)```", read("README.md"), re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)

    exec(compile(found[1], "README.md", "exec"), {})
    answer, *evidence = capsys.readouterr().out.splitlines()
    assert answer == "1,480.00 EUR"
    assert any("1,480.00 EUR" in line for line in evidence)
    assert (tmp_path / "build" / "rent.png").stat().st_size > 0


def test_console_commands_run(tmp_path: Path) -> None:
    """Every ``mmctx`` line of the README, typed as it stands, in a folder that has the examples.

    A server that it names is one of ours, in the place of a model that reads; a model of transformers is a tiny one.
    """
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = re.findall(r"^\$ (mmctx .+)$", read("README.md"), re.MULTILINE)
    assert len(commands) >= 4
    local = f"hf:{save_llama(tmp_path / 'model')}"
    with ChatDouble(names_the_rent) as double:
        for command in commands:
            words = [double.base_url if word.startswith("http") else word for word in shlex.split(command)[1:]]
            words = [local if word.startswith("hf:") else word for word in words]
            done = subprocess.run(
                [sys.executable, "-m", "mm_megacontext", *words],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (command, done.stderr)
            answer, *evidence = done.stdout.splitlines()
            if local in words:
                continue  # it says what a few thousand random numbers say
            assert answer not in ("", "not found"), command
            if "--reader" in words:
                assert "1,480.00 EUR" in evidence[0]
            if "--show" in words:
                assert (tmp_path / words[words.index("--show") + 1]).stat().st_size > 0


def names_the_rent(asked: Asked) -> str:
    """A model that reads: finds the amount behind the words, in the passage that holds them."""
    passage, amount = re.findall(r"^\[(p\d+)\] (?:.*\n> )*?.*Monthly rent +([\d.,]+ EUR)", asked.text, re.MULTILINE)[0]
    cited = [{"passage": passage, "quote": f"Monthly rent {amount}"}]
    return json.dumps({"found": True, "answer": amount, "citations": cited})


def test_the_tree_is_what_the_modules_say() -> None:
    """``python docs/readme_tree.py`` writes it: no module is missing, and none is named that is not there."""
    spec = importlib.util.spec_from_file_location("readme_tree", ROOT / "docs" / "readme_tree.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert f"```text\n{writer.tree()}```" in read("README.md"), "run python docs/readme_tree.py"


def test_published_figures_are_the_measured_ones() -> None:
    shown = table("docs/results/README.md", "lookup")
    measured = json.loads(read("docs/results/lookup.json"))["rows"]
    assert len(shown) == len(measured)
    for cells, row in zip(shown, measured, strict=True):
        assert cells[1:4] == [str(row["pages"]), str(row["budget"] or "–"), str(row["n"])]
        figures = (row["exact_match"], *row["ci95"], row["exact_match_cells"])
        figures += (row["not_found_precision"], row["not_found_recall"])
        assert re.findall(r"[01]\.\d+", " ".join(cells[4:])) == [f"{figure:.3f}" for figure in figures]


def test_the_short_table_is_a_part_of_the_whole() -> None:
    whole = [row for row in table("docs/results/README.md", "lookup") if row[1] == "20"]
    assert table("README.md", "short") == [[row[0], row[4], row[5], row[8]] for row in whole]


def table(page: str, name: str) -> list[list[str]]:
    """The cells of a marked table, without its head."""
    (found,) = re.findall(rf"<!-- results:{name} -->\n\n(.+?)\n\n<!--", read(page), re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_are_named_are_there(page: str) -> None:
    """Names such as `layout.page.disagreement` or `reading.base.Judging`, as code stands in the text."""
    folders = {path.name for path in (ROOT / "mm_megacontext").iterdir() if path.is_dir()}
    named = re.findall(rf"`(?:mm_megacontext\.)?((?:{'|'.join(sorted(folders))})(?:\.\w+)+)`", read(page))
    for name in named:
        pkgutil.resolve_name(f"mm_megacontext.{name}")  # raises where it is not


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page))
    for target in targets:
        assert ((ROOT / page).parent / target).exists(), target


def test_documented_commands_parse() -> None:
    usages = re.findall(
        r"^mmctx ([\w-]+(?: lookup| base| lens| finder)?)((?:.|\n          )*)", read("docs/cli.md"), re.MULTILINE
    )
    documented = {command: set(re.findall(r"--[a-z-]+", rest)) for command, rest in usages}
    parser = build_parser()
    for command, options in documented.items():
        declared = options_of(parser, command.split())
        assert options == declared, command
    assert len(documented) == 16


def options_of(parser: object, words: list[str]) -> set[str]:
    """The long options that the parser of a command declares."""
    import argparse

    for word in words:
        assert isinstance(parser, argparse.ArgumentParser)
        (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = subparsers.choices[word]
    assert isinstance(parser, argparse.ArgumentParser)
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")} - {"--help"}
