"""Plain text and Markdown on a virtual page, so that text has boxes like everything else.

The page is US Letter, 612 x 792 pt, with margins of 72 pt: 78 columns by 54 rows of monospace cells, 6 x 12 pt each.
A line of the file is a row of the page, blank lines too; a longer line wraps at white space, a longer word is cut.
Tabs go to the next multiple of 8, wide characters take two cells, a form feed starts a page. Every word carries its
character offsets in the decoded text (a byte order mark not counted): ``text[slice(*word.span)] == word.text``, but for
the backslashes before signs in Markdown, which are not read.
"""

from __future__ import annotations

import codecs
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from mm_megacontext.document import Cell, Document, Line, Page, Region, SourceKind, Table, Word, union
from mm_megacontext.errors import LimitExceeded
from mm_megacontext.layout.across_pages.continued_tables import name_tables
from mm_megacontext.layout.text.delimited import DELIMITED_SUFFIXES, delimited_events
from mm_megacontext.layout.text.encodings import guessed_encoding
from mm_megacontext.layout.text.escapes import unescaped
from mm_megacontext.layout.text.markdown import Event, FormFeed, Gap, Rows, SourceText, markdown_events
from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import SourceFile

PAGE_SIZE = (612.0, 792.0)
MARGIN = 72.0
CELL = (6.0, 12.0)
COLUMNS = 78
ROWS = 54

_TAB = 8
_COLUMN_GAP = 2  # cells between columns of a table
_GUESSED_BY = 1 << 18  # bytes
_PIECE = 1 << 16  # characters of a line that are read at once
_MAX_CONTROLS = 0.01  # share of control characters above which a file is binary
_BINARY = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")
_LAST_SPACE = re.compile(r"\s\S*\Z")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_encoding(path: Path, head: bytes) -> str | None:
    """The encoding of a text file, or None where the file is not text in any that is known all through.

    Where it is neither UTF-8 nor UTF-16 it is guessed from the letters.
    """
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    names = [marked or _utf16_without_mark(head) or "utf-8"]
    if names == ["utf-8"] and not _BINARY.search(head.decode("latin-1")) and b"\x00" not in head:
        names.append("")
    for name in names:
        name = name or guessed_encoding(path.read_bytes()[:_GUESSED_BY]) or ""
        if name and _is_text(path, name):
            return name
    return None


def _is_text(path: Path, encoding: str) -> bool:
    n_characters = n_controls = 0
    try:
        with path.open(encoding=encoding, newline="") as stream:
            while piece := stream.read(_PIECE):
                if "\x00" in piece:
                    return False
                n_characters += len(piece)
                n_controls += len(_BINARY.findall(piece))
    except UnicodeError:
        return False
    return n_controls <= _MAX_CONTROLS * n_characters


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 shows by a zero in every other byte, as long as most of the text is Latin."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half and len(head) % 2 == 0 and max(even, odd) > 0.5 * half and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return None


def read_text(file: SourceFile, encoding: str, limits: IngestLimits, *, is_markdown: bool) -> Document:
    """A text, table of text or Markdown file as a document; ``encoding`` is what ``text_encoding`` found."""
    events_of = (
        markdown_events if is_markdown else delimited_events if file.suffix in DELIMITED_SUFFIXES else _text_events
    )

    engine = "text" if encoding.startswith("utf") else f"text, {encoding}"

    def pages() -> Iterator[Page]:
        with file.path.open(encoding=encoding, newline="") as stream:
            lines = _source_lines(stream)
            yield from name_tables(_pages(events_of(lines), _Grid(engine, unescaped if is_markdown else str)))

    n_pages = _n_pages(pages(), file, limits.document_seconds)
    kind: SourceKind = "markdown" if is_markdown else "text"
    return Document(str(file.path), kind, "pt", n_pages, file.content_hash, pages)


def _n_pages(pages: Iterator[Page], file: SourceFile, most_seconds: float) -> int:
    """How many pages there are. Raises LimitExceeded where counting them takes too long."""
    begun = time.monotonic()
    n_pages = 0
    for _ in pages:
        n_pages += 1
        if time.monotonic() - begun > most_seconds:
            raise LimitExceeded(
                f"setting its pages takes more than the limit of {most_seconds:g} s: raise document_seconds",
                source=str(file.path),
                code="limit_time",
            )
    return n_pages


