"""The words of a block that is read leaf by leaf: which leaves each of them is made of, and its box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mm_megacontext.document import Box
from mm_megacontext.passages.words import PassageWord
from mm_megacontext.reading.base import BaseTokenizer
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.blocks import LINE_START, ROLES
from mm_megacontext.tree.nodes import Leaves


class LeafSpan(NamedTuple):
    """Leaves of one word, half open. Where a block begins inside a word, the rest of that word is its first."""

    start: int
    stop: int


def word_spans(leaves: Leaves, tokenizer: BaseTokenizer) -> list[LeafSpan]:
    """The words of a block of text, in order."""
    starts = [i for i, id in enumerate(leaves.token_ids.tolist()) if i == 0 or tokenizer.starts_word(id)]
    return [LeafSpan(*pair) for pair in zip(starts, [*starts[1:], len(leaves.token_ids)], strict=True)]


def box_of(leaves: Leaves, first: int, stop: int) -> Box:
    """The box around some leaves."""
    boxes = leaves.boxes[first:stop].astype(np.float64)
    return (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())


def words_of(entry: Entry, tokenizer: BaseTokenizer) -> Iterator[PassageWord]:
    """Words of an expanded block with their boxes.

    Args:
        entry: An expanded entry; a tile has no words.
        tokenizer: Of the base whose tokens its leaves are.
    """
    leaves = entry.leaves
    assert leaves is not None, "only an expanded entry has leaves"
    for start, stop in word_spans(leaves, tokenizer):
        text = "".join(tokenizer.decode(leaves.token_ids[start:stop].tolist()).split())
        if text:
            role = int(leaves.roles[start])
            name = ROLES[(role & ~LINE_START) % len(ROLES)]
            yield PassageWord(text, box_of(leaves, start, stop), name, bool(role & LINE_START))
