"""Words of a line in the order in which they are read, where some are written from right to left.

Source: Unicode Standard Annex 9 (the bidirectional algorithm), undone for whole words: the engines give the characters
of a word as they are read, and its place on the line is where it is seen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from mm_megacontext.layout.engines.protocol import RawWord

_Direction = Literal["left", "right", "none"]
"""Where a word's script begins: on the left, on the right; numbers and signs have none of their own."""


def in_reading_order(words: Sequence[RawWord]) -> list[RawWord]:
    """The words of one line, given from left to right, as they are read.

    A line with more words from a script that runs from right to left than from others is read from the right. Runs
    of words against the line's direction are turned.
    """
    if all(word.text.isascii() for word in words):
        return list(words)
    directions = [_direction(word.text) for word in words]
    n_right = directions.count("right")
    if not n_right:
        return list(words)
    if n_right < directions.count("left"):
        return _with_runs_turned(words, directions, "right")
    return _with_runs_turned(words[::-1], directions[::-1], "left")


def _with_runs_turned(words: Sequence[RawWord], directions: Sequence[_Direction], against: _Direction) -> list[RawWord]:
    """The words with the order of each run ``against`` the line, numbers within it included, turned."""
    turned: list[RawWord] = []
    run: list[RawWord] = []
    n_certain = 0  # words of the run up to its last one that has a direction
    for word, direction in zip(words, directions, strict=True):
        if direction == against or (direction == "none" and run):
            run.append(word)
            n_certain = len(run) if direction == against else n_certain
            continue
        turned += [*run[:n_certain][::-1], *run[n_certain:], word]
        run, n_certain = [], 0
    return [*turned, *run[:n_certain][::-1], *run[n_certain:]]


def _direction(text: str) -> _Direction:
    for kind in map(unicodedata.bidirectional, text):
        if kind in ("R", "AL"):
            return "right"
        if kind == "L":
            return "left"
    return "none"
