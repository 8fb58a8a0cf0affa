"""The evidence page, drawn: the answer boxed in red, white what was read word by word, blue what only as gists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from mm_megacontext.document import Box, Rgb
from mm_megacontext.pictures.lettering import (
    BACKGROUND_COLOR,
    EVIDENCE_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    RULE_COLOR,
    font_of,
    one_line,
    write_label,
)
from mm_megacontext.pictures.pixel_boxes import PixelBox, grown, to_pixels

LOD_COLORS: tuple[Rgb, ...] = ((255, 255, 255), (210, 225, 245), (174, 198, 232), (137, 166, 212), (103, 132, 184))
"""What the page is multiplied by, by LOD; the last one also stands for everything coarser."""
OUTLINE_COLORS: tuple[Rgb, ...] = ((47, 111, 78), (150, 176, 214), (118, 148, 196), (88, 119, 172), (64, 92, 146))
UNCOVERED_COLOR: Rgb = (243, 243, 245)
"""Paper that no entry covers."""

MIN_WIDTH = 720
"""Pixels: narrower pages get paper beside them, so that caption and legend stay readable."""
_UNCOVERED = 255


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
        if box := to_pixels(entry.bbox, scale, page.size):
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
        if box := to_pixels(entry.bbox, scale, page.size):
            draw.rectangle(box, outline=OUTLINE_COLORS[_shade_index(entry.lod)])


def _box_evidence(
    page: Image.Image, evidence: Sequence[EvidenceBox], scale: tuple[float, float], sizes: _Sizes
) -> None:
    draw = ImageDraw.Draw(page)
    boxes = [(item, box) for item in evidence if (box := to_pixels(item.bbox, scale, page.size))]
    frames = [grown(box, sizes.line) for _, box in boxes]
    for frame in frames:  # the white ring keeps a frame visible on a page of its own colour
        draw.rectangle(grown(frame, sizes.line // 2), outline=BACKGROUND_COLOR, width=sizes.line // 2)
        draw.rectangle(frame, outline=EVIDENCE_COLOR, width=sizes.line)
    font = font_of(round(sizes.text * 0.85))
    taken = list(frames)
    for (item, _), frame in zip(boxes, frames, strict=True):
        if item.label:
            taken.append(write_label(draw, item.label, frame, taken, font, page.size))


def _write_caption(draw: ImageDraw.ImageDraw, title: str, width: int, sizes: _Sizes) -> None:
    font = font_of(round(sizes.text * 1.1))
    text = one_line(draw, title, font, width - 2 * sizes.margin)
    draw.text((sizes.margin, sizes.bar / 2), text, font=font, fill=INK_COLOR, anchor="lm")


def _write_legend(
    draw: ImageDraw.ImageDraw, entries: Iterable[Footprint], has_evidence: bool, at: tuple[int, int], sizes: _Sizes
) -> None:
    """One swatch per LOD on the page with the number of its entries, finest first; ends where the width does."""
    top, width = at
    font = font_of(sizes.text)
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


def _shade_index(lod: int) -> int:
    return min(lod, len(LOD_COLORS) - 1)
