"""A function as a reader. Oracle: what the function said."""

from __future__ import annotations

import pytest

from mm_megacontext.passages.context import Context
from mm_megacontext.reading.base import Citation, Reading, TextReader
from mm_megacontext.reading.function_reader import FunctionReader, parse_plain
from tests.passages.made import context, passage

SHOWN = context(passage("p1", "Rent 1,480 EUR"), passage("p12", "Deposit"))


@pytest.mark.parametrize(
    ("said", "text", "cited"),
    [
        ("1,480 EUR [p1]", "1,480 EUR", ["p1"]),
        ("1,480 EUR [p1][p12]", "1,480 EUR", ["p1", "p12"]),
        ("[p12; p1] 1,480 EUR", "1,480 EUR", ["p12", "p1"]),
        ("1,480 EUR [p1, p9] [p1]", "1,480 EUR", ["p1"]),
        ("see [1] and [x]", "see [1] and [x]", []),
        ("none of them may", "none of them may", []),
    ],
)
def test_ids_in_brackets_are_citations(said: str, text: str, cited: list[str]) -> None:
    assert parse_plain(said, SHOWN.ids) == Reading(text, True, cited=tuple(map(Citation, cited)))


@pytest.mark.parametrize("said", ["", "not found", "Not found.", " none ", "not found [p1]"])
def test_no_answer(said: str) -> None:
    assert parse_plain(said, SHOWN.ids) == Reading("", False)


def test_a_function_is_a_reader() -> None:
    def longest(context: Context) -> str:
        return f"{max(context.passages, key=lambda p: len(p.text)).text} [p1]"

    reader = FunctionReader(longest)
    assert isinstance(reader, TextReader)
    assert reader.id.endswith("longest")
    assert reader.read(SHOWN) == Reading("Rent 1,480 EUR", True, cited=(Citation("p1"),))
    assert FunctionReader(lambda shown: Reading("42", True)).read(SHOWN) == Reading("42", True)


def test_its_budget_is_counted_as_it_says() -> None:
    counted = FunctionReader(lambda shown: "", id="mine", count=lambda text: len(text.split()))
    assert (counted.id, counted.budget_unit) == ("mine", "tokens")
    assert counted.cost(SHOWN) == len(f"{SHOWN.to_markdown()} {SHOWN.question}".split())
    assert FunctionReader(lambda shown: "").budget_unit == "estimated tokens"
