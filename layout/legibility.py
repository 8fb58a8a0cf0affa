"""Whether the text of a page can be read at all: fonts may number their glyphs and not say which letters these show.

Such a page looks right and its words are signs, or letters of scripts that never stand in one word. The measure is
taken from the words alone; a page of numbers, of formulas or of a form with boxes and lines to fill in stays below it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mm_megacontext.layout.engines import RawWord

_MIN_WORDS = 20
_SIGNS_SHARE = 0.5  # of a page's words, without letter or digit
_MIXED_SHARE = 0.2  # of its words, of several scripts
_READABLE = "LNM"  # letters, numbers, and the marks on them
_NEUTRAL = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH"}
"""Scripts, as names of characters begin with them, that stand in one word with others: in names, and in writing without
white space."""
_NO_SCRIPT = {"MATHEMATICAL", "MODIFIER", "MICRO", "OHM", "KELVIN", "ANGSTROM", "DOUBLE-STRUCK", "SCRIPT", "PLANCK"}


def is_illegible(words: Sequence[RawWord]) -> bool:
    """Whether most of the words of a page are signs, or many are of several scripts."""
    texts = [word.text for word in words if not _is_line(word.text)]
    if len(texts) < _MIN_WORDS:
        return False
    n_signs = sum(not any(map(_is_readable, text)) for text in texts)
    return n_signs >= _SIGNS_SHARE * len(texts) or sum(map(_is_mixed, texts)) >= _MIXED_SHARE * len(texts)


def _is_line(text: str) -> bool:
    """Whether a word is a line to write on or to lead the eye, a box to tick, or a bullet."""
    return (text.isascii() and len(text) > 1 and len(set(text)) == 1) or unicodedata.category(text[0]) == "So"


def _is_readable(character: str) -> bool:
    return unicodedata.category(character)[0] in _READABLE


def _is_mixed(text: str) -> bool:
    if text.isascii():
        return False
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in text if unicodedata.category(c)[0] == "L"}
    return len(scripts - _NEUTRAL - _NO_SCRIPT) > 1
