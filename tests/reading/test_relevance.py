"""Which text fits a question. Oracle: texts of which only one can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.reading.relevance import relevance
from mm_megacontext.reading.stems import stem, terms

TEXTS = ["The deposit is paid back within 30 days.", "Dogs need consent.", "Licences are renewed yearly.", "Rent: 12"]


def best(question: str, headings: tuple[str, ...] = ("",) * 4, priors: tuple[float, ...] = (0.0,) * 4) -> int:
    return int(relevance(question, TEXTS, headings, np.array(priors)).argmax())


@pytest.mark.parametrize(
    ("question", "at"),
    [("When are DEPOSITS returned?", 0), ("May I keep dogs?", 1), ("How is a licence renewed?", 2), ("the rent", 3)],
)
def test_words_count_whatever_their_case_and_ending(question: str, at: int) -> None:
    assert best(question) == at


def test_headings_count_less_than_the_text() -> None:
    assert best("pets", ("", "Pets", "", "")) == 1
    assert best("rent", ("Rent", "", "", "")) == 3


def test_what_else_is_known_decides_between_equals() -> None:
    assert best("penguins", priors=(0.0, 0.0, 1.0, 0.5)) == 2


def test_what_fits_in_no_way_has_nothing() -> None:
    assert relevance("penguins", TEXTS, [""] * 4, np.zeros(4)).tolist() == [0.0] * 4
    assert relevance("penguins", [], [], np.zeros(0)).shape == (0,)


@given(st.text(), st.lists(st.text(), max_size=5))
def test_scores_are_from_0_to_1_for_any_text(question: str, texts: list[str]) -> None:
    scores = relevance(question, texts, [""] * len(texts), np.linspace(0, 1, len(texts)))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_stems_are_short_words_whole() -> None:
    assert [stem(word) for word in ("is", "days", "Mapping", "maps", "copies")] == [
        "is",
        "days",
        "mapp",
        "maps",
        "copi",
    ]
    assert terms("a_b c-3") == ["a", "b", "c", "3"]
