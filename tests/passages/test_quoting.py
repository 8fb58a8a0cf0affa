"""Where an answer stands among words. Oracle: pages written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import union
from mm_megacontext.passages.quoting import Span, bare, lines_of, longest_run, nearest, occurrences
from mm_megacontext.reading.question_words import FUNCTION_WORDS
from tests.passages.made import word_box, words_at

PAGE = words_at(["The monthly rent is", "1,480.00 EUR, paid in ad-", "vance on the first day;", "20 days, 120 nights."])


def texts(span: Span | None) -> str:
    return "" if span is None else " ".join(word.text for word in PAGE[span.start : span.stop])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("1,480.00 EUR", ["1,480.00 EUR,"]),
        ("1480.00 eur", ["1,480.00 EUR,"]),
        ("paid in advance", ["paid in ad- vance"]),
        ("20", ["20"]),
        ("0", []),
        ("rent 1,480", []),
        ("", []),
        ("?", []),
    ],
)
def test_whole_words_in_order(answer: str, words: list[str]) -> None:
    assert [texts(span) for span in occurrences(PAGE, answer)] == words


def test_signs_alone_are_compared_as_they_are() -> None:
    said = words_at(["a <= b"])
    assert occurrences(said, "<=") == [Span(1, 2)]


@given(st.integers(0, len(PAGE) - 1), st.integers(1, 6))
def test_what_is_copied_is_found(start: int, n: int) -> None:
    stop = min(start + n, len(PAGE))
    copied = " ".join(word.text for word in PAGE[start:stop])
    assert Span(start, stop) in occurrences(PAGE, copied)


def test_the_place_nearest_to_the_question_counts() -> None:
    said = words_at(["fee 25 EUR", "rent 25 EUR"])
    spans = occurrences(said, "25 EUR")
    assert nearest(spans, said, {"rent"}) == Span(4, 6)
    assert nearest(spans, said, {"fee"}) == nearest(spans, said, set()) == Span(1, 3)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("The rent is 1,480.00 EUR each month", "1,480.00 EUR,"),
        ("It is paid on the first day", "on the first day;"),
        ("The monthly rent", ""),
        ("No", ""),
        ("of the", ""),
    ],
)
def test_of_an_answer_in_other_words_what_is_new_counts(answer: str, words: str) -> None:
    asked = frozenset(map(bare, "What is the monthly rent?".split()))
    assert texts(longest_run(PAGE, answer, asked, FUNCTION_WORDS)).endswith(words)
    assert bool(words) == (longest_run(PAGE, answer, asked, FUNCTION_WORDS) is not None)


def test_words_of_two_lines_are_two_boxes() -> None:
    first, second = lines_of(PAGE, Span(6, 10))
    assert (first.text, second.text) == ("paid in ad-", "vance")
    assert first.bbox == union([word_box(14, 1, "paid"), word_box(22, 1, "ad-")])
    assert second.bbox == word_box(0, 2, "vance")
