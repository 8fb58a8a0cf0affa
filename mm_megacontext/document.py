"""What every reader produces: documents of pages of regions of lines of words, with boxes.

One coordinate frame for all: origin top-left, x right, y down, page rotation and crop box already applied.
Units are PDF points (``"pt"``) or image pixels (``"px"``), named by ``Document.unit``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from mm_megacontext.errors import ErrorCode

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1), x0 <= x1 and y0 <= y1."""

Rgb = tuple[int, int, int]
"""A colour on the screen, 0 to 255."""

Unit = Literal["pt", "px"]

SourceKind = Literal["pdf", "image", "text", "markdown", "html", "epub", "xps", "fb2", "mobi", "docx", "xlsx", "pptx"]
FileFormat = Literal["pdf", "html", "zip", "fb2", "mobi"]
"""What a file is opened as."""

RegionKind = Literal[
    "text", "heading", "list", "table", "form", "caption", "header", "footer", "formula", "code", "figure", "scan"
]

LayoutMethod = Literal["geometric", "neural"]
"""How regions and their order are found: by geometry alone, or by a model that has looked at the page."""

CellRole = Literal["body", "column_header", "row_header"]

HiddenReason = Literal[
    "not painted",
    "transparent",
    "smaller than 1 pt",
    "outside the page",
    "no contrast",
    "under an image",
    "in a layer that is off",
    "only in ActualText",
    "not displayed",
    "visibility_unsure",
]
"""Why a person who looks at the page does not see a text that is in the file; "visibility_unsure": or might not."""

FieldKind = Literal["text", "password", "choice", "checkbox", "radio", "button", "signature"]

PageStatus = Literal["ok", "degraded", "failed"]

Script = Literal["", "sup", "sub"]
"""Whether text stands on the line, above it or below it."""

Lines = Annotated[str, "lines"]
"""Text that may have line breaks; all other is of one line."""


def union(boxes: list[Box]) -> Box:
    """The smallest box that holds all of ``boxes`` (at least one)."""
    x0s, y0s, x1s, y1s = zip(*boxes, strict=True)
    return (min(x0s), min(y0s), max(x1s), max(y1s))


@dataclass(frozen=True, slots=True)
class Word:
    """A run of characters without white space, and its box.

    ``span`` counts characters in a plain-text source; ``confidence`` is that of OCR, 0 to 1, None for text as it is.
    ``script`` tells what stands above or below the line: marks of notes, powers, indices.
    """

    text: str
    bbox: Box
    span: tuple[int, int] | None = None
    confidence: float | None = None
    script: Script = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one baseline, as they are read. In a table, one line of one cell."""

    words: tuple[Word, ...]

    @property
    def bbox(self) -> Box:
        return union([w.bbox for w in self.words])

    @property
    def text(self) -> str:
        return " ".join(w.text for w in self.words)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table; rows and columns count from 0. Empty cells have no lines."""

    row: int
    column: int
    bbox: Box
    lines: tuple[Line, ...]
    role: CellRole = "body"
    row_span: int = 1
    column_span: int = 1

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in row-major order. A table that goes on over the end of a page is one of these on each page.

    Attributes:
        id: The same for all parts of a table, such as "3.1": of the page where it begins, and its number there. Empty
            where pages are not looked at together.
        continues: Whether it goes on with the last table of the page before.
        first_row: The row of the whole table that the first one here is, but for those that repeat its header.
        n_repeated_rows: How many rows, from the first, repeat the header of the whole table.
    """

    cells: tuple[Cell, ...]
    n_rows: int
    n_columns: int
    id: str = ""
    continues: bool = False
    first_row: int = 0
    n_repeated_rows: int = 0


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a page read as one piece. A table has ``table`` and no ``lines``; a figure or scan has neither."""

    kind: RegionKind
    bbox: Box
    lines: tuple[Line, ...] = ()
    table: Table | None = None
    level: int | None = None
    """Heading level from 1, if ``kind`` is ``"heading"``."""
    hidden: HiddenReason | None = None
    """Why nobody sees it, or None. What is hidden is shown by ``mmctx layout`` and never read."""
    is_running: bool = False
    """Of a header or footer: whether it comes back on other pages. Such are not read unless asked for."""
    caption_of: int | None = None
    """Of a caption: the index of its figure or table among the page's regions, or None where there is none near."""
    turn: float = 0.0
    """Degrees clockwise that its lines fall: 90 where they run down the page. Boxes are those of the page all the same;
    see ``turned_frame``."""

    @property
    def text(self) -> str:
        if self.table is not None:
            return " ".join(cell.text for cell in self.table.cells if cell.lines)
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of a form that can be filled in, as it is filled in. What stands in the field of a password is left out.

    Attributes:
        name: Its full name in the file.
        value: Text, the options chosen, joined by ", ", or of a box or button its state: "Off" or a name for on.
    """

    name: str
    kind: FieldKind
    value: Lines
    bbox: Box


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader of the file wrote on the page: a comment or a text beside it.

    Attributes:
        kind: What it is attached to, in the words of PDF in lower case: "text", "freetext", "highlight", "stamp", …
    """

    kind: str
    text: str
    author: str
    bbox: Box


