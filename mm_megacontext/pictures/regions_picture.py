"""Pages as pictures: rendered from their source, and with their regions drawn on them."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from mm_megacontext.document import Page, Region, RegionKind, Rgb, SourceKind
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.pages import PageImages, has_pixels
from mm_megacontext.vision.sources.files import read_overview

TEXT_SCALE = 2.0
"""Pixels per point when a page of plain text is drawn."""
MAX_SIDE_PX = 2048
"""Larger pages are drawn at a coarser level."""

KIND_COLORS: dict[RegionKind, Rgb] = {
    "text": (47, 98, 173),
    "heading": (176, 42, 55),
    "list": (47, 111, 78),
    "table": (189, 107, 0),
    "form": (148, 90, 20),
    "caption": (111, 66, 193),
    "header": (128, 134, 145),
    "footer": (128, 134, 145),
    "formula": (0, 121, 140),
    "code": (75, 83, 98),
    "figure": (190, 24, 120),
    "scan": (190, 24, 120),
}


HIDDEN_COLOR: Rgb = (255, 0, 0)


def render_page(
    uri: str, kind: SourceKind, number: int, password: str | None = None, limits: IngestLimits | None = None
) -> Image.Image:
    """One page of a file, from 1, at most ``MAX_SIDE_PX`` on a side where it has levels.

    Raises:
        IngestError: The file is gone or the page cannot be rendered.
    """
    if has_pixels(kind):
        with PageImages(uri, kind, password=password, limits=limits) as images:
            source = images.page(number)
            coarsest = source.n_levels - 1
            level = next(k for k in range(source.n_levels) if max(source.size) >> k <= MAX_SIDE_PX or k == coarsest)
            return Image.fromarray(read_overview(source, level))
    return _draw_text(next(page for page in read(uri).pages() if page.number == number))


def _draw_text(page: Page) -> Image.Image:
    """A page of plain text, its words where the reader placed them."""
    image = Image.new("RGB", (round(page.size[0] * TEXT_SCALE), round(page.size[1] * TEXT_SCALE)), "white")
    draw = ImageDraw.Draw(image)
    for region in page.regions:
        lines = region.lines if region.table is None else [line for cell in region.table.cells for line in cell.lines]
        for word in (word for line in lines for word in line.words):
            x0, y0, x1, y1 = (edge * TEXT_SCALE for edge in word.bbox)
            font = ImageFont.load_default((y1 - y0) * 0.8)
            drawn = draw.textlength(word.text, font=font)
            fitted = ImageFont.load_default((y1 - y0) * 0.8 * min(1.0, (x1 - x0) / max(drawn, 1.0)))
            draw.text((x0, (y0 + y1) / 2), word.text, font=fitted, fill="black", anchor="lm")
    return image


def draw_regions(image: Image.Image, page: Page) -> Image.Image:
    """A page with the outline, kind and place in reading order of every region, and the cells of its tables.

    Args:
        image: The page at any resolution.
        page: What was found on it, in its own units.

    Raises:
        ValueError: The page has no size, because it could not be read.
    """
    if min(page.size) <= 0:
        raise ValueError(f"page {page.number} has no size: {page.problem}")
    drawn = image.convert("RGB")
    draw = ImageDraw.Draw(drawn, "RGBA")
    scale = (drawn.width / page.size[0], drawn.height / page.size[1])
    line = max(1, round(max(drawn.size) / 700))
    font = ImageFont.load_default(max(11.0, max(drawn.size) / 90))
    for region in page.regions:
        _outline(draw, region, scale, line)
    for order, region in enumerate(page.regions, 1):  # labels last, so that no outline crosses one
        _label(draw, region, f"{order} {_name(region)}", scale, font)
    return drawn


def _outline(draw: ImageDraw.ImageDraw, region: Region, scale: tuple[float, float], line: int) -> None:
    color = _color(region)
    if region.table is not None:
        for cell in region.table.cells:
            draw.rectangle(_scaled(cell.bbox, scale), outline=(*color, 150), width=max(1, line // 2))
            if cell.role != "body":
                draw.rectangle(_scaled(cell.bbox, scale), fill=(*color, 40))
    draw.rectangle(_scaled(region.bbox, scale), outline=color, width=line)


def _label(
    draw: ImageDraw.ImageDraw,
    region: Region,
    text: str,
    scale: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    x, y = region.bbox[0] * scale[0], region.bbox[1] * scale[1]
    left, top, right, bottom = draw.textbbox((x, y), text, font=font, anchor="lb")
    shift = max(0.0, -top)  # a label above the page's edge moves onto the page
    draw.rectangle((left - 2, top + shift - 1, right + 2, bottom + shift + 1), fill=_color(region))
    draw.text((x, y + shift), text, font=font, fill="white", anchor="lb")


def _name(region: Region) -> str:
    if region.hidden is not None:
        return f"hidden: {region.hidden}"
    return region.kind if region.level is None else f"{region.kind} {region.level}"


def _color(region: Region) -> Rgb:
    return KIND_COLORS[region.kind] if region.hidden is None else HIDDEN_COLOR


def _scaled(box: tuple[float, float, float, float], scale: tuple[float, float]) -> tuple[float, float, float, float]:
    return (box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1])
