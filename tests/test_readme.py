"""What README and docs promise is run: the Python example, the options named, the links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mm_megacontext.cli.main import build_parser

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/cli.md",
    "docs/design.md",
    "docs/errors.md",
    "docs/formats.md",
    "docs/models.md",
    "docs/vision-encoders.md",
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


def test_published_figures_are_the_measured_ones() -> None:
    (table,) = re.findall(r"<!-- results:lookup -->\n\n(.+?)\n\n<!--", read("README.md"), re.DOTALL)
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    measured = json.loads(read("docs/results/lookup.json"))["rows"]
    assert len(shown) == len(measured)
    for cells, row in zip(shown, measured, strict=True):
        assert cells[1:4] == [str(row["pages"]), str(row["budget"] or "–"), str(row["n"])]
        figures = (row["exact_match"], *row["ci95"], row["exact_match_cells"])
        figures += (row["not_found_precision"], row["not_found_recall"])
        assert re.findall(r"[01]\.\d+", " ".join(cells[4:])) == [f"{figure:.3f}" for figure in figures]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page))
    for target in targets:
        assert ((ROOT / page).parent / target).exists(), target


def test_documented_commands_parse() -> None:
    usages = re.findall(
        r"^mmctx (\w+(?: lookup| base| lens| finder)?)((?:.|\n          )*)", read("docs/cli.md"), re.MULTILINE
    )
    documented = {command: set(re.findall(r"--[a-z-]+", rest)) for command, rest in usages}
    parser = build_parser()
    for command, options in documented.items():
        declared = options_of(parser, command.split())
        assert options == declared, command
    assert len(documented) == 11


def options_of(parser: object, words: list[str]) -> set[str]:
    """The long options that the parser of a command declares."""
    import argparse

    for word in words:
        assert isinstance(parser, argparse.ArgumentParser)
        (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = subparsers.choices[word]
    assert isinstance(parser, argparse.ArgumentParser)
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")} - {"--help"}
