"""A reader that finds the gold text of a question if it was shown it, and how well evidence lies on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mm_megacontext.document import Box, union
from mm_megacontext.eval.chat_double import Asked, as_json
from mm_megacontext.eval.real_documents.dataset import Sample
from mm_megacontext.passages.quoting import bare

_HEAD = re.compile(r"^\[(p\d+)\] (.*), page (\d+), ")


@dataclass(slots=True)
class _Passage:
    """A passage as it is read from a prompt."""

    id: str
    page: int
    words: list[str]


def perfect(asked: Asked, sample: Sample) -> str:
    """Answers from the prompt alone: cites the passages that hold the gold text and quotes their share of it."""
    question = sample.question
    wanted = bare("".join(question.gold_text.split()))
    passages = passages_of(asked.text)
    for place in sample.places:
        here = [passage for passage in passages if passage.page == place.page]
        if cited := _cite(here, wanted):
            known = [a for a in question.answers if bare("".join(a.split())) in wanted]
            return as_json((known or list(question.answers))[0], cited)
    return as_json("", found=False)


def passages_of(prompt: str) -> list[_Passage]:
    """The passages of a prompt, with the words of their quoted lines."""
    found: list[_Passage] = []
    for line in prompt.split("\n"):
        head = _HEAD.match(line)
        if head:
            found.append(_Passage(head[1], int(head[3]), []))
        elif (found and line.startswith("> ") and not line.startswith("> (")) or (
            line.startswith("> (") and found and found[-1].words
        ):
            found[-1].words += [word for word in line[2:].split() if bare(word)]
    return found


def _cite(passages: Sequence[_Passage], wanted: str) -> list[tuple[str, str]]:
    """Passages that together hold a text, each with its own words of it."""
    words = [(passage.id, word) for passage in passages for word in passage.words]
    keys = [bare(word) for _, word in words]
    starts = np.cumsum([0, *map(len, keys)])
    at = "".join(keys).find(wanted)
    if at < 0 or not wanted:
        return []
    cited: dict[str, list[str]] = {}
    for i, (id, word) in enumerate(words):
        if starts[i] < at + len(wanted) and starts[i + 1] > at:
            cited.setdefault(id, []).append(word)
    return [(id, " ".join(own)) for id, own in cited.items()]


def lines_of(words: Sequence[Box]) -> list[Box]:
    """Boxes of words that follow each other on one line, as one box."""
    lines: list[list[Box]] = []
    for box in words:
        if lines and (box[1] + box[3]) / 2 <= lines[-1][-1][3] and box[0] >= lines[-1][-1][0]:
            lines[-1].append(box)
        else:
            lines.append([box])
    return [union(line) for line in lines]


def overlap(boxes: Iterable[Box], others: Iterable[Box]) -> float:
    """Intersection over union of what boxes cover together.

    Example:
        >>> overlap([(0, 0, 2, 1)], [(1, 0, 2, 1), (2, 0, 3, 1)])
        0.3333333333333333
    """
    sets = [list(boxes), list(others)]
    xs = np.unique([x for box in (*sets[0], *sets[1]) for x in (box[0], box[2])])
    ys = np.unique([y for box in (*sets[0], *sets[1]) for y in (box[1], box[3])])
    if len(xs) < 2 or len(ys) < 2:
        return 0.0
    masks = []
    for own in sets:
        mask = np.zeros((len(ys) - 1, len(xs) - 1), dtype=np.bool_)
        for x0, y0, x1, y1 in own:
            mask[
                np.searchsorted(ys, y0) : np.searchsorted(ys, y1), np.searchsorted(xs, x0) : np.searchsorted(xs, x1)
            ] = 1
        masks.append(mask)
    area = np.diff(ys)[:, None] * np.diff(xs)[None, :]
    return float((area * (masks[0] & masks[1])).sum() / (area * (masks[0] | masks[1])).sum())
