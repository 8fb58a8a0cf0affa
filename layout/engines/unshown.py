"""Text that a file gives beside what its page shows: what a layer that is off would paint, and ActualText.

ActualText (PDF 32000-1, 14.9.4) is what a reader is to take for the marked glyphs: the letters of a ligature, a word
without its hyphen, or whatever an attacker wants. Nobody sees it, so what counts is the glyphs; where it says the same
as these, it is not worth a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from mm_megacontext.document import Box, HiddenReason
from mm_megacontext.layout.engines.protocol import RawWord


def not_shown(words: Sequence[RawWord], others: Iterable[RawWord], why: HiddenReason) -> Iterator[RawWord]:
    """Those of ``others`` that say what the words in their place do not say, as hidden.

    Args:
        words: What the page paints.
        others: What is read where more than that counts.
        why: Why it is hidden.
    """
    same = {(word.text, word.box) for word in words}  # most are
    shown = [(_letters(word.text), word.box) for word in words]
    for other in others:
        if (other.text, other.box) in same:
            continue
        letters = _letters(other.text)
        if letters not in "".join(text for text, box in shown if _touch(box, other.box)):
            yield other._replace(hidden=why)


def _letters(text: str) -> str:
    """Letters and digits alone, in one form."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _touch(box: Box, other: Box) -> bool:
    return box[0] <= other[2] and other[0] <= box[2] and box[1] <= other[3] and other[1] <= box[3]
