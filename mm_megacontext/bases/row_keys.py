"""Codes and numbers select their own row: what is quoted from another row of a table answers another question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mm_megacontext.document import Box
from mm_megacontext.passages.words import PassageWord
from mm_megacontext.reading.base import BaseTokenizer, Pointed
from mm_megacontext.reading.leaf_words import box_of, words_of
from mm_megacontext.reading.question_words import missing_words
from mm_megacontext.reading.working_context import Entry

SAME_ROW = 0.5
"""Share of the lower box's height that two words of one row have in common at least."""
BODY = ("cell", "row_header")


def is_of_other_row(
    question: str, entries: Sequence[Entry], pointed: Sequence[Pointed], tokenizer: BaseTokenizer
) -> bool:
    """Whether something was quoted from the body of a table, and not from a row that a code of the question names.

    A code is a word with a digit. One that stands on the page only outside of the table's body names no row; one that
    stands nowhere on it names a row that is not there.

    Args:
        question: What was asked.
        entries: What was read.
        pointed: What was quoted of it.
        tokenizer: Of the base whose tokens the leaves are.
    """
    codes = [word for word in question.split() if any(map(str.isdigit, word))]
    quoted = list(_quoted_cells(entries, pointed))
    if not codes or not quoted:
        return False
    places = {(entry.id.source, entry.node.page) for entry, _ in quoted}
    on_page = [e for e in entries if e.leaves is not None and (e.id.source, e.node.page) in places and _is_text(e)]
    words = [word for entry in on_page for word in words_of(entry, tokenizer)]
    if _missing(codes, words):
        return True
    body = [word for word in words if word.role in BODY]
    naming = [code for code in codes if not _missing([code], body)]
    row = [word for word in body if any(_is_same_row(word.bbox, box) for _, box in quoted)]
    return bool(naming) and len(_missing(naming, row)) == len(naming)


def _quoted_cells(entries: Sequence[Entry], pointed: Sequence[Pointed]) -> Iterator[tuple[Entry, Box]]:
    """Quoted leaves of tables with their boxes."""
    by_id = {entry.id: entry for entry in entries}
    for one in pointed:
        entry = by_id[one.node]
        if entry.leaves is not None and entry.node.kind == "table":
            yield entry, box_of(entry.leaves, one.leaf, one.leaf + 1)


def _is_text(entry: Entry) -> bool:
    return entry.node.modality == "text"


def _missing(codes: Sequence[str], words: Sequence[PassageWord]) -> list[str]:
    return missing_words(" ".join(codes), (word.text for word in words))


def _is_same_row(box: Box, other: Box) -> bool:
    common = min(box[3], other[3]) - max(box[1], other[1])
    return common >= SAME_ROW * min(box[3] - box[1], other[3] - other[1])
