"""Which value of each property wins for an element: origins, layers, specificity, variables, shorthands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cssselect2
import tinycss2

from mm_megacontext.layout.flow.html.css_sheets import SIDES, UNLAYERED, Declaration, Rule, Sheets, declarations_of
from mm_megacontext.layout.flow.html.css_values import Tokens, keyword, significant
from mm_megacontext.layout.flow.html.source import Element

Declared = dict[str, list[Any]]
"""The values of an element's properties, as tokens."""

Custom = Mapping[str, list[Any]]
"""Variables: custom properties, which children have from their parents."""

_MAX_TOKENS = 2_000  # of a value after its variables were put in
_MAX_DEPTH = 20  # of variables in one another
_INLINE = (9, 9, 9)
_RESETS = ("unset", "initial", "revert", "revert-layer")
_PSEUDO = ("first-line", "first-letter")


@dataclass(frozen=True, slots=True)
class Given:
    """What is set for an element.

    Attributes:
        declared: Its properties.
        custom: Its variables.
        parts: Properties of its first line and first letter.
    """

    declared: Declared
    custom: Custom
    parts: tuple[Declared, ...] = ()


_Found = tuple[tuple[Any, ...], Declaration]


class Cascade:
    """The rules of a page and the elements that they are of.

    Args:
        root: The page.
        sheets: Its style sheets.
    """

    def __init__(self, root: Element, sheets: Sheets) -> None:
        self._sheets = sheets
        self._wrapped: dict[Any, Any] = {}
        if sheets.n_rules:
            wrapper = cssselect2.ElementWrapper.from_html_root(root)
            self._wrapped = {w.etree_element: w for w in wrapper.iter_subtree()}

    def given(self, element: Element, custom: Custom, by_nature: Iterable[Declaration]) -> list[Given]:
        """What is set for an element; a second time with the doubtful rules, if there are any for it.

        Args:
            element: The element.
            custom: The variables of its parent.
            by_nature: What browsers and its attributes set.
        """
        natural = _expanded(by_nature, custom, {})
        found: dict[str | None, list[tuple[_Found, bool]]] = {None: []}
        wrapped = self._wrapped.get(element)
        if wrapped is not None:
            for specificity, order, pseudo, rule in self._sheets.matcher.match(wrapped):
                if pseudo is None or pseudo in _PSEUDO:
                    into = found.setdefault(pseudo, [])
                    into += [((_priority(d, rule, specificity, order), d), rule.doubtful) for d in rule.declarations]
        if style := element.get("style"):
            inline = Rule((), UNLAYERED, doubtful=False)
            found[None] += [((_priority(d, inline, _INLINE, 0), d), False) for d in declarations_of(style)]
        given = [self._resolved(_those(found, doubtful=False), custom, natural)]
        if any(doubtful for group in found.values() for _, doubtful in group):
            given.append(self._resolved(_those(found, doubtful=True), custom, natural))
        return given

    def _resolved(self, groups: dict[str | None, list[Declaration]], custom: Custom, natural: Declared) -> Given:
        own = {d.name: d.tokens for d in groups[None] if d.name.startswith("--")}
        variables: Custom = {**self._sheets.registered, **custom, **own} if own or self._sheets.registered else custom
        declared = _expanded(groups[None], variables, natural)
        self._animate(declared, variables)
        parts = tuple(_expanded(groups[p], variables, {}) for p in _PSEUDO if groups.get(p))
        return Given(declared, variables, parts)

    def _animate(self, declared: Declared, variables: Custom) -> None:
        """What an animation leaves behind."""
        names = {t.value for t in declared.get("animation-name", ()) if t.type in ("ident", "string")}
        fill = {t.lower_value for t in declared.get("animation-fill-mode", ()) if t.type == "ident"}
        if fill & {"forwards", "both"}:
            for name in names & set(self._sheets.frames):
                declared.update(_expanded(self._sheets.frames[name], variables, {}))


def _those(
    found: dict[str | None, list[tuple[_Found, bool]]], *, doubtful: bool
) -> dict[str | None, list[Declaration]]:
    """Declarations, the winning ones last; those of doubtful rules among them or not."""
    return {
        pseudo: [d for _, d in sorted((one for one, is_so in group if doubtful or not is_so), key=lambda one: one[0])]
        for pseudo, group in found.items()
    }


