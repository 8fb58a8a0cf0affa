"""Superscripts and subscripts: smaller letters that stand above or below the line of what is beside them.

Both are words of their own, so that the mark of a note is no digit of a number. What is below the line parts a word
only after a digit, where it would change a number: H2O is one word, as it is read. Fractions and ordinals stay whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mm_megacontext.document import Box, Script
from mm_megacontext.layout.engines.protocol import RawWord

_SMALLEST, _SMALLER = 0.35, 0.86  # times the size of what it stands beside
_RAISED_EM, _LOWERED_EM = 0.15, 0.08  # of that: how far off the line
_HIGH_EM = 0.28  # for what is as large
_NEAR_EM = 0.4
_MAX_LETTERS = 8
_FRACTION = re.compile(r"\d+\s*[/\u2044]\s*\d+")
_ORDINAL = re.compile(r"\d[^\W\d_]{2,3}$")


class Part(NamedTuple):
    """A run of characters of one size on one baseline, within a line.

    ``baseline`` grows downwards as the line is read, ``start`` and ``end`` along it; both are in points.
    """

    box: Box
    text: str
    size: float
    baseline: float
    start: float
    end: float
    script: Script = ""


def scripted(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of a line that stand above or below what they are beside, in order."""
    told = [part for part in parts if part.text.strip()]
    found: list[Part] = []
    base: Part | None = None
    for at, part in enumerate(told):
        script: Script = script_of(part, base) if base is not None and _is_near(base, part) else ""
        after = told[at + 1] if at + 1 < len(told) else None
        if not script and after is not None and after.size > part.size and _is_near(part, after):
            script = script_of(part, after)
        if script:
            found.append(part._replace(script=script, text=part.text.strip()))
            if base is not None:  # what follows stands beside both
                base = base._replace(end=max(base.end, part.end))
        else:
            base = part
    return tuple(found)


def script_of(part: Part, base: Part) -> Script:
    """Whether a part stands above or below another one that is beside it."""
    if len(part.text.strip()) > _MAX_LETTERS or part.size < _SMALLEST * base.size:
        return ""
    raised = base.baseline - part.baseline
    is_small = part.size <= _SMALLER * base.size
    if raised >= (_RAISED_EM if is_small else _HIGH_EM) * base.size and part.size < 1.05 * base.size:
        return "sup"
    return "sub" if is_small and -raised >= _LOWERED_EM * base.size else ""


def _is_near(part: Part, other: Part) -> bool:
    size = max(part.size, other.size)
    is_level = abs(part.baseline - other.baseline) < size
    return is_level and -_NEAR_EM * size < other.start - part.end < _NEAR_EM * size


def with_scripts(word: RawWord, parts: Sequence[Part]) -> Iterator[RawWord]:
    """A word, parted where one of the ``parts`` of its line begins or ends."""
    pieces = list(_pieces(word, parts))
    if _is_fraction(word.text, pieces) or _is_ordinal(word.text, pieces):
        yield word
        return
    yield from pieces


def _is_fraction(text: str, pieces: Sequence[RawWord]) -> bool:
    return pieces[0].script == "sup" and _FRACTION.fullmatch(text) is not None


def _is_ordinal(text: str, pieces: Sequence[RawWord]) -> bool:
    return (
        len(pieces) == 2
        and pieces[1].script == "sup"
        and pieces[1].text.isalpha()
        and _ORDINAL.search(text) is not None
    )


def _pieces(word: RawWord, parts: Sequence[Part]) -> Iterator[RawWord]:
    at = 0
    left = word  # what is not yet given
    for part in parts:
        found = _place(word, part, at) if _holds(word.box, part.box) else -1
        if found < 0 or (part.script == "sub" and not word.text[:found][-1:].isdigit()):
            continue
        before, mark, rest = word.text[at:found], part.text, word.text[found + len(part.text) :]
        if mark.isalpha() and mark.isupper() and before[-1:].isalpha() and rest[:1].isalpha():
            continue  # a letter in the middle of a name, as in that of LaTeX
        if before:
            yield _until(left, part.box)._replace(text=before)
        x0, y0, x1, y1 = part.box
        yield word._replace(x0=x0, y0=y0, x1=x1, y1=y1, text=mark, size=part.size, script=part.script)
        at = found + len(mark)
        left = _after(word, part.box)._replace(text=rest)
    if word.text[at:]:
        yield left._replace(text=word.text[at:])


