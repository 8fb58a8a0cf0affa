"""Boxes to tick that are drawn and not written: each becomes the sign for a box, ticked or not, beside its words.

Small squares of four rules, apart from each other and from other rules, with words on their line. Whether one is ticked
its picture says: lines, curves, fills and pictures all leave ink in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.form_values import TICKED, UNTICKED, is_inside
from mm_megacontext.layout.engines.protocol import MAX_RULE_PT, RawPage, RawWord

CROSSED = "\u2612"
_EMPTY = frozenset(
    "\u2610\u25a1\u274f\u2750\u2751\u2752\u25fb\u25a2"
)  # boxes that are written, to be ticked by drawing
_MARKS = {**dict.fromkeys("xX\u00d7\u2715\u2716\u2717\u2718", CROSSED), **dict.fromkeys("\u2713\u2714\u221a", TICKED)}
_SIDES = (5.0, 20.0)
_OFF_SQUARE = 0.2  # of a side
_SNAP_PT = 0.8
_APART_PT = 1.0  # what touches is a grid, or a field for one letter after the other
_MAX_RULES = 400  # short ones; pages of more are drawings
_MAX_BOXES = 120
_LABEL_SIDES = 3.0  # between a box and its words, in sides of it
_PIXELS_PER_PT, _MAX_PIXELS = 4.0, 12_000_000
_INNER = 0.14  # of a side: its rules, left out at each edge
_CONTRAST, _LIGHT = 70, 170  # grey levels
_MIN_INK = 0.05  # share of the pixels inside
_CELL_INK = 0.08  # the same of a ninth of it


def with_ticks(page: RawPage) -> RawPage:
    """The page with the boxes that are drawn among its words; fields of a form say themselves what they hold."""
    if page.raster is None or not (page.rules or page.drawings):
        return page
    fields = [field.bbox for field in page.marks.fields]
    drawn = [
        box
        for box in _squares(page.rules)
        if _is_labelled(box, page.words) and not any(is_inside(box, field) for field in fields)
    ]
    written = [word for word in page.words if word.text in _EMPTY and _is_drawn_on(word, page.drawings)]
    if not drawn and not written:
        return page
    look = _Look.at(page)
    words = [_ticked(word, look) if word in written else word for word in page.words]
    line = max((word.line for word in words), default=0)
    for box in drawn:
        inside = [word for word in words if is_inside(word.box, box)]
        sign = _sign(box, inside, look)
        if sign is not None:
            line += 1
            words = [word for word in words if word not in inside]
            words.append(RawWord(*box, sign, box[3] - box[1], False, True, line))
    return replace(page, words=words)


def _squares(rules: Sequence[Box]) -> list[Box]:
    """The small squares that rules make and that nothing touches, the outer one of each two."""
    across = [
        rule for rule in rules if rule[3] - rule[1] <= MAX_RULE_PT and _SIDES[0] <= rule[2] - rule[0] <= _SIDES[1]
    ]
    down = [rule for rule in rules if rule[2] - rule[0] <= MAX_RULE_PT and _SIDES[0] <= rule[3] - rule[1] <= _SIDES[1]]
    if min(len(across), len(down)) < 2 or len(across) + len(down) > _MAX_RULES:
        return []
    found = sorted(set(_closed(across, down)), key=lambda box: box[0] - box[2])
    outer: list[Box] = []
    for box in found:
        if not any(_holds(other, box) for other in outer):
            outer.append(box)
    alone = [box for box in outer if not any(other is not box and _touch(box, other) for other in outer)]
    long = [rule for rule in rules if max(rule[2] - rule[0], rule[3] - rule[1]) > _SIDES[1]]
    alone = [box for box in alone if not any(_touch(box, rule) for rule in long)]
    return alone if len(alone) <= _MAX_BOXES else []


def _closed(across: Sequence[Box], down: Sequence[Box]) -> Iterator[Box]:
    for top, bottom in product(across, across):
        side, height = top[2] - top[0], bottom[1] - top[1]
        is_pair = abs(top[0] - bottom[0]) <= _SNAP_PT and abs(top[2] - bottom[2]) <= _SNAP_PT
        if not is_pair or abs(height - side) > _OFF_SQUARE * side:
            continue
        if all(any(_joins(rule, x, top[1], bottom[3]) for rule in down) for x in (top[0], top[2])):
            yield (top[0], top[1], top[2], bottom[3])


def _joins(rule: Box, x: float, top: float, bottom: float) -> bool:
    is_there = abs((rule[0] + rule[2]) / 2 - x) <= _SNAP_PT + MAX_RULE_PT / 2
    return is_there and abs(rule[1] - top) <= 2 * _SNAP_PT and abs(rule[3] - bottom) <= 2 * _SNAP_PT


def _holds(box: Box, other: Box) -> bool:
    return (
        box[0] - _SNAP_PT <= other[0]
        and box[1] - _SNAP_PT <= other[1]
        and other[2] <= box[2] + _SNAP_PT
        and other[3] <= box[3] + _SNAP_PT
    )


def _touch(box: Box, other: Box) -> bool:
    return (
        other[0] - _APART_PT < box[2]
        and box[0] < other[2] + _APART_PT
        and other[1] - _APART_PT < box[3]
        and box[1] < other[3] + _APART_PT
    )


def _is_labelled(box: Box, words: Sequence[RawWord]) -> bool:
    """Whether words stand beside a box, on its line."""
    reach = _LABEL_SIDES * (box[2] - box[0])
    middle = (box[1] + box[3]) / 2
    beside = (word for word in words if word.y0 <= middle <= word.y1 and not is_inside(word.box, box))
    return any(max(word.x0 - box[2], box[0] - word.x1) <= reach for word in beside)


def _is_drawn_on(word: RawWord, drawings: Sequence[Box]) -> bool:
    return any(is_inside(drawing, word.box) for drawing in drawings)


class _Look(NamedTuple):
    """The page as it looks, in grey."""

    pixels: npt.NDArray[np.uint8]
    scale: float

    @classmethod
    def at(cls, page: RawPage) -> _Look:
        assert page.raster is not None, "the caller has asked"
        scale = min(_PIXELS_PER_PT, (_MAX_PIXELS / (page.size[0] * page.size[1])) ** 0.5)
        return cls(page.raster(scale), scale)

    def inside(self, box: Box) -> _Inside:
        """What stands out from the ground within a box, without its edges."""
        edge = _INNER * (box[2] - box[0])
        x0, y0, x1, y1 = (
            round(self.scale * side) for side in (box[0] + edge, box[1] + edge, box[2] - edge, box[3] - edge)
        )
        inner = self.pixels[max(0, y0) : y1, max(0, x0) : x1].astype(np.int16)
        ground = int(np.percentile(inner, 90)) if inner.size else 0
        return _Inside(ground - inner > _CONTRAST, ground)


class _Inside(NamedTuple):
    """Where ink is within a box, and the grey of the ground."""

    ink: npt.NDArray[np.bool_]
    ground: int

    @property
    def is_marked(self) -> bool:
        return self.ink.size > 0 and float(self.ink.mean()) >= _MIN_INK

    @property
    def sign(self) -> str:
        """A cross leaves ink in the corners and the middle, and less between; all else is a tick."""
        if not self.is_marked:
            return UNTICKED
        cells = [
            [float(cell.mean()) if cell.size else 0.0 for cell in np.array_split(row, 3, axis=1)]
            for row in np.array_split(self.ink, 3)
        ]
        corners = [cells[y][x] for y in (0, 2) for x in (0, 2)]
        between = [cells[0][1], cells[1][0], cells[1][2], cells[2][1]]
        is_cross = min(*corners, cells[1][1]) >= _CELL_INK and sum(between) < 0.6 * sum(corners)
        return CROSSED if is_cross else TICKED


def _sign(box: Box, inside: Sequence[RawWord], look: _Look) -> str | None:
    """The sign for a box; None for what is none: a key of a chart, a field that holds a letter."""
    if inside:
        return _MARKS.get(inside[0].text) if len(inside) == 1 else None
    seen = look.inside(box)
    return None if seen.ground < _LIGHT else seen.sign


def _ticked(word: RawWord, look: _Look) -> RawWord:
    """A box that is written, ticked if something is drawn in it."""
    side, middle = word.x1 - word.x0, (word.y0 + word.y1) / 2
    seen = look.inside((word.x0, middle - side / 2, word.x1, middle + side / 2))
    return word._replace(text=seen.sign) if seen.is_marked else word
