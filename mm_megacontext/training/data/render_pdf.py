"""Abstract pages as a real PDF file: every word of the text layer lies in its box.

The file is written page by page and needs no PDF library, so a file of any length takes the memory of one page, and
what the engines read was made by none of them. The same pages give the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike
from typing import BinaryIO

from mm_megacontext.document import Box, Cell, Line, Page, Region, Table, Word

PLAIN_FONT, BOLD_FONT = "F1", "F2"
# Every character of Courier is as wide as any other, as on generated pages, so a word is fitted to its box without
# tables of widths. All readers have Courier; nothing is embedded.
_FONTS = {PLAIN_FONT: "Courier", BOLD_FONT: "Courier-Bold"}
_CHARACTER_EM = 0.6
_LINE_EM = 1.15  # height of a word's box; generated words have the same
_BASELINE_EM = 0.85  # below the box's top: leaves room for ascenders above and descenders below
_RULE_PT = 0.5
_COLUMN_GAP_PT = 2.0  # between a column's rule and its words
_PAGES_PER_NODE = 64  # readers find page n in a tree at once, in a flat list only by counting
_CATALOG, _ROOT, _FIRST_FONT = 1, 2, 3
_COMPRESSION = 1  # of zlib: the file is read a few times at most


def render_pdf(pages: Iterable[Page], path: str | PathLike[str]) -> int:
    """Write pages as a PDF with a text layer.

    Words keep their boxes and their order; headings are bold; tables are ruled where no word stands in the way.
    Figures and scans are left out: abstract pages have no pixels.

    Args:
        pages: Read once, one at a time; sizes and boxes in points.
        path: The file, replaced if it is there.

    Returns:
        The number of pages.

    Raises:
        ValueError: There are no pages, or a word has a character outside Windows-1252.
    """
    with open(path, "wb") as file:
        pdf = _PdfFile(file)
        pdf.begin()
        for page in pages:
            pdf.add(page)
        if not pdf.n_pages:
            raise ValueError("a PDF needs at least one page, got none")
        pdf.end()
        return pdf.n_pages


@dataclass(slots=True)
class _PdfFile:
    """Objects written one after the other; the page tree follows its pages.

    Attributes:
        offsets: Where each object begins, by number.
        nodes: Numbers of the finished nodes of the page tree, with their numbers of pages.
        kids: Numbers of the pages of the node that is being filled.
    """

    file: BinaryIO
    n_pages: int = 0
    at: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    next_number: int = _FIRST_FONT + len(_FONTS)
    nodes: list[tuple[int, int]] = field(default_factory=list)
    node: int = 0
    kids: list[int] = field(default_factory=list)

    def begin(self) -> None:
        self._write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        for number, font in enumerate(_FONTS.values(), _FIRST_FONT):
            self._object(number, f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>")

    def add(self, page: Page) -> None:
        if not self.kids:
            self.node = self._new_number()
        number, content = self._new_number(), self._new_number()
        fonts = " ".join(f"/{name} {_FIRST_FONT + i} 0 R" for i, name in enumerate(_FONTS))
        width, height = page.size
        self._object(
            number,
            f"<< /Type /Page /Parent {self.node} 0 R /MediaBox [0 0 {width:g} {height:g}] "
            f"/Resources << /Font << {fonts} >> >> /Contents {content} 0 R >>",
        )
        packed = zlib.compress("\n".join(_operators(page)).encode("latin-1"), _COMPRESSION)
        self._object(content, f"<< /Filter /FlateDecode /Length {len(packed)} >>", packed)
        self.kids.append(number)
        self.n_pages += 1
        if len(self.kids) == _PAGES_PER_NODE:
            self._finish_node()

    def end(self) -> None:
        if self.kids:
            self._finish_node()
        kids = " ".join(f"{number} 0 R" for number, _ in self.nodes)
        self._object(_ROOT, f"<< /Type /Pages /Kids [{kids}] /Count {self.n_pages} >>")
        self._object(_CATALOG, f"<< /Type /Catalog /Pages {_ROOT} 0 R >>")
        start = self.at
        table = "".join(f"{self.offsets[number]:010d} 00000 n \n" for number in range(1, self.next_number))
        self._write(f"xref\n0 {self.next_number}\n0000000000 65535 f \n{table}".encode())
        self._write(
            f"trailer\n<< /Size {self.next_number} /Root {_CATALOG} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
        )

    def _finish_node(self) -> None:
        kids = " ".join(f"{number} 0 R" for number in self.kids)
        self._object(self.node, f"<< /Type /Pages /Parent {_ROOT} 0 R /Kids [{kids}] /Count {len(self.kids)} >>")
        self.nodes.append((self.node, len(self.kids)))
        self.kids = []

    def _new_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def _object(self, number: int, body: str, stream: bytes | None = None) -> None:
        self.offsets[number] = self.at
        content = b"" if stream is None else b"\nstream\n%s\nendstream" % stream
        self._write(b"%d 0 obj\n%s%s\nendobj\n" % (number, body.encode("latin-1"), content))

    def _write(self, part: bytes) -> None:
        self.file.write(part)
        self.at += len(part)


def _operators(page: Page) -> Iterator[str]:
    """The content stream of a page; its origin is bottom left."""
    height = page.size[1]
    yield "BT"
    for region in page.regions:
        font = BOLD_FONT if region.kind == "heading" else PLAIN_FONT
        for line in _lines(region):
            for word in line.words:
                yield _show(word, font, height)
    yield "ET"
    for region in page.regions:
        if region.table is not None:
            yield from (_stroke(rule, height) for rule in _rules(region.table))


def _lines(region: Region) -> Iterable[Line]:
    if region.table is None:
        return region.lines
    return (line for cell in region.table.cells for line in cell.lines)


def _show(word: Word, font: str, height: float) -> str:
    """Shows a word, stretched to the width of its box."""
    x0, y0, x1, y1 = word.bbox
    size = (y1 - y0) / _LINE_EM
    stretch = 100 * (x1 - x0) / (_CHARACTER_EM * size * len(word.text))
    baseline = height - y0 - _BASELINE_EM * size
    return f"/{font} {size:.3f} Tf {stretch:.3f} Tz 1 0 0 1 {x0:.3f} {baseline:.3f} Tm ({_escape(word.text)}) Tj"


def _escape(text: str) -> str:
    r"""The bytes of a string in Windows-1252, as characters of the same numbers.

    >>> _escape("f(x)")
    'f\\(x\\)'
    """
    try:
        shown = text if text.isascii() else text.encode("cp1252").decode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{text!r} cannot be shown: {text[error.start]!r} is not in Windows-1252; leave such words out"
        ) from error
    return shown.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _stroke(rule: Box, height: float) -> str:
    x0, y0, x1, y1 = rule
    return f"{_RULE_PT} w {x0:.2f} {height - y0:.2f} m {x1:.2f} {height - y1:.2f} l S"


def _rules(table: Table) -> list[Box]:
    """Lines between and around the cells; none at all if one of them would cut through a word."""
    columns = [[c for c in table.cells if c.column == i and c.lines] for i in range(table.n_columns)]
    rows = [[c for c in table.cells if c.row == i and c.lines] for i in range(table.n_rows)]
    if not all(columns) or not all(rows):
        return []
    starts = [min(c.bbox[0] for c in column) for column in columns]
    ends = [max(c.bbox[2] for c in column) for column in columns]
    if any(end + _COLUMN_GAP_PT > start for end, start in zip(ends, starts[1:], strict=False)):
        return []
    xs = [start - _COLUMN_GAP_PT for start in starts] + [ends[-1] + _COLUMN_GAP_PT]
    ys = _between(rows)
    across = [(xs[0], y, xs[-1], y) for y in ys]
    return across + [(x, ys[0], x, ys[-1]) for x in xs]


def _between(rows: list[list[Cell]]) -> list[float]:
    """The edges of rows: half-way between neighbours, close to the first and the last."""
    tops = [min(c.bbox[1] for c in row) for row in rows]
    bottoms = [max(c.bbox[3] for c in row) for row in rows]
    inner = [(bottom + top) / 2 for (_, bottom), (top, _) in pairwise(zip(tops, bottoms, strict=True))]
    return [tops[0], *inner, bottoms[-1]]
