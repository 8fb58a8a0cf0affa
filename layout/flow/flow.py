"""What documents without pages of their own are made of: paragraphs, tables and pictures, one after the other.

Readers of HTML, EPUB and office files give these; ``galley`` sets them, and ``typeset`` makes pages of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mm_megacontext.document import CellRole, HiddenReason, Script
from mm_megacontext.errors import ErrorCode

ParagraphKind = Literal["text", "heading", "list", "caption", "code", "header", "footer"]

WIDE_SPACE = "\u00a0" * 6
"""What stands for a tab: wide enough (``blocks.WIDE_GAP``) to part a name from its value, and never made one space."""


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one look. Line breaks in it are kept, all other white space is one space but in code.

    Attributes:
        script: "sup" and "sub" stand above and below the line: marks of notes, powers, indices.
    """

    text: str
    bold: bool = False
    href: str | None = None
    script: Script = ""


Runs = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text that stands alone.

    Attributes:
        level: Of a heading, from 1.
        depth: How far it is moved to the right: lists in lists, quotations.
    """

    runs: Runs
    kind: ParagraphKind = "text"
    level: int | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Unseen:
    """Text in the file that nobody sees who looks at it, and why."""

    text: str
    why: HiddenReason


@dataclass(frozen=True, slots=True)
class FlowCell:
    """A cell of a table; rows and columns count from 0."""

    row: int
    column: int
    runs: Runs
    role: CellRole = "body"
    row_span: int = 1
    column_span: int = 1


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Cells in row-major order; no two of them overlap.

    Attributes:
        first_row: The row of the whole table that the first one here is, where this is a part of it.
    """

    cells: tuple[FlowCell, ...]
    n_rows: int
    n_columns: int
    first_row: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file that stands alone.

    Attributes:
        data: Its bytes, as they are.
        size: Width and height in points, where the document asks for them.
    """

    data: bytes
    size: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class NewPage:
    """What follows begins a page."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the file that cannot be read: a problem of the page that it would be on."""

    message: str
    code: ErrorCode


FlowItem = Paragraph | Unseen | FlowTable | Picture | NewPage | Unread

Flow = Iterator[FlowItem]

_LETTERS_OF_LINE = 60
_PIECE = re.compile(r".{0,1000}\n|.{0,1000}\s|.{1,1000}", re.DOTALL)


def text_of(runs: Runs) -> str:
    """The text of runs without their looks."""
    return "".join(run.text for run in runs)


def length_of(runs: Runs) -> int:
    """Letters, where every line break counts like a line."""
    return sum(len(run.text) + _LETTERS_OF_LINE * run.text.count("\n") for run in runs)


def parts_of(paragraph: Paragraph, most: int) -> Iterator[Paragraph]:
    """A paragraph in parts of some ``most`` letters, cut where lines or words end; within a word only of twice that."""
    if length_of(paragraph.runs) <= most:
        yield paragraph
        return
    part: list[Run] = []
    length = 0
    for piece in (replace(run, text=text) for run in paragraph.runs for text in _PIECE.findall(run.text)):
        if length >= 2 * most or (length >= most and part[-1].text[-1].isspace()):
            yield replace(paragraph, runs=_without_last_break(part))
            part, length = [], 0
        part.append(piece)
        length += length_of((piece,))
    yield replace(paragraph, runs=_without_last_break(part))


def _without_last_break(runs: list[Run]) -> Runs:
    return (*runs[:-1], replace(runs[-1], text=runs[-1].text.removesuffix("\n")))
