"""Words of a passage, each with its box and what it is: the unit in which evidence is boxed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from mm_megacontext.document import Box

SEGMENTS_PER_LINE = 1.5
"""Of lines that do not run on, on average."""


class PassageWord(NamedTuple):
    """A word as it stands on the page.

    Attributes:
        text: Without white space.
        bbox: In the unit of its source.
        role: One of ``tree.blocks.ROLES``.
        starts_line: Whether a line, a line of a cell, or a segment behind a wide gap begins with it.
    """

    text: str
    bbox: Box
    role: str
    starts_line: bool


def segments(words: Sequence[PassageWord]) -> Iterator[list[PassageWord]]:
    """Words that follow each other on one line without a wide gap."""
    run: list[PassageWord] = []
    for word in words:
        if run and word.starts_line:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def is_below(word: PassageWord, other: PassageWord) -> bool:
    """Whether the middle of a word lies below the box of another one."""
    return (word.bbox[1] + word.bbox[3]) / 2 > other.bbox[3]


def is_in_lines(words: Sequence[PassageWord]) -> bool:
    """Whether words stand in lines of segments, as a form or a table without rules does, and do not run on."""
    begins = [segment[0] for segment in segments(words)]
    n_lines = 1 + sum(is_below(word, before) for before, word in pairwise(begins))
    return len(begins) >= SEGMENTS_PER_LINE * n_lines


def joined_lines(words: Sequence[PassageWord]) -> str:
    """Text with its line breaks; segments of one line stand two spaces apart."""
    lines: list[str] = []
    before: PassageWord | None = None
    for segment in segments(words):
        text = " ".join(word.text for word in segment)
        if before is None or is_below(segment[0], before):
            lines.append(text)
        else:
            lines[-1] += f"  {text}"
        before = segment[-1]
    return "\n".join(lines)
