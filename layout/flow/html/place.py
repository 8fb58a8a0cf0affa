"""Where an element is moved to, and what is cut away of it, without setting the page: from its own lengths alone.

Where it would stand without being moved counts as the left edge of the page. All in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from mm_megacontext.document import HiddenReason
from mm_megacontext.layout.flow.html.css_cascade import Declared
from mm_megacontext.layout.flow.html.css_values import (
    VIEW_HEIGHT,
    VIEW_WIDTH,
    Unclear,
    keyword,
    length,
    significant,
    split_at_commas,
)

_FAR = 900.0
"""Left of or above the page, out of sight whatever is written there."""
_NEAR = 100.0
"""So far nothing is moved but to be tidy."""
_FAR_RIGHT = 2 * VIEW_WIDTH
_FAR_DOWN = 30_000.0
_HIDES = ("hidden", "clip", "auto", "scroll", "overlay")
_TINY = 1.0
_SMALL = 6.0
_PADDED = 8.0  # room enough for text, beside that of the element itself


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element is.

    Attributes:
        x, y: How far it is moved.
        frame_x, frame_y: Where its children count from that are placed absolutely.
        indent: Of its first line.
        right, bottom: Where what is around it is cut off.
        is_fixed: Whether it stays in the window, which cannot be scrolled to it.
        is_cut: Whether what sticks out of what is around it to the right is cut off.
        doubt: Whether nobody can say where it is.
    """

    x: float = 0.0
    y: float = 0.0
    frame_x: float = 0.0
    frame_y: float = 0.0
    indent: float = 0.0
    right: float = math.inf
    bottom: float = math.inf
    is_fixed: bool = False
    is_cut: bool = False
    doubt: bool = False
    is_placed: bool = False

    @property
    def out_of_sight(self) -> HiddenReason | None:
        """Why it is not seen where it is."""
        left = self.x + self.indent
        if left <= -_FAR or self.x <= -_FAR or self.y <= -_FAR:
            return "outside the page"
        if left >= _FAR_RIGHT or self.y >= _FAR_DOWN or (self.is_cut and self.indent >= VIEW_WIDTH - 1):
            return "outside the page"
        if self.is_fixed and (self.y >= VIEW_HEIGHT or self.x >= VIEW_WIDTH):
            return "outside the page"
        if self.x >= self.right or self.y >= self.bottom:
            return "not displayed"
        if left <= -_NEAR or (self.is_placed and self.y <= -_NEAR / 2) or left >= VIEW_WIDTH:
            return "visibility_unsure"
        return None


def moved(
    parent: Place, declared: Declared, font_px: float, by_transform: tuple[float, float], *, is_inline: bool
) -> Place:
    """Where an element is in its parent. Raises Unclear."""
    position = keyword(declared.get("position")) or "static"
    x, y, is_fixed = parent.x, parent.y, parent.is_fixed
    is_placed = parent.is_placed
    doubt = parent.doubt
    left, right = (_side(declared, name, font_px, VIEW_WIDTH) for name in ("left", "right"))
    top, bottom = (_side(declared, name, font_px, VIEW_HEIGHT) for name in ("top", "bottom"))
    if position in ("absolute", "fixed", "-webkit-fixed"):
        is_fixed = is_fixed or position != "absolute"
        frame_x, frame_y = (parent.frame_x, parent.frame_y) if position == "absolute" else (0.0, 0.0)
        if left is not None:
            x = frame_x + left
        elif right is not None:
            x = _from_end(frame_x, right, VIEW_WIDTH)
        if top is not None:
            y, is_placed = frame_y + top, True
        elif bottom is not None:
            y, is_placed = _from_end(frame_y, bottom, VIEW_HEIGHT), True
    elif position in ("relative", "sticky") and position != "sticky":
        x += left if left is not None else -(right or 0.0)
        y += top if top is not None else -(bottom or 0.0)
    margin_left = _side(declared, "margin-left", font_px, VIEW_WIDTH) or 0.0
    is_floating = keyword(declared.get("float")) in ("left", "right")
    if is_floating and margin_left <= -0.5 * VIEW_WIDTH:
        doubt = True  # how columns were made once
        margin_left = 0.0
    x += margin_left + (_side(declared, "padding-left", font_px, VIEW_WIDTH) or 0.0)
    if not is_inline:
        y += _side(declared, "margin-top", font_px, VIEW_WIDTH) or 0.0
    x, y = x + by_transform[0], y + by_transform[1]
    indent = parent.indent
    if value := declared.get("text-indent"):
        indent = length(value[0], font_px, VIEW_WIDTH) or 0.0
    place = replace(parent, x=x, y=y, indent=indent, is_fixed=is_fixed, doubt=doubt, is_placed=is_placed)
    if position != "static" or by_transform != (0.0, 0.0):
        place = replace(place, frame_x=x, frame_y=y)
    return place if is_inline else _cut(place, parent, declared, font_px)


def _from_end(frame: float, distance: float, whole: float) -> float:
    """The start of what ends ``distance`` before the end of a frame."""
    if distance <= -0.1 * whole or distance >= whole:
        return frame + whole - distance  # it sticks out, wherever the frame ends
    return frame


def _cut(place: Place, parent: Place, declared: Declared, font_px: float) -> Place:
    """The same where the element cuts off what sticks out of it."""
    right, bottom, is_cut = parent.right, parent.bottom, parent.is_cut
    if keyword(declared.get("overflow-x")) in ("hidden", "clip"):
        is_cut = True
        width = _room(declared, "width", font_px)
        right = min(right, place.x + width) if width is not None and width > 0 else right
    if keyword(declared.get("overflow-y")) in ("hidden", "clip"):
        height = _room(declared, "height", font_px)
        if height is not None and height > 0:
            bottom = min(bottom, place.y + height + (_side(declared, "padding-top", font_px, None) or 0.0))
    return replace(place, right=right, bottom=bottom, is_cut=is_cut)


