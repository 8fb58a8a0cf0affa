"""Pages for other programs: the documented JSON, and Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mm_megacontext.document import Box, Cell, Document, Line, Page, PageStatus, Region, Table
from mm_megacontext.layout.text.escapes import escaped, escaped_cell, escaped_paragraph

_STATUSES: tuple[PageStatus, ...] = ("ok", "degraded", "failed")
_MARGINS = ("header", "footer")
_BACKTICKS = re.compile("`+")
_LAST_SIGNS = re.compile(r"(?:(?<=\s)|^)#+$")


def document_to_json(document: Document, pages: Iterable[Page]) -> dict[str, Any]:
    """A document, or some pages of it, as plain values; boxes are [x0, y0, x1, y1] in ``unit``, origin top left."""
    found = [page_to_json(page) for page in pages]
    counts = Counter(page["status"] for page in found)
    return {
        "source": document.uri,
        "kind": document.kind,
        "unit": document.unit,
        "n_pages": document.n_pages,
        "engine": ", ".join(dict.fromkeys(page["engine"] for page in found)),
        "pages": found,
        "summary": {status: counts[status] for status in _STATUSES},
    }


def page_to_json(page: Page) -> dict[str, Any]:
    """One page as plain values, its regions in reading order."""
    return {
        "number": page.number,
        "size": [round(side, 2) for side in page.size],
        "status": page.status,
        "engine": page.engine,
        "problem": page.problem,
        "code": page.code,
        "disagreement": None if page.disagreement is None else round(page.disagreement, 3),
        "regions": [_region_to_json(region, order) for order, region in enumerate(page.regions, 1)],
        "fields": [{"name": f.name, "kind": f.kind, "value": f.value, "bbox": _rounded(f.bbox)} for f in page.fields],
        "notes": [{"kind": n.kind, "text": n.text, "author": n.author, "bbox": _rounded(n.bbox)} for n in page.notes],
        "links": [{"bbox": _rounded(link.bbox), "uri": link.uri, "page": link.page} for link in page.links],
    }


def _region_to_json(region: Region, order: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": region.kind,
        "bbox": _rounded(region.bbox),
        "order": order,
        "text": region.text,
        "visible": region.hidden is None,
    }
    if region.turn:
        fields["turn"] = round(region.turn, 2)
    if region.hidden is not None:
        fields["hidden"] = region.hidden
    if region.kind in _MARGINS:
        fields["running"] = region.is_running
    if region.caption_of is not None:
        fields["caption_of"] = region.caption_of + 1
    if region.level is not None:
        fields["level"] = region.level
    if region.table is not None:
        fields |= _table_to_json(region.table)
        fields["cells"] = [_cell_to_json(cell) for cell in region.table.cells]
    else:
        fields["lines"] = [_line_to_json(line) for line in region.lines]
    return fields


def _table_to_json(table: Table) -> dict[str, Any]:
    return {
        "table": table.id or None,
        "continues": table.continues,
        "first_row": table.first_row,
        "n_repeated_rows": table.n_repeated_rows,
    }


def _line_to_json(line: Line) -> dict[str, Any]:
    fields: dict[str, Any] = {"bbox": _rounded(line.bbox), "text": line.text}
    certain = [word.confidence for word in line.words if word.confidence is not None]
    if certain:
        fields["confidence"] = round(sum(certain) / len(certain), 3)
    return fields


def _cell_to_json(cell: Cell) -> dict[str, Any]:
    return {
        "row": cell.row,
        "column": cell.column,
        "row_span": cell.row_span,
        "column_span": cell.column_span,
        "role": cell.role,
        "bbox": _rounded(cell.bbox),
        "text": cell.text,
    } | ({"notes": list(cell.notes)} if cell.notes else {})


def _rounded(box: Box) -> list[float]:
    return [round(edge, 2) for edge in box]


def page_to_markdown(page: Page) -> str:
    """The text of a page as Markdown in reading order; without running headers and footers and what is hidden.

    Example:
        >>> from mm_megacontext.document import Line, Word
        >>> line = Line((Word("Findings", (0, 0, 9, 9)),))
        >>> page_to_markdown(Page(1, (99, 99), (Region("heading", line.bbox, (line,), level=2),)))
        '## Findings'
    """
    read = [region for region in page.regions if not region.is_running and region.hidden is None]
    return "\n\n".join(map(_region_to_markdown, read))


def _region_to_markdown(region: Region) -> str:
    if region.table is not None:
        return _table_to_markdown(region.table)
    if not region.lines:
        return f"<!-- {region.kind} -->"
    if region.kind == "heading":
        return f"{'#' * (region.level or 1)} {_as_heading(_one_line(region.text))}"
    if region.kind == "code":
        fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(region.text)), default=0))
        return f"{fence}\n{region.text}\n{fence}"
    if region.kind == "list":  # its items begin with marks of lists
        return "\n".join(map(escaped, region.text.split("\n")))
    return escaped_paragraph(_one_line(region.text))


def _as_heading(text: str) -> str:
    """Text behind the signs of a heading, which may also stand at its end."""
    return _LAST_SIGNS.sub(r"\\\g<0>", escaped(text))


def _table_to_markdown(table: Table) -> str:
    """A pipe table; a merged cell's text stands in its first row and column, its other places are empty."""
    rows = [[""] * table.n_columns for _ in range(table.n_rows)]
    for cell in table.cells:
        rows[cell.row][cell.column] = escaped_cell(_one_line(cell.marked_text))
    header, *body = rows
    return "\n".join(map(_pipes, [header, ["---"] * table.n_columns, *body]))


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
