"""Words of a page with their boxes, as PyMuPDF reads them, and where a phrase stands among them.

The oracle of the set is a library's plain reading of the page, not this project's own layout.
"""

from __future__ import annotations

import importlib
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mm_megacontext.document import Box
from mm_megacontext.errors import MegaContextError, MissingExtra


class GoldNotFound(MegaContextError, ValueError):
    """A phrase does not stand on its page."""


class PageWord(NamedTuple):
    """A word in NFKC, without white space, and its box in points from the top-left corner."""

    text: str
    box: Box


def fold(text: str) -> str:
    """White space folded, characters in NFKC.

    Example:
        >>> fold("speciﬁc   units")
        'specific units'
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


class Pages:
    """The pages of an open document."""

    def __init__(self, document: Any) -> None:
        self._document = document

    def __len__(self) -> int:
        return len(self._document)

    def words(self, number: int) -> list[PageWord]:
        """Of page ``number``, from 1, in the order they are painted."""
        if not 1 <= number <= len(self):
            raise GoldNotFound(f"there is no page {number}, the document has {len(self)}")
        found = self._document[number - 1].get_text("words", sort=False)
        return [PageWord(fold(word[4]), tuple(word[:4])) for word in found if fold(word[4])]


@contextmanager
def open_pages(path: Path) -> Iterator[Pages]:
    """Open a document with PyMuPDF.

    Raises:
        MissingExtra: PyMuPDF is not installed.
    """
    try:
        pymupdf: Any = importlib.import_module("pymupdf")
    except ImportError as e:
        raise MissingExtra("the gold words are found by PyMuPDF: pip install 'mm-megacontext[pymupdf]'") from e
    with pymupdf.open(path) as document:
        yield Pages(document)


def find_phrase(words: Sequence[PageWord], phrase: str, where: str) -> tuple[Box, ...]:
    """Boxes of the words that hold ``phrase``, where it stands first; its first and last word may go beyond it.

    Raises:
        GoldNotFound: It does not stand there; the message names ``where``.
    """
    starts, length = [], 0
    for word in words:
        starts.append(length)
        length += len(word.text) + 1
    target = fold(phrase)
    at = " ".join(word.text for word in words).find(target)
    if at < 0 or not target:
        raise GoldNotFound(f"{where}: the page does not hold {phrase!r}; correct gold_page or gold_text")
    first, last = bisect_right(starts, at) - 1, bisect_right(starts, at + len(target) - 1) - 1
    return tuple(word.box for word in words[first : last + 1])