@dataclass(frozen=True, slots=True)
class Link:
    """A place on the page that leads elsewhere: to ``uri``, or to ``page`` of the same document, from 1."""

    bbox: Box
    uri: str | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Regions in reading order. ``number`` counts from 1; ``size`` is (width, height) in the document's unit.

    Attributes:
        problem: Why the page could not be read whole, or None.
        code: The same for programs; None where there is no problem.
        fields: Of a form; their values are words of the regions, too, and boxes to tick are the words ☐ and ☑.
        notes: Comments are no words of the regions; a text that is painted on the page is.
        disagreement: How much the text differs from what OCR sees, 0 to 1; None where there was no reason to compare
            them, see ``disagreement.py``.
    """

    number: int
    size: tuple[float, float]
    regions: tuple[Region, ...]
    engine: str = ""
    problem: str | None = None
    code: ErrorCode | None = None
    fields: tuple[FormField, ...] = ()
    notes: tuple[Note, ...] = ()
    links: tuple[Link, ...] = ()
    disagreement: float | None = None

    @property
    def status(self) -> PageStatus:
        """Whether the page was read whole, in part, or not at all."""
        if self.problem is None:
            return "ok"
        return "degraded" if self.regions else "failed"

    @property
    def text(self) -> str:
        return "\n\n".join(region.text for region in self.regions if region.text and region.hidden is None)


@dataclass(frozen=True, slots=True)
class Document:
    """A source opened for reading; pages are made one at a time, so memory does not grow with their number."""

    uri: str
    kind: SourceKind
    unit: Unit
    n_pages: int
    content_hash: str
    """sha256 of the file's bytes, hexadecimal."""
    open_pages: Callable[[], Iterator[Page]] = field(repr=False, compare=False)
    engine: str = ""
    """What opened it, where there is a choice; a page names its own."""

    def pages(self) -> Iterator[Page]:
        """Read the pages in order; may be called again."""
        return self.open_pages()


def format_of_kind(kind: SourceKind) -> FileFormat:
    """What a source of some kind was opened as. Raises ValueError where it has no pages that can be drawn."""
    if kind in ("epub", "xps", "docx", "xlsx", "pptx"):
        return "zip"
    if kind in ("pdf", "html", "fb2", "mobi"):
        return kind
    raise ValueError(f"a source of kind {kind!r} is drawn in another way")


_LIGATURES = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
# Control characters, soft hyphens, zero-width marks and lone surrogates carry no text and break databases and JSON.
_DROPPED: dict[int, None] = dict.fromkeys(
    [*range(32), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)]
)
_CLEAN: dict[int, str | None] = {**_LIGATURES, **_DROPPED}


def clean_text(text: str) -> str:
    r"""``text`` with ligatures expanded and without characters that carry no text.

    >>> clean_text("of\x00\ufb01ce\u00ad")
    'office'
    """
    return text if text.isascii() and text.isprintable() else text.translate(_CLEAN)
