"""From what stands on a page to regions in reading order; pure geometry, the same for every engine.

Order of work: ruled tables, figures, and plain tables across the page become solid pieces; the rest is cut into
zones of one column (``columns.py``); in each zone, rows become lines and lines become regions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from mm_megacontext.document import Box, FormField, Region, RegionKind, union
from mm_megacontext.layout.engines.form_values import is_inside
from mm_megacontext.layout.engines.protocol import RawPage, RawWord
from mm_megacontext.layout.lines.segments import Segment, find_rows, find_segments, line_of
from mm_megacontext.layout.page.captions import bind_captions
from mm_megacontext.layout.page.columns import find_zones
from mm_megacontext.layout.page.figures import find_figures
from mm_megacontext.layout.page.turned import Piece, split_turned
from mm_megacontext.layout.page.watermarks import split_watermarks
from mm_megacontext.layout.tables.cells import FoundTable
from mm_megacontext.layout.tables.plain import find_plain_tables
from mm_megacontext.layout.tables.ruled import find_ruled_tables
from mm_megacontext.layout.tables.rulings import Rule, rules_across
from mm_megacontext.turned_frame import mapped

_PAGE_CELL_WORDS = 2.5  # before columns are known, only very short cells make a plain table
_ZONE_CELL_WORDS = 5.0
_PARAGRAPH_GAP_EM = 0.35  # more than the usual gap between lines
_SIZE_CHANGE = 0.12  # relative; lines of other size are another region
_INDENT_EM = (0.8, 4.0)  # of a paragraph's first line
_HEADING_SIZES = ((1.8, 1), (1.4, 2), (1.15, 3))  # times the body size, and level
_CLEARLY_LARGER = 1.4  # below it, values filled into a form are as large as headings
_MIN_HEADING_LETTERS = 4
_BOLD_LEVEL = 4
_MAX_HEADING_LINES = 3
_MAX_HEADING_WORDS = 14
_MARGIN_SHARE = 0.08  # of the page's height: where headers and footers stand
_MARGIN_GAP_EM = 1.0

_CAPTION = re.compile(
    r"(?:fig(?:ure|\.)?|table|tab\.|chart|plate|scheme|abb(?:ildung|\.)|tabelle)\s*(?:\d|(?-i:[IVX]{1,5})\b)",
    re.IGNORECASE,
)
_SIGNS = "•‣◦▪▫■●○◆❖➢➤►▶\uf0a7\uf0b7\uf0d8\uf076\uf0fc"  # the private ones as Word writes Wingdings and Symbol
_BULLET = re.compile(rf"(?:[{_SIGNS}–—*·\-]|\(?(?:\d{{1,3}}|[a-z]|[ivx]{{2,5}})[.)])$|[{_SIGNS}]\w")
_NUMBER = re.compile(r"\(?(?:\d+(?:\.\d+)*|[A-Z]|[IVXLC]+)[.):]?$")  # of a section


def find_regions(page: RawPage) -> tuple[Region, ...]:
    """The regions of a page in reading order, of pieces that are turned in that of their own frame; watermarks last."""
    if not page.words:
        return _regions_but_watermarks(page)
    words, marks = split_watermarks(page.words, page.rules, body_size(page.words))
    if not marks:
        return _regions_but_watermarks(page)
    rows = [_region([_Row.of(row)], 0.0) for row in find_rows(find_segments(marks))]
    return (*_regions_but_watermarks(replace(page, words=words)), *(replace(r, kind="text", level=None) for r in rows))


def _regions_but_watermarks(page: RawPage) -> tuple[Region, ...]:
    ruled = find_ruled_tables(page.rules, page.words) if page.rules else []
    upright, pieces = split_turned(page, [table.bbox for table in ruled])
    inner = [_piece_regions(piece) for piece in pieces]
    apart = [Region("text", piece.bbox) for piece in pieces]
    found = _upright_regions(upright, ruled, apart)
    numbers = [next((n for n, piece in enumerate(apart) if piece is region), None) for region in found]
    regions: list[Region] = []
    for region, number in zip(_marked(found, upright), numbers, strict=True):
        regions += [region] if number is None else inner[number]
    return bind_captions(regions)


def _piece_regions(piece: Piece) -> list[Region]:
    """The regions of a piece of a page that is turned, with their boxes on the page."""
    ruled = find_ruled_tables(piece.page.rules, piece.page.words) if piece.page.rules else []
    regions = _upright_regions(piece.page, ruled, [])
    if piece.is_page:
        regions = _marked(regions, piece.page)
    return [replace(mapped(region, piece.frame.on_page), turn=piece.frame.turn) for region in regions]


def _upright_regions(page: RawPage, ruled: Sequence[FoundTable], apart: Sequence[Region]) -> list[Region]:
    """The regions of what stands upright, and among them those that are read ``apart``, where they stand."""
    if not page.words and apart:
        return list(apart)
    figures = find_figures(page, [*(table.bbox for table in ruled), *(region.bbox for region in apart)])
    if not page.words:
        return figures
    body = body_size(page.words)
    solids = [Region("table", table.bbox, table=table.table) for table in ruled] + figures + list(apart)
    free = _outside(page.words, [table.bbox for table in ruled])
    rules = rules_across(page.rules)
    segments = _without_plain_tables(find_segments(free), _PAGE_CELL_WORDS, solids, rules)
    segments += [Segment(*solid.bbox, solid=index) for index, solid in enumerate(solids)]
    regions: list[Region] = []
    for zone in find_zones(segments):
        regions += _zone_regions(zone, solids, body, rules)
    return regions


def _marked(regions: list[Region], page: RawPage) -> list[Region]:
    """The same regions, with headers, footers and forms as such."""
    if not page.words:
        return regions
    return list(mark_forms(_mark_margins(regions, page.size, body_size(page.words)), page.marks.fields))


def body_size(words: Sequence[RawWord]) -> float:
    """The font size of most characters."""
    counts: dict[float, int] = {}
    for word in words:
        counts[word.size] = counts.get(word.size, 0) + len(word.text)
    rounded: dict[float, int] = {}
    for size, count in counts.items():
        half_points = round(size * 2) / 2
        rounded[half_points] = rounded.get(half_points, 0) + count
    return max(rounded, key=lambda size: (rounded[size], -size))


def _outside(words: Sequence[RawWord], boxes: Sequence[Box]) -> list[RawWord]:
    """Words whose middle lies in none of the boxes."""
    if not boxes:
        return list(words)
    outside = []
    for word in words:
        x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
        if not any(b[0] <= x < b[2] and b[1] <= y < b[3] for b in boxes):
            outside.append(word)
    return outside


def _without_plain_tables(
    segments: list[Segment], max_cell_words: float, solids: list[Region], rules: Sequence[Rule]
) -> list[Segment]:
    """The segments that are in no plain table; the tables found go to ``solids``."""
    tables: list[FoundTable] = find_plain_tables(segments, max_cell_words, rules)
    taken = {id(s) for table in tables for s in table.segments}
    solids += [Region("table", table.bbox, table=table.table) for table in tables]
    return [s for s in segments if id(s) not in taken] if taken else segments


def _zone_regions(zone: list[Segment], solids: list[Region], body_size: float, rules: Sequence[Rule]) -> list[Region]:
    n_before = len(solids)
    zone = _without_plain_tables(zone, _ZONE_CELL_WORDS, solids, rules)
    zone += [Segment(*solids[i].bbox, solid=i) for i in range(n_before, len(solids))]
    regions: list[Region] = []
    lines: list[_Row] = []
    for row in find_rows(zone):
        if row[0].solid is None:
            lines.append(_Row.of(row))
            continue
        regions += _text_regions(lines, body_size)
        lines = []
        regions.append(solids[row[0].solid])
    return regions + _text_regions(lines, body_size)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of segments with what paragraphs are told apart by."""

    segments: list[Segment]
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    has_marker: bool

    @classmethod
    def of(cls, segments: list[Segment]) -> _Row:
        words = [w for s in segments for w in s.words]
        x0, y0, x1, y1 = union([s.box for s in segments])
        longest = max(words, key=lambda w: len(w.text))
        return cls(
            segments,
            x0,
            y0,
            x1,
            y1,
            longest.size,
            all(w.bold for w in words),
            _is_marked(words),
        )


