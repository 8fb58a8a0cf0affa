"""Scores of what was read against what was drawn.

The unit is the word; in scripts without spaces it is the character, with its share of the box. Nothing is normalised:
a ligature or a glyph form that is not spelled out is a wrong word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import Levenshtein

from bench.fidelity.readers import Grid, ReadPage, ReadTable
from bench.fidelity.truth import Box, TruePage, TrueTable

_UNSPACED = (0x2E80, 0xA000)  # CJK radicals to Yi: no spaces between words


@dataclass(slots=True)
class Tally:
    """Counts and sums over pages, and the scores they make."""

    n_true: int = 0
    n_read: int = 0
    n_found: int = 0
    n_boxes: int = 0
    iou: float = 0.0
    n_orders: int = 0
    order: float = 0.0
    n_cells: int = 0
    n_cells_read: int = 0
    n_cells_found: int = 0
    n_spans: int = 0
    n_spans_found: int = 0
    n_headers: int = 0
    n_headers_found: int = 0
    n_joins: int = 0
    n_joins_found: int = 0
    n_apart: int = 0
    n_apart_found: int = 0
    n_fields: int = 0
    n_fields_found: int = 0

    def add_page(self, true: TruePage, read: ReadPage) -> None:
        """Count one page."""
        self._add_words(true, read)
        if true.tables:
            self._add_tables(true, read)
        if true.fields and read.fields is not None:
            self.n_fields += len(true.fields)
            self.n_fields_found += sum(read.fields.get(name) == value for name, value in true.fields.items())

    def _add_words(self, true: TruePage, read: ReadPage) -> None:
        expected = [part for word in true.words for part in _units(word.text, word.box)]
        exact = [word.is_exact for word in true.words for _ in _units(word.text, word.box)]
        found = [part for text, box in read.words for part in _units(text, box)]
        self.n_true += len(expected)
        self.n_read += len(found)
        self.n_orders += 1
        self.order += Levenshtein.normalized_similarity([t for t, _ in expected], [t for t, _ in found])
        if any(box is None for _, box in found):
            self.n_found += (Counter(t for t, _ in expected) & Counter(t for t, _ in found)).total()
            return
        by_text: dict[str, list[Box]] = defaultdict(list)
        for text, box in found:
            assert box is not None
            by_text[text].append(box)
        for (text, place), is_exact in zip(expected, exact, strict=True):
            assert place is not None
            near = [box for box in by_text[text] if _middle_inside(box, place)]
            if not near:
                continue
            best = max(near, key=lambda box: iou(box, place))
            by_text[text].remove(best)
            self.n_found += 1
            if is_exact:
                self.n_boxes += 1
                self.iou += iou(best, place)

    def _add_tables(self, true: TruePage, read: ReadPage) -> None:
        rest = list(read.tables)
        for table in true.tables:
            expected = {(cell.row, cell.column): cell.text for cell in table.cells}
            self.n_cells += len(expected)
            best = max(rest, key=lambda found: _n_texts(expected, found.grid), default=None)
            if best is None or not _n_texts(expected, best.grid):
                best = ReadTable({})
            else:
                rest.remove(best)
            self.n_cells_read += len(best.grid)
            self._compare(table, expected, best)
        self.n_cells_read += sum(len(table.grid) for table in rest)

    def _compare(self, table: TrueTable, expected: Grid, found: ReadTable) -> None:
        self.n_cells_found += sum(found.grid.get(place) == text for place, text in expected.items())
        spans, headers = found.spans or {}, found.headers or set()
        for cell in table.cells:
            place = (cell.row, cell.column)
            if cell.row_span * cell.column_span > 1:
                self.n_spans += 1
                self.n_spans_found += spans.get(place) == (cell.row_span, cell.column_span)
            if cell.is_header:
                self.n_headers += 1
                self.n_headers_found += place in headers
        if table.continues:
            self.n_joins += 1
            self.n_joins_found += bool(found.continues)
        else:
            self.n_apart += 1
            self.n_apart_found += not found.continues

    def scores(self, with_boxes: bool, with_structure: bool) -> dict[str, float | None]:
        """By name; None for what the files do not have or the reader does not give."""
        return {
            "recall": _share(self.n_found, self.n_true),
            "precision": _share(self.n_found, self.n_read),
            "box_iou": _share(self.iou, self.n_boxes) if with_boxes else None,
            "order": _share(self.order, self.n_orders),
            "cell_f1": _share(2 * self.n_cells_found, self.n_cells + self.n_cells_read) if self.n_cells else None,
            "spans": _share(self.n_spans_found, self.n_spans) if with_structure else None,
            "headers": _share(self.n_headers_found, self.n_headers) if with_structure else None,
            "joined": _share(self.n_joins_found, self.n_joins) if with_structure else None,
            "kept_apart": _share(self.n_apart_found, self.n_apart) if with_structure and self.n_joins else None,
            "fields": _share(self.n_fields_found, self.n_fields) if with_structure else None,
        }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _units(text: str, box: Box | None) -> list[tuple[str, Box | None]]:
    if not any(_UNSPACED[0] <= ord(c) < _UNSPACED[1] for c in text):
        return [(text, box)]
    if box is None:
        return [(c, None) for c in text]
    x0, y0, x1, y1 = box
    edges = [x0 + (x1 - x0) * i / len(text) for i in range(len(text) + 1)]
    return [(c, (a, y0, b, y1)) for c, (a, b) in zip(text, pairwise(edges), strict=True)]


def _n_texts(expected: Grid, found: Grid) -> int:
    return (Counter(expected.values()) & Counter(found.values())).total()


def _middle_inside(box: Box, place: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / either if either > 0 else 0.0
