"""How well each of some texts fits a question: BM25 over these texts alone, on stems, and the hints that led to them.

Focus asks what is worth opening; this asks which of what was opened to show first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.question_words import search_words
from mm_megacontext.reading.stems import terms

K1, B = 1.2, 0.5
"""Of BM25 (Robertson and Zaragoza 2009): how soon more of a word says nothing more, and how much length counts; less
than usual, for a passage is as long as what was opened of it."""
HEADING_WEIGHT = 0.5
"""What a word in a heading above a text counts, where one in the text counts 1."""
PRIOR_WEIGHT = 0.5
"""What the strongest hint counts beside the best fit; chosen on the dev split of real_documents."""


def relevance(
    question: str, texts: Sequence[str], headings: Sequence[str], priors: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Scores in [0, 1], one for each text; the best that holds anything of the question has 1.

    Args:
        question: Any text; function words count for nothing, unless there are no others.
        texts: What is ranked.
        headings: What each of them stands below.
        priors: (texts,) in [0, 1], what is known of them besides, as the strength of their hints.
    """
    asked = list(dict.fromkeys(terms(search_words(question))))
    counts = [_weighted(text, heading) for text, heading in zip(texts, headings, strict=True)]
    lengths = np.array([max(sum(count.values()), 1.0) for count in counts])
    mean = lengths.mean() if len(lengths) else 1.0
    scores = np.zeros(len(texts))
    for term in asked:
        tf = np.array([count[term] for count in counts])
        n = int((tf > 0).sum())
        idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        scores += idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * lengths / mean))
    best = scores.max(initial=0.0)
    fitting = scores / best if best > 0 else scores
    total = fitting + PRIOR_WEIGHT * priors
    return np.asarray(total / max(total.max(initial=0.0), 1.0))


def _weighted(text: str, heading: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for term in terms(text):
        counts[term] += 1
    for term in terms(heading):
        counts[term] += HEADING_WEIGHT  # type: ignore[assignment]
    return counts