def _source_lines(stream: TextIO) -> Iterator[SourceText]:
    """The lines of a file with their offsets; a very long one in pieces that end at white space."""
    offset, carry = 0, ""
    while piece := stream.readline(_PIECE):
        text = carry + piece
        carry = ""
        if len(piece) == _PIECE and not text.endswith(("\n", "\r")):
            cut = _LAST_SPACE.search(text)
            if cut is not None and cut.start() + 1 < len(text):
                text, carry = text[: cut.start() + 1], text[cut.start() + 1 :]
        yield SourceText(offset, text)
        offset += len(text)
    if carry:
        yield SourceText(offset, carry)


def _text_events(lines: Iterator[SourceText]) -> Iterator[Event]:
    for line in lines:
        if "\f" in line.text:
            yield FormFeed()
        yield line if line.text.strip() else Gap()


def _pages(events: Iterator[Event], grid: _Grid) -> Iterator[Page]:
    for event in events:
        yield from grid.put(event)
    yield grid.finish_page()


class _Grid:
    """The page being filled; ``spell`` reads a word of the source."""

    def __init__(self, engine: str, spell: Callable[[str], str]) -> None:
        self._engine = engine
        self._spell = spell
        self._number = 1
        self._row = 0
        self._columns = 0  # that tables take which are wider than the page
        self._regions: list[Region] = []
        self._lines: list[Line] = []
        self._n_rows_before = 0  # of the table that is open, on pages before
        self._open: SourceText | None = None  # any line of the region that is open: its kind and level

    def put(self, event: Event) -> Iterator[Page]:
        """Place one event; gives the pages that it filled."""
        match event:
            case Gap(n_rows=n_rows):
                self._close_region()
                self._row += n_rows if self._row else 0
            case FormFeed():
                if self._row:
                    yield self.finish_page()
            case Rows():
                yield from self._put_table(event)
            case SourceText():
                yield from self._put_text(event)

    def finish_page(self) -> Page:
        """The page so far; the next one starts empty."""
        self._close_region()
        size = (max(PAGE_SIZE[0], 2 * MARGIN + CELL[0] * self._columns), PAGE_SIZE[1])
        page = Page(self._number, size, tuple(self._regions), engine=self._engine)
        self._number, self._row, self._columns, self._regions = self._number + 1, 0, 0, []
        return page

    def _put_text(self, text: SourceText) -> Iterator[Page]:
        if (self._open is not None and (self._open.kind, self._open.level) != (text.kind, text.level)) or text.starts:
            self._close_region()
        for pieces in list(_wrap(text, 0, COLUMNS)) or [[]]:
            if self._row >= ROWS:
                yield self.finish_page()
            self._row += not pieces  # a blank line of code
            if not pieces:
                continue
            self._open = text
            self._lines.append(_line(pieces, self._row, str if text.kind == "code" else self._spell))
            self._row += 1

    def _close_region(self) -> None:
        if self._open is not None and self._lines:
            box = union([line.bbox for line in self._lines])
            self._regions.append(Region(self._open.kind, box, tuple(self._lines), level=self._open.level))
        self._open, self._lines = None, []

    def _put_table(self, table: Rows) -> Iterator[Page]:
        self._close_region()
        if table.has_header:  # of a long table the parts that follow have none
            self._n_rows_before = 0
        starts, widths = _column_layout(table)
        cells: list[Cell] = []
        n_rows = 0
        for index, row in enumerate(table.rows):
            parts = [list(_wrap(cell, start, width)) for cell, start, width in zip(row, starts, widths, strict=True)]
            height = max(1, *(len(part) for part in parts))
            if self._row and self._row + height > ROWS:
                self._close_table(cells, n_rows, len(widths))
                cells, n_rows = [], 0
                yield self.finish_page()
            self._columns = max(self._columns, starts[-1] + widths[-1])
            height = min(height, ROWS)  # a cell taller than a page is cut
            for column, part in enumerate(parts):
                lines = tuple(_line(pieces, self._row + i, self._spell) for i, pieces in enumerate(part[:ROWS]))
                box = _box(starts[column], self._row, widths[column], height)
                role = "column_header" if table.has_header and index == 0 else "body" if column else "row_header"
                cells.append(Cell(n_rows, column, box, lines, role))  # type: ignore[arg-type]
            n_rows += 1
            self._row += height
        self._close_table(cells, n_rows, len(widths))

    def _close_table(self, cells: list[Cell], n_rows: int, n_columns: int) -> None:
        if cells:
            box = union([cell.bbox for cell in cells])
            before = self._n_rows_before
            table = Table(tuple(cells), n_rows, n_columns, continues=before > 0, first_row=before)
            self._regions.append(Region("table", box, table=table))
            self._n_rows_before += n_rows


