"""How text on slides looks: colours, sizes and what is behind it, with what layout and master hand down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mm_megacontext.document import Box, HiddenReason, Rgb
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.colors import BLACK, SMALLEST_PT, WHITE, Ink, over, why_unseen
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, number
from mm_megacontext.layout.flow.pictures import is_opaque
from mm_megacontext.layout.flow.pptx.parts import Slide
from mm_megacontext.layout.flow.pptx.shapes import Shape

_FILLS = ("solidFill", "gradFill", "blipFill", "pattFill", "grpFill", "noFill")
_OPAQUE = 0.95
_PLAIN_BACKGROUND = 1001
_PLAIN_TABLES = ("{2D5ABB26-0587-4C30-8999-92F81FD0307C}", "{5940675A-B579-460E-94D1-54222C63F5DA}")
"""Styles of tables without any fill: "No Style, No Grid" and "No Style, Table Grid"."""

Papers = tuple[Rgb, ...] | None
"""Colours behind a text: all that there may be; None where there is a picture or something else with many."""


class SlideLooks:
    """The looks of the text on one slide.

    Args:
        slide: The slide.
        painted: Its shapes in the order in which they are painted.
    """

    def __init__(self, slide: Slide, painted: Sequence[Shape]) -> None:
        self.slide, self._painted = slide, painted
        self._moves = child(slide.root, "timing") is not None
        self._background = self._of_background()

    def why_covered(self, shape: Shape) -> HiddenReason | None:
        """Whether something opaque lies over all of a shape, on a slide where nothing moves. Tables grow."""
        if self._moves or shape.box is None or shape.kind != "sp":
            return None
        for other in self._painted[shape.depth + 1 :]:
            if (
                other.hidden is None
                and other.box is not None
                and _holds(other.box, shape.box)
                and self._is_solid(other)
            ):
                return "under an image"
        return None

    def paper(self, shape: Shape) -> Papers:
        """What is behind the text of a shape."""
        own = self._fill(shape.element)
        if own is not None and local(own) != "noFill":
            below = self._below(shape) if local(own) == "solidFill" else self._background
            return self._of_fill(own, below)
        return self._below(shape)

    def cell_paper(self, table: Element, cell: Element, is_header: bool, shape: Shape) -> Papers:
        """What is behind the text of a cell of a table."""
        fill = next(children(child(cell, "tcPr"), *_FILLS), None)
        if fill is not None and local(fill) != "noFill":
            return self._of_fill(fill, self._background)
        style = child(table, "tblPr", "tableStyleId")
        name = "" if style is None else (style.text or "").strip()
        if fill is not None or not name or name in _PLAIN_TABLES:
            return self._below(shape)
        own = self.slide.deck.table_styles.get(name)
        for part in ("firstRow", "wholeTbl") if is_header else ("wholeTbl",):
            fill = next(children(child(own, part, "tcStyle", "fill"), *_FILLS), None)
            if fill is not None:
                return self._of_fill(fill, self._background)
        return None

    def why_unseen(
        self, run: Element | None, styles: Sequence[Element], scale: float, paper: Papers
    ) -> HiddenReason | None:
        """Why the text of a run is not seen.

        Args:
            run: What the run says of its look.
            styles: What counts after that, first the nearest.
            scale: What the text of the shape is made smaller by, to fit.
            paper: What is behind it.
        """
        layers = [*([] if run is None else [run]), *styles]
        size = next((layer.get("sz") for layer in layers if layer.get("sz") is not None), None)
        if size is not None and number(size) / 100 * scale <= SMALLEST_PT:
            return "smaller than 1 pt"
        fill = next((f for layer in layers for f in children(layer, *_FILLS)), None)
        if fill is not None and local(fill) == "noFill":
            return None if self._has_outline(layers) else "transparent"
        if fill is not None and local(fill) in ("blipFill", "pattFill", "grpFill"):
            return None
        inks = [Ink(self.slide.theme["dk1"])] if fill is None else list(self._inks(fill))
        reasons = [why_unseen(ink, one) for ink in inks or [Ink(BLACK)] for one in (paper or (None,))]
        return reasons[0] if reasons and all(reasons) else None

    def styles(self, shape: Shape, paragraph: Element, body: Element | None) -> list[Element]:
        """What counts for the runs of a paragraph after what they say themselves, first the nearest."""
        level = int(number(attribute(child(paragraph, "pPr"), "lvl"))) + 1
        name = f"lvl{min(9, max(1, level))}pPr"
        found = [child(paragraph, "pPr", "defRPr"), child(body, "lstStyle", name, "defRPr")]
        for other in self.slide.inherited(shape.element):
            found.append(child(other, "txBody", "lstStyle", name, "defRPr"))
        if shape.placeholder is None:
            found.append(child(shape.element, "style", "fontRef"))
        found += [child(style, name, "defRPr") for style in self.slide.text_styles(shape.placeholder)]
        return [self._as_fill(style) for style in found if style is not None]

    @staticmethod
    def _as_fill(style: Element) -> Element:
        """A style whose colour, as that of a reference to a font, stands in it without a fill around it."""
        if local(style) != "fontRef" or len(style) == 0:
            return style
        holder = style.makeelement("fontRef", {})
        fill = holder.makeelement("solidFill", {})
        fill.extend([color.__copy__() for color in style])
        holder.append(fill)
        return holder

    def _has_outline(self, layers: Sequence[Element]) -> bool:
        line = next((found for layer in layers if (found := child(layer, "ln")) is not None), None)
        return line is not None and child(line, "noFill") is None

    def _inks(self, fill: Element) -> Iterator[Ink]:
        if local(fill) == "gradFill":
            for stop in children(child(fill, "gsLst"), "gs"):
                ink = self.slide.ink(stop)
                if ink is not None:
                    yield ink
        else:
            ink = self.slide.ink(fill)
            if ink is not None:
                yield ink

    def _fill(self, shape: Element) -> Element | None:
        """The fill of a shape, its own or one taken over; a reference to a style where there is none."""
        for element in (shape, *self.slide.inherited(shape)):
            fill = next(children(child(element, "spPr"), *_FILLS), None)
            if fill is not None:
                return fill
            reference = child(element, "style", "fillRef")
            if reference is not None and (reference.get("idx") or "0") != "0":
                return reference
        return None

    def _of_fill(self, fill: Element, below: Papers) -> Papers:
        kind = local(fill)
        if kind in ("blipFill", "pattFill", "grpFill"):
            return None
        inks = list(self._inks(fill))
        if not inks or below is None:
            return tuple(ink.rgb for ink in inks) if inks and all(ink.alpha > _OPAQUE for ink in inks) else None
        return tuple(over(ink, paper) for ink in inks for paper in below)

    def _below(self, shape: Shape) -> Papers:
        """What is painted before a shape, where that lies."""
        for other in reversed(self._painted[: shape.depth]):
            if other.hidden is not None or other.box is None or shape.box is None or not _meet(other.box, shape.box):
                continue
            if other.kind == "pic":
                return None
            fill = self._fill(other.element) if other.kind == "sp" else None
            if fill is not None and local(fill) != "noFill":
                return self._of_fill(fill, self._background) if _holds(other.box, shape.box) else None
        return self._background

    def _is_solid(self, shape: Shape) -> bool:
        """Whether nothing is seen through a shape."""
        if shape.kind == "pic":
            return self._is_solid_picture(shape.element)
        if shape.kind != "sp":
            return False
        geometry = child(shape.element, "spPr", "prstGeom")
        fill = self._fill(shape.element)
        if fill is None or (geometry is not None and geometry.get("prst") not in (None, "rect")):
            return False
        inks = list(self._inks(fill)) if local(fill) in ("solidFill", "gradFill", "fillRef") else []
        return bool(inks) and all(ink.alpha > _OPAQUE for ink in inks)

    def _is_solid_picture(self, picture: Element) -> bool:
        """Whether a picture in the file has no clear parts."""
        reference = attribute(child(picture, "blipFill", "blip"), "embed")
        part = self.slide.links.get(reference or "", ("", None))[1]
        if part is None or child(picture, "blipFill", "blip", "alphaModFix") is not None:
            return False
        return is_opaque(self.slide.deck.container.read(part))

    def _of_background(self) -> Papers:
        for layer in self.slide.layers:
            background = child(layer, "cSld", "bg")
            if background is None:
                continue
            fill = next(children(child(background, "bgPr"), *_FILLS), None)
            if fill is not None:
                return self._of_fill(fill, (WHITE,))
            reference = child(background, "bgRef")
            if reference is not None:
                ink = self.slide.ink(reference)
                is_plain = int(number(reference.get("idx"))) == _PLAIN_BACKGROUND
                return (ink.rgb,) if ink is not None and is_plain else None
        return (WHITE,)


def _holds(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def _meet(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