def _priority(d: Declaration, rule: Rule, specificity: Any, order: int) -> tuple[Any, ...]:
    return (d.important, 1, -rule.layer if d.important else rule.layer, specificity, order)


def _expanded(declarations: Iterable[Declaration], variables: Custom, natural: Declared) -> Declared:
    """The longhands that the declarations set, later ones over earlier ones, all over the ``natural`` ones."""
    declared = {**natural}
    for d in declarations:
        if d.name.startswith("--"):
            continue
        tokens: list[Any] | None = d.tokens
        if any(t.type in ("function", "() block") for t in d.tokens):
            tokens = _with_variables(d.tokens, variables)
        if d.name == "all":
            declared = {**natural} if keyword(tokens) in ("revert", "revert-layer") else {}
            continue
        for name, value in _longhands(d.name, tokens):
            if value is None or keyword(value) in _RESETS:
                declared.pop(name, None)
                declared |= _reset(name, value, natural)
            elif value:
                declared[name] = value
    return declared


def _reset(name: str, value: Tokens | None, natural: Declared) -> Declared:
    """What is left of a property that was taken back: of those that children have from their parents, or not."""
    word = keyword(value)
    if word in ("revert", "revert-layer"):
        return {name: natural[name]} if name in natural else {}
    if word == "initial" and name in _INITIAL:
        return {name: significant(tinycss2.parse_component_value_list(_INITIAL[name]))}
    return {}


_INITIAL = {"color": "canvastext", "visibility": "visible", "font-size": "medium", "text-indent": "0px",
            "text-fill-color": "currentcolor", "text-shadow": "none", "letter-spacing": "normal"}  # fmt: skip


def _with_variables(tokens: Tokens, variables: Custom) -> list[Any] | None:
    """A value with its variables put in; None where one is missing, which unsets the property."""
    out: list[Any] = []
    budget = [_MAX_TOKENS]
    return out if _substitute(tokens, variables, out, budget, 0) else None


