"""Words divided at the ends of lines, made whole: which hyphens are part of a word, and which only of a line's end.

There is no dictionary. The document itself says how it writes a word: whole, or with its hyphen, elsewhere on this page
or on one before. Where it does not say, a hyphen between small letters is the line's, and stays where digits, capitals
or other hyphens show a code, a name or a compound, or where both halves are words of this document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from mm_megacontext.document import Cell, Hyphen, Line, Page, Region, Word

_HYPHENS = "-\u2010\u00ad"
_DIVIDED = re.compile(rf"[\w.)/][{_HYPHENS}]$")
_EDGES = re.compile(r"^\W+|\W+$")
_MOST_WORDS = 200_000  # that are kept of the pages before
_FIRST_OF_TWO = frozenset("all cross ex full half high long low mid multi non self semi short single well wide".split())
"""What begins compounds that are written with a hyphen, before a word of its own: not before "ness" or "ing"."""
_ENDING = re.compile(r"ish|ness|less|ing|ism")
_MIN_SECOND = 5  # letters of such a word
_VOWEL = re.compile(r"[aeiouy\u00e0-\u00ff\u0153]|[^\u0000-\u017f]", re.IGNORECASE)
_MIN_HALF, _MIN_LONGER = 4, 6  # letters of two words of a compound: "there-fore" and "some-times" are none
_CAPITALS = 3  # letters of each half of a word in capitals; less is a code
_NEXT_OF_SEVERAL = {"and", "or", "to", "und", "oder", "bis", "sowie", "bzw.", "et", "ou", "en", "of"}
"""Before these a hyphen stands for what two words have in common, as in "pre- and post-war"."""


def join_hyphens(pages: Iterable[Page]) -> Iterator[Page]:
    """The pages, in order, with the words told that go on in the next line."""
    known: set[str] = set()
    for page in pages:
        if len(known) < _MOST_WORDS:
            known |= _words_of(page)
        yield replace(page, regions=tuple(_region(region, known) for region in page.regions))


def _words_of(page: Page) -> set[str]:
    """The words of a page as they are compared, without halves of words at the ends and beginnings of lines."""
    found: set[str] = set()
    for region in page.regions:
        if region.hidden is not None:
            continue
        for lines in _texts(region):
            is_open = False
            for line in lines:
                whole = line.words[is_open:]
                is_open = _divides(line)
                found |= {_bare(word.text) for word in (whole[:-1] if is_open else whole)}
    return found


def _texts(region: Region) -> Iterator[Sequence[Line]]:
    if region.table is None:
        yield region.lines
    else:
        yield from (cell.lines for cell in region.table.cells)


def _bare(text: str) -> str:
    return _EDGES.sub("", text).casefold()


def _divides(line: Line) -> bool:
    return _DIVIDED.search(line.words[-1].text) is not None


def _region(region: Region, known: set[str]) -> Region:
    if region.kind == "code" or not any(_divides(line) for lines in _texts(region) for line in lines[:-1]):
        return region
    if region.table is None:
        return replace(region, lines=_joined(region.lines, known))
    cells = tuple(_cell(cell, known) for cell in region.table.cells)
    return replace(region, table=replace(region.table, cells=cells))


def _cell(cell: Cell, known: set[str]) -> Cell:
    return replace(cell, lines=_joined(cell.lines, known))


def _joined(lines: Sequence[Line], known: set[str]) -> tuple[Line, ...]:
    told: list[Line] = []
    for above, below in pairwise(lines):
        *before, last = above.words
        hyphen = hyphen_of(last, below.words[0], known) if _divides(above) else ""
        told.append(Line((*before, replace(last, hyphen=hyphen))) if hyphen else above)
    return (*told, *lines[-1:])


def hyphen_of(word: Word, other: Word, known: set[str]) -> Hyphen:
    """Whether a word that ends a line with a hyphen goes on with ``other``, and whether the hyphen is its own.

    Args:
        word: At the end of a line.
        other: At the start of the next one.
        known: How the document writes its words.

    Returns:
        "" where the word ends there: its hyphen stands for what it has in common with a word after it.
    """
    first, second = _EDGES.sub("", word.text[:-1]), _EDGES.sub("", other.text)
    if not first or not second or not other.text[0].isalnum():
        return ""
    whole, compound = f"{first}{second}".casefold(), f"{first}-{second}".casefold()
    if compound in known and whole not in known:
        return "kept"
    if whole in known and first.isalpha() and second[:1].isalpha():
        return "dropped"
    if other.text.casefold() in _NEXT_OF_SEVERAL:
        return ""
    return "kept" if _is_compound(first, second, known) else "dropped"


def _is_compound(first: str, second: str, known: set[str]) -> bool:
    """Whether the halves of a word, of which nothing is known, look like a code, a name or two words."""
    head = re.split(r"[^\w.]", second)[0]
    if not first.isalpha() or not head.isalpha():
        return True
    if not (_is_syllable(first) and _is_syllable(head)):
        return True
    if head.islower() and (first.islower() or (first.istitle() and len(first) > 1)):
        if first.casefold() in _FIRST_OF_TWO and len(head) >= _MIN_SECOND and not _ENDING.match(head):
            return True
        halves = len(first), len(head)
        are_words = first.casefold() in known and head in known
        return are_words and min(halves) >= _MIN_HALF and max(halves) >= _MIN_LONGER
    is_of_capitals = first.isupper() and head.isupper() and min(len(first), len(head)) >= _CAPITALS
    return not is_of_capitals and not (first.isupper() is False and head.islower())


def _is_syllable(half: str) -> bool:
    """Whether a word may be divided so that this is half of it: two letters at least, one of them a vowel."""
    return len(half) > 1 and _VOWEL.search(half) is not None
