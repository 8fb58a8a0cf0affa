"""Texts cut into the pieces that are set: each has a name on the strip, by which its place is found again.

So a word of a page is what the file says, letter by letter, and only its box comes from what was set. A piece is a
word; of words longer than lines, and of scripts whose lines may end anywhere, it is a part of one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mm_megacontext.document import Box, Script, union

MOST_LETTERS = 24
"""Of a piece: longer ones would make tables wider than the page."""

_ZERO_WIDTH_JOINER = "\u200d"
# Lines may end after each of these letters: ideographs, kana and full-width marks.
_ANYWHERE = re.compile("[\u2e80-\u2fff\u3003-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")
_SAME_LINE = 0.3  # of the height of the lower one of two boxes


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text.

    Attributes:
        text: As it is in the file.
        item, cell: What it is of; ``cell`` is -1 outside tables.
        word: Pieces of one word have one number.
        script: Whether it stands above or below the line.
    """

    text: str
    item: int
    cell: int
    word: int
    script: Script = ""


@dataclass(frozen=True, slots=True)
class SetWord:
    """A word on the strip.

    Attributes:
        line: Words of one line have one number.
        item, cell: What it is of; ``cell`` is -1 outside tables.
        script: Whether it stands above or below the line.
    """

    text: str
    bbox: Box
    line: int
    item: int
    cell: int
    script: Script = ""


def pieces_of(word: str) -> Iterator[str]:
    """A word in pieces, cut where a line may end, never within what is seen as one letter.

    >>> list(pieces_of("\u79df\u8d41abc")), list(pieces_of("state"))
    (['租', '赁', 'abc'], ['state'])
    """
    begun = 0
    for at in range(1, len(word)):
        is_between = _ANYWHERE.match(word[at]) or _ANYWHERE.match(word[at - 1])
        if (is_between or at - begun >= MOST_LETTERS) and _is_boundary(word, at):
            yield word[begun:at]
            begun = at
    yield word[begun:]


def _is_boundary(word: str, at: int) -> bool:
    """Whether a letter ends before ``at``, with its marks and what is joined to it."""
    before, after = word[at - 1], word[at]
    if unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf", "Sk"):
        return False
    is_joined = unicodedata.combining(before) == 9  # a virama
    return not is_joined and before != _ZERO_WIDTH_JOINER and not "\U0001f1e6" <= after <= "\U0001f1ff"


def set_words(pieces: Sequence[Piece], places: Sequence[list[Box]]) -> list[SetWord]:
    """The words that the pieces make, where they were set; parts of one that stand on several lines are one on each.

    Args:
        pieces: In the order of the file.
        places: The boxes of each; empty for one without ink or width.
    """
    words: list[SetWord] = []
    of_word, line = -1, 0
    low = high = 0.0
    for piece, boxes in zip(pieces, places, strict=True):
        if not boxes:
            continue
        box = union(boxes)
        before = words[-1] if words else None
        is_new = before is None or (before.item, before.cell) != (piece.item, piece.cell)
        if is_new or not _share_a_line((low, high), (box[1], box[3])):
            line += 1
            low, high = box[1], box[3]
        else:
            low, high = min(low, box[1]), max(high, box[3])
        if before is not None and piece.word == of_word and before.line == line and before.script == piece.script:
            joined = before.text + piece.text
            words[-1] = SetWord(joined, union([before.bbox, box]), line, piece.item, piece.cell, piece.script)
        else:
            words.append(SetWord(piece.text, box, line, piece.item, piece.cell, piece.script))
        of_word = piece.word
        if len(boxes) > 1:  # what follows stands on the last line of a word that takes several
            low, high = boxes[-1][1], boxes[-1][3]
    return words


def _share_a_line(a: tuple[float, float], b: tuple[float, float]) -> bool:
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return overlap > _SAME_LINE * min(a[1] - a[0], b[1] - b[0])
