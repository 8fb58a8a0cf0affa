"""A piece of a flow set by MuPDF as one strip of any length: where every word, cell and picture stands on it.

Only what is written here is set: no style, address or identifier of a document gets into it, and no image but those
handed over. So a strip is the same whenever the same version of PyMuPDF sets it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mm_megacontext.document import Box, Link, Script, clean_text, union
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.engines.pymupdf_words import WHITE_SPACE
from mm_megacontext.layout.flow.flow import FlowTable, Paragraph, Run, Runs, Unseen
from mm_megacontext.layout.flow.pictures import ReadyPicture
from mm_megacontext.layout.flow.pieces import Piece, SetWord, pieces_of, set_words

SetItem = Paragraph | FlowTable | Unseen | ReadyPicture

FONT_PT = 11
CELL_PADDING = 2.5  # with its border
_LONG = 1e6  # points: longer than any strip of paragraphs
_BREAK = "\u200b"
_WORDS = re.compile(f"[^{re.escape(WHITE_SPACE)}]+")
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
sup, sub { font-size: 70% }
p.unseen { margin: 0; font-size: 1pt }
"""


class StripTooLong(Exception):
    """What was to be set takes more than a strip; the message says how long that is."""


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
    markup = _Markup()
    text = markup.of(items)
    story, filled, places = _placed(text, markup.archive, width)
    if filled[2] > width + 1:
        story, filled, places = _placed(text, markup.archive, filled[2])
    display = _drawn(story, filled)
    galley = Galley(display, max(width, filled[2]), filled[3], items, *_boxes(items, places))
    boxes = _of_pieces(len(markup.pieces), places)
    galley.words = set_words(markup.pieces, boxes)
    for first, end, uri in markup.links:
        words = set_words(markup.pieces[first:end], boxes[first:end])
        galley.links += [Link(union([w.bbox for w in line]), uri=uri) for _, line in groupby(words, lambda w: w.line)]
    return galley


def _of_pieces(n_pieces: int, places: Sequence[tuple[str, Box]]) -> list[list[Box]]:
    """The boxes of each piece; one of no width has that where it stands."""
    found: list[list[Box]] = [[] for _ in range(n_pieces)]
    for name, box in places:
        if name[0] == "w":
            boxes = found[int(name[1:])]
            if boxes and boxes[-1][2] <= boxes[-1][0]:
                boxes.pop()
            boxes.append(box)
    return [[box for box in boxes if box[2] > box[0]] or boxes[-1:] for boxes in found]


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


@dataclass(slots=True)
class _Markup:
    """Items as MuPDF reads them.

    Attributes:
        archive: Their pictures.
        links: The first piece of each, the one after its last, and its address.
        pieces: Their texts; the one with number n is named "wn".
    """

    archive: Any = None
    links: list[tuple[int, int, str]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    n_words: int = 0

    def of(self, items: Sequence[SetItem]) -> str:
        """The items, one after the other."""
        return f"<body>{''.join(self._item(item, index) for index, item in enumerate(items))}</body>"

    def _item(self, item: SetItem, index: int) -> str:
        name = f"b{index}"
        if isinstance(item, Paragraph):
            tag = f"h{min(item.level or 1, 6)}" if item.kind == "heading" else "p"
            indent = f' style="margin-left:{18 * min(item.depth, 12)}pt"' if item.depth else ""
            return f'<{tag} id="{name}" class="{item.kind}"{indent}>{self._text(item.runs, index, -1)}</{tag}>'
        if isinstance(item, FlowTable):
            return self._table(item, index)
        if isinstance(item, ReadyPicture):
            self.archive = self.archive or pymupdf.Archive()
            file = name + (".svg" if item.is_drawing else "")  # MuPDF tells drawings by their names
            self.archive.add(item.data, file)
            size = f"width:{item.width:.2f}pt;height:{item.height:.2f}pt"
            return f'<div id="{name}"><img src="{file}" style="{size}"></div>'
        return f'<p id="{name}" class="unseen"></p>'

    def _table(self, table: FlowTable, index: int) -> str:
        rows = [""] * table.n_rows
        for number, cell in enumerate(table.cells):
            spans = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
            spans += f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
            spans += ' class="head"' if cell.role == "column_header" else ""
            rows[cell.row] += f'<td id="b{index}c{number}"{spans}>{self._text(cell.runs, index, number)}</td>'
        return f'<table id="b{index}">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'

    def _text(self, runs: Runs, item: int, cell: int) -> str:
        parts: list[str] = []
        before = ""
        self.n_words += 1
        for run in runs:
            script, before = script_of(run, before), run.text or before
            first = len(self.pieces)
            text = self._named(clean_lines(run.text), item, cell, script)
            text = f"<b>{text}</b>" if run.bold else text
            if run.script:
                text = f"<{run.script}>{text}</{run.script}>"
            if run.href is not None and len(self.pieces) > first:
                self.links.append((first, len(self.pieces), clean_text(run.href)))
                text = f"<a>{text}</a>"
            parts.append(text)
        return "".join(parts)

    def _named(self, text: str, item: int, cell: int, script: Script) -> str:
        """A text with a name for each of its pieces; a word may go on from the text before."""
        parts, at = [], 0
        for match in _WORDS.finditer(text):
            if match.start() > at:
                self.n_words += 1
                parts.append(text[at : match.start()].replace("\n", "<br>"))
            pieces = []
            for piece in pieces_of(match.group()):
                pieces.append(f'<span id="w{len(self.pieces)}">{html.escape(piece)}</span>')
                self.pieces.append(Piece(piece, item, cell, self.n_words, script))
            parts.append(_BREAK.join(pieces))
            at = match.end()
        if at < len(text):
            self.n_words += 1
            parts.append(text[at:].replace("\n", "<br>"))
        return "".join(parts)


def script_of(run: Run, before: str) -> Script:
    """What stands apart as a mark: all above the line, and below it what would make another number of digits.

    >>> script_of(Run("3", script="sup"), "95"), script_of(Run("2", script="sub"), "H")
    ('sup', '')
    """
    return run.script if run.script == "sup" or before[-1:].isdigit() else ""


def clean_lines(text: str) -> str:
    """Text without characters that carry none; line breaks and tabs stay."""
    return "\n".join(clean_text(line.replace("\t", "    ")) for line in text.split("\n"))


def _boxes(items: Sequence[SetItem], places: Sequence[tuple[str, Box]]) -> tuple[list[Box], dict[int, list[Box]]]:
    found = dict(reversed(places))  # an element's own box is the first of its name, those of its texts follow
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
