"""Slides as a flow: each slide on pages of its own, the title first, then shapes by where they lie.

Speaker's notes, diagrams of SmartArt and what stands on layouts and masters are left out. What nobody sees is kept
apart: slides that are not shown, shapes that are switched off, beside the slide or covered, text without contrast. A
chart, picture or slide that cannot be read is reported, and the rest is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from mm_megacontext.document import HiddenReason, Script
from mm_megacontext.errors import IngestError, first_line
from mm_megacontext.layout.flow.flow import (
    WIDE_SPACE,
    Flow,
    FlowCell,
    FlowItem,
    FlowTable,
    NewPage,
    Paragraph,
    Picture,
    Run,
    Runs,
    Unread,
    Unseen,
    text_of,
)
from mm_megacontext.layout.flow.html.source import Element
from mm_megacontext.layout.flow.office.charts import chart_items
from mm_megacontext.layout.flow.office.elements import attribute, child, children, local, number, shown_children
from mm_megacontext.layout.flow.office.equations import linear
from mm_megacontext.layout.flow.pptx.looks import Papers, SlideLooks
from mm_megacontext.layout.flow.pptx.parts import EMU_PER_PT, Deck, Slide, open_deck
from mm_megacontext.layout.flow.pptx.shapes import Shape, shapes_of
from mm_megacontext.layout.flow.zip_container import ZipContainer
from mm_megacontext.layout.tables.cells import Place, n_header_rows, role_of

_LEVELS = {"title": 1, "ctrTitle": 1, "subTitle": 2}
_LISTS = ("body", "obj")
_NOT_READ = ("sldNum",)
_UNREADABLE = (etree.XMLSyntaxError, IngestError, KeyError, ValueError)
_MOST_CELLS = 100_000

Hidden = list[tuple[str, HiddenReason]]


def pptx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of slides."""
    container.refuse_doctypes()
    return _slides(open_deck(container))


def _slides(deck: Deck) -> Iterator[FlowItem]:
    for number_of_slide, part in enumerate(deck.parts, 1):
        yield NewPage()
        try:
            slide = deck.slide(part)
            ordered, painted = shapes_of(slide)
        except _UNREADABLE as e:
            yield Unread(f"slide {number_of_slide} cannot be read ({first_line(e)}): save the file anew", "corrupt")
            continue
        looks = SlideLooks(slide, painted)
        for shape in ordered:
            try:
                yield from _seen_items(shape, slide, looks)
            except _UNREADABLE as e:
                yield Unread(f"a {_name(shape)} on it cannot be read ({first_line(e)}): save the file anew", "corrupt")


def _name(shape: Shape) -> str:
    return {"pic": "picture", "graphicFrame": "table or chart"}.get(shape.kind, "shape")


def _seen_items(shape: Shape, slide: Slide, looks: SlideLooks) -> Iterator[FlowItem]:
    """What is in a shape; all of it unseen where the shape is."""
    why: HiddenReason | None = None if slide.is_shown else "not displayed"
    why = why or shape.hidden or looks.why_covered(shape)
    for item in _items(shape, slide, looks):
        if why is None or isinstance(item, (Unseen, Unread)):
            yield item
        elif text := _text_of(item):
            yield Unseen(text, why)


def _items(shape: Shape, slide: Slide, looks: SlideLooks) -> Iterator[FlowItem]:
    if shape.kind == "pic":
        yield from _picture(shape, slide)
    elif shape.kind == "graphicFrame":
        data = child(shape.element, "graphic", "graphicData")
        table, chart = child(data, "tbl"), child(data, "chart")
        if table is not None:
            yield from _table(table, shape, looks)
        elif chart is not None:
            kind, part = slide.links.get(attribute(chart, "id") or "", ("", None))
            if part is None:
                raise KeyError("it is not in the file")
            if kind == "chart":
                yield from chart_items(slide.deck.container.read(part))
    elif shape.placeholder is None or shape.placeholder.kind not in _NOT_READ:
        yield from _paragraphs(shape, slide, looks)


def _picture(shape: Shape, slide: Slide) -> Iterator[FlowItem]:
    blip = child(shape.element, "blipFill", "blip")
    reference = attribute(blip, "embed")
    if not reference:
        if attribute(blip, "link"):
            yield Unread("a picture on it is outside the file, and is not fetched: put it into the file", "unsupported")
        return
    part = slide.links.get(reference, ("", None))[1]
    if part is None:
        yield Unread("a picture on it is not in the file: put it into the file", "corrupt")
        return
    box = shape.box or (0.0, 0.0, 0.0, 0.0)
    size = (max(1.0, abs(box[2] - box[0]) / EMU_PER_PT), max(1.0, abs(box[3] - box[1]) / EMU_PER_PT))
    yield Picture(slide.deck.container.read(part), None if shape.box is None else size)


