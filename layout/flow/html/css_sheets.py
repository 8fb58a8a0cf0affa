"""Style sheets taken apart: rules in their order, flat, each with what must hold for it.

Nesting, layers, conditions, scopes and sheets in ``data:`` addresses are followed. What cannot be followed, such as a
selector that is not understood here, is kept for every element that it might be of, and said to be ``doubtful``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cssselect2
import tinycss2

from mm_megacontext.layout.flow.html.css_conditions import Answer, both, media, supports
from mm_megacontext.layout.flow.html.css_values import Tokens, keyword, significant, split_at_commas
from mm_megacontext.layout.flow.html.source import sheet_of_data

UNLAYERED = 1 << 20
"""The place of rules without a layer, after all layers."""

_MAX_DEPTH = 30  # of rules in one another
_MAX_RULES = 100_000
_MAX_SELECTOR = 5_000  # letters: nesting may double them at each level

# Pseudo-classes that browsers know and nothing on a page that was just opened has, or whose own rules do not count.
_NEVER = re.compile(
    r":(?:focus-visible|focus-within|popover-open|modal|fullscreen|picture-in-picture|autofill|user-valid|"
    r"user-invalid|placeholder-shown|target-within|playing|seeking|stalled|buffering|-webkit-full-screen|-moz-[\w-]+|"
    r"-ms-[\w-]+|past|future|current|local-link|active-view-transition)\b",
    re.IGNORECASE,
)
# Those whose elements are not found here. Without them a selector fits more elements than it should.
_LEFT_OUT = re.compile(
    r":(?:defined|read-only|read-write|required|optional|valid|invalid|in-range|out-of-range|default|"
    r"indeterminate|blank|paused|muted|open|closed|any-link|scope|dir\([^()]*\)|"
    r"(?:has|nth-child|nth-last-child|host-context|state|not|is|where|-webkit-any|matches)"
    r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))",
    re.IGNORECASE,
)
_AMPERSAND = re.compile(r"&")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A property that a rule sets."""

    name: str
    tokens: list[Any]
    important: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What a selector's elements get.

    Attributes:
        layer: The place of its layer; later ones win.
        doubtful: Whether nobody can say here if it counts.
    """

    declarations: tuple[Declaration, ...]
    layer: int
    doubtful: bool


@dataclass(slots=True)
class Sheets:
    """All rules of a page.

    Attributes:
        matcher: Finds the rules of an element.
        frames: The last frame of each animation, as declarations.
        registered: Values that custom properties have from the start.
        tiny_fonts: Families of fonts in the page that are too small to hold letters.
        is_broken: Whether there is a sheet that could not be taken apart.
    """

    matcher: Any = field(default_factory=cssselect2.Matcher)
    n_rules: int = 0
    frames: dict[str, tuple[Declaration, ...]] = field(default_factory=dict)
    registered: dict[str, list[Any]] = field(default_factory=dict)
    tiny_fonts: set[str] = field(default_factory=set)
    is_broken: bool = False
    layers: list[str] = field(default_factory=list)
    _found: list[tuple[Any, tuple[Declaration, ...], str | None, bool]] = field(default_factory=list)

    def add(self, text: str, condition: Answer = True, depth: int = 0) -> None:
        """Take the rules of a style sheet, if ``condition`` may hold."""
        try:
            rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
            self._take(rules, _Context(doubtful=condition is None), depth)
        except RecursionError:  # nested deeper than the parser goes
            self.is_broken = True

    def close(self) -> None:
        """All sheets were added: rules get their places."""
        for selector, declarations, layer, doubtful in self._found:
            place = UNLAYERED if layer is None else self.layers.index(layer)
            self.matcher.add_selector(selector, Rule(declarations, place, doubtful))
        self.n_rules = len(self._found)
        self._found = []

    def _take(self, rules: Iterable[Any], context: _Context, depth: int) -> None:
        if depth > _MAX_DEPTH:
            return
        own: list[Declaration] = []
        for rule in rules:
            if rule.type == "declaration":
                own.append(Declaration(_name(rule), significant(rule.value), rule.important))
                continue
            self._put(context, own)
            own = []
            if rule.type == "qualified-rule" and len(self._found) < _MAX_RULES:
                inner = context.inside(tinycss2.serialize(rule.prelude))
                self._take(tinycss2.parse_blocks_contents(rule.content), inner, depth + 1)
            elif rule.type == "at-rule":
                self._take_at_rule(rule, context, depth)
        self._put(context, own)

    def _take_at_rule(self, rule: Any, context: _Context, depth: int) -> None:
        name = rule.lower_at_keyword
        if name == "layer":
            names = [_layer_name(context, part) for part in split_at_commas(rule.prelude)]
            self._declare(names)
            if rule.content is not None:
                self._take_block(rule, context.of_layer(names[0]), depth)
        elif name in ("media", "supports", "container", "scope", "starting-style", "document", "-moz-document"):
            answer: Answer = None
            if name in ("media", "supports"):
                answer = media(rule.prelude) if name == "media" else supports(rule.prelude)
            if answer is not False and rule.content is not None:
                self._take_block(rule, context.under(answer), depth)
        elif name == "import":
            self._import(rule, context, depth)
        elif name in ("keyframes", "-webkit-keyframes") and rule.content is not None:
            self._take_frames(rule)
        elif name == "property" and rule.content is not None:
            for d in tinycss2.parse_blocks_contents(rule.content):
                if d.type == "declaration" and d.lower_name == "initial-value":
                    self.registered[tinycss2.serialize(rule.prelude).strip()] = significant(d.value)
        elif name == "font-face" and rule.content is not None:
            self._take_font(rule)

    def _take_block(self, rule: Any, context: _Context, depth: int) -> None:
        """Rules in an at-rule; in a rule of an element declarations, too."""
        self._take(tinycss2.parse_blocks_contents(rule.content), context, depth + 1)

    def _import(self, rule: Any, context: _Context, depth: int) -> None:
        """A sheet that another one begins with, if it is written into its address."""
        prelude = significant(rule.prelude)
        if not prelude or prelude[0].type not in ("url", "string", "function"):
            return
        address = prelude[0]
        value = (
            address.value
            if address.type != "function"
            else next((t.value for t in address.arguments if t.type == "string"), "")
        )
        text = sheet_of_data(value)
        rest, layered = prelude[1:], context
        if rest and (keyword(rest[:1]) == "layer" or (rest[0].type == "function" and rest[0].lower_name == "layer")):
            name = _layer_name(context, significant(rest[0].arguments) if rest[0].type == "function" else [])
            self._declare([name])
            layered, rest = context.of_layer(name), rest[1:]
        answer: Answer = True
        if rest and rest[0].type == "function" and rest[0].lower_name == "supports":
            answer, rest = None, rest[1:]
        answer = both(answer, media(rest))
        if text is not None and answer is not False:
            rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
            self._take(rules, layered.under(answer), depth + 1)

    def _declare(self, names: Iterable[str]) -> None:
        """Layers get their places where they are first named, those that hold others after these."""
        for name in names:
            if name not in self.layers:
                outer = next((i for i, known in enumerate(self.layers) if name.startswith(f"{known}.")), None)
                self.layers.insert(len(self.layers) if outer is None else outer, name)

    def _take_frames(self, rule: Any) -> None:
        for frame in tinycss2.parse_blocks_contents(rule.content):
            if frame.type != "qualified-rule":
                continue
            if tinycss2.serialize(frame.prelude).strip().lower().rpartition(",")[2].strip() in ("to", "100%"):
                found = [d for d in tinycss2.parse_blocks_contents(frame.content) if d.type == "declaration"]
                name = tinycss2.serialize(rule.prelude).strip().strip("\"'")
                self.frames[name] = tuple(Declaration(_name(d), significant(d.value), False) for d in found)

    def _take_font(self, rule: Any) -> None:
        values = {
            d.lower_name: d.value for d in tinycss2.parse_blocks_contents(rule.content) if d.type == "declaration"
        }
        family = tinycss2.serialize(values.get("font-family", [])).strip(" \"'").lower()
        source = tinycss2.serialize(values.get("src", []))
        if family and "data:" in source and len(source) < 3000:
            self.tiny_fonts.add(family)

    def _put(self, context: _Context, declarations: list[Declaration]) -> None:
        """Rules for declarations that matter."""
        found = tuple(d for d in declarations if d.name.startswith("--") or d.name in PROPERTIES)
        if not found or context.selector is None:
            return
        for selector, doubtful in _compiled(context.selector):
            if len(self._found) < _MAX_RULES:
                self._found.append((selector, found, context.layer, doubtful or context.doubtful))


@dataclass(frozen=True, slots=True)
class _Context:
    """What rules stand in."""

    selector: str | None = None
    layer: str | None = None
    doubtful: bool = False

    def inside(self, selector: str) -> _Context:
        """In a rule with this selector."""
        selector = selector.strip()
        if self.selector is not None:
            above = f":is({self.selector})"
            parts = [tinycss2.serialize(part) for part in _parts(selector)]
            selector = ", ".join(
                _AMPERSAND.sub(lambda _: above, part) if "&" in part else f"{above} {part}" for part in parts
            )
        else:
            selector = selector.replace("&", ":root") if "&" in selector else selector
        if len(selector) > _MAX_SELECTOR:
            return _Context("*", self.layer, doubtful=True)
        return _Context(selector, self.layer, self.doubtful)

    def under(self, condition: Answer) -> _Context:
        """Where something must hold."""
        return _Context(self.selector, self.layer, self.doubtful or condition is None)

    def of_layer(self, name: str) -> _Context:
        return _Context(self.selector, name, self.doubtful)


def declarations_of(text: str) -> Iterator[Declaration]:
    """Those of a ``style`` attribute."""
    for d in tinycss2.parse_blocks_contents(text):
        if d.type == "declaration" and (d.name.startswith("--") or _name(d) in PROPERTIES):
            yield Declaration(_name(d), significant(d.value), d.important)


def _name(declaration: Any) -> str:
    """The name of a property as it is known here; custom properties tell capital letters apart."""
    name = str(declaration.name)
    return name if name.startswith("--") else _ALIASES.get(name.lower(), name.lower())


def _parts(selector: str) -> list[Tokens]:
    """The selectors of a list, with their white space."""
    parts: list[list[Any]] = [[]]
    for token in tinycss2.parse_component_value_list(selector, skip_comments=True):
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if significant(part)]


def _layer_name(context: _Context, tokens: Tokens) -> str:
    """The full name of a layer; one without a name has one that no other has."""
    name = tinycss2.serialize(significant(tokens)).strip() or f"-{id(tokens)}"
    return name if context.layer is None else f"{context.layer}.{name}"


def _compiled(text: str) -> list[tuple[Any, bool]]:
    """The selectors of a list, and whether each fits more elements than it should; none of one that is not valid."""
    try:
        return [(selector, False) for selector in cssselect2.compile_selector_list(text)]
    except cssselect2.SelectorError:
        pass
    found: list[tuple[Any, bool]] = []
    for part in _parts(text):
        whole = tinycss2.serialize(part).strip()
        if _NEVER.search(whole):
            continue
        try:
            found += [(selector, False) for selector in cssselect2.compile_selector_list(whole)]
            continue
        except cssselect2.SelectorError:
            pass
        wider = _LEFT_OUT.sub("", whole).strip()
        wider = re.sub(r"(?<![\w\])*])(?=(?:[\s>+~]|$))(?<=[>+~])", " *", wider) or "*"
        wider = f"*{wider}" if wider[:1] in ">+~" else wider
        try:
            found += [(selector, True) for selector in cssselect2.compile_selector_list(wider)]
        except cssselect2.SelectorError:
            return []  # browsers drop a rule with one selector that they do not know
    return found


_ALIASES = {
    "-webkit-opacity": "opacity", "-webkit-transform": "transform", "-webkit-filter": "filter",
    "-webkit-clip-path": "clip-path", "-webkit-mask": "mask", "-webkit-mask-image": "mask-image",
    "-webkit-background-clip": "background-clip", "-webkit-animation": "animation",
    "-webkit-animation-name": "animation-name", "-webkit-animation-fill-mode": "animation-fill-mode",
    "-webkit-backface-visibility": "backface-visibility", "-webkit-perspective": "perspective",
    "-webkit-text-stroke": "text-stroke", "-webkit-text-stroke-color": "text-stroke-color",
    "-webkit-text-stroke-width": "text-stroke-width", "-webkit-text-fill-color": "text-fill-color",
    "-webkit-text-security": "text-security", "inset-inline-start": "left", "inset-inline-end": "right",
    "inset-block-start": "top", "inset-block-end": "bottom", "margin-inline-start": "margin-left",
    "margin-block-start": "margin-top", "padding-inline-start": "padding-left", "padding-block-start": "padding-top",
    "padding-inline-end": "padding-right", "padding-block-end": "padding-bottom", "inline-size": "width",
    "block-size": "height", "max-inline-size": "max-width", "max-block-size": "max-height",
    "min-inline-size": "min-width", "min-block-size": "min-height", "overflow-inline": "overflow-x",
    "overflow-block": "overflow-y", "offset": "offset-path", "word-wrap": "overflow-wrap",
}  # fmt: skip
SIDES = ("top", "right", "bottom", "left")
PROPERTIES = {
    "all", "animation", "animation-fill-mode", "animation-name", "backface-visibility", "background",
    "background-clip", "background-color", "background-image", "clip", "clip-path", "color", "contain",
    "content-visibility", "display", "fill", "filter", "float", "font", "font-family", "font-size",
    "font-size-adjust", "grid-area", "grid-row", "grid-column", "grid-template", "grid-template-rows",
    "grid-template-columns", "height", "inset", "inset-block", "inset-inline", "letter-spacing", "line-height",
    "margin", "margin-block", "margin-inline", "mask", "mask-image", "max-height", "max-width", "min-height",
    "min-width", "mix-blend-mode", "offset-path", "opacity", "overflow", "overflow-x", "overflow-y", "padding",
    "padding-block", "padding-inline", "perspective", "position", "rotate", "scale", "text-fill-color", "text-indent",
    "text-security", "text-shadow", "text-stroke", "text-stroke-color", "text-stroke-width", "transform", "translate",
    "visibility", "width", "z-index", "zoom", *SIDES, *(f"margin-{side}" for side in SIDES),
    *(f"padding-{side}" for side in SIDES),
}  # fmt: skip
"""Those that can hide, or show, a text; all others are left aside."""
