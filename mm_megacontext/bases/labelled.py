"""What a page itself says of its values: which label they stand beside, and in which row and column.

Where the words of a question are just those of a label, or of a row and a column of a table, what stands there is the
answer, in any language, for no word needs to be understood. Nothing is guessed: words that are left over, two places,
a value that may go on in the next line, and there is no answer from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from mm_megacontext.bases.table_rows import (
    NOT_NAMED,
    Leaf,
    LeafWords,
    Row,
    Word,
    asked_words,
    bare,
    cells_of,
    is_of,
    nearest,
    rows_of,
)
from mm_megacontext.reading.question_words import is_function_word
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import NodeId

_COLONS = (":", "\uff1a")
_PAGE = "page"
_N_COLUMNS_OF_PAIRS = 2

_Value = tuple[NodeId, Sequence[Word]]


def labelled_leaves(entries: Sequence[Entry], question: str, words: LeafWords) -> list[Leaf]:
    """The leaves of the value that a question names by its label, or by its row and column; none if there is not one.

    Args:
        entries: What is read.
        question: Any text.
        words: Takes leaves apart into words.
    """
    asked = asked_words(question)
    if not asked:
        return []
    texts = words.of_texts(entries)
    lines = [(e, w) for e, w in texts if e.node.kind != "table"]
    rows = [row for entry, w in texts if entry.node.kind == "table" for row in rows_of(entry, w)]
    found = [value for entry, w in lines for value in _beside_labels(entry, w, asked)] + list(_in_tables(rows, asked))
    if _PAGE in question.lower().split():
        found = [value for value in found if _is_number(value[1])]
    if len({tuple(map(bare, value)) for _, value in found}) != 1:
        return []
    node, value = found[0]
    return [(node, leaf) for word in value for leaf in word.leaves]


def _beside_labels(entry: Entry, words: Sequence[Word], asked: Set[str]) -> Iterator[_Value]:
    """Values behind a colon, and numbers at the end of a line whose beginning is a label."""
    parts = _parts(words)
    for at, part in enumerate(parts):
        label, value = _split(part)
        if not _is_label(label or part, asked):
            continue
        end = at
        if not value:
            end, value = at + 1, _right_of(parts, at)
            if not label and not (_stands_alone(parts, at) and _has_number(value)):
                continue  # what stands beside may be another label, each with its value below
        if value and not _split(value)[0] and _is_whole(parts, end):
            yield entry.id, value


def _in_tables(rows: Sequence[Row], asked: Set[str]) -> Iterator[_Value]:
    headers = [row for row in rows if row.is_header]
    data = [row for row in rows if not row.is_header]
    of_header = {id(row): next((h for h in headers if is_of(h, row)), None) for row in data}
    best = max((row.named_by(asked) for row in data), default=NOT_NAMED)
    named = [row for row in data if row.named_by(asked) == best] if best != NOT_NAMED else []
    for row in data:
        header, cells = of_header[id(row)], cells_of(row)
        if len(cells) == _N_COLUMNS_OF_PAIRS and _is_label(cells[0], asked):
            yield row.entry.id, cells[1]
        if header is None:
            continue
        is_only = sum(of_header[id(other)] is header for other in data) == 1
        left = asked - row.words if named == [row] else asked if is_only else set()
        yield from ((row.entry.id, cell) for cell in _in_column(cells, cells_of(header), left))


def _in_column(
    cells: Sequence[Sequence[Word]], names: Sequence[Sequence[Word]], asked: Set[str]
) -> list[Sequence[Word]]:
    """What stands in the one column whose name has all of some words."""
    columns = [i for i, name in enumerate(names) if asked and asked <= set(map(bare, name))]
    found = [cell for cell in cells if [nearest(cell, names)] == columns]
    return found if len(found) == 1 else []


def _parts(words: Iterable[Word]) -> list[list[Word]]:
    """Lines, and segments of lines."""
    parts: list[list[Word]] = []
    for word in words:
        if word.starts or not parts:
            parts.append([])
        parts[-1].append(word)
    return parts


def _split(part: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
    """A label with its colon, and what stands behind it; both empty if there is no colon."""
    end = next((i + 1 for i, word in enumerate(part) if word.text.rstrip().endswith(_COLONS)), len(part) + 1)
    return (part[:end], part[end:]) if end <= len(part) else ((), ())


def _is_label(words: Sequence[Word], asked: Set[str]) -> bool:
    """Whether words are those asked for, but for the number of a section before them."""
    held = {bare(word) for word in words if not is_function_word(word.text)} - {""}
    return {word for word in held if word in asked or any(map(str.isalpha, word))} == asked


def _right_of(parts: Sequence[Sequence[Word]], at: int) -> Sequence[Word]:
    """The next segment of the same line, if there is one."""
    return parts[at + 1] if at + 1 < len(parts) and _is_level(parts[at], parts[at + 1]) else ()


def _stands_alone(parts: Sequence[Sequence[Word]], at: int) -> bool:
    """Whether a segment is the first of two that make a line."""
    before = at > 0 and _is_level(parts[at - 1], parts[at])
    return not before and not (at + 2 < len(parts) and _is_level(parts[at + 1], parts[at + 2]))


def _is_whole(parts: Sequence[Sequence[Word]], at: int) -> bool:
    """Whether a value ends with its segment: nothing follows, or something with a label of its own, or beside it."""
    if at + 1 == len(parts) or _is_level(parts[at], parts[at + 1]):
        return True
    return bool(_split(parts[at + 1])[0]) or bool(_right_of(parts, at + 1))


def _is_level(part: Sequence[Word], after: Sequence[Word]) -> bool:
    middle = (after[0].box[1] + after[0].box[3]) / 2
    return part[-1].box[1] < middle < part[-1].box[3]


def _has_number(value: Sequence[Word]) -> bool:
    return any(bare(word)[:1].isdigit() for word in value)


def _is_number(value: Sequence[Word]) -> bool:
    return len(value) == 1 and bare(value[0]).isdigit()
