"""What stands beside an answer and is none: other rows and columns of a table, and options that are not ticked.

A small base confuses codes that look alike, and names of columns that share a word. Where a question names a row or a
column by its words, the base reads first without the others; where one of several boxes is ticked, without the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.question_words import EDGES, is_function_word
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.blocks import LINE_START, ROLE_INDEX
from mm_megacontext.tree.nodes import Leaves, NodeId

Leaf = tuple[NodeId, int]
Spell = Callable[[Sequence[int]], str]
"""The text of token ids."""

_TICKED, _UNTICKED = frozenset("\u2611\u2612"), frozenset("\u2610")
_COLUMN_HEADER, _ROW_HEADER = ROLE_INDEX["column_header"], ROLE_INDEX["row_header"]
_LONG_NUMBER = 5  # digits; shorter ones may be years and amounts
_MIN_WORDS = 2
_NOT_NAMED = (False, 0)
_LINES_APART = 1.5  # of rows: in heights of their words


@dataclass(frozen=True, slots=True)
class View:
    """What is read, and where it is taken to stand.

    Attributes:
        unread: Leaves that are left out.
        lifted: By how much leaves stand higher than on their page, in patches: what is between is left out.
        is_sure: Whether a code names what is left, so that nothing else can be meant.
    """

    unread: frozenset[Leaf] = frozenset()
    lifted: Mapping[Leaf, float] = field(default_factory=dict)
    is_sure: bool = False


ALL = View()


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that is read leaf by leaf; ``starts`` says that it begins a line of a cell, or what white space parts."""

    text: str
    leaves: range
    role: int
    starts: bool
    box: tuple[float, float, float, float]


@dataclass(slots=True)
class _Row:
    """A row of a table: its words, by what starts where."""

    entry: Entry
    parts: list[list[_Word]] = field(default_factory=list)

    @property
    def is_header(self) -> bool:
        return self.parts[0][0].role == _COLUMN_HEADER

    @property
    def names(self) -> set[str]:
        """The words of its first column."""
        return {_bare(w) for part in self.parts for w in part if w.role == _ROW_HEADER} - {""}

    @property
    def leaves(self) -> list[Leaf]:
        return [(self.entry.id, leaf) for part in self.parts for word in part for leaf in word.leaves]

    @property
    def top(self) -> float:
        return float(self._heights.min())

    @property
    def bottom(self) -> float:
        return float(self._heights.max())

    @property
    def _heights(self) -> npt.NDArray[np.float64]:
        assert self.entry.leaves is not None, "its words are read"
        return self.entry.leaves.mu[[leaf for _, leaf in self.leaves], 2]

    @property
    def height(self) -> float:
        """Of its first word, on the scale of places."""
        assert self.entry.leaves is not None, "its words are read"
        leaf, box = self.leaves[0][1], self.parts[0][0].box
        middle = (box[1] + box[3]) / 2
        return float((box[3] - box[1]) * self.entry.leaves.mu[leaf, 2] / middle) if middle else 0.0

    @property
    def words(self) -> set[str]:
        return {_bare(w) for part in self.parts for w in part} - {""}


class Views:
    """What to read of entries for a question, which it takes apart into words.

    Args:
        spell: The text of token ids.
        starts_word: Whether a token can only stand at the start of a word.
    """

    def __init__(self, spell: Spell, starts_word: Callable[[int], bool]) -> None:
        self._spell, self._starts_word = spell, starts_word

    def of(self, entries: Sequence[Entry], question: str) -> list[View]:
        """What to read for a question, the least first; all last, unless that could only mislead."""
        texts = [entry for entry in entries if entry.leaves is not None and entry.leaves.pixels is None]
        asked = {_strip(word) for word in question.split() if not is_function_word(word)} - {""}
        rows = [row for entry in texts if entry.node.kind == "table" for row in _rows(entry, self._words(entry.leaves))]
        unticked = {
            (entry.id, leaf)
            for entry in texts
            for word in _not_ticked(list(self._words(entry.leaves)))
            for leaf in word.leaves
        }
        headers, data = [row for row in rows if row.is_header], [row for row in rows if not row.is_header]
        best = max((_rank(row, asked) for row in data), default=_NOT_NAMED)
        everything = View(frozenset(unticked))
        if best == _NOT_NAMED:
            return [everything]
        named = [row for row in data if _rank(row, asked) == best]
        others = {leaf for row in data if _rank(row, asked) < best for leaf in row.leaves}
        columns = set(_other_columns(headers, named, asked))
        lifted = dict(_lifted(headers, named))
        is_sure = best[0]
        found = [View(frozenset(unticked | others | left), lifted, is_sure) for left in (columns, set[Leaf]())]
        return [*(found if columns else found[1:]), *([] if is_sure else [everything])]

    def _words(self, leaves: Leaves | None) -> Iterator[_Word]:
        assert leaves is not None, "the caller has asked"
        ids = leaves.token_ids.tolist()
        starts = [i for i, token in enumerate(ids) if i == 0 or self._starts_word(token)]
        for first, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            role = int(leaves.roles[first])
            x0, y0 = leaves.boxes[first:end, :2].min(axis=0).tolist()
            x1, y1 = leaves.boxes[first:end, 2:].max(axis=0).tolist()
            text = self._spell(ids[first:end])
            yield _Word(text, range(first, end), role & ~LINE_START, role >= LINE_START, (x0, y0, x1, y1))


def _strip(text: str) -> str:
    return text.strip(EDGES).lower()


def _bare(word: _Word) -> str:
    return _strip(word.text)


