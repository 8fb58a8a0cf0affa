"""Where the words of an answer stand in a passage.

Texts are compared letter by letter, so that neither a hyphen at the end of a line, nor a ligature, nor punctuation, nor
letter case counts; what is found begins and ends with a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mm_megacontext.document import Box, union
from mm_megacontext.passages.words import PassageWord, is_below

NEW_WORD, ASKED_WORD, FILLER = 2.0, 0.5, 0.1
"""What a word of the answer counts that the question lacks, that the question has, and that says nothing."""

BEHIND = 1.5
"""A word of the question behind an answer is that many times as far from it as one before it: keys precede values."""


class Span(NamedTuple):
    """Words of a passage, half open."""

    start: int
    stop: int


class QuotedLine(NamedTuple):
    """Words of one line, and the box around them."""

    text: str
    bbox: Box


def bare(word: str) -> str:
    """The letters and digits of a word, in one case.

    Example:
        >>> bare("(Deﬁned:"), bare("1,480.00")
        ('defined', '148000')
    """
    return "".join(c for c in unicodedata.normalize("NFKC", word).casefold() if c.isalnum())


def occurrences(words: Sequence[PassageWord], text: str, within: Span | None = None) -> list[Span]:
    """Where a text stands among words, from its first to its last.

    Args:
        words: Of a passage.
        text: What is looked for; signs without a letter or digit are compared as they are.
        within: Only there.

    Example:
        >>> said = [PassageWord(w, (0, 0, 1, 1), "text", False) for w in "a speci- fic rent of 120 euros".split()]
        >>> occurrences(said, "Specific rent"), occurrences(said, "20")
        ([Span(start=1, stop=4)], [])
    """
    key = "".join(map(bare, text.split()))
    keys = [bare(word.text) for word in words] if key else [word.text for word in words]
    wanted = key or "".join(text.split())
    if not wanted:
        return []
    begin, end = within or Span(0, len(words))
    found = []
    for start in range(begin, end):
        stop = _reach(keys, start, end, wanted) if keys[start] else None
        if stop is not None:
            found.append(Span(start, stop))
    return found


def _reach(keys: Sequence[str], start: int, end: int, wanted: str) -> int | None:
    """Where the words from ``start`` that spell ``wanted`` end, or None."""
    at = 0
    for i in range(start, end):
        if not wanted.startswith(keys[i], at):
            return None
        at += len(keys[i])
        if at == len(wanted):
            return i + 1
    return None


def nearest(spans: Sequence[Span], words: Sequence[PassageWord], asked: Collection[str]) -> Span:
    """Of several places the one nearest behind a word of the question, or before it; the first if none is near."""
    marks = [i for i, word in enumerate(words) if bare(word.text) in asked]

    def distance(span: Span) -> float:
        return min((max(span.start - i, i - span.stop + BEHIND, 0) for i in marks), default=0)

    return min(spans, key=distance)


def longest_run(
    words: Sequence[PassageWord], answer: str, asked: Collection[str], fillers: Collection[str]
) -> Span | None:
    """The run of words that says most of what the answer says and the question did not.

    Args:
        words: Of a passage.
        answer: In words of its own, which in part are those of the passage.
        asked: Words of the question, ``bare``.
        fillers: Words that say nothing, ``bare``.

    Returns:
        None where no word of the answer, other than those that were asked and fillers, stands there.
    """
    keys, wanted = [bare(word.text) for word in words], [key for key in map(bare, answer.split()) if key]
    values = {key: FILLER if key in fillers else ASKED_WORD if key in asked else NEW_WORD for key in wanted}
    best: tuple[float, Span] | None = None
    for start, stop in _runs(keys, wanted):
        own = [values[key] for key in keys[start:stop] if key]
        if NEW_WORD in own and (best is None or sum(own) > best[0]):
            best = (sum(own), Span(start, stop))
    return None if best is None else best[1]


def _runs(keys: Sequence[str], wanted: Sequence[str]) -> Iterator[Span]:
    """Every run of words that stand in the answer in the same order, at its longest."""
    lengths = [0] * (len(wanted) + 1)
    for i, key in enumerate(keys):
        after = [0] * (len(wanted) + 1)
        for j, other in enumerate(wanted):
            if key == other:
                after[j + 1] = lengths[j] + 1
                is_end = i + 1 == len(keys) or j + 1 == len(wanted) or keys[i + 1] != wanted[j + 1]
                if is_end:
                    yield Span(i - lengths[j], i + 1)
        lengths = after


def lines_of(words: Sequence[PassageWord], span: Span) -> list[QuotedLine]:
    """Quoted words line by line."""
    line, numbers = 0, []
    own = words[span.start : span.stop]
    for i, word in enumerate(own):
        line += i > 0 and (is_below(word, own[i - 1]) or word.bbox[0] < own[i - 1].bbox[0])
        numbers.append(line)
    groups = groupby(zip(numbers, own, strict=True), key=lambda pair: pair[0])
    return [_line([word for _, word in group]) for _, group in groups]


def _line(words: Sequence[PassageWord]) -> QuotedLine:
    return QuotedLine(" ".join(word.text for word in words), union([word.bbox for word in words]))
