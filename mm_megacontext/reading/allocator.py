"""The focus allocator: turns scores into legal expand and collapse actions within the capacity.

What an entry is worth is its score. What an opened node is worth is its best entry: once a node has been looked
into, what was found there counts, no longer the guess from outside — also after it was collapsed again. Budget only
ever goes from families to candidates that are worth strictly more. Sorted by worth, the opened nodes therefore ascend
lexicographically until something new is seen, and as there are finitely many nodes, constant scores end in a fixed
point: a cut can only come back when the allocator knows more than it did.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.survey import Family, Survey, Worth, cover, freed
from mm_megacontext.reading.trace import TraceEvent
from mm_megacontext.reading.working_context import Action, Entry, WorkingContext, family_below
from mm_megacontext.tree.nodes import NodeId

Scores = npt.NDArray[np.floating] | Sequence[float]
ScoreFn = Callable[[WorkingContext], Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusConfig:
    """How focus moves.

    Attributes:
        max_steps: Rounds of scoring and acting.
        actions_per_step: Actions between two scorings; at least 2, for paying takes a collapse and an expand.
        expand_threshold: Only entries worth more than this are expanded.
        collapse_threshold: Opened nodes worth less than this are collapsed even where nobody needs their budget;
            None leaves them open until somebody does.
        hysteresis: How much more a candidate must be worth than what is given up for it. It protects what has been
            read to the end; a path that itself waits for budget gives way to any better one, lest several equally
            good paths block each other half-way. A collapsed node whose score moves by more than this is a guess again.
        cooldown: What an action made is not reversed in this many steps.
    """

    max_steps: int = 24
    actions_per_step: int = 16
    expand_threshold: float = 0.0
    collapse_threshold: float | None = None
    hysteresis: float = 0.1
    cooldown: int = 1

    def __post_init__(self) -> None:
        for name, least in (("max_steps", 1), ("actions_per_step", 2), ("cooldown", 0), ("hysteresis", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.collapse_threshold is not None and not self.collapse_threshold <= self.expand_threshold:
            raise ValueError(
                f"collapse_threshold must not exceed expand_threshold, got {self.collapse_threshold} and "
                f"{self.expand_threshold}: what is collapsed would be expanded again"
            )


class _Known(NamedTuple):
    """What was found below a node that is collapsed again.

    Attributes:
        score: Its own score when it was opened; NaN if others had opened it, until it is scored.
        worth: What it held.
    """

    score: float
    worth: Worth


@dataclass(slots=True)
class _Plan:
    """The actions of one step while they are being chosen."""

    slack: int
    collapses: dict[NodeId, Family] = field(default_factory=dict)
    expands: dict[NodeId, Entry] = field(default_factory=dict)

    @property
    def n_actions(self) -> int:
        return len(self.collapses) + len(self.expands)


class FocusAllocator:
    """Chooses the actions of one step after another; remembers what it has seen, so use one per question.

    Args:
        config: How focus moves.
    """

    def __init__(self, config: FocusConfig | None = None) -> None:
        self.config = config or FocusConfig()
        self._step = 0
        self._last_action = -math.inf
        self._opened_at: dict[NodeId, float] = {}
        self._closed_at: dict[NodeId, float] = {}
        self._score_when_opened: dict[NodeId, float] = {}
        self._known: dict[NodeId, _Known] = {}

    @property
    def is_cooling(self) -> bool:
        """Whether the cooldown of some action may have stood in the way of the last decision."""
        return self._step - self._last_action <= self.config.cooldown

    def decide(self, context: WorkingContext, scores: Scores) -> list[Action]:
        """The actions of this step, collapses first: legal in this order, and within the capacity after each.

        Args:
            context: The working context.
            scores: One finite score per entry, in order: above 0 for "look closer"; for an expanded entry, how
                much it deserves to stay.

        Returns:
            Actions for ``context.apply``; empty if nothing legal is worth doing now.

        Raises:
            ValueError: The scores are not one finite number per entry.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(context),) or not np.isfinite(values).all():
            raise ValueError(f"need {len(context)} finite scores, one per entry; got {values} of shape {values.shape}")
        self._step += 1
        own = {entry.node.id: score for entry, score in zip(context.entries, values.tolist(), strict=True)}
        survey = Survey(context, lambda entry: self._worth(entry, own[entry.node.id]), self._opened_at)
        candidates = self._candidates(context, own)
        plan = _Plan(context.slack)
        self._plan_pruning(survey, plan)
        self._plan_expansions(candidates, survey, plan)
        self._remember(context, survey, plan, own)
        return [
            Action("collapse", family.id, family.worth.value, -family.freed) for family in plan.collapses.values()
        ] + [
            Action("expand", entry.id, worth.value, entry.expansion_cost)
            for worth, entry in candidates
            if entry.id in plan.expands
        ]

    def _candidates(self, context: WorkingContext, own: Mapping[NodeId, float]) -> list[tuple[Worth, Entry]]:
        """Entries that ask to be expanded, the worthiest first."""
        may_ask = [
            entry
            for entry in context.entries
            if entry.leaves is None
            and (own[entry.node.id] > self.config.expand_threshold or entry.node.id in self._known)
        ]
        ranked = [(self._worth(entry, own[entry.node.id]), entry) for entry in may_ask]
        return sorted([pair for pair in ranked if pair[0].is_waiting], key=itemgetter(0), reverse=True)

    def _worth(self, entry: Entry, score: float) -> Worth:
        node = entry.node
        known = None if entry.is_expanded else self._known.get(node.id)
        if known is not None and math.isnan(known.score):
            self._known[node.id] = known = _Known(score, known.worth)
        if known is not None and abs(known.score - score) <= self.config.hysteresis:
            value, earliness, _ = known.worth
        else:
            value, earliness = score, (-node.t_span[0], -node.first.source, -node.first.index)
        return Worth(value, earliness, value > self.config.expand_threshold and entry.is_expandable)

    def _plan_pruning(self, survey: Survey, plan: _Plan) -> None:
        threshold = self.config.collapse_threshold
        if threshold is None:
            return
        for family in reversed(survey.families):  # outer ones first
            if plan.n_actions == self.config.actions_per_step:
                return
            if family.worth.value >= threshold or family.freed < 0 or self._is_recent(family.newest):
                continue
            if not survey.is_within(family.id, plan.collapses):
                plan.collapses[family.id] = family
                plan.slack += family.freed

    def _plan_expansions(self, candidates: Sequence[tuple[Worth, Entry]], survey: Survey, plan: _Plan) -> None:
        hopeless = math.inf  # a candidate of less worth has less to be paid with: a need that failed fails again
        for worth, entry in candidates:
            room = self.config.actions_per_step - plan.n_actions
            if room == 0:
                return
            need = entry.expansion_cost - plan.slack
            if need >= hopeless or self._is_recent(self._closed_at.get(entry.id, -math.inf)):
                continue
            if survey.is_within(entry.id, plan.collapses):
                continue
            if need > 0 and not self._pay(survey, plan, need, worth, room - 1):
                hopeless = need
                continue
            plan.expands[entry.id] = entry
            plan.slack -= entry.expansion_cost

    def _pay(self, survey: Survey, plan: _Plan, need: int, bar: Worth, room: int) -> bool:
        """Add at most ``room`` collapses of what is worth less than ``bar`` to the plan, to free ``need``; or none."""
        payable = [family for family in survey.families if self._may_pay(family, bar)]
        for order in (payable, sorted(payable, key=lambda family: -family.freed)):
            chosen = cover(survey, plan.collapses, order, need)
            if chosen is None:
                return False
            if len(chosen) - len(plan.collapses) <= room:
                plan.slack += freed(chosen) - freed(plan.collapses)
                plan.collapses = chosen
                return True
        return False

    def _may_pay(self, family: Family, bar: Worth) -> bool:
        if not family.worth < bar or self._is_recent(family.newest):
            return False
        return family.worth.is_waiting or family.worth.value + self.config.hysteresis < bar.value

    def _is_recent(self, step: float) -> bool:
        return self._step - step <= self.config.cooldown

    def _remember(self, context: WorkingContext, survey: Survey, plan: _Plan, own: Mapping[NodeId, float]) -> None:
        if plan.n_actions:
            self._last_action = self._step
        for id in plan.collapses:
            inner, covered = family_below(id, context.opened, context.by_id)
            for below in inner + [entry for entry in covered if context.by_id[entry].is_expanded]:
                self._known[below] = _Known(self._score_when_opened.get(below, math.nan), survey.worths[below])
            self._closed_at[id] = self._step
        for id in plan.expands:
            self._score_when_opened[id] = own[id]
            self._opened_at[id] = self._step