def _is_marked(words: Sequence[RawWord]) -> bool:
    """Whether a line begins with the sign or number of a list's item, which may hang on its first word."""
    match = _BULLET.match(words[0].text)
    return match is not None and (len(words) > 1 or match.end() < len(words[0].text))


def _text_regions(rows: list[_Row], body_size: float) -> list[Region]:
    """Rows of one column as paragraphs, headings, lists and captions."""
    if not rows:
        return []
    gaps = [max(0.0, below.y0 - above.y1) for above, below in pairwise(rows)]
    usual_gap = sorted(gaps)[len(gaps) // 4] if gaps else 0.0  # not the median: paragraphs may be of two lines
    left = median(row.x0 for row in rows)
    groups = [[rows[0]]]
    for above, below in pairwise(rows):
        if _starts_paragraph(above, below, usual_gap, left, groups[-1]):
            groups.append([below])
        else:
            groups[-1].append(below)
    return [_region(group, body_size) for group in groups]


def _starts_paragraph(above: _Row, below: _Row, usual_gap: float, left: float, group: list[_Row]) -> bool:
    size = max(above.size, below.size)
    if below.y0 - above.y1 > min(usual_gap, size) + _PARAGRAPH_GAP_EM * size:
        return True
    if abs(above.size - below.size) > _SIZE_CHANGE * size or above.bold != below.bold:
        return True
    if below.has_marker != group[0].has_marker and (below.has_marker or below.x0 <= group[0].x0 + 1):
        return True
    indent = (below.x0 - left) / max(size, 1.0)
    return (
        not group[0].has_marker
        and _INDENT_EM[0] <= indent <= _INDENT_EM[1]
        and abs(above.x0 - left) < _INDENT_EM[0] * size / 2
    )


def _region(rows: list[_Row], body_size: float) -> Region:
    lines = tuple(line_of(row.segments) for row in rows)
    box = union([(row.x0, row.y0, row.x1, row.y1) for row in rows])
    text = lines[0].text
    level = _heading_level(rows, sum(len(line.words) for line in lines), text, body_size)
    if level is not None:
        return Region("heading", box, lines, level=level)
    kind: RegionKind = "text"
    if rows[0].has_marker:
        kind = "list"
    elif _CAPTION.match(text):
        kind = "caption"
    return Region(kind, box, lines)


def _heading_level(rows: list[_Row], n_words: int, text: str, body_size: float) -> int | None:
    """The level of rows that are a heading: by size, and for sizes near the body's also by form; else None."""
    n_letters = sum(c.isalpha() for c in text)
    if len(rows) > _MAX_HEADING_LINES or n_words > 2 * _MAX_HEADING_WORDS or not n_letters:
        return None
    if rows[0].segments[0].is_turned:  # along the edge of the page
        return None
    ratio = rows[0].size / body_size if body_size > 0 else 1.0
    if ratio >= _CLEARLY_LARGER:
        return heading_level(rows[0].size, body_size)
    bold = rows[0].bold
    first = rows[0].segments[0].words
    parts = rows[0].segments[1 if len(first) == 1 and _NUMBER.match(first[0].text) else 0 :]
    if ":" in text or len(parts) > 1 or n_words > _MAX_HEADING_WORDS or n_letters < _MIN_HEADING_LETTERS:
        return None
    for at_least, level in _HEADING_SIZES:
        if ratio >= at_least and (bold or not text.endswith(".")):
            return level
    return _BOLD_LEVEL if bold and len(rows) == 1 and ratio >= 0.95 else None


def heading_level(size: float, body_size: float) -> int:
    """The level of what is known to be a heading, by its font size and that of most text."""
    ratio = size / body_size if body_size > 0 else 1.0
    return next((level for at_least, level in _HEADING_SIZES if ratio >= at_least), _BOLD_LEVEL)


def mark_forms(regions: Iterable[Region], fields: Sequence[FormField]) -> Iterable[Region]:
    """Regions of lines that hold what is filled into a field as forms."""
    boxes = [field.bbox for field in fields if field.kind not in ("button", "signature")]
    for region in regions:
        words = [word.bbox for line in region.lines for word in line.words]
        is_form = boxes and any(is_inside(word, box) for word in words for box in boxes)
        yield replace(region, kind="form", level=None) if is_form else region


def _mark_margins(regions: list[Region], size: tuple[float, float], body_size: float) -> Iterable[Region]:
    """Regions of one line in the top or bottom margin, apart from the rest, as header and footer."""
    top, bottom = _MARGIN_SHARE * size[1], (1 - _MARGIN_SHARE) * size[1]
    for region in regions:
        if region.kind not in ("text", "heading", "list") or len(region.lines) != 1 or len(regions) < 2:
            yield region
            continue
        others = [r.bbox for r in regions if r is not region]
        gap = _MARGIN_GAP_EM * body_size
        _, y0, _, y1 = region.bbox
        is_small = region.level is None or region.level >= _BOLD_LEVEL
        if is_small and y1 <= top and all(b[1] >= y1 + gap or b[3] <= top for b in others):
            yield replace(region, kind="header", level=None)
        elif is_small and y0 >= bottom and all(b[3] <= y0 - gap or b[1] >= bottom for b in others):
            yield replace(region, kind="footer", level=None)
        else:
            yield region
