"""A piece of a flow set by MuPDF as one strip of any length: where every word, cell and picture stands on it.

Only what is written here is set: no style, address or identifier of a document gets into it, and no image but those
handed over. So a strip is the same whenever the same version of PyMuPDF sets it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mm_megacontext.document import Box, Link, clean_text
from mm_megacontext.layout.engines.pymupdf import WHITE_SPACE
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.flow.flow import FlowTable, Paragraph, Runs, Unseen
from mm_megacontext.layout.flow.pictures import ReadyPicture

SetItem = Paragraph | FlowTable | Unseen | ReadyPicture

FONT_PT = 11
CELL_PADDING = 2.5  # with its border
_LONG = 1e6  # points: longer than any strip of paragraphs
_MOST_LETTERS = 24  # of a word that is kept in one piece: longer ones would make tables wider than the page
_LONG_WORD = re.compile(rf"\S{{{_MOST_LETTERS + 1},}}")
_BREAK = "\u200b"
_STYLE = """
body, p, h1, h2, h3, h4, h5, h6, div, table { margin: 0; padding: 0 }
body { font-family: serif; color: black; overflow-wrap: break-word }
p, table, div { margin-bottom: 6pt }
h1 { font-size: 20pt; margin-top: 10pt; margin-bottom: 6pt }
h2 { font-size: 16pt; margin-top: 8pt; margin-bottom: 5pt }
h3 { font-size: 13.5pt; margin-top: 6pt; margin-bottom: 4pt }
h4, h5, h6 { font-size: 11.5pt; margin-top: 5pt; margin-bottom: 3pt }
td, th { border: 0.5pt solid #888888; padding: 2pt; vertical-align: top; text-align: left; font-weight: normal }
td.head { background-color: #eeeeee; font-weight: bold }
p.list { margin-bottom: 2pt }
p.caption { font-size: 10pt }
p.code { font-family: monospace; font-size: 9pt; white-space: pre-wrap }
p.unseen { margin: 0; font-size: 1pt }
"""
_FLAGS = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES & ~pymupdf.TEXT_MEDIABOX_CLIP


class StripTooLong(Exception):
    """What was to be set takes more than a strip; the message says how long that is."""


@dataclass(frozen=True, slots=True)
class SetWord:
    """A word on the strip.

    Attributes:
        line: Words of one line have one number.
        item, cell: What it is of; ``cell`` is -1 outside tables.
    """

    text: str
    bbox: Box
    line: int
    item: int
    cell: int


@dataclass(slots=True)
class Galley:
    """A strip.

    Attributes:
        display: MuPDF's display list of it.
        width, height: In points.
        items: What was set.
        boxes: Where each item stands.
        cells: Of each item that is a table, where its cells stand, with their padding.
    """

    display: Any
    width: float
    height: float
    items: Sequence[SetItem]
    boxes: list[Box]
    cells: dict[int, list[Box]]
    words: list[SetWord] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def is_drawn(self, index: int) -> bool:
        """Whether a picture takes its room; MuPDF leaves out what it cannot draw."""
        item, box = self.items[index], self.boxes[index]
        return isinstance(item, ReadyPicture) and abs(box[3] - box[1] - item.height) <= 1.0


def set_galley(items: Sequence[SetItem], width: float) -> Galley:
    """Set items on a strip ``width`` points wide; wider where a table does not fit. Raises StripTooLong."""
    text, archive, hrefs = _markup(items)
    story, filled, places = _placed(text, archive, width)
    if filled[2] > width + 1:
        story, filled, places = _placed(text, archive, filled[2])
    display = _drawn(story, filled)
    galley = Galley(display, max(width, filled[2]), filled[3], items, *_boxes(items, places))
    galley.words = _words(galley)
    galley.links = [Link(box, uri=hrefs[name]) for name, box in places if name in hrefs and box[2] > box[0]]
    return galley


def _placed(text: str, archive: Any, width: float) -> tuple[Any, tuple[float, ...], list[tuple[str, Box]]]:
    """The story in its place, what it fills, and the boxes of what has a name."""
    story = pymupdf.Story(text, user_css=_STYLE, em=FONT_PT, archive=archive)
    more, filled = story.place((0, 0, width, _LONG))
    if more:
        raise StripTooLong(f"the rows of a table on it would be more than {_LONG:.0f} points high: split it")
    places: list[tuple[str, Box]] = []

    def note(position: Any) -> None:
        if position.id and position.open_close != 2:
            x0, y0, x1, y1 = map(float, position.rect)
            places.append((position.id, (x0, y0, x1, y1)))

    story.element_positions(note)
    return story, tuple(map(float, filled)), places


def _drawn(story: Any, filled: tuple[float, ...]) -> Any:
    mupdf = pymupdf.mupdf
    display = mupdf.FzDisplayList(mupdf.FzRect(0, 0, filled[2], filled[3]))
    device = mupdf.fz_new_list_device(display)
    story.draw(_Device(device))
    mupdf.fz_close_device(device)
    return pymupdf.DisplayList(display)


@dataclass(frozen=True, slots=True)
class _Device:
    """What a story asks for to be drawn on."""

    this: Any


def _markup(items: Sequence[SetItem]) -> tuple[str, Any, dict[str, str]]:
    """The items as MuPDF reads them, their pictures, and the addresses of links by the names given to them."""
    archive, hrefs = None, dict[str, str]()
    parts = []
    for index, item in enumerate(items):
        name = f"b{index}"
        if isinstance(item, Paragraph):
            parts.append(_paragraph(item, name, hrefs))
        elif isinstance(item, FlowTable):
            parts.append(_table(item, name, hrefs))
        elif isinstance(item, ReadyPicture):
            archive = archive or pymupdf.Archive()
            file = name + (".svg" if item.is_drawing else "")  # MuPDF tells drawings by their names
            archive.add(item.data, file)
            size = f"width:{item.width:.2f}pt;height:{item.height:.2f}pt"
            parts.append(f'<div id="{name}"><img src="{file}" style="{size}"></div>')
        else:
            parts.append(f'<p id="{name}" class="unseen"></p>')
    return f"<body>{''.join(parts)}</body>", archive, hrefs


def _paragraph(item: Paragraph, name: str, hrefs: dict[str, str]) -> str:
    tag = f"h{min(item.level or 1, 6)}" if item.kind == "heading" else "p"
    indent = f' style="margin-left:{18 * min(item.depth, 12)}pt"' if item.depth else ""
    return f'<{tag} id="{name}" class="{item.kind}"{indent}>{_text(item.runs, hrefs)}</{tag}>'


def _table(table: FlowTable, name: str, hrefs: dict[str, str]) -> str:
    rows = [""] * table.n_rows
    for index, cell in enumerate(table.cells):
        spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
        spans += f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
        spans += ' class="head"' if cell.role == "column_header" else ""
        rows[cell.row] += f'<td id="{name}c{index}"{spans}>{_text(cell.runs, hrefs)}</td>'
    return f'<table id="{name}">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def _text(runs: Runs, hrefs: dict[str, str]) -> str:
    parts = []
    for run in runs:
        text = _LONG_WORD.sub(_in_pieces, clean_lines(run.text))
        text = html.escape(text).replace("\n", "<br>")
        text = f"<b>{text}</b>" if run.bold else text
        if run.href is not None:
            name = f"a{len(hrefs)}"
            hrefs[name] = clean_text(run.href)
            text = f'<a id="{name}">{text}</a>'
        parts.append(text)
    return "".join(parts)


def clean_lines(text: str) -> str:
    """Text without characters that carry none; line breaks and tabs stay."""
    return "\n".join(clean_text(line.replace("\t", "    ")) for line in text.split("\n"))


def _in_pieces(match: re.Match[str]) -> str:
    word = match.group()
    return _BREAK.join(word[i : i + _MOST_LETTERS] for i in range(0, len(word), _MOST_LETTERS))


def _boxes(items: Sequence[SetItem], places: Sequence[tuple[str, Box]]) -> tuple[list[Box], dict[int, list[Box]]]:
    found = dict(places)
    boxes, cells = [], dict[int, list[Box]]()
    for index, item in enumerate(items):
        x0, y0, x1, y1 = found.get(f"b{index}", (0.0, 0.0, 0.0, 0.0))
        if isinstance(item, ReadyPicture):
            x1 = x0 + item.width
        elif isinstance(item, FlowTable):
            inner = [found[f"b{index}c{i}"] for i in range(len(item.cells))]
            cells[index] = [_grown(box) for box in inner]
        boxes.append((x0, y0, x1, y1))
    return boxes, cells


def _grown(box: Box) -> Box:
    x0, y0, x1, y1 = box
    return (x0 - CELL_PADDING, y0 - CELL_PADDING, x1 + CELL_PADDING, y1 + CELL_PADDING)


def _words(galley: Galley) -> list[SetWord]:
    """The words of the strip, each with what it is of: both are in the order of the items."""
    page = pymupdf.TextPage(galley.display.get_textpage(_FLAGS))
    places = _text_places(galley)
    words, at = [], 0
    pictures = [box for item, box in zip(galley.items, galley.boxes, strict=True) if isinstance(item, ReadyPicture)]
    for x0, y0, x1, y1, text, block, line, _ in page.extractWORDS(WHITE_SPACE):
        text = clean_text(text).strip()
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if not text or not places or any(_holds(box, x, y) for box in pictures):
            continue
        at = next((i for i in _from(at, len(places)) if _holds(places[i][2], x, y)), at)
        index, cell, _ = places[at]
        words.append(SetWord(text, (x0, y0, x1, y1), block << 20 | line, index, cell))
    return words


def _text_places(galley: Galley) -> list[tuple[int, int, Box]]:
    """Where text may stand, in order."""
    places = []
    for index, item in enumerate(galley.items):
        if isinstance(item, Paragraph):
            _, y0, _, y1 = galley.boxes[index]
            places.append((index, -1, (-_LONG, y0, _LONG, y1)))
        elif isinstance(item, FlowTable):
            places += [(index, i, box) for i, box in enumerate(galley.cells[index])]
    return places


def _from(start: int, end: int) -> Iterator[int]:
    """All numbers below ``end``, from ``start`` on."""
    yield from range(start, end)
    yield from range(start)


def _holds(box: Box, x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]