_Piece = tuple[int, int, str, int]
"""Column, width in cells, text, offset."""


def _wrap(source: SourceText, start: int, width: int) -> Iterator[list[_Piece]]:
    """The words of a line as rows of pieces, between the columns ``start`` and ``start + width``."""
    row: list[_Piece] = []
    column, end = 0, 0  # of the next character, and of the last one of the word before, in the source line
    shift = start  # from a column of the source line to one of the page
    plain = source.text.isascii() and "\t" not in source.text
    for match in _WORD.finditer(source.text):
        column = match.start() if plain else column + _width(source.text[end : match.start()], column)
        end = match.end()
        for text, offset, n_cells in _cut(match, source.offset, width):
            if column + shift + n_cells > start + width and (row or column + shift > start):
                if row:
                    yield row
                row, shift = [], start - column
            row.append((column + shift, n_cells, text, offset))
            column += n_cells
    if row:
        yield row


def _cut(match: re.Match[str], offset: int, width: int) -> Iterator[tuple[str, int, int]]:
    """A word as (text, offset, cells), in pieces where it is wider than ``width``."""
    text, at = match.group(), offset + match.start()
    if text.isascii() and len(text) <= width:
        yield text, at, len(text)
        return
    piece, n_cells = "", 0
    for character in text:
        more = _width(character, 0)
        if piece and n_cells + more > width:
            yield piece, at, max(n_cells, 1)
            at, piece, n_cells = at + len(piece), "", 0
        piece, n_cells = piece + character, n_cells + more
    yield piece, at, max(n_cells, 1)


def _width(text: str, column: int) -> int:
    """Cells that ``text`` takes from ``column`` on."""
    if text.isascii() and text.isprintable():
        return len(text)
    at = column
    for character in text:
        if character == "\t":
            at += _TAB - at % _TAB
        elif character.isprintable() and not unicodedata.combining(character):
            at += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return at - column


def _line(pieces: list[_Piece], row: int, spell: Callable[[str], str]) -> Line:
    return Line(
        tuple(
            Word(spell(text), _box(column, row, width, 1), (offset, offset + len(text)))
            for column, width, text, offset in pieces
        )
    )


def _box(column: int, row: int, width: int, height: int) -> tuple[float, float, float, float]:
    x, y = MARGIN + column * CELL[0], MARGIN + row * CELL[1]
    return (x, y, x + width * CELL[0], y + height * CELL[1])


def _column_layout(table: Rows) -> tuple[list[int], list[int]]:
    """Start and width of each column, in cells; a table wider than the page is squeezed, unless it widens the page."""
    wanted = [max(3, *(_width(row[i].text.strip(), 0) for row in table.rows)) for i in range(len(table.rows[0]))]
    free = max(COLUMNS - _COLUMN_GAP * (len(wanted) - 1), sum(table.widths))
    widths = wanted
    if sum(wanted) > free:
        share = max(1, free // len(wanted))
        spare = max(0, free - sum(min(w, share) for w in wanted))
        excess = sum(max(0, w - share) for w in wanted)
        widths = [min(w, share) + (max(0, w - share) * spare // excess if excess else 0) for w in wanted]
    starts = [sum(widths[:i]) + _COLUMN_GAP * i for i in range(len(widths))]
    return starts, widths
