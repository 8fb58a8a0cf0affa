"""The shapes of a slide: where they lie, in which order they are read, and whether they can be seen at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_megacontext.document import Box, HiddenReason, union
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.elements import child, local, number, shown_children
from mm_megacontext.layout.flow.pptx.parts import Placeholder, Slide, is_hidden, placeholder_of

_MOST_GROUPS = 40  # inside each other
_SHAPES = ("sp", "pic", "graphicFrame", "cxnSp")
_PLACES = ("off", "ext", "chOff", "chExt")
_TOUCH = 0.25  # of the height of the lower one of two: so much of a row they may share and still be below each other


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape, and what holds for it on its slide.

    Attributes:
        box: Where it lies, in EMU; None where the file does not say.
        hidden: Why nobody sees it, or None.
        depth: How many shapes are painted before it.
    """

    element: Element
    kind: str
    box: Box | None
    placeholder: Placeholder | None
    hidden: HiddenReason | None
    depth: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """How places in a group become places on the slide: scaled, then moved."""

    scale: tuple[float, float] = (1.0, 1.0)
    moved: tuple[float, float] = (0.0, 0.0)

    def on_slide(self, box: Box) -> Box:
        (sx, sy), (dx, dy) = self.scale, self.moved
        return (box[0] * sx + dx, box[1] * sy + dy, box[2] * sx + dx, box[3] * sy + dy)


_Tree = list["Shape | _Tree"]


def shapes_of(slide: Slide) -> tuple[list[Shape], list[Shape]]:
    """The shapes of a slide in the order in which they are read, and in that in which they are painted."""
    painted: list[Shape] = []
    tree = child(slide.root, "cSld", "spTree")
    found = [] if tree is None else _collected(tree, slide, _Frame(), None, painted, 0)
    return _ordered(found), painted


def _collected(
    group: Element, slide: Slide, frame: _Frame, hidden: HiddenReason | None, painted: list[Shape], nested: int
) -> _Tree:
    found: _Tree = []
    for element in shown_children(group):
        kind = local(element)
        why: HiddenReason | None = hidden or ("not displayed" if is_hidden(element) else None)
        if kind == "grpSp" and nested < _MOST_GROUPS:
            inner = _inner_frame(element, frame)
            found.append(_collected(element, slide, inner, why, painted, nested + 1))
        elif kind == "grpSp":
            found.append(_collected_flat(element, slide, frame, why, painted))
        elif kind in _SHAPES:
            found.append(_shape(element, kind, slide, frame, why, painted))
    return found


def _collected_flat(
    group: Element, slide: Slide, frame: _Frame, hidden: HiddenReason | None, painted: list[Shape]
) -> _Tree:
    """The shapes of a group that lies in too many others: where they lie in it is not followed any more."""
    parts = [part for part in group.iter() if isinstance(part.tag, str) and local(part) in _SHAPES]
    return [_shape(part, local(part), slide, frame, hidden, painted) for part in parts]


def _shape(
    element: Element, kind: str, slide: Slide, frame: _Frame, hidden: HiddenReason | None, painted: list[Shape]
) -> Shape:
    box = _own_box(element)
    if box is None:
        box = next((b for b in map(_own_box, slide.inherited(element)) if b is not None), None)
    box = None if box is None else frame.on_slide(box)
    shape = Shape(element, kind, box, placeholder_of(element), hidden or _why_out(box, slide), len(painted))
    painted.append(shape)
    return shape


def _why_out(box: Box | None, slide: Slide) -> HiddenReason | None:
    """Why a shape cannot be seen where it lies."""
    if box is None:
        return None
    width, height = slide.deck.size
    if box[2] == box[0] and box[3] == box[1]:
        return "not displayed"
    is_out = box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0
    return "outside the page" if is_out else None


def _own_box(element: Element) -> Box | None:
    """The place that a shape gives itself. One that is turned by about a right angle lies on its side."""
    place = child(element, "spPr", "xfrm")
    place = child(element, "xfrm") if place is None else place
    offset, extent = child(place, "off"), child(place, "ext")
    if place is None or offset is None or extent is None:
        return None
    x, y, width, height = (number(e.get(n)) for e, n in ((offset, "x"), (offset, "y"), (extent, "cx"), (extent, "cy")))
    if 45 <= number(place.get("rot")) / 60_000 % 180 < 135:
        x, y, width, height = x + (width - height) / 2, y + (height - width) / 2, height, width
    return (x, y, x + width, y + height)


def _inner_frame(group: Element, outer: _Frame) -> _Frame:
    """The frame of what is in a group."""
    place = child(group, "grpSpPr", "xfrm")
    parts = {name: found for name in _PLACES if (found := child(place, name)) is not None}
    if len(parts) < len(_PLACES):
        return outer
    offset, extent, inner_offset, inner_extent = (parts[name] for name in _PLACES)
    scale, moved = [], []
    for axis, (at, size) in enumerate((("x", "cx"), ("y", "cy"))):
        inside = number(inner_extent.get(size))
        factor = number(extent.get(size)) / inside if inside else 1.0
        shift = number(offset.get(at)) - factor * number(inner_offset.get(at))
        scale.append(outer.scale[axis] * factor)
        moved.append(outer.scale[axis] * shift + outer.moved[axis])
    return _Frame((scale[0], scale[1]), (moved[0], moved[1]))


def _ordered(tree: _Tree) -> list[Shape]:
    """Shapes as they are read: the title, then from top to bottom, and beside each other from left to right."""
    placed: list[tuple[Box, list[Shape]]] = []
    first: list[Shape] = []
    unplaced: list[Shape] = []
    for item in tree:
        shapes = [item] if isinstance(item, Shape) else _ordered(item)
        boxes = [shape.box for shape in shapes if shape.box is not None]
        if isinstance(item, Shape) and item.placeholder is not None and item.placeholder.is_title:
            first.append(item)
        elif boxes:
            placed.append((union(boxes), shapes))
        else:
            unplaced += shapes
    return [*first, *(shape for _, shapes in _cut(placed) for shape in shapes), *unplaced]


def _cut(items: Sequence[tuple[Box, list[Shape]]]) -> list[tuple[Box, list[Shape]]]:
    """Items cut into rows where white goes through from side to side, and rows into columns."""
    for low, high in ((1, 3), (0, 2)):
        parts = _parted(items, low, high)
        if len(parts) > 1:
            return [item for part in parts for item in _cut(part)]
    return sorted(items, key=lambda item: (item[0][1], item[0][0]))


def _parted(items: Sequence[tuple[Box, list[Shape]]], low: int, high: int) -> list[list[tuple[Box, list[Shape]]]]:
    parts: list[list[tuple[Box, list[Shape]]]] = []
    end = 0.0
    for item in sorted(items, key=lambda item: (item[0][low], item[0][1], item[0][0])):
        start, stop = item[0][low], item[0][high]
        if parts and start < end - _TOUCH * min(stop - start, end - parts[-1][-1][0][low]):
            parts[-1].append(item)
            end = max(end, stop)
        else:
            parts.append([item])
            end = max(end, stop) if parts[:-1] else stop
    return parts
