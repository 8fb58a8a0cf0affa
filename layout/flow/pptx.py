"""Slides as a flow, through python-pptx: each slide on pages of its own, shapes in the order of the file.

Speaker's notes, diagrams of SmartArt and what stands on layouts and masters are left out. Slides that are not shown and
shapes beside the slide are kept apart.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from mm_megacontext.document import HiddenReason
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
    Unseen,
    text_of,
)
from mm_megacontext.layout.flow.zip_container import ZipContainer
from mm_megacontext.layout.tables.cells import Place, n_header_rows, role_of

_EMU_PER_PT = 12_700
_TITLES = (1, 3, 4)  # title, centred title, subtitle: kinds of placeholders
_BODIES = (2, 7)  # body, object
_SLIDE_NUMBER = 13
_MOST_GROUPS = 20  # inside each other


def pptx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of slides. Raises ImportError where python-pptx is not installed."""
    import pptx

    container.refuse_doctypes()
    return _slides(pptx.Presentation(io.BytesIO(data)))


def _slides(deck: Any) -> Iterator[FlowItem]:
    for slide in deck.slides:
        yield NewPage()
        is_shown = slide._element.get("show") not in ("0", "false")
        for shape in _in_order(slide.shapes):
            why: HiddenReason | None = None if is_shown else "not displayed"
            if why is None and _is_beside(shape, deck):
                why = "outside the page"
            for item in _items(shape):
                if why is None:
                    yield item
                elif text := _text_of(item):
                    yield Unseen(text, why)


def _in_order(shapes: Iterable[Any]) -> list[Any]:
    """Shapes as they stand in the file, the slide's title first, groups opened."""
    opened = list(_opened(shapes, 0))
    return sorted(opened, key=lambda shape: _placeholder(shape) not in _TITLES[:2])


def _opened(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < _MOST_GROUPS:
            yield from _opened(shape.shapes, depth + 1)
        else:
            yield shape


def _placeholder(shape: Any) -> int | None:
    """The kind of placeholder that a shape is in, or None."""
    if not shape.is_placeholder:
        return None
    kind = shape.placeholder_format.type
    return None if kind is None else int(kind)


def _is_beside(shape: Any, deck: Any) -> bool:
    """Whether a shape lies where no slide is. One without a place of its own has that of its layout."""
    places = (shape.left, shape.top, shape.width, shape.height)
    if any(place is None for place in places):
        return False
    left, top, width, height = places
    return bool(left >= deck.slide_width or top >= deck.slide_height or left + width <= 0 or top + height <= 0)


def _items(shape: Any) -> Iterator[FlowItem]:
    if getattr(shape, "has_table", False):
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        yield from _chart(shape.chart)
    elif shape.has_text_frame and _placeholder(shape) != _SLIDE_NUMBER:
        yield from _paragraphs(shape)
    elif data := _image(shape):
        yield Picture(data, (max(1.0, shape.width / _EMU_PER_PT), max(1.0, shape.height / _EMU_PER_PT)))


def _image(shape: Any) -> bytes | None:
    """The bytes of a picture that is in the file; None of one that is elsewhere, and of other shapes."""
    try:
        return bytes(shape.image.blob)
    except (AttributeError, ValueError, KeyError):
        return None


def _paragraphs(shape: Any) -> Iterator[FlowItem]:
    kind = _placeholder(shape)
    for paragraph in shape.text_frame.paragraphs:
        runs = tuple(_runs(paragraph))
        if not any(run.text.strip() for run in runs):
            continue
        if kind in _TITLES:
            yield Paragraph(runs, "heading", 2 if kind == _TITLES[2] else 1)
        elif kind in _BODIES:
            yield Paragraph((Run("\u2022 "), *runs), "list", depth=paragraph.level)
        else:
            yield Paragraph(runs)


def _runs(paragraph: Any) -> Iterator[Run]:
    """The text of a paragraph, with the line breaks and fields that are no runs to python-pptx."""
    runs = {run._r: run for run in paragraph.runs}
    for part in paragraph._p.content_children:
        run = runs.get(part)
        if run is None:
            yield Run(_plain(part.text))
        elif run.text:
            yield Run(_plain(run.text), bool(run.font.bold), _address(run))


def _plain(text: str) -> str:
    """Text of python-pptx with its line breaks and tabs as a flow has them."""
    return text.replace("\v", "\n").replace("\t", WIDE_SPACE)


def _address(run: Any) -> str | None:
    try:
        return run.hyperlink.address or None
    except KeyError:  # a link to a part that is not there
        return None


def _table(table: Any) -> FlowTable:
    n_rows, n_columns = len(table.rows), len(table.columns)
    found = [(y, x, cell) for y, row in enumerate(table.rows) for x, cell in enumerate(row.cells)]
    placed = [(_place(y, x, cell), _plain(cell.text).strip()) for y, x, cell in found if not cell.is_spanned]
    n_header = n_header_rows([place for place, _ in placed], n_rows) if table.first_row else 0
    cells = [
        FlowCell(y, x, (Run(text),) if text else (), role_of(y, x, n_header), height, width)
        for (y, x, height, width), text in placed
    ]
    return FlowTable(tuple(cells), n_rows, n_columns)


def _place(row: int, column: int, cell: Any) -> Place:
    height, width = (cell.span_height, cell.span_width) if cell.is_merge_origin else (1, 1)
    return row, column, height, width


def _chart(chart: Any) -> Iterator[FlowItem]:
    """The title of a chart, and its numbers as a table."""
    if chart.has_title and chart.chart_title.has_text_frame and (title := chart.chart_title.text_frame.text.strip()):
        yield Paragraph((Run(title),), "caption")
    for plot in chart.plots:
        names = [str(category) for category in plot.categories]
        series = [(str(s.name), list(s.values)) for s in plot.series]
        rows = [["", *(name for name, _ in series)]]
        for i, name in enumerate(names):
            rows.append([name, *("" if i >= len(v) or v[i] is None else f"{v[i]:.15g}" for _, v in series)])
        cells = [
            FlowCell(y, x, (Run(text),) if text else (), role_of(y, x))
            for y, row in enumerate(rows)
            for x, text in enumerate(row)
        ]
        if names and series:
            yield FlowTable(tuple(cells), len(rows), len(rows[0]))


def _text_of(item: FlowItem) -> str:
    if isinstance(item, Paragraph):
        return text_of(item.runs).strip()
    if isinstance(item, FlowTable):
        return " ".join(text_of(cell.runs) for cell in item.cells if cell.runs)
    return ""
