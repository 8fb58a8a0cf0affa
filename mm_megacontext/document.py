"""What every reader produces: documents of pages of regions of lines of words, with boxes.

One coordinate frame for all: origin top-left, x right, y down, page rotation and crop box already applied.
Units are PDF points (``"pt"``) or image pixels (``"px"``), named by ``Document.unit``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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

Hyphen = Literal["", "kept", "dropped"]
"""Of a word that goes on in the next line: whether its hyphen is part of it, or only of the line's end."""

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
    ``script`` tells what stands above or below the line: marks of notes, powers, indices. ``hyphen`` tells that the
    word goes on with the first one of the next line.
    """

    text: str
    bbox: Box
    span: tuple[int, int] | None = None
    confidence: float | None = None
    script: Script = ""
    hyphen: Hyphen = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one baseline, as they are read. In a table, one line of one cell."""

    words: tuple[Word, ...]

    @property
    def bbox(self) -> Box:
        return union([w.bbox for w in self.words])

    @property
    def text(self) -> str:
        """Its words; what stands above or below it as in Markdown: "10^6^", "CO~2~"."""
        return text_of(self.words)


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
        """Its value, without the marks of notes on it."""
        own = (Line(tuple(word for word, is_note in with_notes(line.words) if not is_note)) for line in self.lines)
        return " ".join(joined_lines([line for line in own if line.words]))

    @property
    def marked_text(self) -> str:
        """The same with the marks of notes."""
        return " ".join(joined_lines(self.lines))

    @property
    def notes(self) -> tuple[str, ...]:
        """The marks of the notes on its value, as they are written."""
        return tuple(word.text for line in self.lines for word, is_note in with_notes(line.words) if is_note)


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
        return "\n".join(joined_lines(self.lines))


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


_NEAR = 0.12  # of a word's height: the white between two words that are one
_SCRIPT_NEAR = 0.16  # and between one and what stands above or below it
_SCRIPT_SIGNS: dict[Script, str] = {"": "", "sup": "^", "sub": "~"}
_NOTE = re.compile(r"\d{1,3}(?:[,;\u2013-]\d{1,3})*|[^\W\d_](?:[,;][^\W\d_])*|[*\u2020\u2021\u00a7#\u2016\u00b6]+")
_POWER_BASE = re.compile(r"(?:^|[^\d.,])(?:10|2)$")  # of the numbers that have powers
_UNIT = re.compile(r"(?:^|[\W\d_])(?:[^\W\d_]{1,2}|[a-z\u00b5\u03bc]{3})$")  # of the letters that have


def text_of(words: Sequence[Word]) -> str:
    r"""Words of one line as text.

    >>> text_of([Word("10", (0, 0, 10, 9)), Word("6", (10, -2, 13, 4), script="sup"), Word("cells", (16, 0, 40, 9))])
    '10^6^ cells'
    """
    if not any(word.script for word in words):
        return " ".join([word.text for word in words])
    text = ""
    before: Word | None = None
    for word in words:
        if before is not None and not _is_attached(before, word):
            text += " "
        sign = _SCRIPT_SIGNS[word.script]
        text += f"{sign}{word.text}{sign}"
        before = word
    return text


def _is_attached(word: Word, other: Word) -> bool:
    """Whether no blank is between a word and the next one: one of them stands above or below the line of the other."""
    if not (word.script or other.script):
        return False
    height = max(word.bbox[3] - word.bbox[1], other.bbox[3] - other.bbox[1])
    white = max(
        *(other.bbox[i] - word.bbox[i + 2] for i in (0, 1)), *(word.bbox[i] - other.bbox[i + 2] for i in (0, 1))
    )
    return white < (_SCRIPT_NEAR if other.script and not word.script else _NEAR) * height


def with_notes(words: Sequence[Word]) -> Iterator[tuple[Word, bool]]:
    """Each word of a line, and whether it is the mark of a note on the one before it."""
    before: Word | None = None
    for word in words:
        is_note = before is not None and _is_note(before, word)
        yield word, is_note
        if not is_note:
            before = word


def _is_note(base: Word, word: Word) -> bool:
    """Whether what stands above the line is the mark of a note: not a power of ten, or of a unit or a variable.

    >>> def is_note(base, mark): return _is_note(Word(base, (0, 0, 9, 9)), Word(mark, (9, 0, 12, 5), script="sup"))
    >>> is_note("1,234", "2"), is_note("Revenue", "1"), is_note("10", "6"), is_note("m", "2"), is_note("km", "2")
    (True, True, False, False, False)
    """
    if word.script != "sup" or base.script or not _NOTE.fullmatch(word.text) or not _is_attached(base, word):
        return False
    if not word.text[0].isalnum():
        return True
    return not (_POWER_BASE.search(base.text) or _UNIT.search(base.text))


def joined_lines(lines: Sequence[Line]) -> list[str]:
    r"""The text of each line, a word that goes on in the next one whole and in the first.

    >>> first, second = Word("infor-", (0, 0, 30, 9), hyphen="dropped"), Word("mation", (0, 9, 30, 18))
    >>> joined_lines([Line((first,)), Line((second, Word("on", (33, 9, 40, 18))))])
    ['information', 'on']
    """
    texts: list[str] = []
    is_open = False
    for line in lines:
        text = line.text
        if is_open:
            head, _, text = text.partition(" ")
            texts[-1] += head
        if text or not is_open:
            texts.append(text)
        hyphen = line.words[-1].hyphen
        if hyphen == "dropped":
            texts[-1] = texts[-1][:-1]
        is_open = bool(hyphen)
    return texts


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
