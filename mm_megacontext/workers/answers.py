"""What types alone do not tell of a worker's answer: whether it can be the answer to what was asked.

A process that a hostile file has taken over may send anything. What it says of its own file cannot be checked; what
would break or fill the process that asked can.
"""

from __future__ import annotations

from typing import Any

from mm_megacontext.document import Box, Link, Page, Region, Table
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers.messages import Measured, PixelRows, PixelsOpened, ReadImage, ReadPage, Request, asked_size
from mm_megacontext.workers.wire import BadMessage

_MAX_CELLS = 1_000_000  # of the tables of a page
_MAX_ROWS = 1 << 24  # of a table that goes on over pages
_MAX_LEVEL = 99  # of a heading
_MAX_TURN = 720.0  # degrees
_MAX_PAGE = 1 << 31  # that a link leads to


def check_answer(answer: Any, request: Request, limits: IngestLimits) -> None:
    """Whether a message of the right type can be the answer. Raises BadMessage."""
    if isinstance(answer, Page) and isinstance(request, ReadPage):
        check_page(answer, request.number, limits.max_decoded_pixels)
    elif isinstance(answer, Page) and isinstance(request, ReadImage):
        check_page(answer, request.file.page, limits.max_pixels)
    elif isinstance(answer, PixelsOpened):
        _check_opened(answer, limits.max_pixels)
    elif isinstance(answer, PixelRows):
        width, height = asked_size(request) or (0, 0)
        if len(answer.rgb) != 3 * width * height:
            raise BadMessage(f"{len(answer.rgb)} bytes are not {width} x {height} pixels")
    elif isinstance(answer, Measured) and not (answer.width > 0 and answer.height > 0):
        raise BadMessage("a page without a size")


def _check_opened(opened: PixelsOpened, max_pixels: int) -> None:
    if min(opened.width, opened.height) < 1 or opened.width * opened.height > max_pixels:
        raise BadMessage(f"an image of {opened.width} x {opened.height} pixels")
    if opened.scale is not None and min(opened.scale) <= 0:
        raise BadMessage("pixels without a size")


def check_page(page: Page, number: int, max_pixels: int) -> None:
    """Whether a page can be page ``number``, of at most so many pixels at one a point. Raises BadMessage."""
    width, height = page.size
    if page.number != number:
        raise BadMessage(f"page {page.number} where page {number} was asked for")
    if min(page.size) < 0 or (page.regions and min(page.size) == 0) or width * height > max_pixels:
        raise BadMessage(f"a page of {width:g} x {height:g} pt")
    if (page.problem is None) != (page.code is None):
        raise BadMessage("a problem without a code, or a code without a problem")
    if page.disagreement is not None and not 0 <= page.disagreement <= 1:
        raise BadMessage(f"a disagreement of {page.disagreement:g}")
    if sum(r.table.n_rows * r.table.n_columns for r in page.regions if r.table is not None) > _MAX_CELLS:
        raise BadMessage(f"tables of more than {_MAX_CELLS} cells")
    for region in page.regions:
        _check_region(region, max(page.size))
        _check_caption(region, page.regions)
    for box in [mark.bbox for marks in (page.fields, page.notes, page.links) for mark in marks]:
        _check_place(box, max(page.size))
    for link in page.links:
        _check_link(link)


def _check_region(region: Region, side: float) -> None:
    if region.level is not None and not 1 <= region.level <= _MAX_LEVEL:
        raise BadMessage(f"a heading of level {region.level}")
    lines = list(region.lines)
    if region.table is not None:
        _check_table(region.table)
        lines += [line for cell in region.table.cells for line in cell.lines]
    if not abs(region.turn) <= _MAX_TURN:
        raise BadMessage(f"a region turned by {region.turn:g} degrees")
    if region.is_running:
        raise BadMessage("something that comes back on pages that its reader did not look at")
    if not all(line.words for line in lines):
        raise BadMessage("a line without words")
    if region.hidden is not None:
        return  # it may be anywhere, and goes nowhere
    for box in (region.bbox, *(word.bbox for line in lines for word in line.words)):
        _check_place(box, side)


def _check_caption(region: Region, regions: tuple[Region, ...]) -> None:
    target = region.caption_of
    if target is None:
        return
    if region.kind != "caption" or not 0 <= target < len(regions) or regions[target].kind not in ("figure", "table"):
        raise BadMessage(f"a {region.kind} that is the caption of no figure or table")


def _check_link(link: Link) -> None:
    if link.page is not None and not 1 <= link.page <= _MAX_PAGE:
        raise BadMessage(f"a link to page {link.page}")


def _check_place(box: Box, side: float) -> None:
    """Whether a box is on or near a page whose longer side is ``side``."""
    if min(box[0], box[1]) < -side or max(box[2], box[3]) > 2 * side:
        raise BadMessage("something that is seen far outside the page")


def _check_table(table: Table) -> None:
    if min(table.n_rows, table.n_columns) < 1:
        raise BadMessage(f"a table of {table.n_rows} x {table.n_columns}")
    if (table.id, table.n_repeated_rows) != ("", 0):
        raise BadMessage("a table with an id, which only pages that are looked at together have")
    if not 0 <= table.first_row <= _MAX_ROWS * table.continues:
        raise BadMessage(f"a table that begins with row {table.first_row}")
    for cell in table.cells:
        is_inside = 0 <= cell.row < table.n_rows and 0 <= cell.column < table.n_columns
        if not (is_inside and 1 <= cell.row_span <= table.n_rows and 1 <= cell.column_span <= table.n_columns):
            raise BadMessage("a cell outside its table")