def _substitute(tokens: Tokens, variables: Custom, out: list[Any], budget: list[int], depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return False
    for token in tokens:
        budget[0] -= 1
        if budget[0] < 0:
            return False
        if token.type == "function" and token.lower_name == "var":
            arguments = significant(token.arguments)
            if not arguments:
                return False
            name = arguments[0].value if arguments[0].type == "ident" else ""
            rest = arguments[2:] if len(arguments) > 1 else None
            value = variables.get(name)
            if value is not None and keyword(value) != "initial":
                before = len(out)
                if _substitute(value, variables, out, budget, depth + 1):
                    continue
                del out[before:]
            if rest is None or not _substitute(rest, variables, out, budget, depth + 1):
                return False
        elif token.type in ("function", "() block"):
            inner: list[Any] = []
            content = token.arguments if token.type == "function" else token.content
            if not _substitute(content, variables, inner, budget, depth + 1):
                return False
            copy = _with_content(token, inner)
            out.append(copy)
        else:
            out.append(token)
    return True


def _with_content(token: Any, inner: list[Any]) -> Any:
    if token.type == "function":
        return tinycss2.ast.FunctionBlock(token.source_line, token.source_column, token.name, inner)
    return tinycss2.ast.ParenthesesBlock(token.source_line, token.source_column, inner)


_Longhands = Iterator[tuple[str, list[Any] | None]]


def _longhands(name: str, tokens: list[Any] | None) -> _Longhands:
    tokens = None if tokens is None else significant(tokens)
    expand = _SHORTHANDS.get(name)
    if expand is None:
        yield name, tokens
    elif tokens is None or keyword(tokens) in (*_RESETS, "inherit"):
        yield from ((longhand, tokens) for longhand, _ in expand([]))
    else:
        yield from expand(tokens)


def _four(pattern: str) -> Callable[[list[Any]], _Longhands]:
    def expand(tokens: list[Any]) -> _Longhands:
        for i, side in enumerate(SIDES):
            at = (i, i % 2, 0)[0 if len(tokens) > i else 1 if len(tokens) > i % 2 else 2]
            yield pattern.format(side), tokens[at : at + 1]

    return expand


def _two(pattern: str, first: str, second: str) -> Callable[[list[Any]], _Longhands]:
    def expand(tokens: list[Any]) -> _Longhands:
        yield pattern.format(first), tokens[:1]
        yield pattern.format(second), tokens[1:2] or tokens[:1]

    return expand


def _font(tokens: list[Any]) -> _Longhands:
    """The size is the first length, or word for one; a line height may follow it, and families do."""
    for i, token in enumerate(tokens):
        is_size = token.type in ("dimension", "percentage", "function") or (
            token.type == "ident" and token.lower_value in FONT_SIZES
        )
        if not is_size and not (token.type == "number" and token.value == 0):
            continue
        yield "font-size", [token]
        rest = tokens[i + 1 :]
        if rest and rest[0].type == "literal" and rest[0].value == "/":
            yield "line-height", rest[1:2]
            rest = rest[2:]
        yield "font-family", rest
        return
    if not tokens:
        yield from (("font-size", []), ("line-height", []), ("font-family", []))


FONT_SIZES = {
    "xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0, "xx-large": 32.0,
    "xxx-large": 48.0, "smaller": -1 / 1.2, "larger": -1.2,
}  # fmt: skip
"""In pixels; negative: times that of the parent."""

_IMAGES = ("linear-gradient", "radial-gradient", "conic-gradient", "image-set", "-webkit-image-set", "url", "image",
           "repeating-linear-gradient", "repeating-radial-gradient", "repeating-conic-gradient", "cross-fade",
           "-webkit-gradient", "-webkit-linear-gradient", "element", "paint")  # fmt: skip


def is_image(token: Any) -> bool:
    """Whether a value is an image, drawn or fetched."""
    return token.type == "url" or (token.type == "function" and token.lower_name in _IMAGES)


def _background(tokens: list[Any]) -> _Longhands:
    images = [t for t in tokens if is_image(t)]
    words = {t.lower_value for t in tokens if t.type == "ident"}
    colors = [t for t in tokens if t.type == "hash" or (t.type == "function" and not is_image(t))]
    colors += [t for t in tokens if t.type == "ident" and t.lower_value not in _OF_BACKGROUND]
    none = tinycss2.parse_component_value_list("none")
    yield "background-image", images or none
    yield "background-color", colors[-1:] or tinycss2.parse_component_value_list("transparent")
    yield "background-clip", tinycss2.parse_component_value_list("text" if "text" in words else "border-box")


_OF_BACKGROUND = {
    "none", "repeat", "no-repeat", "repeat-x", "repeat-y", "space", "round", "scroll", "fixed", "local", "center",
    "left", "right", "top", "bottom", "cover", "contain", "auto", "border-box", "padding-box", "content-box", "text",
}  # fmt: skip


def _mask(tokens: list[Any]) -> _Longhands:
    yield "mask-image", [t for t in tokens if is_image(t) or keyword([t]) == "none"]


def _stroke(tokens: list[Any]) -> _Longhands:
    yield "text-stroke-width", [t for t in tokens if t.type == "dimension"]
    yield "text-stroke-color", [t for t in tokens if t.type != "dimension"]


def _animation(tokens: list[Any]) -> _Longhands:
    words = [t for t in tokens if t.type in ("ident", "string")]
    yield "animation-name", words
    yield "animation-fill-mode", words


def _grid_template(tokens: list[Any]) -> _Longhands:
    slash = next((i for i, t in enumerate(tokens) if t.type == "literal" and t.value == "/"), len(tokens))
    yield "grid-template-rows", tokens[:slash]
    yield "grid-template-columns", tokens[slash + 1 :]


_SHORTHANDS: dict[str, Callable[[list[Any]], _Longhands]] = {
    "margin": _four("margin-{}"),
    "padding": _four("padding-{}"),
    "inset": _four("{}"),
    "margin-inline": _two("margin-{}", "left", "right"),
    "margin-block": _two("margin-{}", "top", "bottom"),
    "padding-inline": _two("padding-{}", "left", "right"),
    "padding-block": _two("padding-{}", "top", "bottom"),
    "inset-inline": _two("{}", "left", "right"),
    "inset-block": _two("{}", "top", "bottom"),
    "overflow": _two("overflow-{}", "x", "y"),
    "font": _font,
    "background": _background,
    "mask": _mask,
    "text-stroke": _stroke,
    "animation": _animation,
    "grid-template": _grid_template,
}
