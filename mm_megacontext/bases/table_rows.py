"""Words, lines and rows of what is read leaf by leaf, and which columns of a table a question names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
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

COLUMN_HEADER, ROW_HEADER = ROLE_INDEX["column_header"], ROLE_INDEX["row_header"]
_LONG_NUMBER = 5
"""Digits of a code; shorter numbers may be years and amounts."""
_MIN_WORDS = 2
"""Words that name a row together, where none of them does alone."""
NOT_NAMED = (False, 0)


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is read leaf by leaf; ``starts`` says that it begins a line of a cell, or what white space parts."""

    text: str
    leaves: range
    role: int
    starts: bool
    box: tuple[float, float, float, float]


@dataclass(slots=True)
class Row:
    """A row of a table: its words, by what starts where."""

    entry: Entry
    parts: list[list[Word]] = field(default_factory=list)

    @property
    def is_header(self) -> bool:
        return self.parts[0][0].role == COLUMN_HEADER

    @property
    def names(self) -> set[str]:
        """The words of its first column."""
        return {bare(w) for part in self.parts for w in part if w.role == ROW_HEADER} - {""}

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
        return {bare(w) for part in self.parts for w in part} - {""}

    def named_by(self, asked: Set[str]) -> tuple[bool, int]:
        """How well words name it: by a code, and by how many of them; ``NOT_NAMED`` if these are too few."""
        named = self.words & asked
        has_code = any(map(_is_code, named))
        is_named = bool(self.names) and self.names <= asked
        return (has_code, len(named)) if has_code or is_named or len(named) >= _MIN_WORDS else NOT_NAMED


class LeafWords:
    """Takes leaves apart into words.

    Args:
        spell: The text of token ids.
        starts_word: Whether a token can only stand at the start of a word.
    """

    def __init__(self, spell: Spell, starts_word: Callable[[int], bool]) -> None:
        self._spell, self._starts_word = spell, starts_word

    def of_texts(self, entries: Iterable[Entry]) -> list[tuple[Entry, list[Word]]]:
        """The words of each entry that is text and read leaf by leaf."""
        return [(e, list(self.of(e.leaves))) for e in entries if e.leaves is not None and e.leaves.pixels is None]

    def of(self, leaves: Leaves) -> Iterator[Word]:
        """Words in order."""
        ids = leaves.token_ids.tolist()
        starts = [i for i, token in enumerate(ids) if i == 0 or self._starts_word(token)]
        for first, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            role = int(leaves.roles[first])
            x0, y0 = leaves.boxes[first:end, :2].min(axis=0).tolist()
            x1, y1 = leaves.boxes[first:end, 2:].max(axis=0).tolist()
            text = self._spell(ids[first:end])
            yield Word(text, range(first, end), role & ~LINE_START, role >= LINE_START, (x0, y0, x1, y1))


def asked_words(question: str) -> set[str]:
    """The words of a question that say what is asked for, ``bare``."""
    return {_stripped(word) for word in question.split() if not is_function_word(word)} - {""}


def bare(word: Word) -> str:
    """A word in lower case, without the punctuation around it."""
    return _stripped(word.text)


def _stripped(text: str) -> str:
    return text.strip(EDGES).lower()


def _is_code(word: str) -> bool:
    """Whether a word stands for one thing: it has digits, and more than an amount or a year has."""
    n_digits = sum(map(str.isdigit, word))
    return n_digits > 0 and (n_digits >= _LONG_NUMBER or any(c.isalpha() for c in word) or "-" in word)


def rows_of(entry: Entry, words: Sequence[Word]) -> list[Row]:
    """The rows of a block of a table: each begins with its name, or where none has one, at the table's left edge."""
    is_named = any(word.role == ROW_HEADER for word in words)
    rows: list[Row] = []
    before: Word | None = None
    for word in words:
        if before is None or _starts_row(before, word, None if is_named else rows[-1]):
            rows.append(Row(entry))
        if word.starts or not rows[-1].parts:
            rows[-1].parts.append([])
        rows[-1].parts[-1].append(word)
        before = word
    return rows


def _starts_row(before: Word, word: Word, unnamed: Row | None) -> bool:
    if (word.role == COLUMN_HEADER) != (before.role == COLUMN_HEADER):
        return True
    if unnamed is None:
        return word.role == ROW_HEADER != before.role
    if before.role == COLUMN_HEADER or not word.starts:
        return False
    left = unnamed.parts[0][0].box  # lines of a cell go back, too, but not as far
    is_back = word.box[2] < before.box[0] and word.box[0] < left[0] + (left[3] - left[1])
    return is_back and word.box[1] >= before.box[3]


def cells_of(row: Row) -> list[list[Word]]:
    """Its cells: parts that stand below each other are lines of one."""
    cells: list[list[Word]] = []
    for part in row.parts:
        if cells and _is_below(cells[-1], part):
            cells[-1] = cells[-1] + part
        else:
            cells.append(part)
    return cells


def _is_below(cell: Sequence[Word], part: Sequence[Word]) -> bool:
    x0, x1 = min(word.box[0] for word in cell), max(word.box[2] for word in cell)
    is_lower = part[0].box[1] >= (cell[-1].box[1] + cell[-1].box[3]) / 2
    return is_lower and part[0].box[0] < x1 and part[-1].box[2] > x0


def is_of(header: Row, row: Row) -> bool:
    """Whether a header stands above a row: in its block, or in one that its block links to."""
    return header.entry.id == row.entry.id or header.entry.id in row.entry.node.links


def wanted(names: Sequence[Sequence[Word]], asked: Set[str]) -> set[int]:
    """The columns whose names hold most words of the question; none if no name holds any."""
    counts = [len({bare(word) for word in part} & asked) for part in names]
    most = max(counts, default=0)
    return {i for i, count in enumerate(counts) if count == most} if most else set()


def nearest(part: Sequence[Word], names: Sequence[Sequence[Word]]) -> int:
    """The name that stands above what is in a cell, most nearly; titles before it stand above several."""
    x0, x1 = min(word.box[0] for word in part), max(word.box[2] for word in part)

    def distance(number: int) -> tuple[float, float]:
        last = names[number][-1].box
        first = min((w.box for w in names[number] if w.box[1] == last[1]), key=lambda box: box[0])
        apart = max(first[0] - x1, x0 - last[2], 0.0)
        return apart, abs(first[0] + last[2] - x0 - x1)

    return min(range(len(names)), key=distance)
