"""The evidence page: where the model looked sharply, where coarsely, and where the answer came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from mm_megacontext.layout.document import Box

Rgb = tuple[int, int, int]
PixelBox = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

EVIDENCE_COLOR: Rgb = (214, 40, 18)
LOD_COLORS: tuple[Rgb, ...] = ((255, 255, 255), (210, 225, 245), (174, 198, 232), (137, 166, 212), (103, 132, 184))
"""What the page is multiplied by, by LOD; the last one also stands for everything coarser."""
OUTLINE_COLORS: tuple[Rgb, ...] = ((47, 111, 78), (150, 176, 214), (118, 148, 196), (88, 119, 172), (64, 92, 146))
UNCOVERED_COLOR: Rgb = (243, 243, 245)
"""Paper that no entry covers."""
BACKGROUND_COLOR: Rgb = (255, 255, 255)
INK_COLOR: Rgb = (28, 32, 41)
MUTED_COLOR: Rgb = (96, 103, 117)
RULE_COLOR: Rgb = (203, 208, 217)

MIN_WIDTH = 720
"""Pixels: narrower pages get paper beside them, so that caption and legend stay readable."""
_UNCOVERED = 255
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one entry covers of the page, in source units, and how sharply it was read."""

    bbox: Box
    lod: int


@dataclass(frozen=True, slots=True)
class EvidenceBox:
    """A place the answer came from, in source units. Several boxes of one quotation need only one label."""

    bbox: Box
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Pixels of everything drawn around the page; they grow with it."""

    text: int
    margin: int
    line: int

    @classmethod
    def of(cls, page: tuple[int, int]) -> _Sizes:
        text = round(min(max(max(page) / 80, 15), 44))
        return cls(text, margin=round(text * 1.2), line=max(2, round(text / 7)))

    @property
    def bar(self) -> int:
        """Height of the caption and of the legend."""
        return round(self.text * 2.6)


def draw_evidence_page(
    page_image: Image.Image,
    page_size: tuple[float, float],
    entries_on_page: Sequence[Footprint],
    evidence: Sequence[EvidenceBox],
    title: str,
) -> Image.Image:
    """Draw a page as the working context holds it: LOD 0 clear, coarser ever more tinted, evidence boxed.

    Args:
        page_image: The page, at any resolution.
        page_size: Width and height of the page in source units (PDF points or pixels of the source).
        entries_on_page: What every entry covers of the page; where they overlap, the sharpest counts.
        evidence: Boxes in source units.
        title: The caption, cut to one line; see ``caption``.

    Returns:
        An RGB image with the caption above and the legend below; ``page_box`` says where in it the page lies.
    """
    if min(page_size) <= 0:
        raise ValueError(f"a page has a positive size in source units, got {page_size}")
    width, height = page_image.size
    scale = (width / page_size[0], height / page_size[1])
    sizes = _Sizes.of(page_image.size)
    page = _shade(page_image.convert("RGB"), entries_on_page, scale)
    _outline(page, entries_on_page, scale)
    _box_evidence(page, evidence, scale, sizes)
    x0, y0, x1, y1 = page_box(page_image.size)
    canvas = Image.new("RGB", (x0 + x1, y1 + sizes.bar), BACKGROUND_COLOR)
    canvas.paste(page, (x0, y0))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=RULE_COLOR)
    _write_caption(draw, title, canvas.width, sizes)
    _write_legend(draw, entries_on_page, bool(evidence), (y1, canvas.width), sizes)
    return canvas


def caption(question: str, answer: str, *, cost: int, budget: int) -> str:
    """The usual caption: what was asked, what was answered, and what it took."""
    return f"{question} \N{MIDDLE DOT} {answer} \N{MIDDLE DOT} budget used: {cost} of {budget}"


def page_box(image_size: tuple[int, int]) -> PixelBox:
    """Where the page lies in its evidence page, in pixels: (x0, y0, x1, y1)."""
    width, height = image_size
    sizes = _Sizes.of(image_size)
    left = max(sizes.margin, (MIN_WIDTH - width + 1) // 2)
    return (left, sizes.bar, left + width, sizes.bar + height)


def _shade(page: Image.Image, entries: Sequence[Footprint], scale: tuple[float, float]) -> Image.Image:
    """Multiply every pixel by the colour of the sharpest LOD that covers it; coarse parts also lose detail."""
    lods = Image.new("L", page.size, _UNCOVERED)
    marker = ImageDraw.Draw(lods)
    for entry in sorted(entries, key=lambda entry: -entry.lod):
        if box := _to_pixels(entry.bbox, scale, page.size):
            marker.rectangle(box, fill=_shade_index(entry.lod))
    result = ImageChops.multiply(page, Image.new("RGB", page.size, UNCOVERED_COLOR))
    for index, color in enumerate(LOD_COLORS):
        mask = lods.point([255 if value == index else 0 for value in range(256)])
        if (area := mask.getbbox()) is None:
            continue
        part = page.crop(area)
        if radius := _blur(index, page.size):
            part = part.filter(ImageFilter.GaussianBlur(radius))
        result.paste(ImageChops.multiply(part, Image.new("RGB", part.size, color)), area, mask.crop(area))
    return result


def _blur(index: int, size: tuple[int, int]) -> float:
    """Radius in pixels: a page of any resolution loses the same detail."""
    return max(index - 1, 0) * max(size) / 1600


def _outline(page: Image.Image, entries: Sequence[Footprint], scale: tuple[float, float]) -> None:
    draw = ImageDraw.Draw(page)
    for entry in sorted(entries, key=lambda entry: -entry.lod):
        if box := _to_pixels(entry.bbox, scale, page.size):
            draw.rectangle(box, outline=OUTLINE_COLORS[_shade_index(entry.lod)])


def _box_evidence(
    page: Image.Image, evidence: Sequence[EvidenceBox], scale: tuple[float, float], sizes: _Sizes
) -> None:
    draw = ImageDraw.Draw(page)
    boxes = [(item, box) for item in evidence if (box := _to_pixels(item.bbox, scale, page.size))]
    frames = [_grown(box, sizes.line) for _, box in boxes]
    for frame in frames:  # the white ring keeps a frame visible on a page of its own colour
        draw.rectangle(_grown(frame, sizes.line // 2), outline=BACKGROUND_COLOR, width=sizes.line // 2)
        draw.rectangle(frame, outline=EVIDENCE_COLOR, width=sizes.line)
    font = _font(round(sizes.text * 0.85))
    taken = list(frames)
    for (item, _), frame in zip(boxes, frames, strict=True):
        if item.label:
            taken.append(_write_label(draw, item.label, frame, taken, font, page.size))


def _write_label(
    draw: ImageDraw.ImageDraw, label: str, frame: PixelBox, taken: Sequence[PixelBox], font: Font, size: tuple[int, int]
) -> PixelBox:
    """Write a label beside its frame: where it hides no other frame or label, if there is such a place."""
    pad = max(2, _line_height(font) // 5)
    text = _one_line(draw, label, font, size[0] - 2 * pad)
    width, height = round(draw.textlength(text, font=font)) + 2 * pad, _line_height(font) + pad
    x0, y0, x1, y1 = frame
    places = [(x0, y0 - height), (x0, y1 + 1), (x1 + 1, y0), (x0 - width, y0), (x0, y0 - 2 * height), (x0, y1 + height)]
    inside = [_moved_inside((x, y, x + width, y + height), size) for x, y in places]
    free = [box for box in inside if not any(_overlap(box, other) for other in taken)]
    box = (free or inside)[0]
    draw.rectangle(box, fill=EVIDENCE_COLOR)
    draw.text((box[0] + pad, (box[1] + box[3]) / 2), text, font=font, fill=BACKGROUND_COLOR, anchor="lm")
    return box


def _write_caption(draw: ImageDraw.ImageDraw, title: str, width: int, sizes: _Sizes) -> None:
    font = _font(round(sizes.text * 1.1))
    text = _one_line(draw, title, font, width - 2 * sizes.margin)
    draw.text((sizes.margin, sizes.bar / 2), text, font=font, fill=INK_COLOR, anchor="lm")


def _write_legend(
    draw: ImageDraw.ImageDraw, entries: Iterable[Footprint], has_evidence: bool, at: tuple[int, int], sizes: _Sizes
) -> None:
    """One swatch per LOD on the page with the number of its entries, finest first; ends where the width does."""
    top, width = at
    font = _font(sizes.text)
    counts = Counter(entry.lod for entry in entries)
    items = [(_lod_name(lod, n), LOD_COLORS[_shade_index(lod)], lod) for lod, n in sorted(counts.items())]
    swatches = [(text, fill, OUTLINE_COLORS[_shade_index(lod)], 1) for text, fill, lod in items]
    if has_evidence:
        swatches.insert(0, ("evidence", BACKGROUND_COLOR, EVIDENCE_COLOR, sizes.line))
    x, middle, side = sizes.margin, top + sizes.bar // 2, sizes.text
    for text, fill, outline, line in swatches:
        after = x + round(side * 1.5 + draw.textlength(text, font=font) + side * 1.6)
        if after - side > width:
            return
        draw.rectangle((x, middle - side // 2, x + side, middle + side - side // 2), fill, outline, line)
        draw.text((x + side * 1.5, middle), text, font=font, fill=MUTED_COLOR, anchor="lm")
        x = after


def _lod_name(lod: int, n: int) -> str:
    return f"LOD {lod}{', sharp' if lod == 0 else ''}: {n}"


def _one_line(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    """The text on one line, its middle left out if it is too long: its end is as telling as its start."""
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= width:
        return text
    kept = len(text)
    while kept > 0:
        kept -= 1
        head, tail = text[: (kept + 1) // 2].rstrip(), text[len(text) - kept // 2 :].lstrip()
        if draw.textlength(shorter := f"{head}{_ELLIPSIS}{tail}", font=font) <= width:
            return shorter
    return ""


@cache
def _font(size: int) -> Font:
    """DejaVu Sans where the system has it, for it writes most alphabets; else Pillow's own Latin font."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _line_height(font: Font) -> int:
    _, top, _, bottom = font.getbbox("Ag")
    return round(bottom - top * 0.5)


def _shade_index(lod: int) -> int:
    return min(lod, len(LOD_COLORS) - 1)


def _to_pixels(box: Box, scale: tuple[float, float], size: tuple[int, int]) -> PixelBox | None:
    """The pixels a box covers, both ends included; None if it lies off the page."""
    x0, y0, x1, y1 = box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]
    if x1 < 0 or y1 < 0 or x0 >= size[0] or y0 >= size[1]:
        return None
    left, top = max(round(x0), 0), max(round(y0), 0)
    left, top = min(left, size[0] - 1), min(top, size[1] - 1)
    return (left, top, max(min(round(x1), size[0]) - 1, left), max(min(round(y1), size[1]) - 1, top))


def _grown(box: PixelBox, by: int) -> PixelBox:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def _moved_inside(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    x = min(max(box[0], 0), max(size[0] - 1 - (box[2] - box[0]), 0))
    y = min(max(box[1], 0), max(size[1] - 1 - (box[3] - box[1]), 0))
    return (x, y, x + box[2] - box[0], y + box[3] - box[1])


def _overlap(a: PixelBox, b: PixelBox) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
