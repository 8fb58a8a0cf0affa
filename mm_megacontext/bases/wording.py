"""A question in the letter case of the document that is asked.

To a tokenizer "monthly" and "Monthly" have nothing in common, and a small base copies what it has seen. People do not
type questions in the document's capitals, so the base reads them as if they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mm_megacontext.reading.question_words import EDGES, is_function_word


def spellings(question: str, words: Iterable[str], n_tokens: Callable[[str], int]) -> list[str]:
    """The question in the letter cases that ``words`` hold: the one nearest to what was typed, then the next.

    Function words stay, but in a question that is all in capitals. So do words of which the document holds no other
    case, or only one that takes more than the ``room`` for it.

    Args:
        question: Any text.
        words: Words of what will be read, in order.
        n_tokens: Length of a word in tokens.

    Returns:
        One or two questions, none longer in tokens than there is ``room`` for the one given.

    Example:
        >>> spellings("who is the landlord?", ["Landlord:", "Ada", "the", "landlord", "pays"], len)
        ['who is the landlord?', 'who is the Landlord?']
        >>> spellings("WHO IS THE LANDLORD?", ["Landlord:"], len)
        ['Who is the Landlord?']
    """
    held: dict[str, list[str]] = {}
    for word in words:
        bare = word.strip(EDGES)
        known = held.setdefault(bare.lower(), [])
        if bare not in known:
            known.append(bare)
    typed = _uncapitalised(question) if question.isupper() else question.split()
    options = [_options(word, held.get(word.strip(EDGES).lower(), []), n_tokens) for word in typed]
    return list(dict.fromkeys(" ".join(o[min(i, len(o) - 1)] for o in options) for i in (0, 1)))


def _uncapitalised(question: str) -> list[str]:
    """Its words, function words as they mostly stand; others may be names or codes."""
    first, *others = question.split()
    return [
        first.capitalize() if is_function_word(first) else first,
        *(word.lower() if is_function_word(word) else word for word in others),
    ]


def _options(word: str, held: list[str], n_tokens: Callable[[str], int]) -> list[str]:
    """A word as it may be spelled: as typed if that is held, then as held; as typed if nothing else will do."""
    bare = word.strip(EDGES)
    if not bare or is_function_word(word):
        return [word]
    ordered = [bare] * (bare in held) + [other for other in held if other != bare]
    spelled = [word.replace(bare, other, 1) for other in ordered]
    return [other for other in spelled if n_tokens(other) <= room(word, n_tokens)] or [word]


def room(word: str, n_tokens: Callable[[str], int]) -> int:
    """Tokens that a word of a question takes in any of the cases in which a document may have it.

    Example:
        >>> room("order", lambda word: 1 if word.islower() else len(word) // 2)
        2
    """
    return max(map(n_tokens, {word, word.lower(), word.capitalize(), word.upper()}))
