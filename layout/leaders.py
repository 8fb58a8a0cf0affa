"""Dots that lead the eye over a gap, from an entry to its page or price: white space, and nothing to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mm_megacontext.layout.engines import RawWord

_MIN_DOTS = 4  # fewer are an ellipsis
_SIGNS = ".\u2026\u2025\u00b7"
_DOTS = re.compile(f"[{_SIGNS}]+")
_AT_END = re.compile(f"[{_SIGNS}]{{{_MIN_DOTS},}}$")
_AT_START = re.compile(f"^[{_SIGNS}]{{{_MIN_DOTS},}}")
_WEIGHT = {"\u2026": 3, "\u2025": 2}  # characters of several dots
_GAP_EM = 3.0  # between the dots of one leader


def without_leaders(words: Sequence[RawWord]) -> list[RawWord]:
    """The words without dot leaders, be these words of their own or hang on one."""
    kept: list[RawWord] = []
    run: list[RawWord] = []
    for word in words:
        if not run and word.text[-1] not in _SIGNS and word.text[0] not in _SIGNS:
            kept.append(word)
            continue
        if _DOTS.fullmatch(word.text):
            if run and not _goes_on(run[-1], word):
                kept += _unless_leader(run)
                run = []
            run.append(word)
            continue
        kept += [*_unless_leader(run), _trimmed(word)]
        run = []
    return [*kept, *_unless_leader(run)]


def _goes_on(dots: RawWord, other: RawWord) -> bool:
    return (
        abs(other.y1 - dots.y1) < 0.5 * dots.size
        and other.x0 - dots.x0 >= 0
        and other.x0 - dots.x1 < _GAP_EM * dots.size
    )


def _unless_leader(run: list[RawWord]) -> Iterator[RawWord]:
    n_dots = sum(_WEIGHT.get(character, 1) for word in run for character in word.text)
    if n_dots < _MIN_DOTS:
        yield from run


def _trimmed(word: RawWord) -> RawWord:
    """The word without the leader at its end or start, and without that part of its box."""
    text = _AT_END.sub("", word.text)
    share = len(text) / len(word.text)
    x1 = word.x0 + (word.x1 - word.x0) * share if word.upright else word.x1
    rest = _AT_START.sub("", text)
    x0 = x1 - (x1 - word.x0) * len(rest) / len(text) if word.upright else word.x0
    return word if rest == word.text else word._replace(x0=x0, x1=x1, text=rest)
