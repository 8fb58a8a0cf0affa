"""Dots that lead the eye over a gap, from an entry to its page or price: white space, and nothing to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mm_megacontext.layout.engines.protocol import RawWord

_MIN_DOTS = 4  # fewer are an ellipsis
_SIGNS = ".\u2026\u2025\u00b7"
_SIGN = re.compile(f"[{_SIGNS}]")
_DOTS = re.compile(f"[{_SIGNS}]+")
_LEADER = re.compile(f"[{_SIGNS}]{{{_MIN_DOTS},}}")
_WEIGHT = {"\u2026": 3, "\u2025": 2}  # characters of several dots
_GAP_EM = 3.0  # between the dots of one leader


def without_leaders(words: Sequence[RawWord]) -> list[RawWord]:
    """The words without dot leaders, be these words of their own or hang on one."""
    kept: list[RawWord] = []
    run: list[RawWord] = []
    for word in words:
        if not run and not _SIGN.search(word.text):  # nearly all words
            kept.append(word)
            continue
        if _DOTS.fullmatch(word.text):
            if run and not _goes_on(run[-1], word):
                kept += _unless_leader(run)
                run = []
            run.append(word)
            continue
        kept += [*_unless_leader(run), *_parts(word)]
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


def _parts(word: RawWord) -> Iterator[RawWord]:
    """The word without the leaders in it, each part with its share of the box."""
    spans = [match.span() for match in _LEADER.finditer(word.text)]
    if not spans:
        yield word
        return
    letter = (word.x1 - word.x0) / len(word.text)
    starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(word.text)]
    for start, end in zip(starts, ends, strict=True):
        if start < end:
            x0, x1 = word.x0 + letter * start, word.x0 + letter * end
            yield word._replace(x0=x0, x1=x1, text=word.text[start:end])
