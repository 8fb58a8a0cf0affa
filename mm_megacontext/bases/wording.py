"""A question's words beside those of the document that is asked: their letter case, and which are missing.

To a tokenizer "monthly" and "Monthly" have nothing in common, and a small base copies what it has seen. People do not
type questions in the document's capitals, so the base reads them as if they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mm_megacontext.question_words import EDGES, is_function_word


def match_case(question: str, words: Iterable[str], n_tokens: Callable[[str], int]) -> str:
    """Give words that ``words`` hold in another case only that case; function words stay, and what would cost tokens.

    Args:
        question: Any text.
        words: Words of what will be read, in order; of several spellings the first counts.
        n_tokens: Length of a word in tokens.

    Example:
        >>> match_case("what is the monthly rent?", ["Monthly", "rent:"], len)
        'what is the Monthly rent?'
    """
    spellings: dict[str, str] = {}
    known: set[str] = set()
    for word in words:
        bare = word.strip(EDGES)
        known.add(bare)
        spellings.setdefault(bare.lower(), bare)
    return " ".join(_match(word, spellings, known, n_tokens) for word in question.split())


def missing_words(question: str, words: Iterable[str]) -> list[str]:
    """The words of the question, but for function words, that ``words`` do not hold in any letter case.

    Example:
        >>> missing_words("What is the monthly fee?", ["Monthly", "rent:"])
        ['fee?']
    """
    held = {word.strip(EDGES).lower() for word in words}
    return [w for w in question.split() if not is_function_word(w) and w.strip(EDGES).lower() not in held]


def _match(word: str, spellings: dict[str, str], known: set[str], n_tokens: Callable[[str], int]) -> str:
    bare = word.strip(EDGES)
    found = spellings.get(bare.lower())
    if found is None or bare in known or is_function_word(word):
        return word
    matched = word.replace(bare, found, 1)
    return matched if n_tokens(matched) <= n_tokens(word) else word
