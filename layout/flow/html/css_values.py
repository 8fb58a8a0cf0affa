"""Values of CSS as numbers: lengths in pixels, colours as red, green, blue and alpha.

What a browser would understand and is not computed here raises ``Unclear``: nobody can say then what it looks like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinycss2.color5 import parse_color

Tokens = Sequence[Any]
CssColour = tuple[float, float, float]

VIEW_WIDTH, VIEW_HEIGHT = 1280.0, 800.0
"""The window in pixels that pages are looked at in."""
PX_PER_PT = 4 / 3
ROOT_PX = 16.0

WHITE, BLACK = (255.0, 255.0, 255.0), (0.0, 0.0, 0.0)

_PX_PER = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945}
_OF_FONT = {"em": 1.0, "ex": 0.5, "ch": 0.5, "ic": 1.0, "cap": 0.7, "lh": 1.2}
_OF_VIEW = {
    "vw": VIEW_WIDTH, "vh": VIEW_HEIGHT, "vi": VIEW_WIDTH, "vb": VIEW_HEIGHT, "vmin": VIEW_HEIGHT, "vmax": VIEW_WIDTH,
    "cqw": VIEW_WIDTH, "cqh": VIEW_HEIGHT, "cqi": VIEW_WIDTH, "cqb": VIEW_HEIGHT, "cqmin": VIEW_HEIGHT,
    "cqmax": VIEW_WIDTH,
}  # fmt: skip
_MATH = {"calc", "min", "max", "clamp", "abs", "-webkit-calc", "-moz-calc"}
_MAX_DEPTH = 20  # of calculations in one another
_SYSTEM = {
    "canvas": WHITE, "canvastext": BLACK, "field": WHITE, "fieldtext": BLACK, "buttontext": BLACK, "window": WHITE,
    "windowtext": BLACK, "buttonface": (239.0, 239.0, 239.0), "linktext": (0.0, 0.0, 238.0), "background": WHITE,
    "visitedtext": (85.0, 26.0, 139.0), "graytext": (109.0, 109.0, 109.0), "mark": (255.0, 255.0, 0.0),
    "marktext": BLACK, "highlight": (51.0, 153.0, 255.0), "highlighttext": WHITE, "text": BLACK,
}  # fmt: skip
_COLOR_FUNCTIONS = {
    "rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix", "light-dark",
    "contrast-color", "device-cmyk", "color-contrast",
}  # fmt: skip
# Of linear light: from XYZ with the white of D65 and of D50 (which is adapted).
_FROM_D65 = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
_FROM_D50 = ((3.1339, -1.6169, -0.4906), (-0.9788, 1.9161, 0.0335), (0.0719, -0.2290, 1.4052))


class Unclear(ValueError):
    """A value that browsers understand and this reader does not."""


@dataclass(frozen=True, slots=True)
class Color:
    """Red, green and blue from 0 to 255, alpha from 0 to 1."""

    rgb: CssColour
    alpha: float = 1.0

    def over(self, below: CssColour) -> CssColour:
        """What is seen of it on ``below``."""
        red, green, blue = (a * self.alpha + b * (1 - self.alpha) for a, b in zip(self.rgb, below, strict=True))
        return red, green, blue


def contrast(a: CssColour, b: CssColour) -> float:
    """The largest difference of two colours in a channel."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def significant(tokens: Tokens) -> list[Any]:
    """Tokens without white space and comments."""
    return [token for token in tokens if token.type not in ("whitespace", "comment")]


def keyword(tokens: Tokens | None) -> str | None:
    """The only word of a value, in lower case."""
    return tokens[0].lower_value if tokens and tokens[0].type == "ident" else None


def split_at_commas(tokens: Tokens) -> list[list[Any]]:
    """The parts of a list of values."""
    parts: list[list[Any]] = [[]]
    for token in significant(tokens):
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def number(token: Any) -> float | None:
    """A number, or a percentage as one; None for anything else. Raises Unclear for functions that are not computed."""
    if token.type == "number":
        return float(token.value)
    if token.type == "percentage":
        return float(token.value) / 100
    if token.type == "function":
        return length(token, ROOT_PX, 1.0)
    return None


def length(token: Any, font_px: float, whole: float | None) -> float | None:
    """A length, or a plain number, in pixels.

    Args:
        token: The value.
        font_px: Size of the font.
        whole: What percentages are of; None where nobody knows.

    Returns:
        None for what is no length.

    Raises:
        Unclear: It cannot be computed.
    """
    if token.type == "function" and token.lower_name in _MATH:
        value: float | None = _Calculation(font_px, whole).of(token, 0)
    elif token.type == "function":
        raise Unclear(token.lower_name)
    elif token.type == "number":
        value = float(token.value)
    elif token.type == "percentage":
        if whole is None:
            raise Unclear("%")
        value = float(token.value) * whole / 100
    elif token.type == "dimension":
        value = _of_unit(float(token.value), token.lower_unit, font_px)
    else:
        value = None
    if value is not None and not math.isfinite(value):
        raise Unclear("infinity")
    return value


def _of_unit(value: float, unit: str, font_px: float) -> float | None:
    if unit in _PX_PER:
        return value * _PX_PER[unit]
    if unit in _OF_FONT:
        return value * _OF_FONT[unit] * font_px
    if unit[:1] == "r" and unit[1:] in _OF_FONT:
        return value * _OF_FONT[unit[1:]] * ROOT_PX
    unit = unit[1:] if unit[:1] in "sld" and unit[1:] in _OF_VIEW else unit
    return value * _OF_VIEW[unit] / 100 if unit in _OF_VIEW else None


