"""Fits what focus opened into the budget of a text reader, which counts what it is shown in units of its own.

What was opened last in rank is closed again until the rest fits. The cut stays a cut: what is closed becomes a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mm_megacontext.errors import BudgetTooSmall
from mm_megacontext.passages.context import Context
from mm_megacontext.reading.allocator import Focused
from mm_megacontext.reading.relevance import relevance
from mm_megacontext.reading.runtime import Looked
from mm_megacontext.reading.trace import Trace, TraceEvent
from mm_megacontext.reading.working_context import Action
from mm_megacontext.tree.nodes import NodeId

EMBEDDINGS_PER_TOKEN = 1.5
"""How many embeddings focus may spend for each token of a text reader: the leaves of ``mmctx-tiny`` are shorter than
the tokens of large vocabularies. What is too much is closed again."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What a text reader is shown.

    Attributes:
        looked: Where focus ended, with what was closed again as its last step.
        context: The same as passages.
        cost: What it takes of the budget.
    """

    looked: Looked
    context: Context
    cost: int


def fit(looked: Looked, show: Callable[[Focused], Context], cost: Callable[[Context], int], budget: int) -> Fitted:
    """Close what fits the question least until the rest fits the budget.

    Args:
        looked: Where focus ended.
        show: Makes the passages of a cut.
        cost: What they take.
        budget: What they may take.

    Raises:
        BudgetTooSmall: Not even the question with nothing open fits.
    """
    whole = show(looked.focused)
    if (needed := cost(whole)) <= budget:
        return Fitted(looked, whole, needed)
    ranked = _ranked(looked, whole)
    best: Fitted | None = None
    low, high = 0, len(ranked) - 1  # how many stay open: `low` may fit, more than `high` do not
    while low <= high:
        middle = (low + high + 1) // 2
        closed = _close(looked, ranked[middle:])
        context = show(closed.focused)
        needed = cost(context)
        if needed <= budget:
            best, low = Fitted(closed, context, needed), middle + 1
        else:
            high = middle - 1
    if best is None:
        raise BudgetTooSmall(
            f"the budget is {budget}, the question and what the reader is told around it take {needed}; "
            f"give a budget of {needed} or more"
        )
    return best


def _ranked(looked: Looked, context: Context) -> list[NodeId]:
    """What may be closed, the most fitting first: a block counts for itself, and as a part of its passage."""
    own = dict(zip((entry.id for entry in looked.focused.context), looked.focused.scores.tolist(), strict=True))
    passages = {node: passage for passage in context.passages for node in passage.nodes}
    saving = [e.node for e in looked.focused.context if e.is_expanded and e.cost >= e.n_slots]
    above = [" ".join(passages[node.id].headings) for node in saving]
    alone = relevance(context.question, [node.text for node in saving], above, np.zeros(len(saving)))
    fitting = {node.id: score + passages[node.id].score for node, score in zip(saving, alone.tolist(), strict=True)}
    return sorted(fitting, key=lambda id: (-fitting[id], -own[id], id))


def _close(looked: Looked, ids: list[NodeId]) -> Looked:
    before = looked.focused
    own = dict(zip((entry.id for entry in before.context), before.scores.tolist(), strict=True))
    saved = {id: before.context.by_id[id].n_slots - before.context.by_id[id].cost for id in ids}
    actions = tuple(Action("collapse", id, own[id], saved[id]) for id in ids)
    cut = before.context.apply(actions)
    scores = np.array([own[entry.id] for entry in cut])
    event = TraceEvent(len(looked.trace), own, actions, cut.cost, len(cut), 0.0)
    focused = replace(before, context=cut, scores=scores, steps=before.steps + 1)
    return Looked(focused, Trace((*looked.trace, event)))
