"""The evidence page of an answer: its page rendered, every entry's footprint, the quoted words boxed."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from mm_megacontext.answer import Answer
from mm_megacontext.image_limits import ImageLimits
from mm_megacontext.layout.document import Page
from mm_megacontext.layout.reader import read
from mm_megacontext.show import EvidenceBox, Footprint, caption, draw_evidence_page
from mm_megacontext.store_catalogue import SourceRecord
from mm_megacontext.vision.files import read_overview
from mm_megacontext.vision.pages import PageImages
from mm_megacontext.working_context import WorkingContext

TEXT_SCALE = 2.0
"""Pixels per point when a page of plain text is drawn."""


def draw_answer(
    answer: Answer,
    context: WorkingContext,
    records: Mapping[int, SourceRecord],
    passwords: Mapping[str, str],
    limits: ImageLimits | None = None,
) -> Image.Image:
    """Draw the page of the strongest evidence, or the first page of the first source if there is none.

    Args:
        answer, context: What was answered, from what.
        records: Sources by number.
        passwords: Of encrypted sources, by uri.
        limits: What is refused of images: those of the ingest, or wider.

    Raises:
        IngestError: The source is gone or cannot be rendered any more.
    """
    record, number = _page_to_show(answer, context, records)
    image = _render(record, number, passwords.get(record.uri), limits)
    size = record.page_sizes[number - 1]
    evidence = [e for e in answer.evidence if e.source == record.uri and e.page == number]
    title = caption(answer.question, answer.text, cost=answer.usage.cost, budget=answer.usage.budget)
    boxes = [EvidenceBox(e.bbox, e.text) for e in evidence]
    return draw_evidence_page(
        image, (float(size[0]), float(size[1])), _footprints(context, record, number), boxes, title
    )


def _page_to_show(
    answer: Answer, context: WorkingContext, records: Mapping[int, SourceRecord]
) -> tuple[SourceRecord, int]:
    if answer.evidence:
        best = answer.evidence[0]
        return next(r for r in records.values() if r.uri == best.source), best.page
    first = context.entries[0].node
    return records[first.first.source], first.page


def _footprints(context: WorkingContext, record: SourceRecord, number: int) -> list[Footprint]:
    width, height = (float(side) for side in record.page_sizes[number - 1])
    footprints = []
    for entry in context:
        node = entry.node
        if not node.first.source <= record.number <= node.last.source:
            continue
        is_one_page = node.first.source == node.last.source and node.page == node.last_page
        if is_one_page and node.page == number:
            footprints.append(Footprint(node.bbox, entry.lod))
        elif not is_one_page and (node.first.source < node.last.source or node.page <= number <= node.last_page):
            footprints.append(Footprint((0.0, 0.0, width, height), entry.lod))
    return footprints


def _render(record: SourceRecord, number: int, password: str | None, limits: ImageLimits | None) -> Image.Image:
    if record.kind in ("pdf", "image"):
        with PageImages(record.uri, record.kind, password=password, limits=limits) as images:
            source = images.page(number)
            level = next(k for k in range(source.n_levels) if max(source.size) >> k <= 2048 or k == source.n_levels - 1)
            return Image.fromarray(read_overview(source, level))
    pages = read(record.uri).pages()
    return _draw_text(next(page for page in pages if page.number == number))


def _draw_text(page: Page) -> Image.Image:
    """A page of plain text, its words where the reader placed them."""
    image = Image.new("RGB", (round(page.size[0] * TEXT_SCALE), round(page.size[1] * TEXT_SCALE)), "white")
    draw = ImageDraw.Draw(image)
    for region in page.regions:
        lines = (
            region.lines or tuple(ln for cell in region.table.cells for ln in cell.lines)
            if region.table
            else region.lines
        )
        for word in (word for line in lines for word in line.words):
            x0, y0, x1, y1 = (edge * TEXT_SCALE for edge in word.bbox)
            font = ImageFont.load_default((y1 - y0) * 0.8)
            drawn = draw.textlength(word.text, font=font)
            fitted = ImageFont.load_default((y1 - y0) * 0.8 * min(1.0, (x1 - x0) / max(drawn, 1.0)))
            draw.text((x0, (y0 + y1) / 2), word.text, font=fitted, fill="black", anchor="lm")
    return image
