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
from mm_megacontext.errors import MissingExtra


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
        """Of page ``number``, from 1, in the order they are painted; none if there is no such page."""
        if not 1 <= number <= len(self):
            return []
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


def find_phrase(words: Sequence[PageWord], phrase: str) -> tuple[PageWord, ...]:
    """The words that hold ``phrase``, where it stands first; the first and the last of them may go beyond it.

    Returns:
        The words in order, none if the phrase does not stand there.

    Example:
        >>> words = [PageWord(text, (0, 0, 1, 1)) for text in ("(See", "Table", "2.1),", "page", "9")]
        >>> [word.text for word in find_phrase(words, "Table 2.1")]
        ['Table', '2.1),']
    """
    starts, length = [], 0
    for word in words:
        starts.append(length)
        length += len(word.text) + 1
    target = fold(phrase)
    at = " ".join(word.text for word in words).find(target)
    if at < 0 or not target:
        return ()
    first, last = bisect_right(starts, at) - 1, bisect_right(starts, at + len(target) - 1) - 1
    return tuple(words[first : last + 1])
