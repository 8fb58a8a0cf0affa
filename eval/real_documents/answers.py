"""Whether an answer is one of the accepted ones."""

from __future__ import annotations

from collections.abc import Sequence

from mm_megacontext.eval.real_documents.page_words import fold

_EDGES = " \t.,;:!?\"'“”‘’"
_BRACKETS = "()[]{}"


def bare(text: str) -> str:
    """In NFKC and lower case, white space folded, without quotation marks and full stops at the ends."""
    return fold(text).casefold().strip(_EDGES)


def is_exact(text: str, references: Sequence[str]) -> bool:
    """Whether the answer is an accepted one.

    Example:
        >>> is_exact("July  2004.", ["July 2004"]), is_exact("in July 2004", ["July 2004"])
        (True, False)
    """
    return bare(text) in {bare(reference) for reference in references}


def holds_answer(text: str, references: Sequence[str]) -> bool:
    """Whether an accepted answer stands somewhere in the text, as whole words.

    Example:
        >>> holds_answer("in July 2004", ["July 2004"]), holds_answer("it takes 120 s", ["20"])
        (True, False)
    """
    words = f" {_spaced(text)} "
    return any(f" {_spaced(reference)} " in words for reference in references)


def _spaced(text: str) -> str:
    """Words without what encloses them, where anything is left."""
    return " ".join(word.strip(_EDGES + _BRACKETS) or word for word in bare(text).split())
