"""A presentation as slides with what they take over from layouts, masters and themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from lxml import etree

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.office.colors import OFFICE_THEME, USUAL_MAP, Ink, Theme, drawing_ink, read_theme
from mm_megacontext.layout.flow.office.elements import (
    attribute,
    child,
    children,
    local,
    number,
    outside_links,
    relations,
)
from mm_megacontext.layout.flow.zip_container import ZipContainer

_Read = TypeVar("_Read")

EMU_PER_PT = 12_700
_USUAL_SIZE = (9_144_000.0, 6_858_000.0)
_TITLES = ("title", "ctrTitle")
_UNREADABLE = (etree.XMLSyntaxError, IngestError, KeyError, ValueError)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What a shape stands in for: "title", "body", …, and its number on the layout."""

    kind: str
    index: str

    @property
    def is_title(self) -> bool:
        return self.kind in _TITLES


@dataclass(slots=True)
class Slide:
    """A slide, and what stands behind it: its layout, then the master.

    Attributes:
        root: The slide.
        layers: Slide, layout and master, as far as they are in the file.
        links: What the slide refers to, see ``office_xml.relations``.
        outside: Addresses outside the file that it refers to.
        colors: What the slide calls the colours of the theme.
    """

    root: Element
    layers: tuple[Element, ...]
    links: Mapping[str, tuple[str, str | None]]
    outside: Mapping[str, str]
    theme: Theme
    colors: Mapping[str, str]
    deck: Deck

    @property
    def is_shown(self) -> bool:
        return self.root.get("show") not in ("0", "false")

    def ink(self, holder: Element | None) -> Ink | None:
        """The colour in an element of this slide."""
        return drawing_ink(holder, self.theme, self.colors)

    def inherited(self, shape: Element) -> Iterator[Element]:
        """The shapes of layout and master that a placeholder is made after."""
        own = placeholder_of(shape)
        if own is None:
            return
        for layer in self.layers[1:]:
            others = [s for s in child(layer, "cSld", "spTree") or () if isinstance(s.tag, str)]
            match = next((s for s in others if _stands_for(placeholder_of(s), own)), None)
            if match is not None:
                yield match
                own = Placeholder((placeholder_of(match) or own).kind, "0")  # masters number theirs in another way

    def text_styles(self, placeholder: Placeholder | None) -> Iterator[Element]:
        """The lists of text styles that count for a text after those of its shapes."""
        kind = "otherStyle"
        if placeholder is not None:
            kind = "titleStyle" if placeholder.is_title else "bodyStyle"
        styles = child(self.layers[-1], "txStyles", kind)
        if styles is not None:
            yield styles
        if self.deck.text_style is not None:
            yield self.deck.text_style


@dataclass(slots=True)
class Deck:
    """A presentation held open. Parts are read when they are needed."""

    container: ZipContainer
    size: tuple[float, float] = _USUAL_SIZE
    parts: list[str | None] = field(default_factory=list)
    text_style: Element | None = None
    table_styles: dict[str, Element] = field(default_factory=dict)
    _layers: dict[str, Element] = field(default_factory=dict)

    def slide(self, part: str | None) -> Slide:
        """A slide. Raises KeyError, ValueError, etree.XMLSyntaxError or IngestError."""
        if part is None:
            raise KeyError("it is not in the file")
        root = parse_xml(self.container.read(part))
        links = relations(self.container, part)
        layout = _linked(links, "slideLayout")
        master = _linked(relations(self.container, layout), "slideMaster") if layout else None
        layers = [root, *(e for e in (self.optional(layout), self.optional(master)) if e is not None)]
        theme_part = _linked(relations(self.container, master), "theme") if master else None
        theme = self._guarded(lambda: read_theme(self.container.read(theme_part or ""))) if theme_part else None
        colors = dict(USUAL_MAP)
        for layer in reversed(layers):
            override = child(layer, "clrMapOvr", "overrideClrMapping")
            mapping = child(layer, "clrMap") if override is None else override
            colors |= {} if mapping is None else dict(mapping.items())
        return Slide(
            root, tuple(layers), links, outside_links(self.container, part), theme or OFFICE_THEME, colors, self
        )

    def optional(self, part: str | None) -> Element | None:
        """A part that a slide can do without."""
        if part is not None and part not in self._layers:
            found = self._guarded(lambda: parse_xml(self.container.read(part)))
            if found is not None:
                self._layers[part] = found
        return self._layers.get(part or "")

    @staticmethod
    def _guarded(read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except _UNREADABLE:
            return None


def open_deck(container: ZipContainer) -> Deck:
    """The slides of a presentation in their order. Raises etree.XMLSyntaxError where the list is damaged."""
    main = _linked(relations(container, ""), "officeDocument") or "ppt/presentation.xml"
    root = parse_xml(container.read(main))
    links = relations(container, main)
    size = child(root, "sldSz")
    deck = Deck(container, text_style=child(root, "defaultTextStyle"))
    if size is not None:
        deck.size = number(size.get("cx"), _USUAL_SIZE[0]), number(size.get("cy"), _USUAL_SIZE[1])
    for entry in children(child(root, "sldIdLst"), "sldId"):
        identity = next((v for k, v in entry.items() if k.endswith("}id")), "")
        deck.parts.append(links.get(identity, ("", None))[1])
    styles = deck.optional(_linked(links, "tableStyles"))
    deck.table_styles = {s.get("styleId") or "": s for s in children(styles, "tblStyle")}
    return deck


def _linked(links: Mapping[str, tuple[str, str | None]], kind: str) -> str | None:
    return next((part for found, part in links.values() if found == kind), None)


def placeholder_of(shape: Element) -> Placeholder | None:
    """What a shape stands in for, or None."""
    for holder in shape:
        if isinstance(holder.tag, str) and local(holder).startswith("nv"):
            found = child(holder, "nvPr", "ph")
            if found is not None:
                return Placeholder(found.get("type") or "obj", found.get("idx") or "0")
    return None


def _stands_for(other: Placeholder | None, own: Placeholder) -> bool:
    """Whether a shape of a layout or master is the one that a placeholder is made after."""
    if other is None:
        return False
    if own.is_title or other.is_title:
        return own.is_title and other.is_title
    return other.index == own.index if own.index != "0" else _family(other.kind) == _family(own.kind)


def _family(kind: str) -> str:
    return "body" if kind in ("body", "obj", "subTitle", "half", "tbl", "chart") else kind


def is_hidden(shape: Element) -> bool:
    """Whether a shape is switched off."""
    for holder in shape:
        if isinstance(holder.tag, str) and local(holder).startswith("nv"):
            return (attribute(child(holder, "cNvPr"), "hidden") or "0") in ("1", "true")
    return False
