"""No circle of imports, neither of modules nor of folders, computed from the syntax trees and nothing else."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("eval", "layout", "positional", "vision")


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; packages without ``__init__``."""
    found = {}
    for folder in ("mm_megacontext", *FOLDERS):
        prefix = folder if folder == "mm_megacontext" else f"mm_megacontext.{folder}"
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder != "mm_megacontext" or parts[0] not in FOLDERS:
                found[".".join((prefix, *parts)).removesuffix(".__init__")] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """What a module imports of ours, wherever in its code, for types or for use."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known.keys()
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner if inner in known else node.module} & known.keys()
    return found


def folder_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def test_no_circle_of_modules() -> None:
    known = modules()
    graph = {name: imports_of(path, known) - {name} for name, path in known.items()}
    assert sum(map(len, graph.values())) > len(graph), "imports are seen"
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_circle_of_folders() -> None:
    """A folder uses another one or is used by it; modules at the root of the package stand for themselves."""
    known = modules()
    rooms = {name: folder_of(name, path) for name, path in known.items()}
    rooms = {name: name if room == "mm_megacontext" else room for name, room in rooms.items()}
    graph: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for name, path in known.items():
        graph[rooms[name]] |= {rooms[other] for other in imports_of(path, known)} - {rooms[name]}
    list(TopologicalSorter(graph).static_order())
