"""Which elements of an HTML page nobody sees, and why: by their style sheets, attributes and nature.

The page is looked at without scripts being run, on a screen. Of style sheets those in the page and those that come with
it count, none is fetched. The page is not set: where that would be needed to say whether a text is seen, or where its
style asks for what is not followed here, the text is in doubt (``visibility_unsure``), and not taken to be seen.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import tinycss2
from PIL import Image

from mm_megacontext.layout.flow.html.cover import Shown, covered
from mm_megacontext.layout.flow.html.css_cascade import Cascade, Declared
from mm_megacontext.layout.flow.html.css_conditions import Answer, media_of
from mm_megacontext.layout.flow.html.css_sheets import Declaration, Sheets
from mm_megacontext.layout.flow.html.css_values import CssColour, contrast
from mm_megacontext.layout.flow.html.look import Kind, Look, changed
from mm_megacontext.layout.flow.html.source import Element, embedded_image, sheet_of_data
from mm_megacontext.layout.page.ink import MIN_CONTRAST

UNSEEN_BY_NATURE = {
    "head", "script", "style", "template", "noscript", "title", "datalist", "embed", "iframe", "audio", "video",
    "canvas", "param", "source", "track", "frameset", "rp", "noframes", "noembed", "annotation", "annotation-xml",
    "meter", "progress", "desc", "metadata",
}  # fmt: skip

_INLINE = {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "label", "mark", "nobr", "output", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "time", "tt", "u", "var",
}  # fmt: skip
_NATURE = {
    "mark": {"background-color": "mark", "color": "marktext"},
    "input": {"background-color": "field", "color": "fieldtext"},
    "textarea": {"background-color": "field", "color": "fieldtext"},
    "select": {"background-color": "field", "color": "fieldtext"},
    "button": {"background-color": "buttonface", "color": "buttontext"},
}
_ATTRIBUTES = (("bgcolor", "background-color"), ("text", "color"), ("color", "color"))
_SAMPLE_PX = 16  # images are made as small as that to find whether they have one colour
_MAX_IMAGE_PX = 20_000_000


class Styles:
    """The style sheets of a page, and how its elements look by them.

    Args:
        root: The page; its ``style`` elements count.
        sheets: The texts of those that come with it, in order, before its own.
        fetch: Gives images that come with the page.
    """

    def __init__(
        self, root: Element, sheets: Iterable[str] = (), fetch: Callable[[str], bytes | None] = lambda address: None
    ) -> None:
        found = Sheets()
        for sheet in sheets:
            found.add(sheet)
        for text, condition in _own_sheets(root):
            if condition is not False:
                found.add(text, condition)
        found.close()
        self._cascade = Cascade(root, found)
        colors = partial(_image_colors, fetch)
        self._kinds = [Kind(is_inline, frozenset(found.tiny_fonts), colors) for is_inline in (False, True)]
        self._looks: dict[Any, Look] = {}
        shown: dict[Any, Shown] = {}
        for element in root.iter():
            if isinstance(element.tag, str):
                parent = self._looks.get(element.getparent()) or Look(doubt=found.is_broken)
                look, declared = self._found(element, parent)
                self._looks[element] = look
                if declared or element.tag in ("img", "svg"):
                    shown[element] = Shown(look, declared)
        for element in covered(root, shown):
            self._looks[element] = replace(self._looks[element], doubt=True)

    def look(self, element: Element) -> Look:
        """How an element of the page looks."""
        return self._looks[element]

    def _found(self, element: Element, parent: Look) -> tuple[Look, Declared]:
        try:
            return self._set(element, parent)
        except RecursionError:  # a value nested deeper than the parser goes
            return replace(parent, doubt=True), {}

    def _set(self, element: Element, parent: Look) -> tuple[Look, Declared]:
        if parent.gone is not None:
            return parent, {}
        if element.tag in UNSEEN_BY_NATURE:
            return replace(parent, gone="not displayed"), {}
        given = self._cascade.given(element, parent.custom, _by_nature(element))
        kind = self._kinds[element.tag in _INLINE]
        first, *doubtful = given
        look = changed(parent, first.declared, first.custom, kind)
        if element.tag == "object" and (element.get("data") or "")[:5].lower() == "data:":
            look = replace(look, doubt=True)  # what is in it stands for what cannot be shown
        others = [changed(parent, one.declared, one.custom, kind) for one in doubtful]
        others += [changed(look, part, first.custom, kind) for one in given for part in one.parts]
        if look.hidden is None and any(other.hidden is not None for other in others):
            look = replace(look, doubt=True)
        return look, first.declared


def _own_sheets(root: Element) -> Iterator[tuple[str, Answer]]:
    """The sheets in a page, and whether their media are a screen."""
    for element in root.iter("style", "link"):
        condition = media_of(element.get("media") or "")
        if element.tag == "style":
            if (element.get("type") or "text/css").strip().lower() == "text/css":
                yield "".join(element.itertext()), condition
        elif "stylesheet" in (element.get("rel") or "").lower().split() and element.get("disabled") is None:
            text = sheet_of_data(element.get("href") or "")
            if text is not None:
                yield text, condition


def _by_nature(element: Element) -> Iterator[Declaration]:
    """What browsers, and attributes of old, set for an element."""
    tag = element.tag
    for name, value in _NATURE.get(tag, {}).items():
        yield _set(name, value)
    if tag == "a" and element.get("href") is not None:
        yield _set("color", "linktext")
    if element.get("hidden") is not None:
        is_found = (element.get("hidden") or "").lower() == "until-found"
        yield _set("content-visibility", "hidden") if is_found else _set("display", "none")
    if (tag == "dialog" and element.get("open") is None) or element.get("popover") is not None:
        yield _set("display", "none")
    for attribute, name in _ATTRIBUTES:
        value = element.get(attribute)
        if value and (attribute != "text" or tag == "body"):
            yield _set(name, value)


def _set(name: str, value: str) -> Declaration:
    return Declaration(name, tinycss2.parse_component_value_list(value), important=False)


def _image_colors(fetch: Callable[[str], bytes | None], address: str) -> tuple[CssColour, ...] | None:
    """The colour of an image that has but one; ``()`` for others, None for one that is not there."""
    data = embedded_image(address) if address[:5].lower() == "data:" else fetch(address)
    if not data:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > _MAX_IMAGE_PX:
                return ()
            small = image.convert("RGBA").resize((_SAMPLE_PX, _SAMPLE_PX))
    except Exception:  # a drawing, or damaged: decoders raise anything
        return ()
    colors: set[Any] = {pixel for _, pixel in small.getcolors(_SAMPLE_PX**2) or ()}
    if any(color[3] < 230 for color in colors):
        return ()
    first, *rest = ((float(red), float(green), float(blue)) for red, green, blue, _ in colors)
    return (first,) if all(contrast(first, other) < MIN_CONTRAST for other in rest) else ()
