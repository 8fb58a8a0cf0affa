"""Ruling lines: those on one line made one, groups of those that meet, and the frame that a group leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box

SNAP_PT = 3.0
"""Rulings closer than this are one."""
MAX_RULES = 1_500
"""Pages with more are drawings."""

_MIN_RULE_PT = 6.0
_MIN_SHARED = 3  # rules that end together, for the table to end there without a rule

Rule = tuple[float, float, float]
"""Position across, start and end along."""


def rules_across(boxes: Sequence[Box]) -> list[Rule]:
    """The horizontal rules, as (y, x0, x1)."""
    return _merged([((b[1] + b[3]) / 2, b[0], b[2]) for b in boxes if _is_across(b)])


def rules_down(boxes: Sequence[Box]) -> list[Rule]:
    """The vertical rules, as (x, y0, y1)."""
    return _merged([((b[0] + b[2]) / 2, b[1], b[3]) for b in boxes if _is_down(b)])


def _is_across(box: Box) -> bool:
    return box[2] - box[0] >= _MIN_RULE_PT and box[2] - box[0] > 2 * (box[3] - box[1])


def _is_down(box: Box) -> bool:
    return box[3] - box[1] >= _MIN_RULE_PT and box[3] - box[1] > 2 * (box[2] - box[0])


def _merged(rules: list[Rule]) -> list[Rule]:
    """Rules with those on one line, touching or overlapping, made one."""
    if len(rules) > 4 * MAX_RULES:
        return []
    merged: list[Rule] = []
    on_line: list[Rule] = []
    for rule in [*sorted(rules), (float("inf"), 0.0, 0.0)]:
        if on_line and rule[0] - on_line[0][0] > SNAP_PT:
            merged += _merged_spans(on_line)
            on_line = []
        on_line.append(rule)
    return merged


def _merged_spans(rules: list[Rule]) -> list[Rule]:
    """Rules on one line as few rules that do not touch."""
    at = fmean(rule[0] for rule in rules)
    merged: list[Rule] = []
    for _, start, end in sorted(rules, key=lambda rule: rule[1]):
        if merged and start <= merged[-1][2] + SNAP_PT:
            merged[-1] = (at, merged[-1][1], max(merged[-1][2], end))
        else:
            merged.append((at, start, end))
    return merged


def connected(across: list[Rule], down: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Groups of rules that meet, as (across, down)."""
    h, v = np.array(across), np.array(down)
    meet = (
        (h[:, None, 0] >= v[None, :, 1] - SNAP_PT)
        & (h[:, None, 0] <= v[None, :, 2] + SNAP_PT)
        & (v[None, :, 0] >= h[:, None, 1] - SNAP_PT)
        & (v[None, :, 0] <= h[:, None, 2] + SNAP_PT)
    )
    groups = []
    h_left = set(np.flatnonzero(meet.any(axis=1)).tolist())
    while h_left:
        h_in, fresh = set[int](), {h_left.pop()}
        v_in: set[int] = set()
        while fresh:
            h_in |= fresh
            v_in = set(np.flatnonzero(meet[sorted(h_in)].any(axis=0)).tolist())
            fresh = set(np.flatnonzero(meet[:, sorted(v_in)].any(axis=1)).tolist()) - h_in
        h_left -= h_in
        groups.append(([across[k] for k in sorted(h_in)], [down[k] for k in sorted(v_in)]))
    return groups


def framed(rules: list[Rule], others: list[Rule]) -> list[Rule]:
    """The rules, and one where ``others``, at right angles to them, go on beyond the outermost and end together."""
    start, end = min(rule[1] for rule in others), max(rule[2] for rule in others)
    along = (min(rule[0] for rule in others), max(rule[0] for rule in others))
    n_start = sum(rule[1] - start <= SNAP_PT for rule in others)
    n_end = sum(end - rule[2] <= SNAP_PT for rule in others)
    first, last = min(rule[0] for rule in rules), max(rule[0] for rule in rules)
    found = list(rules)
    if first - start > _MIN_RULE_PT and n_start >= _MIN_SHARED:
        found.append((start, *along))
    if end - last > _MIN_RULE_PT and n_end >= _MIN_SHARED:
        found.append((end, *along))
    return found


def positions(rules: list[Rule]) -> list[float]:
    """Distinct positions of rules."""
    found: list[float] = []
    for at, _, _ in sorted(rules):
        if not found or at - found[-1] > SNAP_PT:
            found.append(at)
    return found


def drawn(rules: list[Rule], at: list[float], along: list[float]) -> npt.NDArray[np.bool_]:
    """Whether a rule is drawn at each position ``at`` over each interval of ``along``."""
    found = np.zeros((len(at), len(along) - 1), dtype=np.bool_)
    middles = (np.array(along[1:]) + np.array(along[:-1])) / 2
    for position, start, end in rules:
        nearest = int(np.argmin(np.abs(np.array(at) - position)))
        found[nearest] |= (middles >= start) & (middles <= end)
    return found
