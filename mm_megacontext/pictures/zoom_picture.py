"""The picture of a zoom: a large image as an overview, the way into it, and what was found there at full size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from PIL import Image, ImageDraw

from mm_megacontext.document import Box, Rgb
from mm_megacontext.pictures.evidence_page import EvidenceBox
from mm_megacontext.pictures.lettering import (
    BACKGROUND_COLOR,
    EVIDENCE_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    RULE_COLOR,
    font_of,
    one_line,
)
from mm_megacontext.pictures.pixel_boxes import PixelBox, grown, moved, overlap, to_pixels
from mm_megacontext.pictures.zoom_layout import (
    BAR_PX,
    MARGIN_PX,
    ROW_PX,
    CloseUp,
    ZoomLayout,
    choose_close_up,
    lay_out,
    overview_level,
)
from mm_megacontext.pictures.zoom_marks import (
    LINE_PX,
    RIM_PX,
    TEXT_PX,
    draw_frame,
    in_full,
    ink_on,
    path_color,
    write_labels,
    write_numbers,
)
from mm_megacontext.pictures.zoom_path import ZoomStep, path_to
from mm_megacontext.vision.sources.files import read_overview
from mm_megacontext.vision.sources.source import ImageSource

OTHER_COLOR: Rgb = (190, 194, 201)
"""What was looked into besides."""
VEIL_COLOR: Rgb = (150, 152, 156)
VEIL_OPACITY = 0.5
"""Of the veil over what lies outside the first step into the image; it gets thinner from step to step."""

MIN_BOX_PX = 12
"""Smaller steps are not drawn in the overview; the notes name them, and the close-up shows the last ones."""
MIN_MARKER_PX = 18
"""The place of the close-up is marked at least this large."""
TITLE_PX = 24


@dataclass(frozen=True, slots=True)
class _Note:
    """A line of the notes: a swatch, what stands in it, and what it means."""

    text: str
    fill: Rgb
    outline: Rgb
    tag: str = ""


def draw_zoom(
    source: ImageSource, steps: Sequence[ZoomStep], evidence: Sequence[EvidenceBox], title: str
) -> Image.Image:
    """Draw an image of any size with the zoom path to the evidence, and the evidence at full size.

    Reads the level of the overview and the pixels of the close-up, nothing else. There is no close-up where the
    overview is as sharp: of a small image, or of evidence that takes most of a large one.

    Args:
        source: The image.
        steps: What focus looked into, in level-0 pixels; see ``zoom_path.zoom_steps``.
        evidence: Boxes in level-0 pixels, the strongest first: the path and the close-up lead to that one.
        title: The caption, cut to one line.

    Returns:
        An RGB image; ``zoom_layout.lay_out`` says where in it the parts lie.

    Raises:
        IngestError: The image cannot be read any more.
    """
    level = overview_level(source.size)
    overview = Image.fromarray(read_overview(source, level))
    close_up = choose_close_up(evidence[0].bbox, source.size) if evidence else None
    if close_up is not None and close_up.level >= level:  # it would show nothing that the overview does not
        close_up = None
    path = path_to(evidence[0].bbox, steps) if evidence else ()
    on_path = {step.bbox for step in path}
    others = [step for step in steps if step.bbox not in on_path]
    notes = _notes(path, others, evidence, close_up)
    layout = lay_out(overview.size, None if close_up is None else close_up.size, len(notes))
    scale = 1 / (1 << level)
    picture = Image.new("RGB", layout.size, BACKGROUND_COLOR)
    draw = ImageDraw.Draw(picture)
    _write_title(draw, title, layout)
    _write_notes(draw, notes, layout)
    boxes = {i: box for i, step in enumerate(path) if (box := _visible_box(step.bbox, scale, overview.size))}
    hints = [box for step in others if (box := _visible_box(step.bbox, scale, overview.size))]
    draw.rectangle(grown(layout.overview, 1), outline=RULE_COLOR)
    picture.paste(_drawn_overview(overview, boxes, len(path), hints), layout.overview[:2])
    frames = [_marker(item.bbox, layout.overview, scale, at_least=1) for item in evidence]
    if close_up is not None and layout.close_up is not None:
        picture.paste(_drawn_close_up(source, close_up, path, evidence), layout.close_up[:2])
        marker = _marker(close_up.bbox, layout.overview, scale, at_least=MIN_MARKER_PX)
        _join(draw, marker, layout.close_up, layout)
        draw_frame(draw, grown(layout.close_up, LINE_PX), EVIDENCE_COLOR, LINE_PX)
        frames = [marker, *frames[1:]]
    for frame in reversed(frames):
        draw_frame(draw, frame, EVIDENCE_COLOR, LINE_PX)
    if close_up is None:
        frames += write_labels(draw, evidence, frames, (layout.overview[2] + 1, layout.overview[3] + 1))
    if frames:
        on_picture = {i: moved(box, *layout.overview[:2]) for i, box in boxes.items()}
        write_numbers(draw, on_picture, len(path), frames, frames[0])
    return picture


def _drawn_overview(
    image: Image.Image, boxes: Mapping[int, PixelBox], n: int, others: Sequence[PixelBox]
) -> Image.Image:
    """The overview, veiled ever less from step to step of a path of ``n``, with the boxes of the steps by index."""
    drawn = _veiled(image, list(boxes.values()))
    draw = ImageDraw.Draw(drawn)
    for box in others:
        draw_frame(draw, box, OTHER_COLOR, 2)
    for index, box in boxes.items():
        draw_frame(draw, box, path_color(index, n), LINE_PX)
    return drawn


def _visible_box(bbox: Box, scale: float, size: tuple[int, int]) -> PixelBox | None:
    box = to_pixels(bbox, (scale, scale), size)
    return box if box is not None and max(box[2] - box[0], box[3] - box[1]) + 1 >= MIN_BOX_PX else None


def _veiled(image: Image.Image, boxes: Sequence[PixelBox]) -> Image.Image:
    if len(boxes) < 2:
        return image.copy()
    opacity = Image.new("L", image.size, 0)
    draw = ImageDraw.Draw(opacity)
    for index, box in enumerate(boxes):
        draw.rectangle(box, fill=round(255 * VEIL_OPACITY * (1 - index / (len(boxes) - 1))))
    return Image.composite(Image.new("RGB", image.size, VEIL_COLOR), image, opacity)


def _drawn_close_up(
    source: ImageSource, close_up: CloseUp, path: Sequence[ZoomStep], evidence: Sequence[EvidenceBox]
) -> Image.Image:
    pixels = source.read(close_up.area, close_up.level)
    times = close_up.magnification
    plain = Image.fromarray(np.repeat(np.repeat(pixels, times, axis=0), times, axis=1))
    image = plain.copy()
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = close_up.bbox
    boxes = {
        i: _in_close_up(step.bbox, close_up)
        for i, step in enumerate(path)
        if not (step.bbox[0] <= left and step.bbox[1] <= top and right <= step.bbox[2] and bottom <= step.bbox[3])
    }
    for i, box in boxes.items():
        draw_frame(draw, box, path_color(i, len(path)), 2)
    places = [_in_close_up(item.bbox, close_up) for item in evidence]
    in_sight = [overlap(place, (0, 0, image.width - 1, image.height - 1)) for place in places]
    seen, places = list(compress(evidence, in_sight)), list(compress(places, in_sight))
    for place in places:
        if cut := _cut(
            place, image.size
        ):  # the edge of a step is often that of the evidence, and shall hide none of it
            image.paste(plain.crop((cut[0], cut[1], cut[2] + 1, cut[3] + 1)), cut[:2])
    frames = [grown(place, LINE_PX + RIM_PX) for place in places]
    for frame in reversed(frames):
        draw_frame(draw, frame, EVIDENCE_COLOR, LINE_PX)
    taken = [*frames, *write_labels(draw, seen, frames, image.size)]
    last = {i: cut for i, box in list(boxes.items())[-1:] if (cut := _cut(box, image.size))}
    write_numbers(draw, last, len(path), taken, frames[0])
    return image


def _in_close_up(bbox: Box, close_up: CloseUp) -> PixelBox:
    """A box of level-0 pixels on the close-up; may reach past it."""
    left, top, _, _ = close_up.bbox
    x0, y0, x1, y1 = (round((edge - at) * close_up.scale) for edge, at in zip(bbox, (left, top) * 2, strict=True))
    return (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))


def _cut(box: PixelBox, size: tuple[int, int]) -> PixelBox | None:
    """The part of a box on a picture of ``size``."""
    return to_pixels((box[0], box[1], box[2] + 1, box[3] + 1), (1.0, 1.0), size)


def _marker(bbox: Box, overview: PixelBox, scale: float, *, at_least: int) -> PixelBox:
    """The frame around a place in the overview, on the picture; it has ``at_least`` so many pixels inside."""
    x0, y0, x1, y1 = (round(edge * scale) for edge in bbox)
    across, down = max(at_least - (x1 - x0) + 1, 0) // 2, max(at_least - (y1 - y0) + 1, 0) // 2
    inside = (x0 - across, y0 - down, max(x1 - 1, x0) + across, max(y1 - 1, y0) + down)
    return moved(grown(inside, LINE_PX + RIM_PX), *overview[:2])


def _join(draw: ImageDraw.ImageDraw, marker: PixelBox, close_up: PixelBox, layout: ZoomLayout) -> None:
    """Two lines from the marker to the near corners of the close-up."""
    if layout.is_below:
        pairs = [((marker[0], marker[3]), close_up[:2]), ((marker[2], marker[3]), (close_up[2], close_up[1]))]
    else:
        pairs = [((marker[2], marker[1]), close_up[:2]), ((marker[2], marker[3]), (close_up[0], close_up[3]))]
    for width, color in ((2 + 2 * RIM_PX, BACKGROUND_COLOR), (2, EVIDENCE_COLOR)):
        for start, end in pairs:
            draw.line((*start, *end), fill=color, width=width)


def _notes(
    path: Sequence[ZoomStep], others: Sequence[ZoomStep], evidence: Sequence[EvidenceBox], close_up: CloseUp | None
) -> list[_Note]:
    """What the close-up shows, the evidence's box, and the steps on the way, as lines."""
    notes = []
    if evidence:
        notes.append(_Note(f"evidence [{in_full(*evidence[0].bbox)}] px", BACKGROUND_COLOR, EVIDENCE_COLOR))
    if len(evidence) > 1:
        notes.append(_Note(f"weaker evidence: {len(evidence) - 1} more", BACKGROUND_COLOR, EVIDENCE_COLOR))
    if close_up is not None:
        size = f"{close_up.magnification}:1" if close_up.level == 0 else f"1:{1 << close_up.level}"
        notes.append(_Note(f"shown at {size}: [{in_full(*close_up.bbox)}] px", BACKGROUND_COLOR, BACKGROUND_COLOR))
    for index, step in enumerate(path):
        x0, y0, x1, y1 = step.bbox
        color = path_color(index, len(path))
        size = f"{in_full(x1 - x0)} × {in_full(y1 - y0)} px at ({in_full(x0)}, {in_full(y0)})"
        notes.append(_Note(f"{size}, LOD {step.lod}, step {step.step}", color, color, str(index + 1)))
    if others:
        notes.append(_Note(f"looked into{' as well' * bool(path)}: {len(others)}", BACKGROUND_COLOR, OTHER_COLOR))
    return notes


def _write_title(draw: ImageDraw.ImageDraw, title: str, layout: ZoomLayout) -> None:
    font = font_of(TITLE_PX)
    text = one_line(draw, title, font, layout.size[0] - 2 * MARGIN_PX)
    draw.text((MARGIN_PX, BAR_PX / 2), text, font=font, fill=INK_COLOR, anchor="lm")


def _write_notes(draw: ImageDraw.ImageDraw, notes: Sequence[_Note], layout: ZoomLayout) -> None:
    x, y = layout.notes
    font = font_of(TEXT_PX)
    for row, note in enumerate(notes):
        top = y + row * ROW_PX
        swatch = (x, top, x + ROW_PX, top + ROW_PX - 8)
        draw.rectangle(swatch, fill=note.fill, outline=note.outline, width=LINE_PX - 1)
        middle = (swatch[1] + swatch[3]) / 2
        draw.text((x + ROW_PX / 2, middle), note.tag, font=font, fill=ink_on(note.fill), anchor="mm")
        text = one_line(draw, note.text, font, layout.size[0] - MARGIN_PX - x - ROW_PX - 12)
        draw.text((x + ROW_PX + 12, middle), text, font=font, fill=MUTED_COLOR, anchor="lm")