def _place(word: RawWord, part: Part, start: int) -> int:
    """Where in a word's text that of a part is, the nearest to where it stands; -1 where it is not."""
    low, high = (word.x0, word.x1) if word.turn in (0, 2) else (word.y0, word.y1)
    first, last = (part.box[0], part.box[2]) if word.turn in (0, 2) else (part.box[1], part.box[3])
    along = ((first + last) / 2 - low) / max(high - low, 0.1)
    middle = len(word.text) * (along if word.turn in (0, 1) else 1 - along) - len(part.text) / 2
    places = (match.start() for match in re.finditer(f"(?={re.escape(part.text)})", word.text))
    return min((place for place in places if place >= start), key=lambda place: abs(place - middle), default=-1)


def _holds(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    slack = 0.5 * min(other[2] - other[0], other[3] - other[1])
    return box[0] - slack <= x <= box[2] + slack and box[1] - slack <= y <= box[3] + slack


def _until(word: RawWord, mark: Box) -> RawWord:
    """A word as far as the mark that ends it."""
    match word.turn:
        case 0:
            return word._replace(x1=max(word.x0, mark[0]))
        case 2:
            return word._replace(x0=min(word.x1, mark[2]))
        case 3:
            return word._replace(y0=min(word.y1, mark[3]))
        case _:  # a quarter turn
            return word._replace(y1=max(word.y0, mark[1]))


def _after(word: RawWord, mark: Box) -> RawWord:
    """A word from the mark on after which it goes on."""
    match word.turn:
        case 0:
            return word._replace(x0=min(word.x1, mark[2]))
        case 2:
            return word._replace(x1=max(word.x0, mark[0]))
        case 3:
            return word._replace(y1=max(word.y0, mark[1]))
        case _:  # a quarter turn
            return word._replace(y0=min(word.y1, mark[3]))


_RAISED_DIGITS = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")
_RAISED_NUMBER = re.compile(r"(.*\d[%)]?)([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)")


def without_raised_digits(word: RawWord) -> Iterator[RawWord]:
    """A number with its note apart, if the digits of this are raised by their own form and not by their place."""
    match = _RAISED_NUMBER.fullmatch(word.text) if not word.text.isascii() else None
    if match is None or match[1] in ("10", "2"):  # powers
        yield word
        return
    at = word.x0 + (word.x1 - word.x0) * len(match[1]) / len(word.text)
    yield word._replace(x1=at, text=match[1])
    yield word._replace(x0=at, text=match[2].translate(_RAISED_DIGITS), script="sup")


def beside_others(words: Sequence[RawWord]) -> list[RawWord]:
    """The words, with those told as scripts that stand alone beside a larger one on another baseline."""
    words = [part for word in words for part in without_raised_digits(word)]
    told = list(words)
    for at, word in enumerate(words):
        if word.script or len(word.text) > _MAX_LETTERS or not word.upright:
            continue
        around = [words[other] for other in (at - 1, at + 1) if 0 <= other < len(words)]
        larger = [other for other in around if _is_larger(other, word)]
        if not larger or any(_goes_on(word, other) for other in around):
            continue
        scripts = ((script_of(_part(word), _part(other)), other) for other in larger if _is_near_word(word, other))
        for script, other in scripts:
            if script == "sup" or (script and other.text[-1:].isdigit() and other.x0 < word.x0):
                told[at] = word._replace(script=script)
                break
    return told


def _is_larger(word: RawWord, other: RawWord) -> bool:
    return word.upright and not word.script and other.size <= _SMALLER * word.size


def _goes_on(word: RawWord, other: RawWord) -> bool:
    """Whether a word is one of several, of one size on one line: small print, no script."""
    return abs(word.size - other.size) < 0.1 and abs(word.y1 - other.y1) < 0.1 and _is_near_word(word, other)


_DESCENT_EM = 0.21  # usual


def _part(word: RawWord) -> Part:
    return Part(word.box, word.text, word.size, word.y1 - _DESCENT_EM * word.size, word.x0, word.x1)


def _is_near_word(word: RawWord, other: RawWord) -> bool:
    first, second = (word, other) if word.x0 < other.x0 else (other, word)
    return _is_near(_part(first), _part(second))