def _rows(entry: Entry, words: Iterator[_Word]) -> list[_Row]:
    """The rows of a block of a table: each begins with its first column, or where the text goes back to the left."""
    rows: list[_Row] = []
    before: _Word | None = None
    for word in words:
        if before is None or _starts_row(before, word):
            rows.append(_Row(entry))
        if word.starts or not rows[-1].parts:
            rows[-1].parts.append([])
        rows[-1].parts[-1].append(word)
        before = word
    return rows


def _starts_row(before: _Word, word: _Word) -> bool:
    if (word.role == _COLUMN_HEADER) != (before.role == _COLUMN_HEADER):
        return True
    is_back = word.starts and word.box[2] < before.box[0] and word.box[1] >= before.box[3]
    return before.role not in (_ROW_HEADER, _COLUMN_HEADER) and (word.role == _ROW_HEADER or is_back)


def _other_columns(headers: Sequence[_Row], rows: Sequence[_Row], asked: set[str]) -> Iterator[Leaf]:
    """Of rows and headers: what stands in columns that the question does not name, if it names any."""
    naming: dict[int, set[int]] = {}  # columns that name rows, by header
    for row in rows:
        header = next((header for header in headers if _is_of(header, row)), None)
        wanted = _wanted(header.parts, asked) if header is not None else set()
        if header is None or not wanted:
            continue
        columns = [_nearest(part, header.parts) for part in row.parts]
        own = {c for c, part in zip(columns, row.parts, strict=True) if any(_bare(word) in asked for word in part)}
        naming.setdefault(id(header), set()).update(own or {0})
        for column, part in zip(columns, row.parts, strict=True):
            if column not in wanted | (own or {0}):
                yield from _leaves(row, part)
    for header in headers:
        for number, part in enumerate(header.parts):
            if id(header) in naming and number not in _wanted(header.parts, asked) | naming[id(header)]:
                yield from _leaves(header, part)


def _leaves(row: _Row, part: Sequence[_Word]) -> Iterator[Leaf]:
    return ((row.entry.id, leaf) for word in part for leaf in word.leaves)


def _lifted(headers: Sequence[_Row], rows: Sequence[_Row]) -> Iterator[tuple[Leaf, float]]:
    """By how much rows stand higher if they follow their header."""
    n_below: dict[int, int] = {}
    for row in rows:
        header = next((header for header in headers if _is_of(header, row)), None)
        if header is None:
            continue
        n_below[id(header)] = n_below.get(id(header), 0) + 1
        by = row.top - header.bottom - _LINES_APART * header.height * n_below[id(header)]
        yield from ((leaf, by) for leaf in row.leaves)


def _rank(row: _Row, asked: set[str]) -> tuple[bool, int]:
    """How well a question names a row: by a code, and by how many words; by nothing, if these are too few."""
    named = row.words & asked
    has_code = any(map(_is_code, named))
    is_named = bool(row.names) and row.names <= asked
    return (has_code, len(named)) if has_code or is_named or len(named) >= _MIN_WORDS else _NOT_NAMED


def _is_code(word: str) -> bool:
    """Whether a word stands for one thing: it has digits, and more than an amount or a year has."""
    n_digits = sum(map(str.isdigit, word))
    return n_digits > 0 and (n_digits >= _LONG_NUMBER or any(c.isalpha() for c in word) or "-" in word)


def _is_of(header: _Row, row: _Row) -> bool:
    return header.entry.id == row.entry.id or header.entry.id in row.entry.node.links


def _wanted(names: Sequence[Sequence[_Word]], asked: set[str]) -> set[int]:
    """The columns whose names hold most words of the question; none if no name holds any."""
    counts = [len({_bare(word) for word in part} & asked) for part in names]
    most = max(counts, default=0)
    return {i for i, count in enumerate(counts) if count == most} if most else set()


def _nearest(part: Sequence[_Word], names: Sequence[Sequence[_Word]]) -> int:
    """The name that stands above what is in a cell, most nearly; titles before it stand above several."""
    x0, x1 = min(word.box[0] for word in part), max(word.box[2] for word in part)

    def distance(number: int) -> tuple[float, float]:
        last = names[number][-1].box
        first = min((w.box for w in names[number] if w.box[1] == last[1]), key=lambda box: box[0])
        apart = max(first[0] - x1, x0 - last[2], 0.0)
        return apart, abs(first[0] + last[2] - x0 - x1)

    return min(range(len(names)), key=distance)


def _not_ticked(words: Sequence[_Word]) -> Iterator[_Word]:
    """On each line with boxes of which some are ticked: the others with their words, and the signs of all."""
    signs = [i for i, word in enumerate(words) if word.text in _TICKED | _UNTICKED]
    for line in _lines(words, signs):
        if len(line) < _MIN_WORDS or not any(words[i].text in _TICKED for i in line):
            continue
        for i, end in zip(line, [*line[1:], _line_end(words, line[-1])], strict=True):
            yield from words[i : i + 1 if words[i].text in _TICKED else end]


def _lines(words: Sequence[_Word], signs: Sequence[int]) -> list[list[int]]:
    lines: list[list[int]] = []
    for i in signs:
        if lines and _is_level(words[lines[-1][-1]], words[i]):
            lines[-1].append(i)
        else:
            lines.append([i])
    return lines


def _is_level(word: _Word, other: _Word) -> bool:
    return word.box[1] < (other.box[1] + other.box[3]) / 2 < word.box[3] and other.box[0] > word.box[0]


def _line_end(words: Sequence[_Word], at: int) -> int:
    """Where the line of a word ends."""
    return next((i for i in range(at + 1, len(words)) if not _is_level(words[at], words[i])), len(words))