@dataclass(frozen=True, slots=True)
class _Calculation:
    """Sums of CSS, with lengths and numbers not told apart."""

    font_px: float
    whole: float | None

    def of(self, function: Any, depth: int) -> float:
        if depth > _MAX_DEPTH:
            raise Unclear("a calculation too deep")
        values = [self._sum(part, depth) for part in split_at_commas(function.arguments)]
        name = function.lower_name
        if name == "clamp" and len(values) == 3:
            return max(values[0], min(values[1], values[2]))
        if name in ("min", "max"):
            return min(values) if name == "min" else max(values)
        if len(values) != 1:
            raise Unclear(name)
        return abs(values[0]) if name == "abs" else values[0]

    def _sum(self, tokens: list[Any], depth: int) -> float:
        total, sign, part = 0.0, 1.0, list[Any]()
        for token in tokens:
            if token.type == "literal" and token.value in "+-" and part:
                total += sign * self._product(part, depth)
                sign, part = (1.0 if token.value == "+" else -1.0), []
            else:
                part.append(token)
        return total + sign * self._product(part, depth)

    def _product(self, tokens: list[Any], depth: int) -> float:
        if not tokens:
            raise Unclear("an empty sum")
        product, divide = 1.0, False
        for token in tokens:
            if token.type == "literal" and token.value in "*/":
                divide = token.value == "/"
                continue
            value = self._value(token, depth)
            if divide and value == 0:
                raise Unclear("division by zero")
            product = product / value if divide else product * value
        return product

    def _value(self, token: Any, depth: int) -> float:
        if token.type == "() block":
            return self._sum(significant(token.content), depth + 1) if depth < _MAX_DEPTH else self._fail()
        if token.type == "function" and token.lower_name in _MATH:
            return self.of(token, depth + 1)
        value = length(token, self.font_px, self.whole)
        return self._fail() if value is None else value

    @staticmethod
    def _fail() -> float:
        raise Unclear("a calculation")


def color(token: Any, current: Color) -> Color | None:
    """A colour; None for what is none. Raises Unclear.

    Args:
        token: The value.
        current: What ``currentcolor`` is.
    """
    if token.type == "ident" and token.lower_value in _SYSTEM:
        return Color(_SYSTEM[token.lower_value])
    found = parse_color(token)
    if found == "currentcolor":
        return current
    if found is not None:
        return Color(_srgb(found), float(found.alpha))
    if token.type == "function" and token.lower_name in _COLOR_FUNCTIONS:
        if token.lower_name == "color-mix":
            return _mixed(token, current)
        raise Unclear(token.lower_name)
    return None


def _srgb(found: Any) -> CssColour:
    try:
        red, green, blue = found.to("srgb").coordinates
    except NotImplementedError:
        red, green, blue = _from_other_space(found)
    return 255 * (red or 0.0), 255 * (green or 0.0), 255 * (blue or 0.0)


def _from_other_space(found: Any) -> CssColour:
    if found.space in ("oklab", "oklch", "xyz", "xyz-d65"):
        return _from_xyz(found.to("xyz-d65").coordinates, _FROM_D65)
    if found.space in ("lab", "lch", "xyz-d50"):
        return _from_xyz(found.to("xyz-d50").coordinates, _FROM_D50)
    coordinates = [float(c or 0.0) for c in found.coordinates]
    if found.space.endswith("linear"):
        coordinates = [_gamma(c) for c in coordinates]
    red, green, blue = coordinates  # of wider spaces: black and white are the same in all
    return red, green, blue


def _from_xyz(xyz: Sequence[float], matrix: tuple[CssColour, CssColour, CssColour]) -> CssColour:
    red, green, blue = (_gamma(sum(a * b for a, b in zip(row, xyz, strict=True))) for row in matrix)
    return red, green, blue


def _gamma(light: float) -> float:
    light = min(1.0, max(0.0, light))
    return float(12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


def _mixed(function: Any, current: Color) -> Color:
    """The mixture of two colours, computed as of light on a screen whatever the space."""
    parts = split_at_commas(function.arguments)
    if len(parts) != 3:
        raise Unclear("color-mix")
    colors, shares = [], []
    for part in parts[1:]:
        found = [c for token in part if token.type != "percentage" and (c := color(token, current)) is not None]
        if len(found) != 1:
            raise Unclear("color-mix")
        colors.append(found[0])
        shares.append(next((float(t.value) / 100 for t in part if t.type == "percentage"), None))
    first, second = shares
    if first is None:
        first = 0.5 if second is None else 1 - second
    second = 1 - first if second is None else second
    total = first + second
    if total <= 0:
        raise Unclear("color-mix")
    a, b = first / total, second / total
    alpha = a * colors[0].alpha + b * colors[1].alpha
    if alpha <= 0:
        return Color(BLACK, 0.0)
    weights = a * colors[0].alpha / alpha, b * colors[1].alpha / alpha
    red, green, blue = (weights[0] * x + weights[1] * y for x, y in zip(colors[0].rgb, colors[1].rgb, strict=True))
    return Color((red, green, blue), alpha * min(1.0, total))
