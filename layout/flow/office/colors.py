"""Colours of office files: themes, the changes that DrawingML and spreadsheets make to them, and whether text shows.

A colour is (red, green, blue), 0 to 255.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

from mm_megacontext.document import HiddenReason, Rgb
from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.office.elements import local, number
from mm_megacontext.layout.page.ink import MIN_CONTRAST

Theme = Mapping[str, Rgb]
"""The colours of a theme by their names there: dk1, lt1, dk2, lt2, accent1 to accent6, hlink, folHlink."""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OFFICE_THEME: Theme = {
    "dk1": BLACK, "lt1": WHITE, "dk2": (31, 73, 125), "lt2": (238, 236, 225), "accent1": (79, 129, 189),
    "accent2": (192, 80, 77), "accent3": (155, 187, 89), "accent4": (128, 100, 162), "accent5": (75, 172, 198),
    "accent6": (247, 150, 70), "hlink": (0, 0, 255), "folHlink": (128, 0, 128),
}  # fmt: skip
"""What counts where a file has no theme."""
USUAL_MAP: Mapping[str, str] = {"bg1": "lt1", "tx1": "dk1", "bg2": "lt2", "tx2": "dk2"}
"""What slides and documents call colours of the theme, unless they say otherwise."""
SMALLEST_PT = 1.0
"""Letters of this size and below are specks: office programs set none smaller."""

_LEAST_ALPHA = 0.05
_NAMED = {
    "black": BLACK, "white": WHITE, "red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0), "lime": (0, 255, 0),
    "yellow": (255, 255, 0), "cyan": (0, 255, 255), "magenta": (255, 0, 255), "gray": (128, 128, 128),
    "darkgray": (169, 169, 169), "lightgray": (211, 211, 211), "silver": (192, 192, 192), "ghostwhite": (248, 248, 255),
    "snow": (255, 250, 250), "ivory": (255, 255, 240), "whitesmoke": (245, 245, 245), "floralwhite": (255, 250, 240),
    "mintcream": (245, 255, 250), "azure": (240, 255, 255), "navy": (0, 0, 128), "maroon": (128, 0, 0),
    "purple": (128, 0, 128), "teal": (0, 128, 128), "olive": (128, 128, 0), "orange": (255, 165, 0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ink:
    """A colour and how opaque it is, 0 to 1."""

    rgb: Rgb
    alpha: float = 1.0


def hex_rgb(text: str | None) -> Rgb | None:
    """Six or eight hexadecimal digits, the last six of which count."""
    digits = (text or "").strip().lstrip("#")[-6:]
    try:
        return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)) if len(digits) == 6 else None
    except ValueError:
        return None


def named_rgb(text: str) -> Rgb | None:
    """A colour by its name, as HTML, VML and DrawingML have them."""
    return _NAMED.get(text.strip().lower())


def read_theme(data: bytes) -> Theme:
    """The colours of a theme part. Raises etree.XMLSyntaxError."""
    colors = dict(OFFICE_THEME)
    for scheme in (e for e in parse_xml(data).iter() if isinstance(e.tag, str) and local(e) == "clrScheme"):
        for entry in scheme:
            ink = drawing_ink(entry, OFFICE_THEME, USUAL_MAP)
            if ink is not None:
                colors[local(entry)] = ink.rgb
    return colors


def tinted(rgb: Rgb, tint: float) -> Rgb:
    """A colour made lighter (up to 1) or darker (down to -1), as spreadsheets do it (18.8.19)."""
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in rgb))
    light = light * (1 + tint) if tint < 0 else light * (1 - tint) + tint
    return _rgb(colorsys.hls_to_rgb(hue, min(1.0, max(0.0, light)), saturation))


def drawing_ink(holder: Element | None, theme: Theme, names: Mapping[str, str]) -> Ink | None:
    """The colour that stands in an element of DrawingML; None where there is none that is known.

    Args:
        holder: Such as ``a:solidFill``.
        theme: The colours of the theme.
        names: What the slide or document calls them.
    """
    for color in holder if holder is not None else ():
        rgb = _base(color, theme, names)
        if rgb is not None:
            return _changed(color, rgb)
    return None


def _base(color: Element, theme: Theme, names: Mapping[str, str]) -> Rgb | None:
    kind, value = local(color), color.get("val") or ""
    if kind == "srgbClr":
        return hex_rgb(value)
    if kind == "sysClr":
        return hex_rgb(color.get("lastClr")) or (WHITE if value in ("window", "btnHighlight") else BLACK)
    if kind == "schemeClr":
        return theme.get(names.get(value, value))
    if kind == "prstClr":
        return named_rgb(value)
    if kind == "scrgbClr":
        red, green, blue = (max(0.0, number(color.get(c)) / 100_000) ** (1 / 2.2) for c in "rgb")
        return _rgb((red, green, blue))
    if kind == "hslClr":
        hue, saturation, light = number(color.get("hue")) / 21_600_000, *(number(color.get(n)) for n in ("sat", "lum"))
        return _rgb(colorsys.hls_to_rgb(hue, light / 100_000, saturation / 100_000))
    return None


def _changed(color: Element, rgb: Rgb) -> Ink:
    """The colour after what stands in its element has been done to it (20.1.2.3)."""
    alpha = 1.0
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in rgb))
    for change in color:
        kind, value = local(change), number(change.get("val")) / 100_000
        if kind == "alpha":
            alpha = value
        elif kind == "alphaMod":
            alpha *= value
        elif kind == "alphaOff":
            alpha += value
        elif kind == "lumMod":
            light *= value
        elif kind == "lumOff":
            light += value
        elif kind == "lum":
            light = value
        elif kind == "satMod":
            saturation *= value
        elif kind == "shade":
            light *= value
        elif kind == "tint":
            light = light * value + (1 - value)
        elif kind == "inv":
            inverse = tuple(1 - c for c in colorsys.hls_to_rgb(hue, light, saturation))
            hue, light, saturation = colorsys.rgb_to_hls(*inverse)
    light, saturation = min(1.0, max(0.0, light)), min(1.0, max(0.0, saturation))
    return Ink(_rgb(colorsys.hls_to_rgb(hue, light, saturation)), min(1.0, max(0.0, alpha)))


def _rgb(parts: tuple[float, float, float]) -> Rgb:
    red, green, blue = (min(255, max(0, round(255 * part))) for part in parts)
    return red, green, blue


def over(ink: Ink, paper: Rgb) -> Rgb:
    """What an ink looks like on paper."""
    red, green, blue = (
        round(top * ink.alpha + bottom * (1 - ink.alpha)) for top, bottom in zip(ink.rgb, paper, strict=True)
    )
    return red, green, blue


def why_unseen(ink: Ink, paper: Rgb | None) -> HiddenReason | None:
    """Why text of some colour is not seen, or None; ``paper`` is None where what is behind it is not known."""
    if ink.alpha < _LEAST_ALPHA:
        return "transparent"
    if paper is not None:
        seen = over(ink, paper)
        if max(abs(a - b) for a, b in zip(seen, paper, strict=True)) < MIN_CONTRAST:
            return "no contrast"
    return None
