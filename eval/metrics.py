"""Metrics, found by name, and intervals of what they find."""

from __future__ import annotations

import math
import re
from typing import Protocol

from mm_megacontext.eval.task import Prediction, Sample
from mm_megacontext.registry import Registry


class Metric(Protocol):
    """Scores an answer from 0, all wrong, to 1, all right; of a sample without references "not found" is right."""

    def __call__(self, prediction: Prediction, sample: Sample, /) -> float: ...


METRICS = Registry[Metric](
    "metric", group="mm_megacontext.metrics", built_in={"exact_match": f"{__name__}:exact_match"}
)


def normalise(text: str) -> str:
    """White space folded and stripped; case and punctuation count."""
    return re.sub(r"\s+", " ", text).strip()


def is_exact(text: str, reference: str) -> bool:
    """Equality after ``normalise``."""
    return normalise(text) == normalise(reference)


def exact_match(prediction: Prediction, sample: Sample) -> float:
    """1 if the answer is one of the references, or "not found" where there are none."""
    if not prediction.found:
        return float(not sample.is_answerable)
    return float(any(is_exact(prediction.text, reference) for reference in sample.references))


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); (0, 1) for no trials."""
    if n == 0:
        return (0.0, 1.0)
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))
