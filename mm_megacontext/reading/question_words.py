"""What the words of a question are for: some say what is asked for, the others only make it a question."""

from __future__ import annotations

from collections.abc import Iterable

FUNCTION_WORDS = frozenset(
    """
    a about according all an and any are as at be been but by can column could did do document does far find for
    from get give given gives had has have high how i if in into is it its list long look many me much my no not
    of often old on or our page please row say says show state stated states table tell than that the their them
    there these they this those to up us value was we were what what's when where which who whom whose why will
    with would you your
    """.split()
)
"""Words that questions are made of; in a search they would only find sentences that look like questions."""
EDGES = ".,;:!?\"'()[]{}"
"""Punctuation that may stand around a word."""


def is_function_word(word: str) -> bool:
    """Whether a word, with its punctuation, is one of ``FUNCTION_WORDS`` in any letter case."""
    return word.strip(EDGES).lower() in FUNCTION_WORDS


def search_words(question: str) -> str:
    """The words of a question that are worth searching for: all but function words, or all if nothing else is there."""
    words = question.split()
    return " ".join([word for word in words if not is_function_word(word)] or words)


def missing_words(question: str, words: Iterable[str]) -> list[str]:
    """The words of the question, but for function words, that ``words`` do not hold in any letter case.

    Example:
        >>> missing_words("What is the monthly fee?", ["Monthly", "rent:"])
        ['fee?']
    """
    held = {word.strip(EDGES).lower() for word in words}
    return [w for w in question.split() if not is_function_word(w) and w.strip(EDGES).lower() not in held]
