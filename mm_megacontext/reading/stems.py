"""Words without the endings that English inflects them by, and with all of them."""

from __future__ import annotations

import re
from functools import lru_cache

LEAST_STEM = 4
"""Letters that a stem keeps."""

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "e", "y")


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A word without the ending that English inflects it by; blunt, but the same for both sides.

    Example:
        >>> stem("deposits"), stem("Licensed"), stem("licence"), stem("is")
        ('deposit', 'licens', 'licenc', 'is')
    """
    lower = word.lower()
    for ending in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= LEAST_STEM:
            return lower[: -len(ending)]
    return lower


def terms(text: str) -> list[str]:
    """Stems of the words of a text, in order."""
    return [stem(word) for word in _WORD.findall(text)]


def spellings(text: str) -> list[str]:
    """The words of a text, each with all endings that it might have: for an index that knows no stems.

    Example:
        >>> spellings("deposits 1050")[:4], spellings("deposits 1050")[-1]
        (['deposits', 'deposit', 'depositations', 'depositation'], '1050')
    """
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        root = stem(word)
        found.append(word)
        if len(root) >= LEAST_STEM and word.isalpha():
            found += [root, *(root + ending for ending in _ENDINGS)]
    return list(dict.fromkeys(found))
