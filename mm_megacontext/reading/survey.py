"""What entries and families are worth, and which families to give up for something better."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.tree.nodes import Node, NodeId


class Worth(NamedTuple):
    """What an entry is worth; of a family, what its best entry is.

    Attributes:
        value: On the scale of scores.
        earliness: Reading order negated; tells equal values apart, so that no two paths tie.
        is_waiting: Whether the entry is a gist that asks to be expanded: its path has not been read to the end.
    """

    value: float
    earliness: tuple[float, int, int]
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class Family:
    """Something that can be collapsed: an opened node, or an expanded block or tile.

    Attributes:
        worth: That of its best entry.
        freed: Cost that its collapse frees.
        newest: The last step that opened it or something in it.
    """

    id: NodeId
    worth: Worth
    freed: int
    newest: float


class Survey:
    """A working context seen by worth; worked out when first asked for, as most steps give nothing up.

    Args:
        context: What is surveyed.
        worth_of: What an entry is worth.
        opened_at: The step in which nodes were expanded, where known.
    """

    def __init__(
        self, context: WorkingContext, worth_of: Callable[[Entry], Worth], opened_at: Mapping[NodeId, float]
    ) -> None:
        self._context, self._worth_of, self._opened_at = context, worth_of, opened_at

    @cached_property
    def worths(self) -> dict[NodeId, Worth]:
        """Of every entry and opened node."""
        worths = {entry.node.id: self._worth_of(entry) for entry in self._context.entries}
        for id, node in self._upwards():
            worths[id] = max([worths[child] for child in node.children])
        return worths

    @cached_property
    def families(self) -> list[Family]:
        """Ascending by worth, inner ones before outer ones."""
        families = []
        costs: dict[NodeId, int] = {}
        newest: dict[NodeId, float] = {}
        for entry in self._context.entries:
            id = entry.node.id
            costs[id] = entry.cost
            newest[id] = self._opened_at.get(id, -math.inf) if entry.is_expanded else -math.inf
            if entry.is_expanded:
                families.append(Family(id, self.worths[id], costs[id] - entry.n_slots, newest[id]))
        for id, node in self._upwards():
            costs[id] = sum([costs[child] for child in node.children])
            newest[id] = max(self._opened_at.get(id, -math.inf), max([newest[child] for child in node.children]))
            families.append(Family(id, self.worths[id], costs[id] - len(node.gist), newest[id]))
        families.sort(key=attrgetter("worth"))  # stable: of equals, the inner one stays before the outer one
        return families

    @cached_property
    def parents(self) -> dict[NodeId, NodeId]:
        """The opened node above every entry and opened node but the roots."""
        return {child: node.id for node in self._context.opened.values() for child in node.children}

    def _upwards(self) -> Iterator[tuple[NodeId, Node]]:
        """Opened nodes, children before parents."""
        opened = self._context.opened
        return ((id, opened[id]) for id in reversed(tuple(opened)))

    def is_within(self, id: NodeId, outer: Collection[NodeId]) -> bool:
        """Whether ``id`` is one of ``outer`` or lies below one."""
        if not outer:
            return False
        return any(at in outer for at in self.lineage(id))

    def lineage(self, id: NodeId) -> Iterator[NodeId]:
        """``id`` and the opened nodes above it."""
        at: NodeId | None = id
        while at is not None:
            yield at
            at = self.parents.get(at)


def freed(collapses: Mapping[NodeId, Family]) -> int:
    """Cost that collapses free together."""
    return sum(family.freed for family in collapses.values())


def cover(
    survey: Survey, committed: Mapping[NodeId, Family], order: Sequence[Family], need: int
) -> dict[NodeId, Family] | None:
    """The committed collapses and the first of ``order`` that free ``need`` more; None if all together do not."""
    chosen = dict(committed)
    above = {outer for id in chosen for outer in survey.lineage(id)}
    gained = 0
    for family in order:
        if survey.is_within(family.id, chosen):
            continue
        inner = [id for id in chosen if survey.is_within(id, (family.id,))] if family.id in above else []
        gain = family.freed - sum(chosen[id].freed for id in inner)
        if gain <= 0:
            continue
        for id in inner:
            del chosen[id]
        chosen[family.id] = family
        above.update(survey.lineage(family.id))
        gained += gain
        if gained >= need:
            return _without_surplus(survey, committed, chosen, gained - need)
    return None


def _without_surplus(
    survey: Survey, committed: Mapping[NodeId, Family], chosen: dict[NodeId, Family], surplus: int
) -> dict[NodeId, Family]:
    """Spare the worthiest of what was chosen beyond the need."""
    fixed = {outer for id in committed for outer in survey.lineage(id)}
    for family in sorted(chosen.values(), key=lambda family: family.worth, reverse=True):
        if family.id not in fixed and family.freed <= surplus:
            surplus -= family.freed
            del chosen[family.id]
    return chosen
