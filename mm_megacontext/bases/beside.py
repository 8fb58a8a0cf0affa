"""What stands beside an answer and is none: other rows and columns of a table, and options that are not ticked.

A small base confuses codes that look alike, and names of columns that share a word. Where a question names a row or a
column by its words, the base reads first without the others; where one of several boxes is ticked, without the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mm_megacontext.bases.table_rows import (
    NOT_NAMED,
    Leaf,
    LeafWords,
    Row,
    Word,
    asked_words,
    bare,
    is_of,
    nearest,
    rows_of,
    wanted,
)
from mm_megacontext.reading.working_context import Entry

_TICKED, _UNTICKED = frozenset("\u2611\u2612"), frozenset("\u2610")
_MIN_SIGNS = 2
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


class Views:
    """What to read of entries for a question, which it takes apart into words.

    Args:
        words: Takes leaves apart.
    """

    def __init__(self, words: LeafWords) -> None:
        self._words = words

    def of(self, entries: Sequence[Entry], question: str) -> list[View]:
        """What to read for a question, the least first; all last, unless that could only mislead."""
        asked = asked_words(question)
        texts = self._words.of_texts(entries)
        rows = [row for entry, words in texts if entry.node.kind == "table" for row in rows_of(entry, words)]
        unticked = {(entry.id, leaf) for entry, words in texts for word in _not_ticked(words) for leaf in word.leaves}
        headers, data = [row for row in rows if row.is_header], [row for row in rows if not row.is_header]
        best = max((row.named_by(asked) for row in data), default=NOT_NAMED)
        everything = View(frozenset(unticked))
        if best == NOT_NAMED:
            return [everything]
        named = [row for row in data if row.named_by(asked) == best]
        others = {leaf for row in data if row.named_by(asked) < best for leaf in row.leaves}
        columns = set(_other_columns(headers, named, asked))
        lifted = dict(_lifted(headers, named))
        is_sure = best[0]
        found = [View(frozenset(unticked | others | left), lifted, is_sure) for left in (columns, set[Leaf]())]
        return [*(found if columns else found[1:]), *([] if is_sure else [everything])]


def _other_columns(headers: Sequence[Row], rows: Sequence[Row], asked: set[str]) -> Iterator[Leaf]:
    """Of rows and headers: what stands in columns that the question does not name, if it names any."""
    naming: dict[int, set[int]] = {}  # columns that name rows, by header
    for row in rows:
        header = next((header for header in headers if is_of(header, row)), None)
        in_question = wanted(header.parts, asked) if header is not None else set()
        if header is None or not in_question:
            continue
        columns = [nearest(part, header.parts) for part in row.parts]
        own = {c for c, part in zip(columns, row.parts, strict=True) if any(bare(word) in asked for word in part)}
        naming.setdefault(id(header), set()).update(own or {0})
        for column, part in zip(columns, row.parts, strict=True):
            if column not in in_question | (own or {0}):
                yield from _leaves(row, part)
    for header in headers:
        for number, part in enumerate(header.parts):
            if id(header) in naming and number not in wanted(header.parts, asked) | naming[id(header)]:
                yield from _leaves(header, part)


def _leaves(row: Row, part: Sequence[Word]) -> Iterator[Leaf]:
    return ((row.entry.id, leaf) for word in part for leaf in word.leaves)


def _lifted(headers: Sequence[Row], rows: Sequence[Row]) -> Iterator[tuple[Leaf, float]]:
    """By how much rows stand higher if they follow their header."""
    n_below: dict[int, int] = {}
    for row in rows:
        header = next((header for header in headers if is_of(header, row)), None)
        if header is None:
            continue
        n_below[id(header)] = n_below.get(id(header), 0) + 1
        by = row.top - header.bottom - _LINES_APART * header.height * n_below[id(header)]
        yield from ((leaf, by) for leaf in row.leaves)


def _not_ticked(words: Sequence[Word]) -> Iterator[Word]:
    """On each line with boxes of which some are ticked: the others with their words, and the signs of all."""
    signs = [i for i, word in enumerate(words) if word.text in _TICKED | _UNTICKED]
    for line in _lines(words, signs):
        if len(line) < _MIN_SIGNS or not any(words[i].text in _TICKED for i in line):
            continue
        for i, end in zip(line, [*line[1:], _line_end(words, line[-1])], strict=True):
            yield from words[i : i + 1 if words[i].text in _TICKED else end]


def _lines(words: Sequence[Word], signs: Sequence[int]) -> list[list[int]]:
    lines: list[list[int]] = []
    for i in signs:
        if lines and _is_level(words[lines[-1][-1]], words[i]):
            lines[-1].append(i)
        else:
            lines.append([i])
    return lines


def _is_level(word: Word, other: Word) -> bool:
    return word.box[1] < (other.box[1] + other.box[3]) / 2 < word.box[3] and other.box[0] > word.box[0]


def _line_end(words: Sequence[Word], at: int) -> int:
    """Where the line of a word ends."""
    return next((i for i in range(at + 1, len(words)) if not _is_level(words[at], words[i])), len(words))
