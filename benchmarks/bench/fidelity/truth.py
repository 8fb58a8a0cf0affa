"""What a generated file says: written down while it is drawn, by code that shares nothing with the readers.

Frame: points, origin top left of the page as shown, y down, rotation and crop box applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TrueWord:
    """A word as a person would type it.

    Attributes:
        box: From the first glyph's origin to the last one's advance, and from the ascent to the descent of the font.
        is_exact: Whether ``box`` is that; otherwise the word stands somewhere in it (the value of a form field).
    """

    text: str
    box: Box
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class TrueCell:
    """A cell with words in it; rows and columns count from 0, a merged cell stands at its first ones."""

    row: int
    column: int
    text: str
    row_span: int = 1
    column_span: int = 1
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class TrueTable:
    """The part of a table that stands on one page."""

    page: int
    box: Box
    cells: tuple[TrueCell, ...]
    continues: bool = False
    """Whether it goes on with the last table of the page before."""


@dataclass(slots=True)
class TruePage:
    """A page's words in reading order."""

    number: int
    size: tuple[float, float]
    words: list[TrueWord] = field(default_factory=list)
    tables: list[TrueTable] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    """Values of form fields by name."""


@dataclass(frozen=True, slots=True)
class TrueFile:
    """A generated file."""

    kind: str
    path: Path
    pages: tuple[TruePage, ...]
