"""What is compared: this project with either engine, and other libraries, each brought to one form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Literal

from bench.fidelity.truth import Box

Grid = dict[tuple[int, int], str]
"""The texts of a table's cells by row and column; empty ones are left out."""


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table on one page.

    Attributes:
        spans: (rows, columns) of the merged cells; None where the reader does not say.
        headers: Cells that name columns; None where the reader does not say.
        continues: Whether it goes on with one of the page before; None where the reader does not say.
    """

    grid: Grid
    spans: dict[tuple[int, int], tuple[int, int]] | None = None
    headers: set[tuple[int, int]] | None = None
    continues: bool | None = None
    box: Box | None = None


@dataclass(slots=True)
class ReadPage:
    """Words in the reader's order; without boxes where it gives none."""

    words: list[tuple[str, Box | None]] = field(default_factory=list)
    tables: list[ReadTable] = field(default_factory=list)
    fields: dict[str, str] | None = None


def read_ours(path: Path, engine: str, layout: Literal["geometric", "neural"] = "geometric") -> list[ReadPage]:
    """This project: regions in reading order."""
    from mm_megacontext.layout import read
    from mm_megacontext.layout.engines.form_values import TICKED, UNTICKED  # signs for boxes that are drawn as lines

    pages = []
    for page in read(path, engine=engine, layout=layout, ocr="off").pages():
        found = ReadPage(fields={f.name: f.value for f in page.fields})
        for region in page.regions:
            if region.hidden is not None:
                continue
            lines = region.lines
            if region.table is not None:
                lines = tuple(line for cell in region.table.cells for line in cell.lines)
                found.tables.append(_our_table(region.table, region.bbox))
            words = [word for line in lines for word in line.words if word.text not in (TICKED, UNTICKED)]
            found.words += [(word.text, word.bbox) for word in words]
        pages.append(found)
    return pages


def _our_table(table: Any, box: Box) -> ReadTable:
    filled = [cell for cell in table.cells if cell.lines]
    return ReadTable(
        {(cell.row, cell.column): cell.text for cell in filled},
        {(cell.row, cell.column): (cell.row_span, cell.column_span) for cell in filled},
        {(cell.row, cell.column) for cell in filled if cell.role == "column_header"},
        table.continues,
        box,
    )


def read_pdfplumber(path: Path) -> list[ReadPage]:
    """Pdfplumber with its defaults, but for a gap between words that goes with their size."""
    import pdfplumber

    pages = []
    with pdfplumber.open(path) as pdf:
        for page in pdf.pages:
            found = ReadPage()
            left, top = page.cropbox[:2]
            for word in page.extract_words(x_tolerance_ratio=0.15):
                box = (word["x0"] - left, word["top"] - top, word["x1"] - left, word["bottom"] - top)
                found.words.append((word["text"], box))
            for rows in page.extract_tables():
                found.tables.append(ReadTable(_grid([[cell or "" for cell in row] for row in rows])))
            pages.append(found)
    return pages


def read_pymupdf4llm(path: Path) -> list[ReadPage]:
    """pymupdf4llm: its Markdown, page by page, without the marks."""
    import pymupdf4llm

    chunks = pymupdf4llm.to_markdown(str(path), page_chunks=True, use_ocr=False, show_progress=False)
    return [_markdown_page(chunk["text"]) for chunk in chunks]


_MARKS = re.compile(
    r"<br\s*/?>|</?\w+>|\*\*|~~|`+|\[\^?|\](\(.*?\))?|(?<!\S)(?:#+|>|[-*+]|\d+\.)(?=\s)|(?<!\w)_|_(?!\w)"
)
_RULE = re.compile(r"\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?$")


def _markdown_page(text: str) -> ReadPage:
    found = ReadPage()
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        stripped = line.strip()
        if stripped.startswith("|"):
            if not _RULE.match(stripped):
                rows.append([_plain(cell) for cell in stripped.strip("|").split("|")])
        elif rows:
            found.tables.append(ReadTable(_grid(rows)))
            rows = []
        if not _RULE.match(stripped):
            bullets = re.sub(r"^[-*+] ", "\u2022 ", stripped)
            found.words += [(word, None) for word in _plain(bullets.replace("|", " ")).split()]
    return found


def _plain(text: str) -> str:
    return " ".join(unescape(_MARKS.sub(" ", text)).replace("\\", "").split())


def _grid(rows: list[list[str]]) -> Grid:
    return {(r, c): " ".join(cell.split()) for r, row in enumerate(rows) for c, cell in enumerate(row) if cell.strip()}


READERS: dict[str, Callable[[Path], list[ReadPage]]] = {
    "mm-megacontext, pymupdf": lambda path: read_ours(path, "pymupdf"),
    "mm-megacontext, pdfium": lambda path: read_ours(path, "pdfium"),
    "mm-megacontext, neural": lambda path: read_ours(path, "pymupdf", "neural"),
    "pdfplumber": read_pdfplumber,
    "pymupdf4llm": read_pymupdf4llm,
}