def _paragraphs(shape: Shape, slide: Slide, looks: SlideLooks) -> Iterator[FlowItem]:
    body = child(shape.element, "txBody")
    kind = "" if shape.placeholder is None else shape.placeholder.kind
    paper = looks.paper(shape) if body is not None else None
    for paragraph in children(body, "p"):
        runs, unseen = _runs(paragraph, shape, slide, looks, body, paper)
        for text, why in unseen:
            yield Unseen(text, why)
        if not text_of(runs).strip():
            continue
        if kind in _LEVELS:
            yield Paragraph(runs, "heading", _LEVELS[kind])
        elif kind in _LISTS:
            depth = int(number(attribute(child(paragraph, "pPr"), "lvl")))
            yield Paragraph((Run("\u2022 "), *runs), "list", depth=max(0, depth))
        else:
            yield Paragraph(runs)


def _runs(
    paragraph: Element, shape: Shape, slide: Slide, looks: SlideLooks, body: Element | None, paper: Papers
) -> tuple[Runs, Hidden]:
    """The text of a paragraph that is seen, and what is not."""
    styles = looks.styles(shape, paragraph, body)
    shrunk = number(attribute(child(body, "bodyPr", "normAutofit"), "fontScale"), 100_000) / 100_000
    runs: list[Run] = []
    unseen: Hidden = []
    for part in shown_children(paragraph):
        kind = local(part)
        if kind == "br":
            runs.append(Run("\n"))
        elif kind == "m" or kind.startswith("oMath"):
            runs.append(Run(f" {linear(part)} "))
        elif kind in ("r", "fld"):
            text = "".join(t.text or "" for t in children(part, "t"))
            look = child(part, "rPr")
            why = looks.why_unseen(look, styles, shrunk, paper)
            if why is None:
                runs.append(Run(_plain(text), _is_bold(look), _address(look, slide), _script(look)))
            elif text.strip():
                unseen.append((text.strip(), why))
    return tuple(runs), unseen


def _plain(text: str) -> str:
    """Text with its line breaks and tabs as a flow has them."""
    return text.replace("\v", "\n").replace("_x000B_", "\n").replace("\t", WIDE_SPACE)


def _is_bold(look: Element | None) -> bool:
    return (attribute(look, "b") or "0") in ("1", "true")


def _script(look: Element | None) -> Script:
    baseline = number(attribute(look, "baseline"))
    return "sup" if baseline > 0 else "sub" if baseline < 0 else ""


def _address(look: Element | None, slide: Slide) -> str | None:
    """Where a link leads that goes out of the file."""
    reference = attribute(child(look, "hlinkClick"), "id")
    return slide.outside.get(reference or "")


def _table(table: Element, shape: Shape, looks: SlideLooks) -> Iterator[FlowItem]:
    rows = [list(children(row, "tc")) for row in children(table, "tr")]
    n_columns = max((len(row) for row in rows), default=0)
    if not n_columns:
        return
    if (n_cells := len(rows) * n_columns) > _MOST_CELLS:
        yield Unread(f"a table on it has {n_cells} cells, more than {_MOST_CELLS}: split it", "limit_size")
        return
    has_header = (attribute(child(table, "tblPr"), "firstRow") or "0") in ("1", "true")
    placed = [
        (_place(y, x, cell, len(rows), n_columns), cell)
        for y, row in enumerate(rows)
        for x, cell in enumerate(row)
        if not _is_spanned(cell)
    ]
    n_header = n_header_rows([place for place, _ in placed], len(rows)) if has_header else 0
    cells, unseen = [], list[tuple[str, HiddenReason]]()
    for (y, x, height, width), cell in placed:
        runs, hidden = _cell_runs(cell, shape, looks, looks.cell_paper(table, cell, has_header and y == 0, shape))
        unseen += hidden
        cells.append(FlowCell(y, x, runs, role_of(y, x, n_header), height, width))
    yield FlowTable(tuple(cells), len(rows), n_columns)
    for text, why in unseen:
        yield Unseen(text, why)


def _cell_runs(cell: Element, shape: Shape, looks: SlideLooks, paper: Papers) -> tuple[Runs, Hidden]:
    body = child(cell, "txBody")
    runs: list[Run] = []
    unseen: Hidden = []
    for paragraph in children(body, "p"):
        own, hidden = _runs(paragraph, shape, looks.slide, looks, body, paper)
        runs += [Run("\n")] if runs and own else []
        runs += own
        unseen += hidden
    return tuple(runs) if text_of(tuple(runs)).strip() else (), unseen


def _place(row: int, column: int, cell: Element, n_rows: int, n_columns: int) -> Place:
    """Where a cell stands, and what it spans within the table."""
    height, width = (max(1, int(number(cell.get(name), 1))) for name in ("rowSpan", "gridSpan"))
    return row, column, min(height, n_rows - row), min(width, n_columns - column)


def _is_spanned(cell: Element) -> bool:
    return any(cell.get(name) in ("1", "true") for name in ("hMerge", "vMerge"))


def _text_of(item: FlowItem) -> str:
    if isinstance(item, Paragraph):
        return text_of(item.runs).strip()
    if isinstance(item, FlowTable):
        return " ".join(text_of(cell.runs) for cell in item.cells if cell.runs)
    return ""
