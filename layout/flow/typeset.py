"""A flow as pages: set on strips, cut to pages of one size, read as regions, and drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Cell, Line, Link, Page, Region, Table, Word, union
from mm_megacontext.errors import ErrorCode, IngestError
from mm_megacontext.invisible_text import WHY, told_apart
from mm_megacontext.layout.engines.pymupdf import PyMuPdfEngine
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.flow.flow import (
    Flow,
    FlowCell,
    FlowItem,
    FlowTable,
    NewPage,
    Paragraph,
    Picture,
    Runs,
    Unread,
    Unseen,
    length_of,
    parts_of,
)
from mm_megacontext.layout.flow.galley import Galley, SetItem, StripTooLong, clean_lines, set_galley
from mm_megacontext.layout.flow.pagination import MARGIN, PAGE_HEIGHT, PAGE_WIDTH, ROOM, Paginator, Slice
from mm_megacontext.layout.flow.pictures import PictureUnread, ReadyPicture, make_ready
from mm_megacontext.layout.flow.pieces import SetWord
from mm_megacontext.layout.page.captions import bind_captions

_WIDTH = PAGE_WIDTH - 2 * MARGIN
_MOST_ITEMS, _MOST_LETTERS = 300, 30_000  # of a strip: setting takes more than linear time
_MOST_ROWS = 200  # of a table on one strip, unless cells span more
_MOST_HIDDEN_WORDS = 2_000  # that are shown of one text that nobody sees

_Problem = tuple[str, ErrorCode]


class TypesetFile:
    """A flow held open as pages of 612 x 792 points with margins of 54; wider ones where a table is.

    Args:
        flow: What there is.
        source: The file's name, for errors.
        max_pixels: The most pixels of a page at one a point, and of a picture.
    """

    def __init__(self, flow: Flow, source: str, max_pixels: int) -> None:
        self._source, self._max_pixels = source, max_pixels
        self._pages: list[list[Slice]] = []
        self._problems: dict[int, _Problem] = {}
        paginator = Paginator()
        for piece in self._pieces(flow):
            if isinstance(piece, NewPage):
                self._take(paginator.finish())
            elif isinstance(piece, Unread):
                self._problems.setdefault(len(self._pages) + 1, (piece.message, piece.code))
            else:
                for page in paginator.put(piece):
                    self._take(page)
        self._take(paginator.finish())
        for number in [n for n in self._problems if n > len(self._pages)]:  # after all that could be set
            self._problems.setdefault(len(self._pages), self._problems[number])

    @property
    def n_pages(self) -> int:
        return len(self._pages)

    def read_page(self, number: int) -> Page:
        """Page ``number``, from 1."""
        slices = self._pages[number - 1]
        size = self._size(slices)
        if size[0] * size[1] > self._max_pixels:
            problem = (
                f"the page is {size[0]:.0f} x {size[1]:.0f} pt, more than the limit of {self._max_pixels} pixels: "
                "raise max_decoded_pixels if you trust the file"
            )
            return Page(number, (0.0, 0.0), (), PyMuPdfEngine.name, problem=problem, code="limit_pixels")
        regions = [region for piece in slices for region in _regions(piece)]
        links = [link for piece in slices for link in _links(piece)]
        message, code = self._problems.get(number) or _doubt(regions)
        return Page(
            number,
            size,
            bind_captions(_with_lists_joined(regions)),
            PyMuPdfEngine.name,
            problem=message,
            code=code,
            links=tuple(links),
        )

    def measure(self, number: int) -> tuple[float, float]:
        """Width and height of a page in points. Raises IngestError."""
        if not 1 <= number <= len(self._pages):
            raise IngestError(f"no such page; it has {len(self._pages)}", source=self._source, page=number)
        return self._size(self._pages[number - 1])

    def render(self, number: int, rect: tuple[int, int, int, int], px_per_pt: float) -> bytes:
        """A rectangle (x, y, width, height) of a page as RGB, row by row."""
        x, y, width, height = rect
        rgb = np.full((height, width, 3), 255, dtype=np.uint8)
        for piece in self._pages[number - 1]:
            top = min(height, max(0, round((piece.top + piece.shift) * px_per_pt) - y))
            bottom = min(height, max(0, round((piece.bottom + piece.shift) * px_per_pt) - y))
            if top < bottom:
                moved = (MARGIN * px_per_pt - x, piece.shift * px_per_pt - y)
                rgb[top:bottom] = _band(piece.galley, (0, top, width, bottom), px_per_pt, moved)
        return rgb.tobytes()

    def close(self) -> None:
        """Let go of everything."""
        self._pages = []

    def _take(self, page: list[Slice]) -> None:
        if page:
            self._pages.append(page)

    @staticmethod
    def _size(slices: list[Slice]) -> tuple[float, float]:
        return max(PAGE_WIDTH, max(piece.galley.width for piece in slices) + 2 * MARGIN), PAGE_HEIGHT

    def _pieces(self, flow: Flow) -> Iterator[Galley | NewPage | Unread]:
        """The flow as strips of a limited number of items."""
        items: list[SetItem] = []
        n_letters = 0
        for item in (part for whole in flow for part in _told_apart(whole)):
            if isinstance(item, (NewPage, FlowTable, Unread)) or len(items) >= _MOST_ITEMS:
                yield from self._strip(items)
                items, n_letters = [], 0
            if isinstance(item, (NewPage, Unread)):
                yield item
            elif isinstance(item, FlowTable):
                for part in _parts(item):
                    yield from self._strip([part])
            elif isinstance(item, Picture):
                try:
                    ready = make_ready(item, (_WIDTH, ROOM), self._max_pixels)
                except PictureUnread as e:
                    yield from self._strip(items)
                    items, n_letters = [], 0
                    yield Unread(str(e), e.code)
                else:
                    items += [ready] if ready is not None else []
            elif isinstance(item, Paragraph):
                for paragraph in parts_of(item, _MOST_LETTERS):
                    if n_letters >= _MOST_LETTERS:
                        yield from self._strip(items)
                        items, n_letters = [], 0
                    items.append(paragraph)
                    n_letters += length_of(paragraph.runs)
            else:
                items.append(item)
        yield from self._strip(items)

    @staticmethod
    def _strip(items: list[SetItem]) -> Iterator[Galley | Unread]:
        if not items:
            return
        try:
            galley = set_galley(items, _WIDTH)
        except StripTooLong as e:
            yield Unread(str(e), "limit_size")
            return
        if any(isinstance(item, ReadyPicture) and not galley.is_drawn(i) for i, item in enumerate(items)):
            yield Unread("a picture on it cannot be drawn", "corrupt")
        yield galley


def _told_apart(item: FlowItem) -> Iterator[FlowItem]:
    """An item without invisible characters, and what these say: setting the text would lose it."""
    if isinstance(item, Paragraph):
        runs, unseen = _seen_runs(item.runs)
        if runs or not unseen:
            yield replace(item, runs=runs)
    elif isinstance(item, FlowTable):
        found = [_seen_runs(cell.runs) for cell in item.cells]
        yield replace(item, cells=tuple(replace(c, runs=r) for c, (r, _) in zip(item.cells, found, strict=True)))
        unseen = [text for _, texts in found for text in texts]
    else:
        yield item
        return
    for text in unseen:
        yield Unseen(text, WHY)


def _seen_runs(runs: Runs) -> tuple[Runs, list[str]]:
    found = [told_apart(run.text) for run in runs]
    if not any(unseen for _, unseen in found):
        return runs, []
    seen = tuple(replace(run, text=text) for run, (text, _) in zip(runs, found, strict=True) if text)
    return seen, [text for _, unseen in found for text in unseen]


def _doubt(regions: Iterable[Region]) -> _Problem | tuple[None, None]:
    """The problem of a page with a text of which nobody can say whether it is seen."""
    if not any(region.hidden == "visibility_unsure" for region in regions):
        return None, None
    return "a text on it may be hidden from people, and is not read: look at it in a browser", "visibility_unsure"


def _band(
    galley: Galley, area: tuple[int, int, int, int], px_per_pt: float, moved: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """The pixels of a strip that lie in ``area``, where the strip is moved by so many pixels."""
    mupdf = pymupdf.mupdf
    pixmap = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(area), False)
    pixmap.clear_with(255)
    device = mupdf.fz_new_draw_device(mupdf.FzMatrix(), pixmap.this)
    matrix = mupdf.FzMatrix(px_per_pt, 0, 0, px_per_pt, *moved)
    everywhere = mupdf.FzRect(mupdf.FzRect.Fixed_INFINITE)
    mupdf.fz_run_display_list(galley.display.this, device, matrix, everywhere, mupdf.FzCookie())
    mupdf.fz_close_device(device)
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    return rows[:, : 3 * pixmap.width].reshape(pixmap.height, pixmap.width, 3).copy()  # the pixmap goes


def _parts(table: FlowTable) -> Iterator[FlowTable]:
    """A table in parts of limited length, cut where no cell spans the cut."""
    crossed = {row for cell in table.cells for row in range(cell.row + 1, cell.row + cell.row_span)}
    start = 0
    for row in range(1, table.n_rows + 1):
        if row == table.n_rows or (row - start >= _MOST_ROWS and row not in crossed):
            cells = tuple(replace(c, row=c.row - start) for c in table.cells if start <= c.row < row)
            if cells:
                yield FlowTable(cells, row - start, table.n_columns, first_row=start)
            start = row


def _regions(piece: Slice) -> Iterator[Region]:
    """What stands on a slice, in order."""
    galley = piece.galley
    by_item: dict[int, list[SetWord]] = {}
    for word in galley.words:
        if piece.holds(word.bbox[1], word.bbox[3]):
            by_item.setdefault(word.item, []).append(word)
    for index, (item, box) in enumerate(zip(galley.items, galley.boxes, strict=True)):
        own = by_item.get(index, [])
        if isinstance(item, Unseen):
            if piece.holds(box[1], box[1]):
                yield from _unseen(item, _moved(box, piece))
        elif isinstance(item, ReadyPicture):
            if galley.is_drawn(index) and piece.holds(box[1], box[3]):
                yield Region("figure", _moved(box, piece))
        elif isinstance(item, FlowTable):
            table = _table(item, galley.cells[index], own, piece)
            if table is not None:
                yield Region("table", union([cell.bbox for cell in table.cells]), table=table)
        elif own:
            lines = _lines(own, piece)
            yield Region(item.kind, union([line.bbox for line in lines]), lines, level=item.level)


def _unseen(item: Unseen, box: Box) -> Iterator[Region]:
    """A text that nobody sees, at the point where it would begin."""
    words = clean_lines(item.text).split()[:_MOST_HIDDEN_WORDS]
    point = (box[0], box[1], box[0], box[1])
    if words:
        yield Region("text", point, (Line(tuple(Word(word, point) for word in words)),), hidden=item.why)


def _lines(words: Iterable[SetWord], piece: Slice) -> tuple[Line, ...]:
    lines: dict[int, list[Word]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(Word(word.text, _moved(word.bbox, piece), script=word.script))
    return tuple(Line(tuple(found)) for found in lines.values())


def _table(table: FlowTable, boxes: list[Box], words: list[SetWord], piece: Slice) -> Table | None:
    """The rows of a table that stand on a slice; None where there are none."""
    by_cell: dict[int, list[SetWord]] = {}
    for word in words:
        by_cell.setdefault(word.cell, []).append(word)
    found: list[tuple[FlowCell, Box, list[SetWord]]] = []
    for index, (cell, box) in enumerate(zip(table.cells, boxes, strict=True)):
        top, bottom = max(box[1], piece.top), min(box[3], piece.bottom)
        if bottom - top > 1 or index in by_cell:
            found.append((cell, (box[0], top, box[2], max(top, bottom)), by_cell.get(index, [])))
    rows = _rows_shown([cell for cell, _, own in found if own])
    if not rows:
        return None
    first, last = rows
    cells = []
    for cell, box, own in found:
        row, end = max(cell.row, first), min(cell.row + cell.row_span, last + 1)
        if row < end:
            lines = _lines(own, piece)
            cells.append(
                Cell(row - first, cell.column, _moved(box, piece), lines, cell.role, end - row, cell.column_span)
            )
    cells.sort(key=lambda cell: (cell.row, cell.column))
    goes_on = table.first_row > 0 or piece.start > -math.inf  # a table has a strip of its own
    row_of_whole = table.first_row + first if goes_on else 0
    return Table(tuple(cells), last - first + 1, table.n_columns, continues=goes_on, first_row=row_of_whole)


def _rows_shown(cells: list[FlowCell]) -> tuple[int, int] | None:
    """The first and last row of cells that have words on a slice."""
    if not cells:
        return None
    single = [cell for cell in cells if cell.row_span == 1]
    rows = [cell.row for cell in single] or [row for c in cells for row in (c.row, c.row + c.row_span - 1)]
    return min(rows), max(rows)


def _links(piece: Slice) -> Iterator[Link]:
    for link in piece.galley.links:
        if piece.holds(link.bbox[1], link.bbox[3]):
            yield replace(link, bbox=_moved(link.bbox, piece))


def _moved(box: Box, piece: Slice) -> Box:
    """A box of the strip on the page."""
    x0, y0, x1, y1 = box
    return (x0 + MARGIN, y0 + piece.shift, x1 + MARGIN, y1 + piece.shift)


def _with_lists_joined(regions: list[Region]) -> list[Region]:
    """The regions, items of one list made one region."""
    joined: list[Region] = []
    for region in regions:
        before = joined[-1] if joined else None
        if before is not None and before.kind == region.kind == "list":
            box = union([before.bbox, region.bbox])
            joined[-1] = replace(before, bbox=box, lines=before.lines + region.lines)
        else:
            joined.append(region)
    return joined
