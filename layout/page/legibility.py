"""Whether the text of a page can be read at all: fonts may number their glyphs and not say which letters these show.

Such a page looks right and its words are signs, or letters of scripts that never stand in one word. The measure is
taken from the words alone; a page of numbers, of formulas or of a form with boxes and lines to fill in stays below it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mm_megacontext.layout.engines.protocol import RawWord

_MIN_WORDS = 20
_SIGNS_SHARE = 0.5  # of a page's words, without letter or digit
_MIN_SIGNS = 6  # different ones, mathematical ones aside: tables of amounts have currencies, dashes and few others
_MIXED_SHARE = 0.2  # of its words, of several scripts
_READABLE = "LNM"  # letters, numbers, and the marks on them
_NEUTRAL = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH"}
"""Scripts, as names of characters begin with them, that stand in one word with others: in names, and in writing without
white space."""
_NO_SCRIPT = {"MATHEMATICAL", "MODIFIER", "MICRO", "OHM", "KELVIN", "ANGSTROM", "DOUBLE-STRUCK", "SCRIPT", "PLANCK"}


def is_illegible(words: Sequence[RawWord]) -> bool:
    """Whether most of the words of a page are signs, or many are of several scripts."""
    texts = [word.text for word in words if not _is_furniture(word.text)]
    if len(texts) < _MIN_WORDS:
        return False
    return _are_signs(texts) or sum(map(_is_mixed, texts)) >= _MIXED_SHARE * len(texts)


def _is_furniture(text: str) -> bool:
    """Whether a word is a line to write on or to lead the eye, a box to tick, or a bullet."""
    return (text.isascii() and len(text) > 1 and len(set(text)) == 1) or unicodedata.category(text[0]) == "So"


def _are_signs(texts: Sequence[str]) -> bool:
    signs = [text for text in texts if not any(map(_is_readable, text))]
    if len(signs) < _SIGNS_SHARE * len(texts):
        return False
    return len({text for text in signs if unicodedata.category(text[0]) != "Sm"}) >= _MIN_SIGNS


def _is_readable(character: str) -> bool:
    return unicodedata.category(character)[0] in _READABLE


def _is_mixed(text: str) -> bool:
    if text.isascii():
        return False
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in text if unicodedata.category(c)[0] == "L"}
    return len(scripts - _NEUTRAL - _NO_SCRIPT) > 1
