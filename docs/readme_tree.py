"""Writes the annotated tree of README.md from what the modules say first: ``python docs/readme_tree.py``."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINKED = ("eval", "layout", "positional", "vision")
"""Folders at the top that are imported from within the package."""
OTHERS = {
    "tests/": "mirrors the tree; each test names its oracle",
    "benchmarks/": "speed, memory, fidelity and accuracy, as tables and JSON; results/ holds what was recorded",
    "examples/": "files to try, the scripts that made them, and models, encoders and gist networks of one's own",
    "docs/": "design, commands, formats, errors, models, and what was measured",
}
_TREE = re.compile(r"(?<=<!-- tree -->\n\n```text\n).*?(?=```\n\n<!-- /tree -->)", re.DOTALL)
_COLUMN, _WIDTH = 30, 150


def tree() -> str:
    """The lines of the tree: every package and module with what its docstring says first."""
    lines = [*_folder(ROOT / "mm_megacontext", 0)]
    for name in LINKED:
        lines += _folder(ROOT / name, 0)
    lines += [line for name, what in OTHERS.items() for line in _entry(name, what, 0)]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Put the tree into README.md."""
    readme = ROOT / "README.md"
    readme.write_text(_TREE.sub(lambda _: tree(), readme.read_text(encoding="utf-8")), encoding="utf-8")


def _folder(folder: Path, depth: int) -> Iterator[str]:
    yield from _entry(f"{folder.name}/", _says(folder / "__init__.py"), depth)
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [path.parent for path in folder.glob("*/__init__.py") if not path.parent.is_symlink()]
    for path in sorted(modules):
        yield from _entry(path.name, _says(path), depth + 1)
    for package in sorted(packages):
        yield from _folder(package, depth + 1)


def _entry(name: str, what: str, depth: int) -> Iterator[str]:
    first, *rest = textwrap.wrap(what, _WIDTH - _COLUMN)
    yield f"{'  ' * depth + name:<{_COLUMN - 1}} {first}"
    yield from (" " * _COLUMN + line for line in rest)


def _says(path: Path) -> str:
    """The first sentence of a module's docstring, without marks of code."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise SystemExit(f"{path.relative_to(ROOT)} says nothing of itself: give it a docstring")
    return docstring.partition("\n\n")[0].replace("\n", " ").replace("``", "").rstrip(".")


if __name__ == "__main__":
    write()
