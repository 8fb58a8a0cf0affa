"""Metrics with their intervals."""

from __future__ import annotations

import math
import re


def normalise(text: str) -> str:
    """White space folded and stripped; case and punctuation count."""
    return re.sub(r"\s+", " ", text).strip()


def exact_match(prediction: str, truth: str) -> bool:
    """Equality after ``normalise``."""
    return normalise(prediction) == normalise(truth)


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); (0, 1) for no trials."""
    if n == 0:
        return (0.0, 1.0)
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))
