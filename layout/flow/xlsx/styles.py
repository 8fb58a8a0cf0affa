"""How cells of a workbook look: fonts, fills, number formats, and the changes that conditions and tables make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mm_megacontext.document import Rgb, Script
from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.office.colors import BLACK, OFFICE_THEME, WHITE, Theme, hex_rgb, tinted
from mm_megacontext.layout.flow.office.elements import child, children, number
from mm_megacontext.layout.flow.office.number_format import BUILT_IN

_Kept = TypeVar("_Kept")

_DEFAULT_PT = 11.0
_SCRIPTS: dict[str, Script] = {"superscript": "sup", "subscript": "sub"}
_OF_THEME = (
    "lt1",
    "dk1",
    "lt2",
    "dk2",
    "accent1",
    "accent2",
    "accent3",
    "accent4",
    "accent5",
    "accent6",
    "hlink",
    "folHlink",
)
_TEXT_OF_SYSTEM, _PAPER_OF_SYSTEM = 64, 65
_FIRST_PALETTE = ("000000", "FFFFFF", "FF0000", "00FF00", "0000FF", "FFFF00", "FF00FF", "00FFFF")
_PALETTE = (
    *_FIRST_PALETTE, *_FIRST_PALETTE, "800000", "008000", "000080", "808000", "800080", "008080", "C0C0C0", "808080",
    "9999FF", "993366", "FFFFCC", "CCFFFF", "660066", "FF8080", "0066CC", "CCCCFF", "000080", "FF00FF", "FFFF00",
    "00FFFF", "800080", "800000", "008080", "0000FF", "00CCFF", "CCFFFF", "CCFFCC", "FFFF99", "99CCFF", "FF99CC",
    "CC99FF", "FFCC99", "3366FF", "33CCCC", "99CC00", "FFCC00", "FF9900", "FF6600", "666699", "969696", "003366",
    "339966", "003300", "333300", "993300", "993366", "333399", "333333",
)  # fmt: skip
"""18.8.27, unless a workbook has its own."""


@dataclass(frozen=True, slots=True)
class Fill:
    """What is behind the text: ``rgb`` is None where it is not one colour."""

    rgb: Rgb | None


@dataclass(frozen=True, slots=True)
class Look:
    """How a cell, or a part of its text, looks; None where it says nothing about that."""

    ink: Rgb | None = None
    size: float | None = None
    fill: Fill | None = None
    code: str | None = None
    script: Script = ""

    def under(self, other: Look) -> Look:
        """The look where ``other`` comes first, and this one counts where that says nothing."""
        return Look(
            other.ink if other.ink is not None else self.ink,
            other.size if other.size is not None else self.size,
            other.fill if other.fill is not None else self.fill,
            other.code if other.code is not None else self.code,
            other.script or self.script,
        )


@dataclass(slots=True)
class Styles:
    """The looks of a workbook.

    Attributes:
        cells: By the number that a cell gives.
        changes: Of conditional formats and table styles, by their number.
        tables: Of table styles that the workbook defines: the change of their header and of all of it.
    """

    theme: Theme = field(default_factory=lambda: OFFICE_THEME)
    palette: Sequence[str] = _PALETTE
    cells: list[Look] = field(default_factory=list)
    changes: list[Look] = field(default_factory=list)
    tables: dict[str, dict[str, Look]] = field(default_factory=dict)

    def cell(self, index: int) -> Look:
        """The look of a cell."""
        return self.cells[index] if 0 <= index < len(self.cells) else Look(code="General")

    def change(self, index: int) -> Look:
        """The look that a condition gives a cell."""
        return self.changes[index] if 0 <= index < len(self.changes) else Look()

    def color(self, element: Element | None) -> Rgb | None:
        """The colour that an element gives; None where that is left to the program."""
        if element is None:
            return None
        rgb: Rgb | None = None
        if element.get("rgb") is not None:
            rgb = hex_rgb(element.get("rgb"))
        elif element.get("theme") is not None:
            index = int(number(element.get("theme")))
            rgb = self.theme.get(_OF_THEME[index]) if 0 <= index < len(_OF_THEME) else None
        elif element.get("indexed") is not None:
            index = int(number(element.get("indexed")))
            if index in (_TEXT_OF_SYSTEM, _PAPER_OF_SYSTEM):
                rgb = BLACK if index == _TEXT_OF_SYSTEM else WHITE
            elif 0 <= index < len(self.palette):
                rgb = hex_rgb(self.palette[index])
        return None if rgb is None else tinted(rgb, number(element.get("tint")))

    def font(self, element: Element | None) -> Look:
        """The look of a font, or of a run in a text."""
        if element is None:
            return Look()
        size = child(element, "sz")
        place = child(element, "vertAlign")
        script = _SCRIPTS.get((place.get("val") or "") if place is not None else "", "")
        return Look(
            self.color(child(element, "color")),
            None if size is None else number(size.get("val"), _DEFAULT_PT),
            script=script,
        )


def read_styles(data: bytes, theme: Theme) -> Styles:
    """The looks in the part ``styles.xml``. Raises etree.XMLSyntaxError."""
    root = parse_xml(data)
    own = [color.get("rgb") or "" for color in children(child(root, "colors", "indexedColors"), "rgbColor")]
    styles = Styles(theme, [*own, *_PALETTE[len(own) :]])
    codes = {
        int(number(e.get("numFmtId"))): e.get("formatCode") or "" for e in children(child(root, "numFmts"), "numFmt")
    }
    fonts = [styles.font(font) for font in children(child(root, "fonts"), "font")]
    fills = [_fill(fill, styles) for fill in children(child(root, "fills"), "fill")]
    for entry in children(child(root, "cellXfs"), "xf"):
        number_of_code = int(number(entry.get("numFmtId")))
        font = _nth(fonts, entry.get("fontId")) or Look()
        code = codes.get(number_of_code, BUILT_IN.get(number_of_code, "General"))
        styles.cells.append(Look(font.ink, font.size, _nth(fills, entry.get("fillId")), code))
    for entry in children(child(root, "dxfs"), "dxf"):
        styles.changes.append(change_of(entry, styles))
    for style in children(child(root, "tableStyles"), "tableStyle"):
        styles.tables[style.get("name") or ""] = {
            part.get("type") or "": styles.change(int(number(part.get("dxfId"), -1)))
            for part in children(style, "tableStyleElement")
        }
    return styles


def _nth(items: Sequence[_Kept], index: str | None) -> _Kept | None:
    place = int(number(index))
    return items[place] if 0 <= place < len(items) else None


def _fill(element: Element, styles: Styles) -> Fill | None:
    """The fill of a cell; None where it has none."""
    pattern = child(element, "patternFill")
    if pattern is None:
        return Fill(None) if child(element, "gradientFill") is not None else None
    kind = pattern.get("patternType") or "none"
    if kind == "none":
        return None
    return Fill(styles.color(child(pattern, "fgColor")) or BLACK) if kind == "solid" else Fill(None)


def change_of(element: Element, styles: Styles) -> Look:
    """A difference: a solid fill there names its colour as that of the background (18.8.32)."""
    font = styles.font(child(element, "font"))
    code = child(element, "numFmt")
    return Look(
        font.ink, font.size, _new_fill(child(element, "fill"), styles), None if code is None else code.get("formatCode")
    )


def _new_fill(element: Element | None, styles: Styles) -> Fill | None:
    """A fill that takes the place of another one; None where it says nothing of it."""
    pattern = child(element, "patternFill")
    if pattern is None:
        return Fill(None) if child(element, "gradientFill") is not None else None
    if pattern.get("patternType") not in (None, "solid"):
        return None if pattern.get("patternType") == "none" else Fill(None)
    rgb = styles.color(child(pattern, "bgColor"))
    rgb = rgb if rgb is not None else styles.color(child(pattern, "fgColor"))
    return None if rgb is None else Fill(rgb)
