"""The five invariants of a working context, recomputed from scratch: budget, cut, order, positions, family."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import NoReturn

import numpy as np

from mm_megacontext.errors import BrokenInvariant
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.tree.nodes import Moments, Node, NodeId

POSITION_TOLERANCE = 1e-3
"""Patches or timeline units by which a stored mean or spread may differ from that of what it covers."""
POSITION_RELATIVE_TOLERANCE = 1e-12
"""The same relative to the value: float64 rounding of means at timelines of 1e9 and beyond."""


def check(context: WorkingContext, *, deep: bool = False) -> None:
    """Check the five invariants: budget, cut, order, positions and family.

    Args:
        context: Any working context.
        deep: Also read one level below every gist entry, to check its position against what it stands for.

    Raises:
        BrokenInvariant: Names the first that does not hold.
    """
    check_budget(context)
    check_cut(context)
    check_order(context)
    check_family(context)
    check_positions(context, deep=deep)


def check_budget(context: WorkingContext) -> None:
    """The entries cost what the context says, and no more than its capacity."""
    cost = sum(len(entry.node.gist) if entry.leaves is None else len(entry.leaves) for entry in context.entries)
    if cost != context.cost:
        _broken("budget", f"the entries cost {cost}, the context says {context.cost}")
    if cost > context.capacity:
        _broken("budget", f"the entries cost {cost}, the capacity is {context.capacity}")


def check_cut(context: WorkingContext) -> None:
    """Every leaf below the roots is covered by exactly one entry."""
    entries = sorted(context.entries, key=lambda entry: entry.node.first)
    for before, after in pairwise(entries):
        if after.node.first <= before.node.last:
            _broken("cut", f"{_name(before.id)} and {_name(after.id)} cover the same leaves")
    roots = sorted(context.roots, key=lambda node: node.first)
    starts = [root.first for root in roots]
    covered: Counter[NodeId] = Counter()
    for entry in entries:
        at = bisect_right(starts, entry.node.first) - 1
        if at < 0 or entry.node.last > roots[at].last:
            _broken("cut", f"{_name(entry.id)} lies outside the roots")
        covered[roots[at].id] += _n_covered(entry)
    for root in roots:
        if covered[root.id] != root.n_leaves:
            _broken("cut", f"{covered[root.id]} of the {root.n_leaves} leaves below {_name(root.id)} are covered")


def check_order(context: WorkingContext) -> None:
    """Entries ascend by time, then document order."""
    for before, after in pairwise(context.entries):
        if before.node.order >= after.node.order:
            _broken("order", f"{_name(before.id)} stands before {_name(after.id)}, which precedes it in the document")


def check_family(context: WorkingContext) -> None:
    """Every entry is reached once from the roots through opened nodes, and only blocks and tiles are expanded."""
    for entry in context.entries:
        if entry.is_expanded and entry.node.lod != 1:
            _broken("family", f"{_name(entry.id)} has LOD {entry.node.lod}, only LOD 1 expands into leaves")
    reached = [root.id for root in context.roots]
    for node in context.opened.values():
        reached.extend(node.children)
    present = [entry.id for entry in context.entries] + list(context.opened)
    surplus, missing = Counter(present) - Counter(reached), Counter(reached) - Counter(present)
    if surplus or missing:
        _broken(
            "family",
            f"not children of an opened node: {', '.join(map(_name, surplus)) or 'none'}; "
            f"children that are gone: {', '.join(map(_name, missing)) or 'none'}",
        )


def check_positions(context: WorkingContext, *, deep: bool = False) -> None:
    """Means and spreads are those of the covered leaves, followed through everything that is loaded.

    Args:
        context: A context whose family invariant holds.
        deep: Read one level below the gist entries too.
    """
    nodes = {entry.id: entry.node for entry in context.entries} | dict(context.opened)
    for node in context.opened.values():
        _check_moments(node, [nodes[child].moments for child in node.children if nodes[child].n_leaves])
    for entry in context.entries:
        if entry.leaves is not None:
            _check_moments(entry.node, [Moments.of(entry.leaves.mu)])
    if deep:
        _check_one_level_below(context, [entry.node for entry in context.entries if entry.is_expandable])


def _check_one_level_below(context: WorkingContext, nodes: list[Node]) -> None:
    inner = [node for node in nodes if node.lod > 1]
    blocks = [node for node in nodes if node.lod == 1]
    children = iter(context.reader.nodes([child for node in inner for child in node.children]))
    for node in inner:
        family = [next(children) for _ in node.children]
        _check_moments(node, [child.moments for child in family if child.n_leaves])
    for node, leaves in zip(blocks, context.reader.leaves([node.id for node in blocks]), strict=True):
        _check_moments(node, [Moments.of(leaves.mu)])


def _check_moments(node: Node, parts: list[Moments]) -> None:
    if not parts:
        return
    n, mean, variance = Moments.merge(parts)
    if n != node.n_leaves:
        _broken("cut", f"{_name(node.id)} says it has {node.n_leaves} leaves, {n} lie below it")
    for what, got, expected in (("mean", node.mu, mean), ("spread", node.sigma, np.sqrt(variance))):
        if not np.allclose(got, expected, rtol=POSITION_RELATIVE_TOLERANCE, atol=POSITION_TOLERANCE):
            _broken("positions", f"the {what} of {_name(node.id)} is {got}, that of its leaves {expected}")


def _n_covered(entry: Entry) -> int:
    return entry.node.n_leaves if entry.leaves is None else len(entry.leaves)


def _name(id: NodeId) -> str:
    return f"{id.source}:{id.index}"


def _broken(invariant: str, message: str) -> NoReturn:
    raise BrokenInvariant(invariant, message)
