"""Regions cut into text blocks of at most 32 tokens, each token with its share of its word's box.

A block never crosses a region. It ends where a sentence or a line ends, if there is such a place. In a table it ends
where a row ends: a longer row is a block of its own, and only one of more than 128 tokens is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Cell, Line, Region, Table, Word, text_of, union, with_notes
from mm_megacontext.tree.nodes import BLOCK_TOKENS, ROW_TOKENS
from mm_megacontext.turned_frame import MapBox

ROLES = (
    "text",
    "heading",
    "list",
    "form",
    "column_header",
    "row_header",
    "cell",
    "caption",
    "header",
    "footer",
    "formula",
    "code",
    "visual",
    "gist",
    "question",
)
ROLE_INDEX = {name: i for i, name in enumerate(ROLES)}
LINE_START = 0x80
"""Set in a leaf's role where a line, a line of a cell, or after a wide gap a segment of a line begins."""
WIDE_GAP = 0.8
"""White space that separates segments of a line, in heights of its words: wider than between words of a sentence."""
BULLETS = frozenset("•◦▪‣●○■□·–—-*+")
"""Marks of the items of lists. They are no leaves: where an item begins is said by the start of its line, which with
such a mark before it no name has (of 44 facts in items with bullets none was found). Numbers of items are text."""

NAME_WORDS = 8
"""Words of a row's first cell that what is cut off the row is also found by."""

_CELL_ROLE = {"body": "cell", "column_header": "column_header", "row_header": "row_header"}


_SENTENCE_ENDS = (".", "!", "?", '."', ".)", ";")


class Ending(IntEnum):
    """What ends after a word; the larger, the better a place for a block to end."""

    WORD = 0
    LINE = 1
    SENTENCE = 2