def _side(declared: Declared, name: str, font_px: float, whole: float | None) -> float | None:
    value = declared.get(name)
    if not value or value[0].type == "ident":
        return None
    found = length(value[0], font_px, whole)
    return None if value[0].type == "number" and found != 0 else found


def is_without_room(declared: Declared, font_px: float) -> bool:
    """Whether an element has no room and nothing may stick out. Raises Unclear where it has hardly any."""
    for axis, sides, _whole in (("x", ("left", "right"), VIEW_WIDTH), ("y", ("top", "bottom"), None)):
        if keyword(declared.get(f"overflow-{axis}")) not in _HIDES:
            other = keyword(declared.get("overflow-y" if axis == "x" else "overflow-x"))
            if other not in _HIDES or other == "clip":  # one axis that hides makes the other one scroll
                continue
        side = "width" if axis == "x" else "height"
        room = _room(declared, side, font_px)
        if axis == "y" and room is None and (value := declared.get("line-height")):
            line = length(value[0], font_px, font_px) if value[0].type != "ident" else None
            if line is not None:
                line = line * font_px if value[0].type == "number" else line
                room = line if line < 0.3 * font_px else None
        if room is None:
            continue
        padding = sum(_side(declared, f"padding-{name}", font_px, VIEW_WIDTH) or 0.0 for name in sides)
        if room <= _TINY and padding < _PADDED:
            return True
        if room + padding < _SMALL:
            raise Unclear("hardly any room")
    if keyword(declared.get("contain")) in ("strict", "size") and keyword(declared.get("overflow-y")) in _HIDES:
        return _room(declared, "height", font_px) is None
    return False


def _room(declared: Declared, side: str, font_px: float) -> float | None:
    """The width or height that an element may have at most; None where it takes what it needs."""
    whole = VIEW_WIDTH if side == "width" else None
    found = []
    for name in (side, f"max-{side}"):
        value = declared.get(name)
        if not value or value[0].type == "ident":
            continue
        if value[0].type == "percentage" and whole is None:
            if value[0].value == 0 and side == "height" and name == "height":
                found.append(0.0)
            continue
        size = length(value[0], font_px, whole)
        if size is not None and not (value[0].type == "number" and size != 0):
            found.append(size)
    least = declared.get(f"min-{side}")
    least_px = length(least[0], font_px, whole or 0.0) if least and least[0].type != "ident" else None
    if not found:
        return None
    return max(min(found), least_px or 0.0)


def is_cut_away(declared: Declared, font_px: float) -> bool:
    """Whether a clip leaves nothing of an element. Raises Unclear where it might."""
    clip = declared.get("clip")
    is_positioned = keyword(declared.get("position")) in ("absolute", "fixed")
    if clip and is_positioned and clip[0].type == "function" and clip[0].lower_name == "rect":
        edges = [length(t, font_px, None) for t in significant(clip[0].arguments) if t.type != "literal"]
        if len(edges) == 4:
            top, right, bottom, left = edges
            if bottom is not None and bottom - (top or 0.0) <= _TINY:
                return True
            if right is not None and right - (left or 0.0) <= _TINY:
                return True
    path = next((t for t in declared.get("clip-path", ()) if t.type in ("function", "url")), None)
    if path is None:
        return False
    if path.type == "url":
        raise Unclear("clip-path")
    return _is_empty_shape(path, font_px)


def _is_empty_shape(path: Any, font_px: float) -> bool:
    name, arguments = path.lower_name, significant(path.arguments)
    if name == "inset":
        return _is_empty_inset(arguments, font_px)
    if name in ("circle", "ellipse"):
        radius = [t for t in arguments[:2] if t.type in ("number", "dimension", "percentage")]
        if not radius:
            return False
        sizes = [length(t, font_px, VIEW_HEIGHT) or 0.0 for t in radius]
        if min(sizes) <= _TINY:
            return True
        if min(sizes) < 0.25 * VIEW_HEIGHT:
            raise Unclear(name)
        return False
    if name == "polygon":
        return _is_empty_polygon(arguments, font_px)
    raise Unclear(name)


def _is_empty_inset(arguments: list[Any], font_px: float) -> bool:
    sides = []
    for token in arguments:
        if token.type == "ident":
            break
        if token.type == "percentage":
            sides.append(float(token.value))
        else:
            size = length(token, font_px, None) or 0.0
            sides.append(1000.0 if size >= 2 * VIEW_WIDTH else -1.0 if size > 30 else 0.0)
    if not sides:
        return False
    top, right, bottom, left = (sides * 4)[:4] if len(sides) < 3 else (*sides, sides[1])[:4]
    if top + bottom >= 99 or left + right >= 99:
        return True
    if min(sides) < 0 or top + bottom > 60 or left + right > 60:
        raise Unclear("inset")
    return False


def _is_empty_polygon(arguments: list[Any], font_px: float) -> bool:
    points = []
    for part in split_at_commas(arguments):
        pair = [t for t in part if t.type != "ident"]
        if len(pair) == 2:
            points.append((length(pair[0], font_px, 100.0) or 0.0, length(pair[1], font_px, 100.0) or 0.0))
    area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, points[1:] + points[:1], strict=True))) / 2
    if area < 1:
        return True
    if area < 5_000 or max(x for x, _ in points) < 50 or min(x for x, _ in points) > 50:
        raise Unclear("polygon")
    return False
