"""Fits what focus opened into the budget of a text reader, which counts what it is shown in units of its own.

What was opened last is closed again until the rest fits, so what a smaller budget shows, a larger one shows too. The
cut stays a cut: what is closed becomes a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mm_megacontext.errors import BudgetTooSmall
from mm_megacontext.passages.context import Context
from mm_megacontext.reading.allocator import Focused
from mm_megacontext.reading.runtime import Looked
from mm_megacontext.reading.trace import Trace, TraceEvent
from mm_megacontext.reading.working_context import Action
from mm_megacontext.tree.nodes import NodeId

LEAVES_PER_TOKEN = 1.5
"""How many leaves focus may open for each token of a text reader: the leaves of ``mmctx-tiny`` are shorter than the
tokens of large vocabularies. What is too much is closed again."""

GUESSES = 3
"""Times that it is guessed how much fits, as all blocks cost about the same, before what is left is halved."""
FULL = 0.98
"""Share of the budget from which it counts as used: to render a large context once more takes seconds."""


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
    """Close what was opened last until the rest fits the budget.

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
    opened = _in_order_of_opening(looked)
    best: Fitted | None = None
    low, high = 0, len(opened) - 1  # how many stay open: `low` may fit, more than `high` do not
    n_open, tries = len(opened), 0
    while low <= high:
        guess = n_open * budget // needed if tries < GUESSES else (low + high + 1) // 2
        n_open, tries = min(max(guess, low), high), tries + 1
        closed = _close(looked, opened[n_open:])
        context = show(closed.focused)
        needed = cost(context)
        if needed <= budget:
            best, low = Fitted(closed, context, needed), n_open + 1
            if needed >= FULL * budget:
                break
        else:
            high = n_open - 1
    if best is None:
        raise BudgetTooSmall(
            f"the budget is {budget}, the question and what the reader is told around it take {needed}; "
            f"give a budget of {needed} or more"
        )
    return best


def _in_order_of_opening(looked: Looked) -> list[NodeId]:
    """What may be closed, by when it was opened; tiles whose gists take more than their leaves stay."""
    by_id = looked.focused.context.by_id
    sharp = [id for id, entry in sorted(by_id.items()) if entry.is_expanded and entry.cost >= entry.n_slots]
    steps = [action.id for action in looked.trace.actions if action.kind == "expand"]
    at = {id: step for step, id in enumerate(steps)}
    return sorted(sharp, key=lambda id: at.get(id, -1))


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
