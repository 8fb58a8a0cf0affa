"""Watermarks: large words across what else stands on a page, which are no part of its text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import MAX_RULE_PT, RawWord

_LARGER = 1.7  # times the body size
_INNER = 0.25  # of a word's height, at each edge: boxes of lines that follow closely overlap there
_LEAST_RULE_PT = 12.0  # shorter ones are parts of drawings
_BASELINE_EM = 0.1
_LEAST_LETTERS = 3  # less is a sign of a formula, or a bracket


def split_watermarks(
    words: Sequence[RawWord], rules: Sequence[Box], body_size: float
) -> tuple[list[RawWord], list[RawWord]]:
    """The words of a page but for its watermarks, and these.

    A watermark is much larger than the text, and letters of this stand within it, or rules that part columns or rows
    run through it. What stands beside it on its line, as large, is part of it.
    """
    large = [word for word in words if word.size >= _LARGER * body_size]
    n_letters = sum(len(word.text) for word in large)
    if n_letters < _LEAST_LETTERS or 2 * n_letters > sum(len(word.text) for word in words):
        return list(words), []
    small = np.array([_inner(w.box) for w in words if w.size < _LARGER * body_size], dtype=np.float64).reshape(-1, 4)
    down = np.array([r for r in rules if _parts_columns(r)], dtype=np.float64).reshape(-1, 4)
    across = [word for word in large if _meets(word, small) or _meets(word, down) or _is_between_rows(word, rules)]
    if not across:
        return list(words), []
    marks = [word for word in large if any(_is_beside(word, other) for other in across)]
    told = set(map(id, marks))
    return [word for word in words if id(word) not in told], marks


def _parts_columns(rule: Box) -> bool:
    return rule[2] - rule[0] <= MAX_RULE_PT and rule[3] - rule[1] >= _LEAST_RULE_PT


def _is_between_rows(word: RawWord, rules: Sequence[Box]) -> bool:
    """Whether a rule runs through a word from one side to the other and on."""
    edge = 0.5 * word.size
    _, y0, _, y1 = _inner(word.box)
    return any(r[0] < word.x0 - edge and word.x1 + edge < r[2] and y0 < r[1] and r[3] < y1 for r in rules)


def _inner(box: Box) -> Box:
    edge = _INNER * min(box[2] - box[0], box[3] - box[1])
    return (box[0] + edge, box[1] + edge, box[2] - edge, box[3] - edge)


def _meets(word: RawWord, boxes: npt.NDArray[np.float64]) -> bool:
    x0, y0, x1, y1 = _inner(word.box)
    is_in = (boxes[:, 0] < x1) & (x0 < boxes[:, 2]) & (boxes[:, 1] < y1) & (y0 < boxes[:, 3])
    return bool(is_in.any())


def _is_beside(word: RawWord, other: RawWord) -> bool:
    """Whether two words are of one size on one line; a word is beside itself."""
    is_alike = abs(word.size - other.size) <= _BASELINE_EM * other.size and word.upright == other.upright
    on_line = min(abs(word.y1 - other.y1), abs(word.x1 - other.x1)) <= _BASELINE_EM * other.size
    return is_alike and on_line
