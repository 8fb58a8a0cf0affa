"""Words of lines that run from right to left, against orders worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.lines.direction import in_reading_order

ALEF, BET, GIMEL = "\u05d0\u05d0", "\u05d1\u05d1", "\u05d2\u05d2"


def words(texts: list[str]) -> list[RawWord]:
    return [RawWord(10.0 * i, 0, 10.0 * i + 8, 10, text, 10, False, True, 0) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("seen", "read"),
    [
        (["one", "two", "3"], ["one", "two", "3"]),
        ([GIMEL, BET, ALEF], [ALEF, BET, GIMEL]),
        ([GIMEL, "42", ALEF], [ALEF, "42", GIMEL]),
        (["7", "8", ALEF], [ALEF, "8", "7"]),
        ([GIMEL, "New", "York", BET, ALEF], [ALEF, BET, "New", "York", GIMEL]),
        (["see", BET, ALEF, "in", "English"], ["see", ALEF, BET, "in", "English"]),
        (["see", BET, "5", ALEF, "7", "in", "English"], ["see", ALEF, "5", BET, "7", "in", "English"]),
        (["12", "-", "14"], ["12", "-", "14"]),
    ],
)
def test_order(seen: list[str], read: list[str]) -> None:
    assert [word.text for word in in_reading_order(words(seen))] == read


@given(st.lists(st.sampled_from([ALEF, BET, "a", "b", "1", "\u2013"]), max_size=8))
def test_no_word_is_lost(texts: list[str]) -> None:
    line = words(texts)
    assert sorted(in_reading_order(line)) == sorted(line)