@dataclass(frozen=True, slots=True, eq=False)
class Focused:
    """Where focus ended.

    Attributes:
        context: The final working context.
        scores: Its scores, one per entry.
        steps: How often actions were applied.
        is_settled: Whether nothing legal was worth doing any more, or else the steps ran out.
    """

    context: WorkingContext
    scores: npt.NDArray[np.float64]
    steps: int
    is_settled: bool


def focus(
    context: WorkingContext,
    score_fn: ScoreFn,
    config: FocusConfig | None = None,
    on_step: Callable[[TraceEvent], None] | None = None,
) -> Focused:
    """Score and act until nothing legal is worth doing, or the steps run out.

    Args:
        context: Where to begin.
        score_fn: Gives one score per entry of a context; called once per context, for the final one too.
        config: How focus moves.
        on_step: Called after every step with what was seen and done; the last one, without actions, has the scores of
            the final context.
    """
    config = config or FocusConfig()
    allocator = FocusAllocator(config)
    for step in range(config.max_steps + 1):
        begun = time.perf_counter()
        scores = np.asarray(score_fn(context), dtype=np.float64)
        actions = _next_actions(allocator, context, scores) if step < config.max_steps else []
        after = context.apply(actions)
        if on_step is not None:
            own = {entry.id: score for entry, score in zip(context, scores.tolist(), strict=True)}
            on_step(TraceEvent(step, own, tuple(actions), after.cost, len(after), time.perf_counter() - begun))
        if not actions:
            break
        context = after
    return Focused(context, scores, step, step < config.max_steps)


def _next_actions(allocator: FocusAllocator, context: WorkingContext, scores: npt.NDArray[np.float64]) -> list[Action]:
    """What to do now; with nothing but a cooldown in the way, it is waited for, as the scores would be the same."""
    actions = allocator.decide(context, scores)
    while not actions and allocator.is_cooling:
        actions = allocator.decide(context, scores)
    return actions
