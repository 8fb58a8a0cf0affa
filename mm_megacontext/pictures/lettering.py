"""Writing on pictures: fonts, lines that fit, labels beside frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import ImageDraw, ImageFont

from mm_megacontext.document import Rgb
from mm_megacontext.pictures.pixel_boxes import PixelBox, moved_inside, overlap

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

BACKGROUND_COLOR: Rgb = (255, 255, 255)
INK_COLOR: Rgb = (28, 32, 41)
MUTED_COLOR: Rgb = (96, 103, 117)
RULE_COLOR: Rgb = (203, 208, 217)
EVIDENCE_COLOR: Rgb = (214, 40, 18)

_ELLIPSIS = "..."


@cache
def font_of(size: int) -> Font:
    """DejaVu Sans where the system has it, for it writes most alphabets; else Pillow's own Latin font."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def line_height(font: Font) -> int:
    """Pixels from the top of capitals to below the line."""
    _, top, _, bottom = font.getbbox("Ag")
    return round(bottom - top * 0.5)


def one_line(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
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


def write_label(
    draw: ImageDraw.ImageDraw, label: str, frame: PixelBox, taken: Sequence[PixelBox], font: Font, size: tuple[int, int]
) -> PixelBox:
    """Write a label beside its frame: where it hides no other frame or label, if there is such a place.

    Args:
        draw: On the picture.
        label: Cut to one line.
        frame: What the label is of.
        taken: What had better not be hidden.
        font: Of the label.
        size: The part of the picture, from its top left corner, that labels stay inside.

    Returns:
        Where it is.
    """
    pad = max(2, line_height(font) // 5)
    text = one_line(draw, label, font, size[0] - 2 * pad)
    width, height = round(draw.textlength(text, font=font)) + 2 * pad, line_height(font) + pad
    x0, y0, x1, y1 = frame
    places = [(x0, y0 - height), (x0, y1 + 1), (x1 + 1, y0), (x0 - width, y0), (x0, y0 - 2 * height), (x0, y1 + height)]
    inside = [moved_inside((x, y, x + width, y + height), size) for x, y in places]
    free = [box for box in inside if not any(overlap(box, other) for other in taken)]
    box = (free or inside)[0]
    draw.rectangle(box, fill=EVIDENCE_COLOR)
    draw.text((box[0] + pad, (box[1] + box[3]) / 2), text, font=font, fill=BACKGROUND_COLOR, anchor="lm")
    return box
