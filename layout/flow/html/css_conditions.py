"""Whether a part of a style sheet counts: ``@media``, ``@supports`` and the like, on a screen, without scripts.

Answers are True, False, or None where nobody can say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cssselect2
import tinycss2

from mm_megacontext.layout.flow.html.css_values import (
    ROOT_PX,
    VIEW_HEIGHT,
    VIEW_WIDTH,
    Tokens,
    Unclear,
    keyword,
    length,
    significant,
    split_at_commas,
)

Answer = bool | None

_NUMBERS = {
    "width": VIEW_WIDTH, "height": VIEW_HEIGHT, "device-width": VIEW_WIDTH, "device-height": VIEW_HEIGHT,
    "color": 8.0, "monochrome": 0.0, "color-index": 0.0, "grid": 0.0,
}  # fmt: skip
_WORDS = {
    "orientation": "landscape", "prefers-color-scheme": "light", "hover": "hover", "any-hover": "hover",
    "pointer": "fine", "any-pointer": "fine", "prefers-reduced-motion": "no-preference", "scripting": "none",
    "prefers-contrast": "no-preference", "prefers-reduced-transparency": "no-preference", "forced-colors": "none",
    "inverted-colors": "none", "update": "fast", "display-mode": "browser", "scan": "progressive",
    "overflow-block": "scroll", "overflow-inline": "scroll", "prefers-reduced-data": "no-preference",
}  # fmt: skip
_NONE = {"none", "no-preference"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}

_SUPPORTED = """display position color background border margin padding font width height top left right bottom inset
opacity visibility overflow transform translate rotate scale transition animation filter backdrop-filter clip-path mask
flex grid gap order align justify place float clear content cursor columns column aspect-ratio object text line letter
word white-space vertical-align writing-mode direction unicode-bidi hyphens z-index box-sizing box-shadow outline
list-style table-layout contain container content-visibility will-change isolation mix-blend-mode scroll overscroll
pointer-events user-select appearance accent-color caret-color resize shape touch-action tab-size quotes counter
perspective backface-visibility image-rendering initial-letter all min max inline block row offset zoom fill stroke
print-color-adjust color-scheme orphans widows break page -webkit-appearance -webkit-mask -webkit-line-clamp
-webkit-text-fill-color -webkit-text-stroke -webkit-background-clip -webkit-overflow-scrolling -webkit-touch-callout
""".split()
_OF_OTHERS = ("-moz-", "-ms-", "-o-", "-khtml-", "-apple-", "-epub-", "mso-")


def both(a: Answer, b: Answer) -> Answer:
    """Whether two things hold."""
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def either(a: Answer, b: Answer) -> Answer:
    """Whether one of two things holds."""
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def opposite(a: Answer) -> Answer:
    """Whether a thing does not hold."""
    return None if a is None else not a


def media(tokens: Tokens) -> Answer:
    """Whether a list of media queries holds on a screen of 1280 x 800 pixels with light colours."""
    answer: Answer = False
    for part in split_at_commas(tokens):
        answer = either(answer, _query(part))
    return answer


def supports(tokens: Tokens) -> Answer:
    """Whether a browser supports what ``@supports`` asks for."""
    return _condition(significant(tokens), _support)


def _query(part: list[Any]) -> Answer:
    rest = list(part)
    first = keyword(rest[:1])
    negated = first == "not" and len(rest) > 1 and rest[1].type == "ident"
    if negated or first == "only":
        rest = rest[1:]
    answer: Answer = True
    kind = keyword(rest[:1])
    if kind is not None and kind != "not":
        answer = kind in ("all", "screen")
        rest = rest[1:]
        if keyword(rest[:1]) == "and":
            rest = rest[1:]
    if rest:
        answer = both(answer, _condition(rest, _feature))
    return opposite(answer) if negated else answer


def _condition(tokens: list[Any], leaf: Callable[[Any], Answer]) -> Answer:
    """Parts joined by "and" or "or", each of which "not" may stand before."""
    answer: Answer = None
    joined, negated, begun = both, False, False
    for token in tokens:
        word = token.lower_value if token.type == "ident" else None
        if word == "not":
            negated = True
        elif word in ("and", "or"):
            joined = both if word == "and" else either
        else:
            found = _part(token, leaf)
            found = opposite(found) if negated else found
            answer, begun, negated = (joined(answer, found) if begun else found), True, False
    return answer


def _part(token: Any, leaf: Callable[[Any], Answer]) -> Answer:
    if token.type == "() block":
        inner = significant(token.content)
        if inner and (inner[0].type in ("() block", "function") or keyword(inner[:1]) == "not"):
            return _condition(inner, leaf)
    return leaf(token)


def _feature(token: Any) -> Answer:
    """One feature of the screen in brackets."""
    if token.type != "() block":
        return None
    inner = significant(token.content)
    if len(inner) == 1 and (name := keyword(inner)) is not None:
        if name in _NUMBERS:
            return _NUMBERS[name] > 0
        return _WORDS[name] not in _NONE if name in _WORDS else None
    if len(inner) > 2 and inner[1].type == "literal" and inner[1].value == ":" and inner[0].type == "ident":
        return _equals(inner[0].lower_value, inner[2:])
    return _in_range(inner)


def _equals(name: str, value: list[Any]) -> Answer:
    bound, _, bare = name.partition("-")
    if bound in ("min", "max") and bare in _NUMBERS:
        limit = _number(value)
        if limit is None:
            return None
        return _NUMBERS[bare] >= limit if bound == "min" else _NUMBERS[bare] <= limit
    if name in _NUMBERS:
        limit = _number(value)
        return None if limit is None else _NUMBERS[name] == limit
    return keyword(value) == _WORDS[name] if name in _WORDS else None


def _in_range(tokens: list[Any]) -> Answer:
    """``200px <= width < 900px`` and parts of it."""
    sides: list[list[Any]] = [[]]
    signs: list[str] = []
    for token in tokens:
        if token.type == "literal" and token.value in "<>=":
            if sides[-1] or not signs:
                signs.append(token.value)
                sides.append([])
            else:
                signs[-1] += token.value
        else:
            sides[-1].append(token)
    at = next((i for i, side in enumerate(sides) if keyword(side) in _NUMBERS), None)
    if at is None or not signs:
        return None
    actual = _NUMBERS[sides[at][0].lower_value]
    answer: Answer = True
    for i, sign in enumerate(signs):
        other = i + 1 if i == at else i
        limit = _number(sides[other])
        answer = both(answer, None if limit is None else _compare(actual, sign if i == at else _MIRRORED[sign], limit))
    return answer


def _compare(a: float, sign: str, b: float) -> Answer:
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b, "=": a == b}.get(sign)


def _number(tokens: list[Any]) -> float | None:
    try:
        return length(tokens[0], ROOT_PX, None) if len(tokens) == 1 else None
    except Unclear:
        return None


def _support(token: Any) -> Answer:
    """Whether one declaration, selector or the like is supported; by its name, which says nothing of its value."""
    if token.type == "function":
        if token.lower_name != "selector":
            return None
        try:
            cssselect2.compile_selector_list(token.arguments)
        except cssselect2.SelectorError:
            return None
        return True
    if token.type != "() block":
        return None
    inner = significant(token.content)
    if len(inner) < 2 or inner[0].type != "ident":
        return None
    name = inner[0].lower_value
    if name.startswith("--") or any(name == known or name.startswith(f"{known}-") for known in _SUPPORTED):
        return None if "function" in {t.type for t in inner} else True
    return False if name.startswith(_OF_OTHERS) or not _is_plausible(name) else None


def _is_plausible(name: str) -> bool:
    """Whether a name might be of a property: made of words of which one is of a property that is known."""
    return any(word in _SUPPORTED for word in name.split("-"))


def media_of(text: str) -> Answer:
    """The same as ``media`` for the text of an attribute."""
    return media(tinycss2.parse_component_value_list(text))
