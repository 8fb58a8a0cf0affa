"""Words that share their place with others, or are seen in part only: looked at letter by letter.

Each letter is painted alone. Where its ink is its own, it is seen as far as the page changes there; a letter that lies
wholly in the ink of others is seen where it stands out from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import CLOSE, Glyph, PageLetters, RawPage, RawWord
from mm_megacontext.layout.page.ink import MIN_CONTRAST, Ink, NearInk
from mm_megacontext.layout.page.overlaps import Boxes, share_under

_CROWDED = 0.2
"""Of a word's box that another one covers, for their ink to be told apart."""
_MIN_SHARE = 0.5
"""Of a letter's ink, for it to be read."""
_MIN_SHARE_AMONG = 0.25
"""The same, among letters that are mostly seen."""
_LEAST_INK = 0.25
"""Pixels that the smallest sign covers."""
_MIN_OWN = 0.1
"""Of a word's ink: with less of its own, it cannot be told from what lies in the same place by that."""
_MOST_WORDS = 400
"""Of a page that are looked at so closely: a page of more has been made to overwhelm readers."""
_INNER = 0.15
"""Of the height of a word's box at either edge: lines are often set so close that their boxes touch."""


class Parts(NamedTuple):
    """A word as far as it is seen, and what is not seen of it: None where that is nothing."""

    seen: RawWord | None
    unseen: RawWord | None


class CloseLook:
    """The letters of a page's words.

    Args:
        page: The page.
        letters: Its letters, painted alone.
        ink: Its pixels.
        painted: The numbers of the words that leave ink, as far as the engine knows.
    """

    def __init__(self, page: RawPage, letters: PageLetters, ink: Ink, painted: Sequence[int]) -> None:
        self._words = page.words
        self._letters = letters
        self._ink = ink
        self._painted = list(painted)
        self._boxes = Boxes([inner(page.words[i].box) for i in painted])
        self._glyphs: dict[int, list[Glyph] | None] = {}
        self._n_looks = 0

    def are_crowded(self) -> list[bool]:
        """Of each of the painted words, whether others may share its place."""
        return self._boxes.crowded()

    def others(self, i: int) -> list[int]:
        """The words that share the place of one."""
        box = inner(self._words[i].box)
        touching = (self._painted[n] for n in self._boxes.touching(box))
        return [j for j in touching if j != i and share_under(box, self._words[j].box) >= _CROWDED]

    def parts(self, i: int, others: Sequence[int]) -> Parts | None:
        """What is seen of a word; None where its letters cannot be told."""
        if self._n_looks >= _MOST_WORDS:
            return None
        self._n_looks += 1
        word = self._words[i]
        glyphs = self._of(i)
        if not glyphs:
            return None
        near = self._ink.near(word.box)
        if not others:
            return _split(word, glyphs, _are_seen(near, glyphs))
        theirs = [glyph for j in others for glyph in self._of(j) or ()]
        has_twin = any(j < i and self._words[j].text == word.text for j in others)
        return Parts(word, None) if _is_told_apart(near, glyphs, theirs, has_twin) else Parts(None, word)

    def stands_out(self, i: int) -> bool | None:
        """Whether the letters of a word differ from what is around them; None where they cannot be told."""
        glyphs = self._of(i)
        if not glyphs or not any(glyph.coverage.any() for glyph in glyphs):
            return None
        return _stand_out(self._ink.near(self._words[i].box), glyphs)

    def _of(self, i: int) -> list[Glyph] | None:
        if i not in self._glyphs:
            self._glyphs[i] = self._letters.glyphs(self._words[i].box, self._words[i].text)
        return self._glyphs[i]


def _are_seen(near: NearInk, glyphs: Sequence[Glyph]) -> list[bool]:
    """Of each letter of a word, whether it is seen; in a word that mostly is, the others help to read it."""
    inks = [near.own(glyph, ()) for glyph in glyphs]
    is_mostly = sum(ink.seen for ink in inks) >= _MIN_SHARE * sum(ink.whole for ink in inks)
    least = _MIN_SHARE_AMONG if is_mostly else _MIN_SHARE
    return [ink.seen >= max(least * ink.whole, _LEAST_INK) for ink in inks]


def _is_told_apart(near: NearInk, glyphs: Sequence[Glyph], others: Sequence[Glyph], has_twin: bool) -> bool:
    """Whether letters are seen among others; what stands in the same place twice is seen once."""
    inks = [near.own(glyph, others) for glyph in glyphs]
    whole, alone, seen = (sum(amounts) for amounts in zip(*inks, strict=True))
    if alone >= max(_MIN_OWN * whole, _LEAST_INK):
        return bool(seen >= _MIN_SHARE * alone)
    return not has_twin and _stand_out(near, glyphs)


def _stand_out(near: NearInk, glyphs: Sequence[Glyph]) -> bool:
    clear = [near.outline(glyph) >= MIN_CONTRAST for glyph in glyphs]
    return sum(clear) >= _MIN_SHARE * len(clear)


def inner(box: Box) -> Box:
    """A box without its edges."""
    x0, y0, x1, y1 = box
    inset = _INNER * min(y1 - y0, x1 - x0)
    return (x0 + inset, y0 + inset, x1 - inset, y1 - inset)


def _split(word: RawWord, glyphs: Sequence[Glyph], are_seen: Sequence[bool]) -> Parts:
    """A word whose letters are not all seen is those that are; a sign alone is not worth a word."""
    pairs = list(zip(glyphs, are_seen, strict=True))
    if all(are_seen):
        return Parts(word, None)
    seen = [glyph for glyph, is_seen in pairs if is_seen]
    if not any(c.isalnum() for glyph in seen for c in glyph.text) and any(c.isalnum() for c in word.text):
        return Parts(None, word)
    unseen = "".join(run for is_seen, run in _runs(pairs) if not is_seen)
    text = "".join(glyph.text for glyph in seen)
    left, right = min(glyph.left for glyph in seen), max(glyph.left + glyph.coverage.shape[1] for glyph in seen)
    if not word.upright:
        return Parts(word._replace(text=text), word._replace(text=unseen))
    x0, x1 = max(word.x0, left / CLOSE), min(word.x1, right / CLOSE)
    return Parts(word._replace(text=text, x0=x0, x1=max(x0, x1)), word._replace(text=unseen))


def _runs(pairs: Sequence[tuple[Glyph, bool]]) -> Iterator[tuple[bool, str]]:
    for is_seen, run in groupby(pairs, key=lambda pair: pair[1]):
        yield is_seen, "".join(glyph.text for glyph, _ in run)
