"""Whether the text of a page says what the page shows: where there is reason for doubt, OCR reads it, too.

A file may carry any text below a scan, and fonts may say of their letters what they like (ToUnicode). OCR takes long,
so it is asked only where a cheap sign speaks against the text:

- most of its letters are the invisible layer of a scan, or lie under it;
- a tenth of its characters are private, unassigned or replacement characters;
- three characters make up most of it, or its letters are not spread as in any language of the Latin script.

The score is 1 - F1 over words of two or more letters and digits, each counted as often as it stands there: 0 where both
say the same, 1 where they have no word in common. Pages that cannot be read at all are told by ``legibility.py``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from math import sqrt

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import Painted, RawPage, RawWord
from mm_megacontext.layout.page.visibility import SCAN_SHARE

MAX_SCORE = 0.5
"""Above it a text is taken for wrong. OCR of clean pages scores below 0.1, of poor scans below 0.4."""

_MIN_CONFIDENCE = 0.7  # mean, by letter, of what OCR reads: below it, it is the one not to be trusted
_MIN_LETTERS = 10  # of what OCR reads
_LAYER_SHARE = 0.5  # of a page's letters
_ODD_SHARE = 0.1  # of its characters
_ODD = {"Co", "Cn", "Cs", "Cc"}  # private, unassigned, surrogate, control
_REPLACEMENT = "\ufffd"
_FEW_SHARE = 0.7  # of its characters, letters and digits alone, that the three most frequent ones are
_MIN_CHARACTERS = 12
_MIN_LIKENESS = 0.76  # cosine of the letter counts of its words, each once, and those of text
_LATIN = re.compile("[a-z]+")
_MIN_SPREAD = 60  # letters, for their spread to tell anything
_LATIN_SHARE = 0.5  # of letters and digits: units beside numbers, and names in a text of another script, are no text
# Per mille in running text, a to z without accents, mean of English, German, French, Spanish and Italian.
_LETTERS = (85, 13, 32, 40, 140, 13, 15, 20, 75, 3, 4, 46, 27, 75, 60, 25, 6, 65, 68, 70, 35, 12, 8, 3, 6, 5)


def is_doubtful(page: RawPage) -> bool:
    """Whether there is reason to compare the words of a page, those that can be seen, with its picture."""
    return bool(page.words) and (_is_layer(page) or _is_odd(page.words))


def disagreement(words: Sequence[RawWord], read: Sequence[RawWord]) -> float | None:
    """How much the words of a page differ from those that OCR read: 0 to 1; None where OCR is not sure itself.

    Example:
        >>> def words(text): return [RawWord(0, 0, 9, 9, w, 9, False, True, 0, None, 0.9) for w in text.split()]
        >>> round(disagreement(words("Total: 485,000 euros"), words("Total 485.000 euro")), 3)
        0.333
    """
    if not is_sure(read):
        return None
    told, seen = _counts(words), _counts(read)
    if not seen:
        return None
    common = (told & seen).total()
    return 1.0 - 2.0 * common / max(1, told.total() + seen.total())


def is_sure(read: Sequence[RawWord]) -> bool:
    """Whether OCR read something, and is to be trusted."""
    letters = sum(len(word.text) for word in read)
    sure = sum(len(word.text) * (word.confidence or 0.0) for word in read)
    return letters >= _MIN_LETTERS and sure >= _MIN_CONFIDENCE * letters


def _counts(words: Sequence[RawWord]) -> Counter[str]:
    normal = ("".join(c for c in _normal(word.text) if c.isalnum()) for word in words)
    return Counter(text for text in normal if len(text) > 1)  # OCR misreads what stands alone


def _normal(text: str) -> str:
    """In lower case, without accents and ligatures."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))


def _is_layer(page: RawPage) -> bool:
    """Whether most letters are not what a scan shows but what is said of it."""
    if not any(_is_scan(box, page) for box in page.images):
        return False
    unpainted = [word for word in page.words if word.hidden is not None]
    if _n_letters(unpainted) < _LAYER_SHARE * _n_letters(page.words) and page.paint_order is not None:
        unpainted += _covered([word for word in page.words if word.hidden is None], page, page.paint_order())
    return _n_letters(unpainted) >= _LAYER_SHARE * _n_letters(page.words)


def _covered(words: Sequence[RawWord], page: RawPage, order: Sequence[Painted]) -> list[RawWord]:
    """The words that a scan was painted over."""
    last = max((n for n, item in enumerate(order) if item.kind == "image" and _is_scan(item.box, page)), default=0)
    before = [item.box for item in order[:last] if item.kind == "text"]
    after = [item.box for item in order[last:] if item.kind == "text"]
    return [word for word in words if _is_in(word, before) and not _is_in(word, after)]


def _is_scan(box: Box, page: RawPage) -> bool:
    return (box[2] - box[0]) * (box[3] - box[1]) >= SCAN_SHARE * page.size[0] * page.size[1]


def _is_odd(words: Sequence[RawWord]) -> bool:
    text = "".join(word.text for word in words)
    n_odd = sum(c == _REPLACEMENT or unicodedata.category(c) in _ODD for c in text)
    if n_odd >= _ODD_SHARE * len(text):
        return True
    characters = Counter(c for c in _normal(text) if c.isalnum())
    if characters.total() < _MIN_CHARACTERS:
        return False
    if sum(sorted(characters.values())[-3:]) > _FEW_SHARE * characters.total():
        return True
    n_latin = sum(characters[chr(ord("a") + i)] for i in range(len(_LETTERS)))
    # Each word counts once: an index of functions repeats their common beginning on every line.
    spread = Counter("".join({run for word in words for run in _LATIN.findall(_normal(word.text))}))
    latin = [spread[chr(ord("a") + i)] for i in range(len(_LETTERS))]
    is_text = sum(latin) >= _MIN_SPREAD and n_latin >= _LATIN_SHARE * characters.total()
    return is_text and _cosine(latin, _LETTERS) < _MIN_LIKENESS


def _cosine(a: Sequence[int], b: Sequence[int]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def _n_letters(words: Sequence[RawWord]) -> int:
    return sum(len(word.text) for word in words)


def _is_in(word: RawWord, boxes: Sequence[Box]) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for box in boxes)
