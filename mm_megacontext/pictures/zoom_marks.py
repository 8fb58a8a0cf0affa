"""What is drawn on the picture of a zoom: frames of steps and evidence, their colours, numbers and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import ImageDraw

from mm_megacontext.document import Rgb
from mm_megacontext.pictures.evidence_page import EvidenceBox
from mm_megacontext.pictures.lettering import BACKGROUND_COLOR, INK_COLOR, font_of, line_height, write_label
from mm_megacontext.pictures.pixel_boxes import PixelBox, grown, overlap

PATH_COLORS: tuple[Rgb, ...] = ((37, 52, 148), (34, 110, 175), (65, 182, 196), (161, 218, 180), (255, 237, 110))
"""From the whole image to the last step, steps between in between; told apart with any kind of colour vision."""
LINE_PX = 4
RIM_PX = 2
"""Of black or white along a line, so that it is seen on an image of its own colour."""
TEXT_PX = 20


def path_color(index: int, n: int) -> Rgb:
    """The colour of step ``index`` of a path of ``n``."""
    at = (len(PATH_COLORS) - 1) * (index / (n - 1) if n > 1 else 0.0)
    first = min(int(at), len(PATH_COLORS) - 2)
    red, green, blue = (
        round(a + (b - a) * (at - first)) for a, b in zip(PATH_COLORS[first], PATH_COLORS[first + 1], strict=True)
    )
    return red, green, blue


def in_full(*edges: float) -> str:
    """Coordinates as they are, to a hundredth of a pixel.

    Example:
        >>> in_full(1_234_567.0, 0.5, 16.0, 7.125)
        '1234567 0.5 16 7.12'
    """
    return " ".join(f"{edge:.2f}".rstrip("0").rstrip(".") for edge in edges)


def draw_frame(draw: ImageDraw.ImageDraw, box: PixelBox, color: Rgb, width: int) -> None:
    """A frame just inside a box, with a rim that sets it off from an image of its own colour."""
    draw.rectangle(box, outline=color, width=width)
    if min(box[2] - box[0], box[3] - box[1]) > 2 * (width + RIM_PX):
        draw.rectangle(grown(box, -width), outline=ink_on(color), width=RIM_PX)


def write_labels(
    draw: ImageDraw.ImageDraw, evidence: Sequence[EvidenceBox], frames: Sequence[PixelBox], size: tuple[int, int]
) -> list[PixelBox]:
    """The words of evidence, where it has some, beside its frames; returns where they are."""
    labels: list[PixelBox] = []
    for item, frame in zip(evidence, frames, strict=True):
        if item.label:
            labels.append(write_label(draw, item.label, frame, [*frames, *labels], font_of(TEXT_PX), size))
    return labels


def write_numbers(
    draw: ImageDraw.ImageDraw, boxes: Mapping[int, PixelBox], n: int, taken: Sequence[PixelBox], away_from: PixelBox
) -> None:
    """The number of every step of a path of ``n``, in a free corner of its box, if it has one."""
    hidden = list(taken)
    for index, box in boxes.items():
        tag = _free_corner(draw, str(index + 1), box, hidden, away_from)
        if tag is not None:
            _write_tag(draw, str(index + 1), tag, path_color(index, n))
            hidden.append(tag)


def _free_corner(
    draw: ImageDraw.ImageDraw, text: str, box: PixelBox, taken: Sequence[PixelBox], away_from: PixelBox
) -> PixelBox | None:
    """Where in a corner of its box a number hides nothing of ``taken``, far away from something else; None: nowhere."""
    width, height = _tag_size(draw, text)
    x0, y0, x1, y1 = box
    if x1 - x0 < 2 * width or y1 - y0 < 2 * height:
        return None
    corners = [(x, y, x + width, y + height) for y in (y0, y1 - height) for x in (x0, x1 - width)]
    corners.sort(key=lambda tag: -abs(tag[0] - away_from[0]) - abs(tag[1] - away_from[1]))
    return next((tag for tag in corners if not any(overlap(tag, other) for other in taken)), None)


def _tag_size(draw: ImageDraw.ImageDraw, text: str) -> tuple[int, int]:
    font = font_of(TEXT_PX)
    return round(draw.textlength(text, font=font)) + 12, line_height(font) + 8


def _write_tag(draw: ImageDraw.ImageDraw, text: str, box: PixelBox, color: Rgb) -> None:
    draw.rectangle(box, fill=color)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    draw.text(middle, text, font=font_of(TEXT_PX), fill=ink_on(color), anchor="mm")


def ink_on(color: Rgb) -> Rgb:
    """Black or white, whichever is read more easily."""
    return INK_COLOR if 0.3 * color[0] + 0.6 * color[1] + 0.1 * color[2] > 120 else BACKGROUND_COLOR
