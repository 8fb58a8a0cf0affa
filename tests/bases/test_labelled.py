"""Values read by their labels alone. Oracle: where a person's finger would end up who cannot read the language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mm_megacontext.bases.labelled import labelled_leaves
from mm_megacontext.bases.table_rows import LeafWords
from mm_megacontext.document import Line, Region
from tests.bases.read_regions import entries_of_region, line, table
from tests.tiny import tokenizer


def _told(region: Region, question: str) -> str:
    entries = entries_of_region(region)
    words = LeafWords(tokenizer().decode, tokenizer().starts_word)
    held = {entry.id: entry.leaves for entry in entries}
    leaves = labelled_leaves(entries, question, words)
    return tokenizer().decode([int(held[node].token_ids[leaf]) for node, leaf in leaves])  # type: ignore[union-attr]


def _text(*lines: Line) -> Region:
    return Region("text", (70.0, 100.0, 500.0, 200.0), lines)


def _lines(*texts: str) -> Region:
    return _text(*(line(text, 70, 100 + 14 * i) for i, text in enumerate(texts)))


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is the quenzel fee?", "12.40 EUR"),
        ("QUENZEL FEE", "12.40 EUR"),
        ("What is the מספר הזמנה?", "30418"),
        ("What is the fee?", ""),  # of what
        ("What is the quenzel fee of Turin?", ""),  # of Turin?
        ("What is the note?", ""),  # it may go on
    ],
)
def test_a_value_stands_behind_its_label(question: str, value: str) -> None:
    region = _lines("Quenzel fee: 12.40 EUR", "מספר הזמנה: 30418", "Note: to be paid by the end", "of the month.")
    assert _told(region, question) == value


def test_a_label_that_stands_twice_with_two_values_tells_nothing() -> None:
    assert _told(_lines("Fee: 12", "Paid: 3", "Fee: 14"), "What is the fee?") == ""
    assert _told(_lines("Fee: 12", "Paid: 3", "Fee: 12"), "What is the fee?") == "12"


def test_the_end_of_a_line_belongs_to_its_beginning() -> None:
    def both(left: str, right: str, y: float) -> Line:
        return Line((*line(left, 70, y).words, *line(right, 400, y).words))

    region = _text(both("3 Results and discussion", "42", 100), both("4 Outlook", "88", 114))
    assert _told(region, "On which page is Results and discussion?") == "42"
    assert _told(region, "On which page is Outlook?") == "88"
    assert _told(_lines("Outlook: fair"), "On which page is Outlook?") == ""
    grid = _text(both("Name", "Town", 100), both("Ada", "Turin", 114))
    assert _told(grid, "What is the name?") == "", "values may stand below their labels"


ORDERS: Sequence[Sequence[str]] = [
    ["Order", "City", "Net amount"],
    *([f"ORD-10{i:02}", f"Town{i}", f"{i}37.0{i}"] for i in range(1, 9)),
]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is the city of ORD-1003?", "Town3"),
        ("What is the net amount of ORD-1008?", "837.08"),
        ("What is the amount of ORD-1008?", "837.08"),
        ("What is the order of Town3?", "ORD-1003"),  # a town with a number is a code, too
        ("What is the city of ORD-1099?", ""),  # no such row
        ("Who is the mayor of the city of ORD-1003?", ""),  # not what the column holds
        ("What is the city?", ""),  # of eight
    ],
)
def test_a_value_stands_where_row_and_column_meet(question: str, value: str) -> None:
    assert _told(table(ORDERS), question) == value


def test_two_columns_of_one_name_tell_nothing() -> None:
    rows = [["Plant", "2023 Scrap", "2024 Scrap"], ["Arden North", "12", "9"]]
    assert _told(table(rows), "What is the scrap of Arden North?") == ""
    assert _told(table(rows), "What is the 2024 scrap of Arden North?") == "9"


def test_the_only_row_needs_no_name() -> None:
    assert _told(table([["Invoice", "Due date"], ["A-17", "4 May"]]), "What is the due date?") == "4 May"
