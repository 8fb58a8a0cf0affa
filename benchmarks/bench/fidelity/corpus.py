"""All kinds of files; the same seed gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.fidelity import form_pages, script_pages, table_pages, text_pages
from bench.fidelity.truth import TrueFile

KINDS: dict[str, Callable[[Path, random.Random], TrueFile]] = {
    "single column": text_pages.single_column,
    "two columns": text_pages.two_columns,
    "three columns": text_pages.three_columns,
    "rotated and cropped": text_pages.turned,
    "ruled tables": table_pages.ruled,
    "unruled tables": table_pages.unruled,
    "tables over pages": table_pages.continued,
    "forms": form_pages.form,
    "right to left": script_pages.right_to_left,
    "ligatures": script_pages.ligatures,
    "Chinese and Japanese": script_pages.cjk,
}


def write_files(directory: Path, kind: str, n: int, seed: int) -> Iterator[TrueFile]:
    """``n`` files of a kind, written one by one."""
    for number in range(n):
        name = f"{kind.replace(' ', '-')}-{number}.pdf"
        yield KINDS[kind](directory / name, random.Random(f"{seed} {kind} {number}"))
