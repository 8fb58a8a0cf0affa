"""Which elements of an HTML page nobody sees, and why: by their style sheets, attributes and nature.

The page is looked at without scripts being run, on a screen. Of style sheets those in the page and those that come with
it count, none is fetched; rules for certain widths or media alone are left aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cssselect2
import tinycss2
from tinycss2.color4 import parse_color

from mm_megacontext.document import HiddenReason
from mm_megacontext.layout.flow.html_source import Element
from mm_megacontext.layout.page.ink import MIN_CONTRAST
from mm_megacontext.layout.page.visibility import MIN_SIZE_PT

Rgb = tuple[float, float, float]
Declared = dict[str, list[Any]]
"""The values of an element's properties, as tokens."""

UNSEEN_BY_NATURE = {
    "head", "script", "style", "template", "noscript", "title", "datalist", "object", "embed", "iframe", "audio",
    "video", "canvas", "map", "param", "source", "track", "frameset", "rp",
}  # fmt: skip

_FAR_PX = 900.0  # left of or above the page, out of sight
_PT_PER = {"pt": 1.0, "px": 0.75, "pc": 12.0, "in": 72.0, "cm": 28.35, "mm": 2.835, "q": 0.709}
_BODY_PT = 12.0
_MEDIA = re.compile(r"\s*(?:(?:only\s+)?(?:screen|all)\s*(?:,.*)?)?$", re.IGNORECASE)
_WHITE, _BLACK = (255.0, 255.0, 255.0), (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """How the text of an element looks, as far as it matters for being seen; children have it from their parent.

    Attributes:
        gone: Why it and all in it is not seen, whatever its children say.
        visible: False for ``visibility: hidden``, which children may undo.
        size: Of the font, in points.
        ink, paper: Colours of the text and behind it; ``paper`` is None behind it where a picture is.
    """

    gone: HiddenReason | None = None
    visible: bool = True
    size: float = _BODY_PT
    ink: Rgb | None = _BLACK
    paper: Rgb | None = _WHITE

    @property
    def hidden(self) -> HiddenReason | None:
        """Why text of it is not seen, or None."""
        if self.gone is not None:
            return self.gone
        if not self.visible:
            return "not displayed"
        if self.size < MIN_SIZE_PT:
            return "smaller than 1 pt"
        if self.ink is None:
            return "transparent"
        if self.paper is not None and max(abs(a - b) for a, b in zip(self.ink, self.paper, strict=True)) < MIN_CONTRAST:
            return "no contrast"
        return None


class Styles:
    """The style sheets of a page.

    Args:
        root: The page; its ``style`` elements count.
        sheets: The texts of those that come with it, in order, before its own.
    """

    def __init__(self, root: Element, sheets: Iterable[str] = ()) -> None:
        self._matcher = cssselect2.Matcher()
        own = ["".join(e.itertext()) for e in root.iter("style") if _MEDIA.match(e.get("media") or "")]
        self._n_rules = 0
        for sheet in (*sheets, *own):
            self._add(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True))
        self._wrapped: dict[Any, Any] = {}
        if self._n_rules:
            wrapper = cssselect2.ElementWrapper.from_html_root(root)
            self._wrapped = {w.etree_element: w for w in wrapper.iter_subtree()}

    def look(self, element: Element, parent: Look) -> Look:
        """How an element looks in its parent."""
        if parent.gone is not None:
            return parent
        if element.tag in UNSEEN_BY_NATURE or element.get("hidden") is not None:
            return replace(parent, gone="not displayed")
        if element.tag == "dialog" and element.get("open") is None:
            return replace(parent, gone="not displayed")
        return _changed(parent, self._declared(element))

    def _declared(self, element: Element) -> Declared:
        """The winning value of each property that is set for an element."""
        found: list[tuple[tuple[bool, Any, int], str, list[Any]]] = []
        for name, tokens in _of_attributes(element):
            found.append(((False, (-1, 0, 0), 0), name, tokens))
        wrapped = self._wrapped.get(element)
        if wrapped is not None:
            for specificity, order, pseudo, declarations in self._matcher.match(wrapped):
                if pseudo is None:
                    found += [((d.important, specificity, order), d.lower_name, d.value) for d in declarations]
        if style := element.get("style"):
            for d in _declarations(tinycss2.parse_blocks_contents(style)):
                found.append(((d.important, (9, 9, 9), 0), d.lower_name, d.value))
        found.sort(key=lambda item: item[0])
        return {name: [t for t in tokens if t.type not in ("whitespace", "comment")] for _, name, tokens in found}

    def _add(self, rules: Iterable[Any]) -> None:
        for rule in rules:
            if rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content is not None:
                if rule.lower_at_keyword == "supports" or _MEDIA.match(tinycss2.serialize(rule.prelude)):
                    self._add(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
            elif rule.type == "qualified-rule":
                declarations = _declarations(tinycss2.parse_blocks_contents(rule.content))
                declarations = [d for d in declarations if d.lower_name in _THAT_MATTER]
                if not declarations:
                    continue
                try:
                    selectors = cssselect2.compile_selector_list(rule.prelude)
                except cssselect2.SelectorError:
                    continue
                for selector in selectors:
                    self._matcher.add_selector(selector, declarations)
                    self._n_rules += 1


def _declarations(content: Iterable[Any]) -> list[Any]:
    return [item for item in content if item.type == "declaration"]


def _of_attributes(element: Element) -> Iterator[tuple[str, list[Any]]]:
    """What attributes of old say of an element's colours."""
    for attribute, name in (("bgcolor", "background-color"), ("text", "color"), ("color", "color")):
        value = element.get(attribute)
        if value and (attribute != "text" or element.tag == "body"):
            yield name, tinycss2.parse_component_value_list(value)


def _changed(parent: Look, declared: Declared) -> Look:
    if not declared:
        return parent
    size = _font_size(declared.get("font-size"), parent.size)
    look = replace(parent, size=size, paper=_paper(declared, parent.paper), ink=_ink(declared, parent.ink))
    visibility = _keyword(declared.get("visibility"))
    if visibility in ("hidden", "collapse", "visible"):
        look = replace(look, visible=visibility == "visible")
    gone = _gone(declared, size)
    return look if gone is None else replace(look, gone=gone)


def _gone(declared: Declared, size: float) -> HiddenReason | None:
    """Why an element is not seen with all that is in it."""
    if _keyword(declared.get("display")) == "none" or _keyword(declared.get("content-visibility")) == "hidden":
        return "not displayed"
    if _is_at_most(declared.get("opacity"), 0.03) or _function(declared.get("filter"), "opacity") == [0.0]:
        return "transparent"
    if _is_clipped(declared, size):
        return "not displayed"
    scale = _function(declared.get("transform"), "scale")
    if scale and 0.0 in scale:
        return "not displayed"
    if _is_far(declared, size):
        return "outside the page"
    return None


def _is_clipped(declared: Declared, size: float) -> bool:
    """Whether what is in an element is cut away: by a clip, or because it has no room and nothing may stick out."""
    clip = declared.get("clip")
    is_positioned = _keyword(declared.get("position")) in ("absolute", "fixed")
    if clip and is_positioned and clip[0].type == "function" and clip[0].lower_name == "rect":
        edges = _lengths(clip[0].arguments, size)
        if len(edges) == 4 and (edges[2] - edges[0] <= 1 or edges[1] - edges[3] <= 1):
            return True
    path = declared.get("clip-path")
    if path and path[0].type == "function" and path[0].lower_name in ("inset", "circle"):
        first = next((t for t in path[0].arguments if t.type in ("percentage", "number", "dimension")), None)
        if first is not None:
            if path[0].lower_name == "inset" and first.type == "percentage" and first.value >= 50:
                return True
            if path[0].lower_name == "circle" and first.value == 0:
                return True
    if _keyword(declared.get("overflow")) not in ("hidden", "clip"):
        return False
    sides = (declared.get(name) for name in ("width", "height", "max-width", "max-height"))
    return any(side and (length := _length(side[0], size)) is not None and length <= 1 for side in sides)


def _is_far(declared: Declared, size: float) -> bool:
    """Whether an element, or its text, is moved out of sight."""
    moved = [declared.get("text-indent"), declared.get("margin-left"), declared.get("margin-top")]
    if _keyword(declared.get("position")) in ("absolute", "fixed", "relative"):
        moved += [declared.get("left"), declared.get("top")]
        opposite = [declared.get("right"), declared.get("bottom")]
        if any(v and (at := _length(v[0], size)) is not None and at <= -_FAR_PX * 0.75 for v in opposite):
            return True
    for value in moved:
        length = _length(value[0], size) if value else None
        if length is not None and length <= -_FAR_PX * 0.75:
            return True
    translate = _function(declared.get("transform"), "translate") or _function(declared.get("transform"), "translatex")
    return bool(translate) and min(translate or [0.0]) <= -_FAR_PX


def _font_size(value: list[Any] | None, parent: float) -> float:
    if not value:
        return parent
    token = value[0]
    if token.type == "percentage":
        return parent * float(token.value) / 100
    if token.type == "dimension" and token.lower_unit == "rem":
        return float(token.value) * _BODY_PT
    length = _length(token, parent)
    return parent if length is None else length


def _ink(declared: Declared, parent: Rgb | None) -> Rgb | None:
    """The colour of text; None where it leaves no ink."""
    value = declared.get("color")
    if not value:
        return parent
    found = parse_color(value[0])
    if found is None or found == "currentcolor":
        return parent
    return None if found.alpha <= 0.03 else _rgb(found)


def _paper(declared: Declared, parent: Rgb | None) -> Rgb | None:
    paper = parent
    for name in ("background", "background-color", "background-image"):
        for token in declared.get(name) or ():
            if token.type == "url" or (token.type == "function" and token.lower_name in ("url", *_GRADIENTS)):
                return None
            found = parse_color(token) if name != "background-image" else None
            if found is not None and found != "currentcolor" and found.alpha > 0.03:
                paper = _rgb(found)
    return paper


def _rgb(color: Any) -> Rgb | None:
    try:
        red, green, blue = color.to("srgb").coordinates
    except (NotImplementedError, ValueError):
        return _BLACK
    return (255 * (red or 0.0), 255 * (green or 0.0), 255 * (blue or 0.0))


def _keyword(value: list[Any] | None) -> str | None:
    return value[0].lower_value if value and value[0].type == "ident" else None


def _is_at_most(value: list[Any] | None, limit: float) -> bool:
    if not value or value[0].type not in ("number", "percentage"):
        return False
    share = value[0].value / 100 if value[0].type == "percentage" else value[0].value
    return bool(share <= limit)


def _function(value: list[Any] | None, name: str) -> list[float] | None:
    """The numbers that a function is called with, lengths in pixels; None where it is not called."""
    for token in value or ():
        if token.type == "function" and token.lower_name == name:
            return [t.value for t in token.arguments if t.type in ("number", "dimension", "percentage")]
    return None


def _lengths(tokens: Iterable[Any], size: float) -> list[float]:
    return [length for token in tokens if (length := _length(token, size)) is not None]


def _length(token: Any, size: float) -> float | None:
    """A length in points; None for what is none, or depends on the page."""
    if token.type == "number":
        return 0.0 if token.value == 0 else None
    if token.type != "dimension":
        return None
    unit = token.lower_unit
    if unit in _PT_PER:
        return float(token.value) * _PT_PER[unit]
    return float(token.value) * size if unit in ("em", "rem", "ex", "ch") else None


_GRADIENTS = ("linear-gradient", "radial-gradient", "conic-gradient", "image-set", "repeating-linear-gradient")
_THAT_MATTER = {
    "display", "visibility", "content-visibility", "opacity", "filter", "font-size", "color", "background",
    "background-color", "background-image", "position", "left", "top", "right", "bottom", "text-indent", "margin-left",
    "margin-top", "width", "height", "max-width", "max-height", "overflow", "clip", "clip-path", "transform",
}  # fmt: skip
