"""From citations to boxes. Oracle: passages written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mm_megacontext.answer import Evidence
from mm_megacontext.document import union
from mm_megacontext.evidence import cited_evidence, node_evidence
from mm_megacontext.passages.context import Context
from mm_megacontext.reading.base import Citation, Reading
from mm_megacontext.tree.nodes import NodeId
from tests.passages.made import context, gap, passage, word_box
from tests.test_evidence import CONTEXT as CUT
from tests.test_evidence import record

SHOWN = context(
    passage("p1", "Monthly rent 1,480 EUR\nheld by the landlord", score=0.9),
    passage("p2", "Deposit 1,480 EUR", score=0.4),
    gap("g1", "Repairs"),
)


def evidence(text: str, *cited: Citation | str, shown: Context = SHOWN) -> list[Evidence]:
    named = tuple(Citation(one) if isinstance(one, str) else one for one in cited)
    return list(cited_evidence(Reading(text, True, cited=named), shown))


def told(found: list[Evidence]) -> list[tuple[str, str]]:
    return [(one.text, one.basis) for one in found]


def test_the_words_of_the_answer_are_boxed_in_the_passage() -> None:
    (one,) = evidence("1,480 EUR", "p1")
    assert one == Evidence(
        "/d/a.pdf", 1, union([word_box(13, 0, "1,480"), word_box(19, 0, "EUR")]), "pt", "1,480 EUR", 0, 0.9, "words"
    )


@pytest.mark.parametrize(
    ("answer", "quote", "words"),
    [
        ("1,480 EUR", "Monthly rent 1,480 EUR", "1,480 EUR"),  # the answer inside the quotation
        ("about fifteen hundred", "rent 1,480 EUR", "rent 1,480 EUR"),  # the quotation, if the answer is not there
        ("1,480 EUR", "an invented quotation", "1,480 EUR"),
        ("The rent is 1,480 EUR a month", "", "rent 1,480 EUR"),
    ],
)
def test_quotations_lead_to_the_words(answer: str, quote: str, words: str) -> None:
    found = told(evidence(answer, Citation("p1", quote)))
    assert [basis for _, basis in found] == ["words"]
    assert found[0][0].endswith("1,480 EUR")
    assert found[0][0] == words or words.endswith(found[0][0])


def test_what_is_said_in_other_words_has_the_passage() -> None:
    assert told(evidence("Yes", "p2")) == [("Deposit 1,480 EUR", "passage")]


def test_each_citation_has_its_own_and_the_strongest_comes_first() -> None:
    found = evidence("1,480 EUR", "p2", "p1")
    assert [one.score for one in found] == [0.9, 0.4]


def test_a_gap_is_a_node_that_was_not_opened() -> None:
    (one,) = evidence("Repairs", "g1")
    assert (one.page, one.bbox, one.lod, one.basis, one.text) == (2, (0.0, 0.0, 9.0, 9.0), 2, "node", "")


def test_parts_that_were_not_shown_count_for_nothing() -> None:
    assert evidence("fifty", "p9", "g9") == []


def test_without_citations_only_what_stands_in_one_passage_counts() -> None:
    assert told(evidence("held by the landlord")) == [("held by the landlord", "words")]
    assert evidence("1,480 EUR") == [], "it stands in two"
    assert evidence("42") == []


def test_words_over_two_lines_are_two_boxes() -> None:
    assert [text for text, _ in told(evidence("1,480 EUR held by"))] == ["1,480 EUR", "held by"]


def test_an_answer_that_was_read_from_gists_has_the_node() -> None:
    """Oracle: the node itself."""
    closed = next(entry for entry in CUT.collapse([NodeId(1, 0)]) if entry.lod == 1)
    cut = CUT.collapse([NodeId(1, 0)])
    reading = Reading("Quenzel", True, nodes=(closed.id,), confidence=0.8)
    (one,) = node_evidence(reading, cut, np.ones(len(cut)), {1: record()})
    assert (one.page, one.lod, one.basis, one.text) == (1, 1, "node", "")
    assert one.bbox == closed.node.bbox
    assert one.score == pytest.approx(0.8)
    assert node_evidence(replace(reading, nodes=()), cut, np.ones(len(cut)), {1: record()}) == ()