class Tokenizer(Protocol):
    """What cutting needs of a base's tokenizer."""

    def encode_word(self, word: str) -> tuple[int, ...]: ...

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]: ...


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word with what its leaves will say about it; ``parts`` are its own, where it stands in several places."""

    word: Word
    role: int
    starts_line: bool
    end: Ending
    is_header: bool
    parts: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """At most 32 consecutive tokens of one region, or a row of its table.

    Attributes:
        words: The words, whole or in part; a word longer than a block continues in the next one.
        word_of_token: (n,) index into ``words``.
        boxes: (n, 4) float32, source units.
        roles: (n,) uint8, index into ``ROLES`` with ``LINE_START``.
        header: Words in it that name columns: of a table's header row, or of the first of several lines in segments.
        row_name: First words of the row that it goes on with, if a row was cut.
    """

    token_ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float32]
    roles: npt.NDArray[np.uint8]
    words: tuple[Word, ...]
    word_of_token: npt.NDArray[np.int64]
    header: str
    row_name: str = ""

    @property
    def bbox(self) -> Box:
        return union([w.bbox for w in self.words])

    @property
    def text(self) -> str:
        return " ".join(w.text for w in self.words)


def cut_region(region: Region, tokenizer: Tokenizer) -> list[Block]:
    """The blocks of a region, in reading order; none if it holds no text."""
    if region.table is None:
        placed = _whole_words(_line_words(region))
        return [_block(tokens) for tokens in _pack([(_tokens(p, tokenizer), p.end) for p in placed])]
    rows = [[(_tokens(p, tokenizer), p.end) for p in _whole_words(row)] for row in _table_rows(region.table)]
    return list(_cut_rows(rows))


_Token = tuple[PlacedWord, int, tuple[int, int]]  # word, token id, characters of the word
_Piece = tuple[list[_Token], Ending]  # what is not cut if it fits a block: a word, or a row of a table


def _cut_rows(rows: Sequence[Sequence[_Piece]]) -> Iterator[Block]:
    """Blocks of rows that are whole, as many as fit; of a row that is too long, blocks that know its name."""
    short: list[_Piece] = []
    for row in rows:
        whole = [token for tokens, _ in row for token in tokens]
        if len(whole) <= ROW_TOKENS:
            short.append((whole, Ending.LINE))
            continue
        yield from map(_block, _pack(short, ROW_TOKENS))
        short = []
        first, *others = _pack(row)
        yield _block(first)
        yield from (replace(_block(tokens), row_name=_row_name(row)) for tokens in others)
    yield from map(_block, _pack(short, ROW_TOKENS))


def _row_name(row: Sequence[_Piece]) -> str:
    """The first words of a row, up to where its second cell or line begins."""
    words = [tokens[0][0] for tokens, _ in row]
    n = next((i for i, word in enumerate(words) if i and word.starts_line), len(words))
    return " ".join(word.word.text for word in words[: min(n, NAME_WORDS)])


def _line_words(region: Region) -> Iterator[PlacedWord]:
    role = ROLE_INDEX.get(region.kind, 0)
    lines = [_without_bullet(line) for line in region.lines] if region.kind == "list" else region.lines
    starts = [list(_segment_starts(line)) for line in lines]
    is_grid = region.kind != "list" and _are_rows(starts)
    for number, (line, starts_here) in enumerate(zip(lines, starts, strict=True)):
        last = len(line.words) - 1
        for i, (word, is_start) in enumerate(zip(line.words, starts_here, strict=True)):
            end = Ending.SENTENCE if word.text.endswith(_SENTENCE_ENDS) else Ending.LINE if i == last else Ending.WORD
            yield PlacedWord(word, role, is_start, end, is_grid and number == 0)


def _whole_words(placed: Iterable[PlacedWord]) -> Iterator[PlacedWord]:
    """The words with those made one that are read as one: over the end of a line, and with what stands above it.

    Marks of notes are no leaves: they would be taken for part of the value that they stand beside.
    """
    open_word: PlacedWord | None = None
    for next_word in placed:
        word = next_word
        if open_word is None:
            open_word = word
            continue
        last = (open_word.parts or (open_word.word,))[-1]
        (_, _), (_, is_note) = with_notes([last, word.word])
        if last.hyphen or (not is_note and _is_one([last, word.word])):
            open_word = _one(open_word, word)
        elif is_note:
            open_word = replace(open_word, end=max(open_word.end, word.end))
        else:
            yield open_word
            open_word = word
    if open_word is not None:
        yield open_word


def _is_one(pair: Sequence[Word]) -> bool:
    return any(word.script for word in pair) and " " not in text_of(pair)


def _one(word: PlacedWord, other: PlacedWord) -> PlacedWord:
    """A word and the one that it goes on with."""
    *first, last = word.parts or (word.word,)
    if last.hyphen == "dropped":
        last = replace(last, text=last.text[:-1])
    signed = text_of([last]) if not word.parts else last.text
    parts = (*first, replace(last, text=signed, script=last.script), replace(other.word, text=text_of([other.word])))
    whole = Word("".join(part.text for part in parts), union([part.bbox for part in parts]), None, word.word.confidence)
    return replace(word, word=whole, end=max(word.end, other.end), parts=parts)


def _are_rows(starts: Sequence[Sequence[bool]]) -> bool:
    """Whether lines, of which is known where segments begin, are rows of a table that was not seen as one."""
    return len(starts) > 1 and sum(starts[0]) > 1 and 3 * sum(sum(s) > 1 for s in starts) >= 2 * len(starts)


def _without_bullet(line: Line) -> Line:
    return Line(line.words[1:]) if line.words[0].text in BULLETS else line


def _segment_starts(line: Line) -> Iterator[bool]:
    previous: Word | None = None
    for word in line.words:
        height = word.bbox[3] - word.bbox[1]
        yield previous is None or _gap(previous.bbox, word.bbox) > WIDE_GAP * height
        previous = word


def _gap(box: Box, other: Box) -> float:
    """White space between two boxes on a line, whichever comes first; negative where they overlap."""
    return max(other[0] - box[2], box[0] - other[2])


def _table_rows(table: Table) -> list[list[PlacedWord]]:
    """The words of each row that has any."""
    rows: dict[int, list[PlacedWord]] = {}
    for cell, titles in _with_titles(table.cells):
        role = ROLE_INDEX[_CELL_ROLE[cell.role]]
        is_header = cell.role == "column_header"
        for i, words in enumerate([titles] * bool(titles) + [line.words for line in cell.lines]):
            starts = i == 0 or not titles
            placed = [PlacedWord(word, role, starts and n == 0, Ending.WORD, is_header) for n, word in enumerate(words)]
            placed[-1] = replace(placed[-1], end=Ending.LINE)
            rows.setdefault(cell.row, []).extend(placed)
    return [rows[row] for row in sorted(rows)]


def _with_titles(cells: Sequence[Cell]) -> Iterator[tuple[Cell, tuple[Word, ...]]]:
    """The cells of a table, and the words of the titles above each name of a column.

    Where titles stand above several columns each, the names below them are read with them, "2023 Output", "2023 Scrap",
    "2024 Output", and not "2023", "2024", and then "Output" and "Scrap" twice.
    """
    names = [cell for cell in cells if cell.role == "column_header"]
    if not any(cell.column_span > 1 and cell.lines for cell in names):
        yield from ((cell, ()) for cell in cells)
        return
    last = max(cell.row + cell.row_span for cell in names) - 1
    lowest = {id(cell) for cell in names if cell.row + cell.row_span > last}
    named = {column for cell in names if id(cell) in lowest for column in _columns(cell)}
    for cell in cells:
        if cell.role == "column_header" and id(cell) not in lowest and named.issuperset(_columns(cell)):
            continue
        above = [other for other in names if other.row < cell.row and set(_columns(cell)) <= set(_columns(other))]
        titles = above if id(cell) in lowest else []
        yield cell, tuple(word for title in titles for line in title.lines for word in line.words)


def _columns(cell: Cell) -> range:
    return range(cell.column, cell.column + cell.column_span)


def _pack(pieces: Sequence[_Piece], most: int = BLOCK_TOKENS) -> Iterator[list[_Token]]:
    """As many pieces as fit, back to the last good place to stop; of one that is larger, ``most`` tokens at a time."""
    start = 0
    while start < len(pieces):
        stop = _overflow(pieces, start)
        if stop == start:
            tokens = pieces[start][0]
            yield from (tokens[i : i + most] for i in range(0, len(tokens), most))
            start += 1
            continue
        if stop < len(pieces):
            stop = _best_stop(pieces, start, stop)
        yield [token for tokens, _ in pieces[start:stop] for token in tokens]
        start = stop


def _overflow(words: Sequence[_Piece], start: int) -> int:
    """The first piece from ``start`` that does not fit one block with those before it."""
    n = 0
    for stop in range(start, len(words)):
        n += len(words[stop][0])
        if n > BLOCK_TOKENS:
            return stop
    return len(words)


def _best_stop(words: Sequence[_Piece], start: int, stop: int) -> int:
    """The last stop at the strongest ending that leaves the block a third full, else the last of all."""
    best, n = (Ending.WORD, stop), 0
    for i in range(start, stop):
        n += len(words[i][0])
        if n >= BLOCK_TOKENS // 3 and words[i][1] >= best[0] and words[i][1] > Ending.WORD:
            best = (words[i][1], i + 1)
    return best[1]


def _tokens(placed: PlacedWord, tokenizer: Tokenizer) -> list[_Token]:
    text = placed.word.text
    return [(placed, i, s) for i, s in zip(tokenizer.encode_word(text), tokenizer.word_spans(text), strict=True)]


def _block(tokens: Sequence[_Token]) -> Block:
    words: list[Word] = []
    header: list[str] = []
    word_of_token, boxes, roles = [], [], []
    previous: PlacedWord | None = None
    for placed, _, (start, stop) in tokens:
        starts = placed is not previous and placed.starts_line and start == 0  # not where a long word goes on
        if placed is not previous:
            words.append(placed.word)
            header += [placed.word.text] * placed.is_header
            previous = placed
        word_of_token.append(len(words) - 1)
        roles.append(placed.role | (LINE_START if starts else 0))
        boxes.append(_place(placed, start, stop))
    return Block(
        np.array([i for _, i, _ in tokens], dtype=np.int64),
        np.array(boxes, dtype=np.float32),
        np.array(roles, dtype=np.uint8),
        tuple(words),
        np.array(word_of_token, dtype=np.int64),
        " ".join(header),
    )


def _place(placed: PlacedWord, start: int, stop: int) -> Box:
    """Where characters ``start:stop`` of a word stand: in the part of it where they begin."""
    first = 0
    for part in placed.parts:
        last = first + len(part.text)
        if start < last:
            return _share(part, start - first, min(stop, last) - first)
        first = last
    return _share(placed.word, start, stop)


def _share(word: Word, start: int, stop: int) -> Box:
    """The part of a word's box that characters ``start:stop`` take, as if all were equally wide."""
    x0, y0, x1, y1 = word.bbox
    width = (x1 - x0) / max(len(word.text), 1)
    return (x0 + start * width, y0, x0 + stop * width if stop < len(word.text) else x1, y1)


def placed_elsewhere(block: Block, place: MapBox) -> Block:
    """A block with all its boxes put through ``place``."""
    boxes = [place((x0, y0, x1, y1)) for x0, y0, x1, y1 in block.boxes.tolist()]
    words = tuple(replace(word, bbox=place(word.bbox)) for word in block.words)
    return replace(block, boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4), words=words)
