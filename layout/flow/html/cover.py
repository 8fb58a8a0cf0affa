"""Texts that something else may stand on: elements placed over others, drawn up over what is before them, or behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tinycss2

from mm_megacontext.layout.flow.html.css_cascade import Declared, is_image
from mm_megacontext.layout.flow.html.css_values import (
    BLACK,
    VIEW_HEIGHT,
    VIEW_WIDTH,
    Color,
    Unclear,
    color,
    keyword,
    length,
)
from mm_megacontext.layout.flow.html.look import Look
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.html.transform import transform_of

_EDGE_PX = 12.0
_WIDE_PX, _HIGH_PX = 60.0, 8.0
_WHOLE = 0.9
_UP_PX = 12.0  # by which something is drawn up over what is before it
_SOLID = ("img", "svg", "canvas", "video", "iframe", "object", "embed")


@dataclass(frozen=True, slots=True)
class Shown:
    """An element's look, and what is set for it."""

    look: Look
    declared: Declared

    @property
    def position(self) -> str:
        return keyword(self.declared.get("position")) or "static"

    @property
    def z(self) -> int | None:
        value = self.declared.get("z-index")
        return int(value[0].value) if value and value[0].type == "number" else None

    @property
    def is_placed(self) -> bool:
        """Whether it is drawn over what is not."""
        return self.position != "static" or any(name in self.declared for name in ("transform", "opacity", "filter"))


def covered(root: Element, shown: Mapping[Any, Shown]) -> set[Any]:
    """The elements whose text may be covered."""
    found: set[Any] = set()
    for element, one in shown.items():
        if one.z is not None and one.z < 0 and one.position != "static":
            if _is_behind(element, shown):
                found.update(element.iter())
        elif _is_solid(element, one):
            if one.position in ("absolute", "fixed"):
                found.update(_under(root, element, one, shown))
            elif one.is_placed:
                found.update(_before(element, one, shown))
            if "grid-area" in one.declared or "grid-row" in one.declared:
                found.update(_in_the_same_area(element, one, shown))
    return {element for element in found if isinstance(element.tag, str)}


def _is_solid(element: Element, one: Shown) -> bool:
    """Whether nothing is seen through an element."""
    if one.look.gone is not None or not one.look.visible or one.look.opacity < _WHOLE:
        return False
    return element.tag in _SOLID or _has_paper(one)


def _has_paper(one: Shown) -> bool:
    if any(is_image(t) for t in one.declared.get("background-image", ())):
        return True
    value = one.declared.get("background-color")
    try:
        found = color(value[0], Color(BLACK)) if value else None
    except Unclear:
        return True
    return found is not None and found.alpha >= _WHOLE


def _is_behind(element: Element, shown: Mapping[Any, Shown]) -> bool:
    """Whether something around an element that is put behind it hides it."""
    for around in element.iterancestors():
        one = shown.get(around)
        if around.tag in ("body", "html") or (one is not None and one.z is not None and one.position != "static"):
            return False
        if one is not None and any(name in one.declared for name in ("transform", "opacity", "filter")):
            return False
        if one is not None and _has_paper(one):
            return True
    return False


def _under(root: Element, element: Element, one: Shown, shown: Mapping[Any, Shown]) -> Iterator[Any]:
    """What is in the frame of an element that is placed over it."""
    covers_width, is_wide = _reach(one.declared, ("left", "right", "width"), VIEW_WIDTH, _WIDE_PX)
    covers_height, is_high = _reach(one.declared, ("top", "bottom", "height"), VIEW_HEIGHT, _HIGH_PX)
    if not (is_wide and is_high):
        return
    frame = root if one.position == "fixed" else _frame(root, element, shown)
    own = set(element.iter())
    is_after = False
    for other in frame.iter():
        if other is element:
            is_after = True
            if not (covers_width and covers_height):
                return  # of a bar at the edge only what is written before it may be under it
        if other not in own and not _is_above(other, frame, one.z or 0, shown, is_after=is_after):
            yield other


def _frame(root: Element, element: Element, shown: Mapping[Any, Shown]) -> Element:
    for around in element.iterancestors():
        one = shown.get(around)
        if one is not None and (one.position != "static" or "transform" in one.declared):
            return around
    return root


def _is_above(other: Element, frame: Element, z: int, shown: Mapping[Any, Shown], *, is_after: bool) -> bool:
    while other is not None and other is not frame:
        one = shown.get(other)
        if one is not None and one.position != "static":
            own = one.z or 0
            if own > z or (own == z and is_after):
                return True
        other = other.getparent()
    return False


def _reach(declared: Declared, names: tuple[str, str, str], whole: float, enough: float) -> tuple[bool, bool]:
    """Whether an element covers its frame from one end to the other, and whether it covers its beginning."""
    start, end, size = (_length(declared, name, whole) for name in names)
    starts = start is not None and -whole < start <= _EDGE_PX
    ends = end is not None and end <= _EDGE_PX
    if (starts and ends) or (size is not None and size >= _WHOLE * whole and (starts or ends or start is None)):
        return True, True
    return False, starts and (size is None or size >= enough)


def _before(element: Element, one: Shown, shown: Mapping[Any, Shown]) -> Iterator[Any]:
    """What stands before an element that is drawn up over it."""
    up = -min(0.0, _length(one.declared, "margin-top", VIEW_WIDTH) or 0.0)
    if one.position == "relative":
        up -= min(0.0, _length(one.declared, "top", VIEW_HEIGHT) or 0.0)
        up += max(0.0, _length(one.declared, "bottom", VIEW_HEIGHT) or 0.0)
    try:
        up -= min(0.0, transform_of(one.declared, one.look.font_px).y)
    except Unclear:
        return
    before = element.getprevious()
    if up < _UP_PX or before is None:
        return
    other = shown.get(before)
    room = 0.0
    if other is not None:
        if (other.z or 0) > (one.z or 0):
            return
        room = max(
            _length(other.declared, name, VIEW_HEIGHT) or 0.0 for name in ("padding-bottom", "height", "min-height")
        )
    if room < up:
        yield from before.iter()


def _in_the_same_area(element: Element, one: Shown, shown: Mapping[Any, Shown]) -> Iterator[Any]:
    """What stands in the same field of a grid, before."""
    for before in element.itersiblings(preceding=True):
        other = shown.get(before)
        if other is not None and _area(other) == _area(one) and (other.z or 0) <= (one.z or 0):
            yield from before.iter()


def _area(one: Shown) -> tuple[str, ...]:
    names: Iterable[str] = ("grid-area", "grid-row", "grid-column")
    return tuple(tinycss2.serialize(one.declared.get(name, ())) for name in names)


def _length(declared: Declared, name: str, whole: float) -> float | None:
    value = declared.get(name)
    try:
        return length(value[0], 16.0, whole) if value and value[0].type != "ident" else None
    except Unclear:
        return None
