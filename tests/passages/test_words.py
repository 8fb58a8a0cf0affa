"""Lines and rows found again from boxes. Oracle: what was typed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.passages.tables import table_rows
from mm_megacontext.passages.words import PassageWord, is_in_lines, joined_lines
from tests.passages.made import words_at

FORM = ["Rent      1,480 EUR", "Deposit   2,960 EUR", "Notice    90 days"]


def test_lines_and_segments_are_kept() -> None:
    assert joined_lines(words_at(FORM)) == "Rent  1,480 EUR\nDeposit  2,960 EUR\nNotice  90 days"


def test_a_form_stands_in_lines_and_a_sentence_runs_on() -> None:
    assert is_in_lines(words_at(FORM))
    assert not is_in_lines(words_at(["The rent of the flat is", "due in advance."]))
    assert not is_in_lines([])


CELL = st.text("abcxyz0189", min_size=1, max_size=6)


@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_a_full_table_comes_back_cell_by_cell(rows: list[list[str]]) -> None:
    spaced = [row for row in rows]
    lines: list[str] = []
    for row in spaced:  # rows stand apart: a line is left free between them
        lines += ["".join(cell.ljust(9) for cell in row).rstrip(), ""]
    assert table_rows(words_at(lines, "cell")) == rows


def test_empty_cells_stay_empty() -> None:
    lines = ["Item     Due      Sum", "", "Rent              12", "", "         monthly", "", "Water    weekly   3"]
    assert table_rows(words_at(lines, "cell")) == [
        ["Item", "Due", "Sum"],
        ["Rent", "", "12"],
        ["", "monthly", ""],
        ["Water", "weekly", "3"],
    ]


def test_a_cell_of_two_lines_is_one() -> None:
    """Words come cell by cell; the lines of a cell stand close."""
    grid = words_at(["Waste     12", "removal"], "cell")
    by_cell = [grid[0], grid[2], grid[1]]
    assert table_rows(by_cell) == [["Waste removal", "12"]]


def test_a_title_above_two_columns_does_not_join_them() -> None:
    header = words_at(["Costs   of all kinds", "", "This one   That one", ""], "column_header")
    body = [PassageWord(w.text, (w.bbox[0], w.bbox[1] + 60, w.bbox[2], w.bbox[3] + 60), "cell", w.starts_line)
            for w in words_at(["1          2"])]  # fmt: skip
    assert table_rows([*header, *body])[-1] == ["1", "2"]


def test_no_words_are_no_table() -> None:
    assert table_rows([]) == []
