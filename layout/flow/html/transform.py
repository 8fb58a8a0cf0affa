"""What ``transform`` and its like do to an element: how much it is scaled and moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mm_megacontext.layout.flow.html.css_cascade import Declared
from mm_megacontext.layout.flow.html.css_values import VIEW_HEIGHT, VIEW_WIDTH, Unclear, keyword, length, significant

_FLAT = 0.02  # smaller than this it is a line
_TURNS = {"deg": 1 / 360, "grad": 1 / 400, "rad": 1 / (2 * math.pi), "turn": 1.0}


@dataclass(frozen=True, slots=True)
class Transform:
    """How an element is drawn.

    Attributes:
        width, height: What its sides are multiplied by; negative where it is mirrored.
        x, y: How far it is moved, in pixels.
        backwards: Whether one sees its back.
        shows_back: Whether that is drawn.
        doubt: Whether there is something that is not followed.
    """

    width: float = 1.0
    height: float = 1.0
    x: float = 0.0
    y: float = 0.0
    backwards: bool = False
    shows_back: bool = True
    doubt: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether nothing of it is left to be seen."""
        return min(abs(self.width), abs(self.height)) < _FLAT or (self.backwards and not self.shows_back)

    @property
    def scale(self) -> float:
        """What the size of letters is multiplied by."""
        return min(abs(self.width), abs(self.height))


def transform_of(declared: Declared, font_px: float) -> Transform:
    """What the properties of an element ask for. Raises Unclear."""
    width = height = 1.0
    x = y = 0.0
    backwards = doubt = False
    for name, values in _steps(declared, font_px):
        if name == "move":
            x, y = x + values[0] * width, y + values[1] * height
        elif name == "scale":
            width, height = width * values[0], height * values[1]
        elif name == "turn_x":
            height *= math.cos(values[0] * 2 * math.pi)
            backwards ^= math.cos(values[0] * 2 * math.pi) < 0
        elif name == "turn_y":
            width *= math.cos(values[0] * 2 * math.pi)
            backwards ^= math.cos(values[0] * 2 * math.pi) < 0
        elif name == "doubt":
            doubt = True
    shows_back = keyword(declared.get("backface-visibility")) != "hidden"
    return Transform(width, height, x, y, backwards, shows_back, doubt)


def _steps(declared: Declared, font_px: float) -> Iterator[tuple[str, list[float]]]:
    if (value := declared.get("translate")) and keyword(value) != "none":
        yield "move", _move(value, font_px)
    if value := declared.get("rotate"):
        yield from _turn(value)
    if (value := declared.get("scale")) and keyword(value) != "none":
        factors = [_factor(t) for t in value]
        yield "scale", [factors[0], factors[1] if len(factors) > 1 else factors[0]]
    for token in declared.get("transform", ()):
        if token.type == "function":
            yield _step(token, font_px)


def _step(token: Any, font_px: float) -> tuple[str, list[float]]:
    name = token.lower_name
    values = [t for t in significant(token.arguments) if not (t.type == "literal" and t.value == ",")]
    if not values:
        return "doubt", []
    if name in ("translate", "translate3d"):
        return "move", _move(values, font_px)
    if name == "translatex":
        return "move", [_move(values, font_px)[0], 0.0]
    if name == "translatey":
        return "move", [0.0, _length(values[0], font_px, VIEW_HEIGHT)]
    if name in ("scale", "scale3d"):
        first = _factor(values[0])
        return "scale", [first, _factor(values[1]) if len(values) > 1 else first]
    if name in ("scalex", "scaley"):
        factor = _factor(values[0])
        return "scale", [factor, 1.0] if name == "scalex" else [1.0, factor]
    if name in ("rotatex", "rotatey"):
        return f"turn_{name[-1]}", [_angle(values[0])]
    if name == "matrix" and len(values) == 6:
        a, b, c, d, x, y = (_factor(v) for v in values)
        if abs(a * d - b * c) < _FLAT**2:
            return "scale", [0.0, 0.0]
        return ("doubt", []) if abs(x) > 100 or abs(y) > 100 else ("scale", [math.hypot(a, b), math.hypot(c, d)])
    if name in ("rotate", "rotatez", "scalez", "translatez"):
        return "none", []
    if name in ("skew", "skewx", "skewy"):
        is_mild = all(abs(_angle(v)) < 0.2 for v in values)
        return ("none" if is_mild else "doubt"), []
    return "doubt", []


def _turn(value: list[Any]) -> Iterator[tuple[str, list[float]]]:
    axes = [t.lower_value for t in value if t.type == "ident" and t.lower_value in ("x", "y")]
    angle = next((_angle(t) for t in value if t.type == "dimension"), 0.0)
    if axes:
        yield f"turn_{axes[0]}", [angle]
    elif len(value) > 1 and not any(t.type == "ident" for t in value):
        yield "doubt", []


def _move(values: list[Any], font_px: float) -> list[float]:
    x = _length(values[0], font_px, VIEW_WIDTH)
    return [x, _length(values[1], font_px, VIEW_HEIGHT) if len(values) > 1 else 0.0]


def _length(token: Any, font_px: float, whole: float) -> float:
    """A length; shares of the element's own side, which nobody knows, as of the window's where they are small."""
    if token.type == "percentage" and abs(token.value) <= 60:
        return 0.0  # to put it into the middle
    value = length(token, font_px, whole)
    if value is None:
        raise Unclear("a move")
    return value


def _factor(token: Any) -> float:
    if token.type in ("number", "percentage"):
        return float(token.value) / (100 if token.type == "percentage" else 1)
    value = length(token, 16.0, 1.0)
    if value is None:
        raise Unclear("a factor")
    return value


def _angle(token: Any) -> float:
    """An angle in turns."""
    if token.type == "dimension" and token.lower_unit in _TURNS:
        return float(token.value) * _TURNS[token.lower_unit]
    if token.type == "number" and token.value == 0:
        return 0.0
    raise Unclear("an angle")
