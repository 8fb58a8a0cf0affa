"""How text of a Word document looks: what a run says itself, and what styles, tables and defaults hand down to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from mm_megacontext.document import Rgb
from mm_megacontext.errors import IngestError
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.colors import OFFICE_THEME, Theme, hex_rgb, read_theme, tinted
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, parse_deep
from mm_megacontext.layout.flow.zip_container import ZipContainer

_MOST_BASED = 30  # styles that are based on each other
_OFF = ("0", "false", "off", "none")
_THEME_NAMES = {
    "dark1": "dk1", "light1": "lt1", "dark2": "dk2", "light2": "lt2", "text1": "dk1", "background1": "lt1",
    "text2": "dk2", "background2": "lt2", "hyperlink": "hlink", "followedHyperlink": "folHlink",
}  # fmt: skip
_HIGHLIGHTS = {
    "black": "000000", "blue": "0000FF", "cyan": "00FFFF", "darkBlue": "00008B", "darkCyan": "008B8B",
    "darkGray": "A9A9A9", "darkGreen": "006400", "darkMagenta": "8B008B", "darkRed": "8B0000", "darkYellow": "808000",
    "green": "00FF00", "lightGray": "D3D3D3", "magenta": "FF00FF", "red": "FF0000", "white": "FFFFFF",
    "yellow": "FFFF00",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shade:
    """What is behind a text: ``rgb`` is None where that is not one colour."""

    rgb: Rgb | None


@dataclass(slots=True)
class DocxStyles:
    """The styles, theme and page colour of a document."""

    theme: Theme = field(default_factory=lambda: OFFICE_THEME)
    styles: dict[str, Element] = field(default_factory=dict)
    usual: dict[str, str] = field(default_factory=dict)
    defaults: Element | None = None
    page: Rgb | None = None

    def chain(self, kind: str, identity: str | None) -> Iterator[Element]:
        """A style and those it is based on, the nearest first; the usual style of the kind where none is named."""
        name = identity or self.usual.get(kind)
        for _ in range(_MOST_BASED):
            style = self.styles.get(name or "")
            if style is None:
                return
            yield style
            name = _value(child(style, "basedOn"))

    def of_run(self, run: Element) -> list[tuple[Element, ...]]:
        """The properties that count for a run: its own, of its style, of its paragraph, its table, and the defaults."""
        paragraph = next((e for e in run.iterancestors() if local(e) == "p"), None)
        own = child(run, "rPr")
        character = _value(child(own, "rStyle"))
        groups = [() if own is None else (own,)]
        groups.append(self._properties("character", character, "rPr") if character else ())
        groups.append(self._properties("paragraph", _value(child(paragraph, "pPr", "pStyle")), "rPr"))
        table = next((e for e in run.iterancestors() if local(e) == "tbl"), None)
        groups.append(
            self._properties("table", _value(child(table, "tblPr", "tblStyle")), "rPr") if table is not None else ()
        )
        default = child(self.defaults, "rPrDefault", "rPr")
        return [*groups, () if default is None else (default,)]

    def of_paragraph(self, paragraph: Element) -> list[Element]:
        """The properties that count for a paragraph, the nearest first."""
        own = child(paragraph, "pPr")
        found = [] if own is None else [own]
        found += self._properties("paragraph", _value(child(own, "pStyle")), "pPr")
        default = child(self.defaults, "pPrDefault", "pPr")
        return [*found, *([] if default is None else [default])]

    def _properties(self, kind: str, identity: str | None, name: str) -> tuple[Element, ...]:
        found = (child(style, name) for style in self.chain(kind, identity))
        return tuple(properties for properties in found if properties is not None)

    def shade(self, properties: Element | None) -> Shade | None:
        """The shade, or the colour of a marker, that properties give; None where they give none."""
        marker = _value(child(properties, "highlight"))
        if marker in _HIGHLIGHTS:
            return Shade(hex_rgb(_HIGHLIGHTS[marker or ""]))
        shade = child(properties, "shd")
        kind = _value(shade)
        if shade is None or kind == "nil":
            return None
        if kind == "solid":
            return Shade(self.color(shade, "color", "theme"))
        fill = self.color(shade, "fill", "themeFill")
        if kind not in (None, "clear"):
            return Shade(None)
        return None if fill is None else Shade(fill)

    def color(self, element: Element | None, plain: str, theme: str) -> Rgb | None:
        """A colour of an element; None where there is none, or it is left to the program."""
        name = attribute(element, f"{theme}Color" if theme == "theme" else theme)
        rgb = self.theme.get(_THEME_NAMES.get(name or "", name or ""))
        if rgb is None:
            return hex_rgb(attribute(element, plain))
        for change, sign in (("Tint", 1), ("Shade", -1)):
            strength = attribute(element, f"{theme}{change}")
            if strength is not None:
                rgb = tinted(rgb, sign * (1 - _of_255(strength)))
        return rgb

    def cell_shade(self, cell: Element) -> Shade | None:
        """What is behind the text of a cell of a table, as far as it and the style of its table say."""
        own = self.shade(child(cell, "tcPr"))
        if own is not None:
            return own
        row, table = cell.getparent(), next((e for e in cell.iterancestors() if local(e) == "tbl"), None)
        is_first = row is not None and row is child(table, "tr") and _header_is_styled(table)
        of_table = self.shade(child(table, "tblPr"))
        if of_table is not None:
            return of_table
        for style in self.chain("table", _value(child(table, "tblPr", "tblStyle"))):
            parts = {attribute(part, "type"): child(part, "tcPr") for part in children(style, "tblStylePr")}
            header = self.shade(parts.pop("firstRow", None)) if is_first else None
            if header is not None:
                return header
            if any(self.shade(part) is not None for kind, part in parts.items() if kind != "firstRow"):
                return Shade(None)
            whole = self.shade(child(style, "tcPr")) or self.shade(child(style, "tblPr"))
            if whole is not None:
                return whole
        return None


def _header_is_styled(table: Element | None) -> bool:
    look = child(table, "tblPr", "tblLook")
    flag = attribute(look, "firstRow")
    if flag is not None:
        return flag not in _OFF
    try:
        return look is None or bool(int(attribute(look, "val") or "04A0", 16) & 0x20)
    except ValueError:
        return True


def _of_255(text: str) -> float:
    try:
        return int(text, 16) / 255
    except ValueError:
        return 1.0


def _value(element: Element | None) -> str | None:
    return attribute(element, "val")


def first(groups: Sequence[Sequence[Element]], name: str) -> Element | None:
    """The property that counts: the nearest of those that are given."""
    return next((found for group in groups for e in group if (found := child(e, name)) is not None), None)


def is_on(switch: Element | None) -> bool:
    """Whether a switch is on: it is, where it stands without a value."""
    return switch is not None and (attribute(switch, "val") or "true").lower() not in _OFF


def toggled(groups: Sequence[Sequence[Element]], name: str) -> bool:
    """Whether a property is on that styles switch to and fro (17.7.3): what a run says itself counts alone."""
    own, *styles = groups
    found = first([own], name)
    if found is not None:
        return is_on(found)
    *levels, defaults = styles
    return is_on(first([defaults], name)) or sum(is_on(first([level], name)) for level in levels) % 2 == 1


def read_docx_styles(container: ZipContainer) -> DocxStyles:
    """The styles of a document; what of them cannot be read is left out."""
    styles = DocxStyles()
    theme = next((n for n in ("word/theme/theme1.xml",) if container.find("", n)), None)
    try:
        styles.theme = OFFICE_THEME if theme is None else read_theme(container.read(theme))
    except (etree.XMLSyntaxError, IngestError):
        styles.theme = OFFICE_THEME
    root = optional_part(container, "word/styles.xml")
    styles.defaults = child(root, "docDefaults")
    for style in children(root, "style"):
        identity = attribute(style, "styleId") or ""
        styles.styles[identity] = style
        if attribute(style, "default") in ("1", "true"):
            styles.usual[attribute(style, "type") or ""] = identity
    background = child(optional_part(container, "word/document.xml"), "background")
    if background is not None and is_on(child(optional_part(container, "word/settings.xml"), "displayBackgroundShape")):
        styles.page = styles.color(background, "color", "theme")
    return styles


def optional_part(container: ZipContainer, member: str) -> Element | None:
    """The root of a part that a document can do without; None where it has none that can be read."""
    if container.find("", member) is None:
        return None
    try:
        return parse_deep(container.read(member))
    except (etree.XMLSyntaxError, IngestError):
        return None
