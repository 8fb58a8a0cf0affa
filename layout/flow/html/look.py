"""How the text of an element looks, as far as it matters for being seen, from what its style sheets set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mm_megacontext.document import HiddenReason
from mm_megacontext.layout.flow.html.css_cascade import FONT_SIZES, Declared, is_image
from mm_megacontext.layout.flow.html.css_values import (
    BLACK,
    PX_PER_PT,
    ROOT_PX,
    WHITE,
    Color,
    CssColour,
    Unclear,
    color,
    contrast,
    keyword,
    length,
    number,
    split_at_commas,
)
from mm_megacontext.layout.flow.html.place import Place, is_cut_away, is_without_room, moved
from mm_megacontext.layout.flow.html.transform import Transform, transform_of
from mm_megacontext.layout.page.ink import MIN_CONTRAST
from mm_megacontext.layout.page.visibility import MIN_SIZE_PT

_MIN_ALPHA = MIN_CONTRAST / 255
_HARMLESS_FILTERS = {"grayscale", "sepia", "saturate", "hue-rotate", "drop-shadow"}
_HARMLESS_BLENDS = {"normal", "multiply", "darken", "color-burn", "initial", "inherit", "unset", "luminosity", "hue"}
_BLANK_FONTS = {"adobe blank", "adobeblank", "adobe-blank", "blank", "invisible"}


@dataclass(frozen=True, slots=True)
class Look:
    """How the text of an element looks; children have it from their parent.

    Attributes:
        gone: Why it and all in it is not seen, whatever its children say.
        visible: False for ``visibility: hidden``, which children may undo.
        doubt: Whether nobody can say if it is seen.
        font_px: Size of the font, as children see it.
        scale: What the size is multiplied by when it is drawn.
        ink: The colour of text that ``color`` sets.
        fill: The colour that letters are filled with, where it is another.
        glow: Colours of shadows and outlines of letters.
        paper: What is behind the text: a colour, colours of which each may be, or None for a picture.
        paper_doubt: Whether a picture is said to be there that did not come with the page.
        painted: Whether letters are cut out of what is behind them.
        opacity: Of all around it, multiplied.
        place: Where it is moved to.
        custom: Variables.
    """

    gone: HiddenReason | None = None
    visible: bool = True
    doubt: bool = False
    font_px: float = ROOT_PX
    scale: float = 1.0
    ink: Color = field(default=Color(BLACK))
    fill: Color | None = None
    glow: tuple[Color, ...] = ()
    stroke: Color | None = None
    paper: tuple[CssColour, ...] | None = (WHITE,)
    paper_doubt: bool = False
    painted: tuple[CssColour, ...] | None = None
    opacity: float = 1.0
    place: Place = field(default=Place())
    custom: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def hidden(self) -> HiddenReason | None:
        """Why text of it is not seen, or None."""
        if self.gone is not None:
            return self.gone
        if not self.visible:
            return "not displayed"
        if self.font_px * self.scale / PX_PER_PT < MIN_SIZE_PT:
            return "smaller than 1 pt"
        reason = self._without_ink() or self.place.out_of_sight
        return reason or ("visibility_unsure" if self.doubt or self.place.doubt else None)

    def _without_ink(self) -> HiddenReason | None:
        ink = self.ink if self.fill is None else self.fill
        inks = [c for c in (ink, *self.glow, self.stroke) if c is not None and c.alpha * self.opacity >= _MIN_ALPHA]
        if self.painted is not None and ink.alpha < 1:
            inks += [Color(rgb) for rgb in self.painted]
        if not inks:
            return "transparent"
        if self.paper is None:
            return None
        shown = any(contrast(c.over(paper), paper) * self.opacity >= MIN_CONTRAST for c in inks for paper in self.paper)
        if shown:
            return None
        return "visibility_unsure" if self.paper_doubt else "no contrast"


@dataclass(frozen=True, slots=True)
class Kind:
    """What an element is, where that matters for how it is set.

    Attributes:
        is_inline: Whether it stands in lines as words do, if its style says nothing else.
        tiny_fonts: Families of the page's fonts that are too small to hold letters.
        image_color: The only colour of an image, by its address; ``()`` for another image that is there, None for one
            that is not.
    """

    is_inline: bool
    tiny_fonts: frozenset[str]
    image_colors: Callable[[str], tuple[CssColour, ...] | None]


def changed(parent: Look, declared: Declared, custom: Mapping[str, list[Any]], kind: Kind) -> Look:
    """The look of an element in its parent."""
    if not declared and custom is parent.custom:
        return parent
    look = replace(parent, custom=custom)
    look = _with_font(look, parent, declared, kind)
    look = _with_ink(look, declared)
    look = _with_paper(look, declared, kind)
    visibility = keyword(declared.get("visibility"))
    if visibility in ("hidden", "collapse", "visible"):
        look = replace(look, visible=visibility == "visible")
    return _with_room(look, parent, declared, kind)


def _with_font(look: Look, parent: Look, declared: Declared, kind: Kind) -> Look:
    doubt = look.doubt
    size = look.font_px
    try:
        if value := declared.get("font-size"):
            size = _font_size(value[0], parent.font_px)
        scale = look.scale * _zoom(declared)
        spacing = declared.get("letter-spacing")
        if spacing and (length(spacing[0], size, size) or 0.0) < -0.4 * size:
            doubt = True
    except Unclear:
        doubt, scale = True, look.scale
    if value := declared.get("font-size-adjust"):
        doubt = doubt or (value[0].type == "number" and value[0].value < 0.1)
    families = {" ".join(str(t.value) for t in part).lower() for part in _families(declared.get("font-family"))}
    if families & (kind.tiny_fonts | _BLANK_FONTS):
        doubt = True
    security = keyword(declared.get("text-security"))
    if security not in (None, "none"):
        doubt = True
    return replace(look, font_px=size, scale=scale, doubt=doubt)


def _families(value: list[Any] | None) -> Iterator[list[Any]]:
    for part in split_at_commas(value or ()):
        yield [t for t in part if t.type in ("ident", "string")]


def _font_size(token: Any, parent: float) -> float:
    if token.type == "ident":
        named = FONT_SIZES.get(token.lower_value)
        return parent if named is None else named if named > 0 else -named * parent
    if token.type == "number" and token.value != 0:
        return parent
    size = length(token, parent, parent)
    return parent if size is None or size < 0 else size


def _zoom(declared: Declared) -> float:
    value = declared.get("zoom")
    factor = number(value[0]) if value else None
    return 1.0 if factor is None else factor


def _with_ink(look: Look, declared: Declared) -> Look:
    doubt, ink, fill, stroke, glow = look.doubt, look.ink, look.fill, look.stroke, look.glow
    try:
        if value := declared.get("color"):
            ink = color(value[0], look.ink) or ink
        if value := declared.get("text-fill-color"):
            fill = None if keyword(value) == "currentcolor" else color(value[0], ink) or fill
        if value := declared.get("text-stroke-width"):
            width = length(value[0], look.font_px, None) or 0.0
            chosen = declared.get("text-stroke-color")
            stroke = (color(chosen[0], ink) if chosen else ink) if width > 0.3 else None
        if "text-shadow" in declared:
            glow = tuple(_shadows(declared["text-shadow"], ink, look.font_px))
    except Unclear:
        doubt = True
    return replace(look, doubt=doubt, ink=ink, fill=fill, stroke=stroke, glow=glow)


def _shadows(value: list[Any], ink: Color, font_px: float) -> Iterator[Color]:
    """The colours of shadows that letters can be read by."""
    for part in split_at_commas(value):
        lengths, chosen = [], ink
        for token in part:
            size = None if token.type in ("hash", "ident") else _length_or_none(token, font_px)
            if size is None:
                chosen = color(token, ink) or chosen
            else:
                lengths.append(size)
        x, y, blur = (*lengths, 0.0, 0.0, 0.0)[:3]
        is_apart = blur > 0 or math.hypot(x, y) >= 1
        if is_apart and blur <= 0.5 * font_px and math.hypot(x, y) <= 2 * font_px and chosen.alpha > 0.25:
            yield chosen


def _length_or_none(token: Any, font_px: float) -> float | None:
    try:
        return length(token, font_px, None)
    except Unclear:
        return None


def _with_paper(look: Look, declared: Declared, kind: Kind) -> Look:
    paper, doubt, paper_doubt = look.paper, look.doubt, look.paper_doubt
    own: tuple[CssColour, ...] | None = None
    is_clipped = "text" in {keyword([t]) for t in declared.get("background-clip", ())}
    try:
        if value := declared.get("background-color"):
            found = color(value[0], look.ink)
            if found is not None and found.alpha > 0.03:
                own = (found.over(WHITE),) if paper is None else tuple(found.over(below) for below in paper)
                paper_doubt = paper_doubt and found.alpha < 0.9
                paper = own if not is_clipped and (paper is not None or found.alpha > 0.9) else paper
        for token in declared.get("background-image", ()):
            if not is_image(token):
                continue
            colors = _image_colors(token, look, kind)
            if colors is None:
                paper_doubt = True
                continue
            own = colors or None
            paper = paper if is_clipped else own
            break
    except Unclear:
        doubt = True
    painted = own if is_clipped else (None if own is not None else look.painted)
    return replace(look, paper=paper, doubt=doubt, paper_doubt=paper_doubt, painted=painted)


def _image_colors(token: Any, look: Look, kind: Kind) -> tuple[CssColour, ...] | None:
    """All colours of an image that are known; ``()`` where they are not, None where the image is not there."""
    if token.type == "url" or (token.type == "function" and token.lower_name == "url"):
        address = (
            token.value if token.type == "url" else "".join(t.value for t in token.arguments if t.type == "string")
        )
        return kind.image_colors(address)
    if not token.lower_name.endswith("gradient"):
        return ()
    found = [color(t, look.ink) for t in token.arguments if t.type in ("hash", "ident", "function")]
    stops = [c for c in found if c is not None]
    if not stops or any(c.alpha < 0.9 for c in stops):
        return look.paper if look.paper is not None and all(c.alpha < 0.1 for c in stops) else ()
    return tuple(c.rgb for c in stops)


def _with_room(look: Look, parent: Look, declared: Declared, kind: Kind) -> Look:
    """Whether an element is displayed at all, and where."""
    if keyword(declared.get("display")) == "none" or keyword(declared.get("content-visibility")) == "hidden":
        return replace(look, gone="not displayed")
    doubt = look.doubt
    try:
        opacity = look.opacity * _opacity(declared)
        if opacity < _MIN_ALPHA:
            return replace(look, gone="transparent")
        look = replace(look, opacity=opacity)
    except Unclear:
        doubt = True
    is_inline = kind.is_inline and not _is_made_block(declared)
    try:
        turned = Transform() if is_inline else transform_of(declared, look.font_px)
        if turned.is_flat:
            return replace(look, gone="not displayed")
        look = replace(look, scale=look.scale * turned.scale)
        doubt = doubt or turned.doubt
        if is_cut_away(declared, look.font_px) or (not is_inline and is_without_room(declared, look.font_px)):
            return replace(look, gone="not displayed")
    except Unclear:
        doubt, turned = True, Transform()
    try:
        place = moved(parent.place, declared, look.font_px, (turned.x, turned.y), is_inline=is_inline)
    except Unclear:
        place, doubt = parent.place, True
    return replace(look, place=place, doubt=doubt or _is_doubtful(declared))


def _is_made_block(declared: Declared) -> bool:
    display = keyword(declared.get("display"))
    return (
        (display is not None and display not in ("inline", "contents"))
        or keyword(declared.get("position")) in ("absolute", "fixed")
        or keyword(declared.get("float")) in ("left", "right")
    )


def _opacity(declared: Declared) -> float:
    value = declared.get("opacity")
    share = number(value[0]) if value else None
    opacity = 1.0 if share is None else min(1.0, max(0.0, share))
    for token in declared.get("filter", ()):
        if token.type == "function" and token.lower_name == "opacity" and token.arguments:
            share = number(token.arguments[0])
            opacity *= 1.0 if share is None else min(1.0, max(0.0, share))
    return opacity


def _is_doubtful(declared: Declared) -> bool:
    """Whether something is set that can hide and is not followed here."""
    for token in declared.get("filter", ()):
        if token.type == "url":
            return True
        is_known = token.type != "function" or token.lower_name in (*_HARMLESS_FILTERS, "opacity")
        if not is_known and not _is_mild(token):
            return True
    masks = [t for t in declared.get("mask-image", ()) if is_image(t)]
    if masks and not all(_is_opaque(t) for t in masks):
        return True
    if keyword(declared.get("mix-blend-mode")) not in (None, *_HARMLESS_BLENDS):
        return True
    if any(t.type == "function" or t.type == "url" for t in declared.get("offset-path", ())):
        return True
    tracks = [*declared.get("grid-template-rows", ()), *declared.get("grid-template-columns", ())]
    return bool(tracks) and all(bool(t.type in ("dimension", "number") and t.value == 0) for t in tracks)


def _is_mild(token: Any) -> bool:
    """Whether a filter leaves text as it is, or nearly."""
    if not token.arguments:
        return bool(token.lower_name == "blur")
    if token.lower_name == "blur":
        radius = length(token.arguments[0], ROOT_PX, None)
        return radius is not None and radius <= 2
    share = number(token.arguments[0])
    if token.lower_name in ("brightness", "contrast"):
        return share is not None and 0.5 <= share <= 1.5
    return bool(token.lower_name == "invert" and share == 0)


def _is_opaque(token: Any) -> bool:
    """Whether a mask lets all through."""
    if token.type != "function" or not token.lower_name.endswith("gradient"):
        return False
    stops = [color(t, Color(BLACK)) for t in token.arguments if t.type in ("hash", "ident", "function")]
    return all(c is None or c.alpha > 0.9 for c in stops) and any(c is not None for c in stops)
