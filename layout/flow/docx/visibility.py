"""Which text of a Word document nobody sees, and why: looks, rows, frames and text boxes taken together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mm_megacontext.document import HiddenReason, Rgb, Script
from mm_megacontext.layout.flow.docx.styles import DocxStyles, Shade, first, is_on, toggled
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.colors import (
    SMALLEST_PT,
    USUAL_MAP,
    WHITE,
    Ink,
    drawing_ink,
    hex_rgb,
    named_rgb,
    why_unseen,
)
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, number

_TWIPS_PER_PT, _EMU_PER_TWIP = 20, 635
_PAGE, _MARGIN = (12_240.0, 15_840.0), 1_440.0  # twips: what counts where a document does not say
_FAR_HALF_POINTS = 1_500  # text that is raised by more than a page is high
_RAISED_HALF_POINTS = 4  # from here on text stands on a line of its own: a mark
_NARROWEST_PERCENT = 5  # of the width of letters
_EM_OF_LETTER = 0.5  # how wide a letter is, on the average
_TINY_TWIPS = 20.0
_LARGE = 0.2  # of the page
_CSS_LENGTH = re.compile(r"(-?\d*\.?\d+)\s*(pt|px|in|cm|mm|pc|em|)", re.IGNORECASE)
_PT_PER = {"pt": 1.0, "": 1.0, "px": 0.75, "in": 72.0, "cm": 28.35, "mm": 2.835, "pc": 12.0, "em": 12.0}


@dataclass(frozen=True, slots=True)
class TextLook:
    """How a run is read: why nobody sees it, or None, and whether it stands above or below the line."""

    hidden: HiddenReason | None
    script: Script


class DocxLooks:
    """The looks of the runs of a part.

    Args:
        styles: Of the document.
        root: The part.
    """

    def __init__(self, styles: DocxStyles, root: Element) -> None:
        self._styles = styles
        sections = [e for e in root.iter() if isinstance(e.tag, str) and local(e) == "sectPr"]
        size = child(sections[-1], "pgSz") if sections else None
        margin = child(sections[-1], "pgMar") if sections else None
        self._page = (number(attribute(size, "w"), _PAGE[0]), number(attribute(size, "h"), _PAGE[1]))
        self._margin = (number(attribute(margin, "left"), _MARGIN), number(attribute(margin, "top"), _MARGIN))
        self._places: dict[Element, HiddenReason | None] = {}
        anchors = (e for e in root.iter() if isinstance(e.tag, str) and local(e) == "anchor")
        self._has_background = any(self._is_background(anchor) for anchor in anchors)

    def of(self, run: Element) -> TextLook:
        """The look of a run."""
        groups = self._styles.of_run(run)
        position = number(attribute(first(groups, "position"), "val"))
        place = attribute(first(groups, "vertAlign"), "val")
        script: Script = "sup" if place == "superscript" else "sub" if place == "subscript" else ""
        if not script and abs(position) >= _RAISED_HALF_POINTS:
            script = "sup" if position > 0 else "sub"
        return TextLook(self._of_looks(run, groups, position) or self._of_places(run, groups), script)

    def _is_background(self, anchor: Element) -> bool:
        """Whether a drawing lies behind the text of a good part of the page."""
        if attribute(anchor, "behindDoc") not in ("1", "true"):
            return False
        extent = child(anchor, "extent")
        width, height = (number(attribute(extent, name)) / _EMU_PER_TWIP for name in ("cx", "cy"))
        return width * height >= _LARGE * self._page[0] * self._page[1]

    def _of_looks(self, run: Element, groups: Sequence[Sequence[Element]], position: float) -> HiddenReason | None:
        if toggled(groups, "vanish") or toggled(groups, "specVanish"):
            return "not displayed"
        size = number(attribute(first(groups, "sz"), "val"), 22.0) / 2
        if size <= SMALLEST_PT or number(attribute(first(groups, "w"), "val"), 100.0) <= _NARROWEST_PERCENT:
            return "smaller than 1 pt"
        if number(attribute(first(groups, "spacing"), "val")) <= -_EM_OF_LETTER * size * _TWIPS_PER_PT:
            return "not displayed"  # all letters in one place
        if abs(position) > _FAR_HALF_POINTS:
            return "outside the page"
        return self._of_color(run, groups)

    def _of_color(self, run: Element, groups: Sequence[Sequence[Element]]) -> HiddenReason | None:
        fill = first(groups, "textFill")
        if child(fill, "noFill") is not None:
            return None if child(first(groups, "textOutline"), "solidFill") is not None else "transparent"
        color = first(groups, "color")
        rgb = self._styles.color(color, "val", "theme") if color is not None else None
        solid = child(fill, "solidFill")
        if solid is not None:
            alpha = next((attribute(e, "val") for e in solid.iter() if local(e) == "alpha"), None)
            if alpha is not None and not 5_000 < number(alpha) < 95_000:  # what is opaque has none
                return "transparent"
            rgb = self._of_extension(solid) or rgb
        if rgb is None:  # left to the program, which takes what can be seen
            return None
        return why_unseen(Ink(rgb), self._paper(run))

    def _of_extension(self, solid: Element) -> Rgb | None:
        """A colour as extensions of Word write it: with attributes in a namespace."""
        for color in solid:
            value = attribute(color, "val") or ""
            named = {"bg1": "lt1", "tx1": "dk1", "bg2": "lt2", "tx2": "dk2"}.get(value, value)
            return hex_rgb(value) if local(color) == "srgbClr" else self._styles.theme.get(named)
        return None

    def _paper(self, run: Element) -> Rgb | None:
        """What is behind a run: the nearest shade around it; None where that is not one colour."""
        own = self._styles.shade(child(run, "rPr"))
        if own is None:
            own = self._of_run_styles(run)
        if own is not None:
            return own.rgb
        for element in run.iterancestors():
            kind = local(element)
            shade: Shade | None = None
            if kind == "p":
                shades = (self._styles.shade(p) for p in self._styles.of_paragraph(element))
                shade = next((s for s in shades if s is not None), None)
            elif kind == "tc":
                shade = self._styles.cell_shade(element)
            elif kind in ("wsp", "shape", "rect", "roundrect", "oval"):
                shade = self._of_shape(element)
            if shade is not None:
                return shade.rgb
        return None if self._is_on_drawing(run) else self._styles.page or WHITE

    def _is_on_drawing(self, run: Element) -> bool:
        """Whether a run may stand on a picture or shape: a large one behind all text, or one beside its own."""
        if self._has_background:
            return True
        around = [e for e in run.iterancestors() if local(e) in ("p", "wgp", "group", "wpc")]
        return any(self._paints_beside(element, run) for element in around)

    def _paints_beside(self, holder: Element, run: Element) -> bool:
        """Whether a picture, or a shape with a fill, is painted in an element beside the shape that a run is in."""
        own = set(run.iterancestors())
        for part in holder.iter():
            kind = local(part) if isinstance(part.tag, str) else ""
            if kind in ("pic", "imagedata") or (kind in ("wsp", "rect") and part not in own and self._of_shape(part)):
                return True
        return False

    def _of_run_styles(self, run: Element) -> Shade | None:
        _, character, *_ = self._styles.of_run(run)
        return next((s for s in map(self._styles.shade, character) if s is not None), None)

    def _of_shape(self, shape: Element) -> Shade | None:
        """What a text box has behind its text; None where it is clear."""
        if local(shape) != "wsp":
            if attribute(shape, "filled") in ("f", "false", "0") or attribute(shape, "type") in ("#_x0000_t136",):
                return None
            color = (attribute(shape, "fillcolor") or "white").split(" ")[0]
            if child(shape, "fill") is not None and attribute(child(shape, "fill"), "type") not in (None, "solid"):
                return Shade(None)
            return Shade(hex_rgb(color) if color.startswith("#") else named_rgb(color))
        properties = child(shape, "spPr")
        for fill in children(properties, "solidFill", "gradFill", "blipFill", "pattFill", "noFill"):
            if local(fill) == "noFill":
                return None
            ink = drawing_ink(fill, self._styles.theme, USUAL_MAP) if local(fill) == "solidFill" else None
            return Shade(None if ink is None or ink.alpha < 1 else ink.rgb)
        reference = child(shape, "style", "fillRef")
        if reference is not None and (reference.get("idx") or "0") != "0":
            ink = drawing_ink(reference, self._styles.theme, USUAL_MAP)
            return Shade(None if ink is None else ink.rgb)
        return None

    def _of_places(self, run: Element, groups: Sequence[Sequence[Element]]) -> HiddenReason | None:
        """Why nothing is seen where a run stands."""
        for element in run.iterancestors():
            if element not in self._places:
                self._places[element] = self._why_gone(element)
            if (why := self._places[element]) is not None:
                return why
        paragraph = next((e for e in run.iterancestors() if local(e) == "p"), None)
        return (
            None
            if paragraph is None
            else self._why_beside(paragraph, number(attribute(first(groups, "sz"), "val"), 22.0) / 2)
        )

    def _why_gone(self, element: Element) -> HiddenReason | None:
        kind = local(element)
        if kind == "tr":
            properties = child(element, "trPr")
            height = child(properties, "trHeight")
            is_flat = attribute(height, "hRule") == "exact" and number(attribute(height, "val"), 300) <= _TINY_TWIPS
            return "not displayed" if is_on(child(properties, "hidden")) or is_flat else None
        if kind == "p":
            properties = self._styles.of_paragraph(element)
            frame = next((f for p in properties if (f := child(p, "framePr")) is not None), None)
            spacing = next((s for p in properties if attribute(s := child(p, "spacing"), "line") is not None), None)
            if attribute(spacing, "lineRule") == "exact" and number(attribute(spacing, "line"), 240) <= _TINY_TWIPS:
                return "not displayed"
            return self._why_off(frame, "x", "y", "hAnchor", "vAnchor")
        if kind == "tbl":
            return self._why_off(child(element, "tblPr", "tblpPr"), "tblpX", "tblpY", "horzAnchor", "vertAnchor")
        if kind in ("anchor", "inline"):
            return self._of_anchor(element)
        if kind in ("shape", "rect", "roundrect", "oval", "group"):
            return self._of_css(attribute(element, "style") or "")
        return None

    def _why_off(self, frame: Element | None, x: str, y: str, horizontal: str, vertical: str) -> HiddenReason | None:
        """Why a frame, or a table with a place of its own, is not on the page."""
        if frame is None:
            return None
        for axis, (name, size, anchor) in enumerate(((x, "w", horizontal), (y, "h", vertical))):
            margin = 0.0 if attribute(frame, anchor) == "page" else self._margin[axis]
            start = number(attribute(frame, name)) + margin
            if start >= self._page[axis] or start + max(_MARGIN / 4, number(attribute(frame, size))) <= 0:
                return "outside the page"
        return None

    def _of_anchor(self, anchor: Element) -> HiddenReason | None:
        extent = child(anchor, "extent")
        if attribute(child(anchor, "docPr"), "hidden") in ("1", "true") or attribute(anchor, "hidden") in ("1", "true"):
            return "not displayed"
        sizes = [number(attribute(extent, name), 1e6) / _EMU_PER_TWIP for name in ("cx", "cy")]
        if min(sizes) <= 0:
            return "not displayed"
        for axis, name in enumerate(("positionH", "positionV")):
            place = child(anchor, name)
            offset = child(place, "posOffset")
            if offset is None:
                continue
            margin = 0.0 if attribute(place, "relativeFrom") == "page" else self._margin[axis]
            start = number((offset.text or "").strip()) / _EMU_PER_TWIP + margin
            is_below = axis == 1 and attribute(place, "relativeFrom") in ("paragraph", "line")
            if start + sizes[axis] <= (0 if not is_below else -self._page[1]) or start >= self._page[axis]:
                return "outside the page"
        return None

    def _of_css(self, style: str) -> HiddenReason | None:
        """Why a shape of VML is not seen, by its style."""
        given = {n.strip().lower(): v.strip().lower() for n, _, v in (p.partition(":") for p in style.split(";"))}
        if given.get("visibility") == "hidden" or given.get("display") == "none" or given.get("mso-hide") == "all":
            return "not displayed"
        sizes = {name: _points(given.get(name)) for name in ("width", "height")}
        if any(size is not None and size <= 0 for size in sizes.values()):
            return "not displayed"
        for axis, (side, size) in enumerate((("left", "width"), ("top", "height"))):
            start = sum(_points(given.get(name)) or 0.0 for name in (side, f"margin-{side}"))
            start += self._margin[axis] / _TWIPS_PER_PT
            if start >= self._page[axis] / _TWIPS_PER_PT or start + (sizes[size] or 72.0) <= 0:
                return "outside the page"
        return None

    def _why_beside(self, paragraph: Element, size: float) -> HiddenReason | None:
        """Whether a paragraph ends before the page begins, or begins behind it."""
        indents = [e for p in self._styles.of_paragraph(paragraph) if (e := child(p, "ind")) is not None]
        left = _nearest(indents, "left", "start")
        begin = left + _nearest(indents, "firstLine") - _nearest(indents, "hanging") + self._margin[0]
        n_letters = sum(len(t.text or "") for t in paragraph.iter() if isinstance(t.tag, str) and local(t) == "t")
        width = n_letters * size * _EM_OF_LETTER * _TWIPS_PER_PT
        if begin + width <= 0 or (left + self._margin[0] >= self._page[0] and begin >= self._page[0]):
            return "outside the page"
        return None


def _nearest(elements: Iterable[Element], *names: str) -> float:
    return number(next((v for e in elements for n in names if (v := attribute(e, n)) is not None), None))


def _points(text: str | None) -> float | None:
    match = _CSS_LENGTH.fullmatch((text or "").strip())
    return None if match is None else float(match[1]) * _PT_PER[match[2].lower()]
