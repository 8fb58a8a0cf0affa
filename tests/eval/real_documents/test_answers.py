"""Answers against accepted ones, by examples of both verdicts."""

from __future__ import annotations

import pytest

from mm_megacontext.eval.real_documents.answers import holds_answer, is_exact


@pytest.mark.parametrize(
    ("text", "reference", "exact", "holds"),
    [
        ("July 2004", "July 2004", True, True),
        ("  july\n2004. ", "July 2004", True, True),
        ("“Polar view”", "Polar view", True, True),
        ("speciﬁc", "specific", True, True),
        ("in July 2004.", "July 2004", False, True),
        ("the view (Polar view), then", "Polar view", False, True),
        ("2004", "July 2004", False, False),
        ("120 s", "20", False, False),
        ("-c CIV", "-c", False, True),
        ("([c]/(m3-m1))", "([c]/(m3-m1))", True, True),
        ("[b]", "b", False, True),
        ("-", "-", True, True),
        ("a - b", "-", False, True),
    ],
)
def test_verdicts(text: str, reference: str, exact: bool, holds: bool) -> None:
    assert is_exact(text, ["something else", reference]) == exact
    assert holds_answer(text, ["something else", reference]) == holds
