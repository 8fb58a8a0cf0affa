"""Words of questions."""

from __future__ import annotations

import pytest

from mm_megacontext.reading.question_words import missing_words, search_words


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is the monthly rent?", "monthly rent?"),
        ("WHO is the Landlord", "Landlord"),
        ("which of these?", "which of these?"),
        ("", ""),
    ],
)
def test_function_words_are_not_searched_unless_there_are_no_others(question: str, words: str) -> None:
    assert search_words(question) == words


@pytest.mark.parametrize(
    ("question", "held", "missing"),
    [
        ("What is the Monthly Rent?", ["monthly", "(rent):"], []),
        ("What is the monthly fee?", ["Monthly", "rent:"], ["fee?"]),
        ("What is it?", [], []),
        ("INV-2041", ["INV-204"], ["INV-2041"]),
    ],
)
def test_missing_words_are_those_held_in_no_letter_case(question: str, held: list[str], missing: list[str]) -> None:
    assert missing_words(question, held) == missing
