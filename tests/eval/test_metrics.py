"""Metrics against published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.eval.metrics import METRICS, exact_match, is_exact, normalise, wilson_interval
from mm_megacontext.eval.task import Files, Prediction, Sample


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_newcombe(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_is_symmetric(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    assert wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_without_trials_knows_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("prediction", "truth", "equal"),
    [
        ("12,500", "12,500", True),
        (" 12,500\n", "12,500", True),
        ("3  kg", "3 kg", True),
        ("3 KG", "3 kg", False),
        ("12,500.", "12,500", False),
        ("", "", True),
    ],
)
def test_exact_match(prediction: str, truth: str, equal: bool) -> None:
    assert is_exact(prediction, truth) == equal
    sample = Sample(id="", documents=Files("", ()), question="", references=("something else", truth))
    assert exact_match(Prediction(prediction, found=True), sample) == equal
    assert exact_match(Prediction(prediction, found=False), sample) == 0, "what is refused is not right"


def test_not_found_is_right_where_there_is_no_reference() -> None:
    sample = Sample(id="", documents=Files("", ()), question="", references=())
    assert exact_match(Prediction("", found=False), sample) == 1
    assert exact_match(Prediction("9", found=True), sample) == 0


def test_metrics_are_found_by_name() -> None:
    assert METRICS.get("exact_match") is exact_match


def test_normalise_folds_white_space_alone() -> None:
    assert normalise("  A\t b \n c ") == "A b c"
