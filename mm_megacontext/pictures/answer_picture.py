"""Which picture an answer gets: the evidence page of a document, or the zoom into an image; finds what they need."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from mm_megacontext.answer import Answer
from mm_megacontext.limits import IngestLimits
from mm_megacontext.pictures.evidence_page import EvidenceBox, Footprint, caption, draw_evidence_page
from mm_megacontext.pictures.regions_picture import render_page
from mm_megacontext.pictures.zoom_path import zoom_steps
from mm_megacontext.pictures.zoom_picture import draw_zoom
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.source_file import UnchangedFiles
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.vision.sources.isolated import IsolatedImage


def draw_answer(
    answer: Answer,
    context: WorkingContext,
    records: Mapping[int, SourceRecord],
    passwords: Mapping[str, str],
    limits: IngestLimits | None = None,
    files: UnchangedFiles | None = None,
) -> Image.Image:
    """Draw the page of the strongest evidence, or the first page of the first source if there is none.

    A page of a document is shaded by how sharply it was read. An image is shown as an overview with the way into it,
    and the evidence at full size.

    Args:
        answer, context: What was answered, from what.
        records: Sources by number.
        passwords: Of encrypted sources, by uri.
        limits: What is refused of images: those of the ingest, or wider.
        files: Which files are known to be those that were ingested.

    Raises:
        IngestError: The source is gone, has changed, or cannot be rendered any more.
        ValueError: The trace of the answer does not lead to the context.
    """
    record, number = _page_to_show(answer, context, records)
    (files or UnchangedFiles()).check(record.uri, record.content_hash)
    evidence = [e for e in answer.evidence if e.source == record.uri and e.page == number]
    title = caption(answer.question, answer.text, cost=answer.usage.cost, budget=answer.usage.budget)
    boxes = [EvidenceBox(e.bbox, e.text) for e in evidence]
    if record.kind == "image":
        steps = zoom_steps(context, answer.trace, record.number, number)
        with IsolatedImage(record.uri, limits, is_looked_at=True, page=number) as source:
            return draw_zoom(source, steps, boxes, title)
    image = render_page(record.uri, record.kind, number, passwords.get(record.uri), limits)
    size = record.page_sizes[number - 1]
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
