"""Markdown taken apart line by line: headings, lists, fenced code, pipe tables, paragraphs.

Not a full CommonMark parser: inline marks stay in the text, since every word keeps its place in the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from mm_megacontext.document import RegionKind


@dataclass(frozen=True, slots=True)
class SourceText:
    """A piece of one source line. ``offset`` counts characters; ``starts`` says that a new region begins with it."""

    offset: int
    text: str
    kind: RegionKind = "text"
    level: int | None = None
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows left blank; ends the region before."""

    n_rows: int = 1


@dataclass(frozen=True, slots=True)
class FormFeed:
    """The next line starts a page."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, all of the same length; the first one is the header if ``has_header``.

    ``widths``, in letters, are those of the columns where the page is to be as wide as they are together; without them
    columns are squeezed to fit on the page.
    """

    rows: tuple[tuple[SourceText, ...], ...]
    has_header: bool
    widths: tuple[int, ...] = ()


Event = SourceText | Gap | FormFeed | Rows

_ROWS_AT_ONCE = 500  # a longer table comes in parts, to keep memory flat
_MAX_COLUMNS = 26  # more would not fit on the page with a gap between them

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


def markdown_events(lines: Iterator[SourceText]) -> Iterator[Event]:
    """The regions of a Markdown text, as placed by the virtual page."""
    reader = _Lookahead(lines)
    in_list = False
    for line in reader:
        text = line.text.rstrip()
        following = reader.peek()
        if not text.strip():
            yield Gap()
            in_list = in_list and following is not None and following.text[:1] in " \t"
        elif fence := _FENCE.match(text):
            yield from _fenced(reader, fence.group(1))
        elif heading := _HEADING.match(text):
            in_list = False
            yield _part(line, heading.start(2), heading.end(2), len(heading.group(1)))
        elif _is_table(text, following):
            in_list = False
            yield from _table(reader, line)
        elif _RULE.match(text):
            yield Gap()
        elif not in_list and following is not None and _is_underline(text, following):
            next(reader)
            yield replace(line, kind="heading", level=1 if "=" in following.text else 2, starts=True)
            yield Gap()
        else:
            starts_list = _ITEM.match(text) is not None
            in_list = in_list or starts_list
            yield replace(line, kind="list" if in_list else "text")


class _Lookahead:
    """An iterator that shows its next line."""

    def __init__(self, lines: Iterator[SourceText]) -> None:
        self._lines = lines
        self._next: list[SourceText] = []

    def __iter__(self) -> _Lookahead:
        return self

    def __next__(self) -> SourceText:
        return self._next.pop() if self._next else next(self._lines)

    def peek(self) -> SourceText | None:
        if not self._next:
            self._next.extend(line for line in [next(self._lines, None)] if line is not None)
        return self._next[0] if self._next else None


def _part(line: SourceText, start: int, end: int, level: int) -> SourceText:
    return SourceText(line.offset + start, line.text[start:end], "heading", level, starts=True)


def _is_underline(text: str, following: SourceText) -> bool:
    return _UNDERLINE.match(following.text.rstrip()) is not None and _ITEM.match(text) is None and "|" not in text


def _fenced(reader: _Lookahead, fence: str) -> Iterator[Event]:
    """The lines up to the closing fence; the fences themselves are left blank."""
    yield Gap()
    closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    for line in reader:
        if closing.match(line.text.rstrip()):
            break
        # A blank line in code does not end the region, so it is passed on as a line without words.
        yield replace(line, kind="code")
    yield Gap()


def _is_table(text: str, following: SourceText | None) -> bool:
    if following is None or "|" not in text:
        return False
    delimiters = following.text.rstrip()
    return (
        "|" in delimiters
        and _DELIMITERS.match(delimiters) is not None
        and len(_cells(SourceText(0, text))) == len(_cells(SourceText(0, delimiters))) <= _MAX_COLUMNS
    )


def _table(reader: _Lookahead, header: SourceText) -> Iterator[Event]:
    next(reader)  # the delimiter row
    rows = [tuple(_cells(header))]
    n_columns = len(rows[0])
    has_header = True
    while (line := reader.peek()) is not None and line.text.strip() and "|" in line.text:
        next(reader)
        cells = _cells(line)[:n_columns]
        end = line.offset + len(line.text.rstrip())
        rows.append(tuple(chain(cells, [SourceText(end, "")] * (n_columns - len(cells)))))
        if len(rows) >= _ROWS_AT_ONCE:
            yield Rows(tuple(rows), has_header)
            rows, has_header = [], False
    if rows:
        yield Rows(tuple(rows), has_header)


def _cells(line: SourceText) -> list[SourceText]:
    """The cells of a table row, without the pipes; a pipe after a backslash is text."""
    text = line.text.strip()
    base = line.offset + line.text.index(text)
    body = text.removeprefix("|")
    base += len(text) - len(body)
    if body.endswith("|") and not body.endswith("\\|"):
        body = body[:-1]
    cells, start, i = [], 0, 0
    while i <= len(body):
        if i == len(body) or body[i] == "|":
            raw = body[start:i]
            stripped = raw.lstrip()
            cells.append(SourceText(base + start + len(raw) - len(stripped), stripped.rstrip()))
            start = i + 1
        i += 2 if i < len(body) and body[i] == "\\" and i + 1 < len(body) else 1
    return cells
