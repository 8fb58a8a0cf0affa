"""What fits a question best of a context. Oracle: stretches that a reader sees as one."""

from __future__ import annotations

from mm_megacontext.answer import Evidence
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Gap
from tests.passages.made import collapsed, passage

CONTEXT = Context(
    question="What is the rent?",
    parts=(
        passage("p1", "Lease", score=0.2),
        passage("p2", "Rent: 12", score=0.9),
        Gap(id="g1", nodes=(collapsed(),)),
        passage("p3", "Deposit", score=0.5),
        passage("p4", "over the page", score=0.7, page=2),
        Gap(id="g2", nodes=(collapsed(),)),
        passage("p5", "nothing", score=0.0),
    ),
)


def test_passages_with_nothing_left_out_between_are_one_stretch_of_a_page() -> None:
    ids = [[part.id for part in stretch] for stretch in CONTEXT.best_stretches(9)]
    assert ids == [["p1", "p2"], ["p4"], ["p3"]]
    assert [part.id for part in CONTEXT.best(2)] == ["p2", "p4"]


def test_evidence_is_around_all_of_a_stretch() -> None:
    best = CONTEXT.best_stretches(1)[0]
    evidence = Evidence.of_passages(best)
    assert (evidence.text, evidence.score, evidence.page) == ("Lease\nRent: 12", 0.9, 1)
    for part in best:
        assert evidence.bbox[0] <= part.bbox[0]
        assert evidence.bbox[2] >= part.bbox[2]
