"""Questions in the letter case of what is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.bases.wording import room, spellings

CASES: list[Callable[[str], str]] = [str.lower, str.upper, str.title]


@pytest.mark.parametrize(
    ("question", "words", "expected"),
    [
        ("what is the monthly rent?", ["Monthly", "rent:"], ["what is the Monthly rent?"]),
        ("Rent", ["Rent", "RENT"], ["Rent", "RENT"]),
        ("rent", ["Rent", "RENT"], ["Rent", "RENT"]),
        ("What is the deposit?", ["Rent"], ["What is the deposit?"]),
        ("THE RENT OF THE FLAT?", ["the", "rent"], ["The rent of the FLAT?"]),
        ("The IT manual", ["IT"], ["The IT manual"]),
        ("(rent)?", ["Rent,"], ["(Rent)?"]),
        ("", ["Rent"], [""]),
    ],
)
def test_words_are_spelled_as_they_are_held(question: str, words: list[str], expected: list[str]) -> None:
    assert spellings(question, words, len) == expected


def test_a_spelling_that_takes_more_tokens_than_there_is_room_for_is_left_out() -> None:
    def n_tokens(word: str) -> int:
        return 5 if word == "rENT" else 3 if word.isupper() else 1

    assert room("rent", n_tokens) == 3
    assert spellings("the rent", ["RENT"], n_tokens) == ["the RENT"]
    assert spellings("the rent", ["rENT"], n_tokens) == ["the rent"]


@given(
    st.lists(st.sampled_from(["rent", "Fee", "INV-7", "the"])),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3))),
)
def test_only_the_letter_case_ever_changes(question: list[str], held: list[tuple[int, int]]) -> None:
    words = [CASES[case](("rent", "Fee", "INV-7", "the")[word]) for case, word in held]
    for spelled in spellings(" ".join(question), words, len):
        assert spelled.lower().split() == [word.lower() for word in question]
