"""What a model says that a page is made of, filled with the page's words: its boxes and kinds, our words and tables.

Each word goes into the smallest box that holds its middle. No word is lost: those in no box, and rulings and pictures
that the model has not seen, become regions as geometry finds them. The order is that in which geometry reads the words:
the model's boxes come column by column even where a heading across the page parts the columns into bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from mm_megacontext.document import Box, Region, Table, union
from mm_megacontext.layout.engines.protocol import ModelRegion, RawPage, RawWord
from mm_megacontext.layout.lines.segments import Segment, find_rows, find_segments, line_of
from mm_megacontext.layout.page.captions import bind_captions
from mm_megacontext.layout.page.columns import find_zones
from mm_megacontext.layout.page.figures import find_figures
from mm_megacontext.layout.page.regions import body_size, find_regions, heading_level, mark_forms
from mm_megacontext.layout.tables.plain import find_plain_tables
from mm_megacontext.layout.tables.ruled import find_ruled_tables
from mm_megacontext.layout.tables.rulings import Rule, rules_across

_INSIDE = 0.5  # of a box's area: it is the same thing as the one that it lies in
_CELL_WORDS = 12.0  # mean words of a cell above which what the model calls a table is text in columns
_BACKGROUND_SHARE = 0.6  # of the page's area; a picture of this size with most words on it lies behind them


@dataclass(slots=True, eq=False)
class _Piece:
    """A part of the page; ``table`` where rulings show its cells."""

    region: ModelRegion
    table: Table | None = None
    words: list[RawWord] = field(default_factory=list)

    @property
    def box(self) -> Box:
        return self.region.box


def fill_regions(page: RawPage, found: Sequence[ModelRegion]) -> tuple[Region, ...]:
    """The regions of a page in reading order.

    Args:
        page: With the words that can be seen.
        found: What the model says. Where it says nothing, or there are no words, geometry decides alone.
    """
    if not page.words or not found:
        return find_regions(page)
    pieces, free = _pieces(page, found)
    body, rules = body_size(page.words), rules_across(page.rules)
    regions = [region for piece in pieces for region in _regions(piece, body, rules)]
    regions += _find_text(page, free)
    return bind_captions(tuple(mark_forms(_in_order(regions, page.words), page.marks.fields)))


def _in_order(regions: Sequence[Region], words: Sequence[RawWord]) -> list[Region]:
    """Regions by where the middle one of their words comes when columns are read one by one.

    A table or figure is read as a whole, and with it the words that lie in it.
    """
    solids = [region for region in regions if region.kind in ("table", "figure")]
    held: dict[int, list[RawWord]] = {index: [] for index in range(len(solids))}
    free: list[RawWord] = []
    for word in words:
        index = next((i for i, solid in enumerate(solids) if _holds(solid.bbox, word)), None)
        (free if index is None else held[index]).append(word)
    segments = find_segments(free) + [Segment(*solid.bbox, solid=i) for i, solid in enumerate(solids)]
    place_of_solid: dict[int, int] = {}
    place: dict[Box, int] = {}
    rows = (row for zone in find_zones(segments) for row in find_rows(zone))
    for at, segment in enumerate(segment for row in rows for segment in row):
        if segment.solid is None:
            place.update((word.box, at) for word in segment.words)
        else:
            place_of_solid[id(solids[segment.solid])] = at
            place.update((word.box, at) for word in held[segment.solid])

    def when(region: Region) -> float:
        solid = place_of_solid.get(id(region))
        if solid is not None:
            return solid
        # The shadow of another word has no place of its own: where it alone makes a region, that comes last.
        return median(place.get(word.bbox, len(place)) for line in region.lines for word in line.words)

    return sorted(regions, key=when)


def _pieces(page: RawPage, found: Sequence[ModelRegion]) -> tuple[list[_Piece], list[RawWord]]:
    """The pieces with their words, and the words that are in none."""
    ruled = find_ruled_tables(page.rules, page.words) if page.rules else []
    kept = [region for region in found if _is_kept(region, page)]
    pieces = [_Piece(region) for region in kept if not any(_share_inside(region.box, t.bbox) > _INSIDE for t in ruled)]
    pieces += [_Piece(ModelRegion("table", table.bbox), table.table) for table in ruled]
    solid = [piece.box for piece in pieces if piece.region.kind in ("table", "figure")]
    for figure in find_figures(page, [table.bbox for table in ruled]):
        if not any(_share_inside(figure.bbox, box) > _INSIDE for box in solid):
            pieces.append(_Piece(ModelRegion("figure", figure.bbox)))
    free = []
    for word in page.words:
        holding = [piece for piece in pieces if _holds(piece.box, word)]
        if holding:
            min(holding, key=lambda piece: (piece.table is None, _area(piece.box))).words.append(word)
        else:
            free.append(word)
    return pieces, free


def _is_kept(region: ModelRegion, page: RawPage) -> bool:
    """Whether a region is on the page, and no picture behind its words."""
    x0, y0, x1, y1 = region.box
    width, height = page.size
    if not (x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
        return False
    if region.kind != "figure" or _area(region.box) < _BACKGROUND_SHARE * width * height:
        return True
    return sum(_holds(region.box, word) for word in page.words) <= 0.5 * len(page.words)


def _regions(piece: _Piece, body: float, rules: Sequence[Rule]) -> list[Region]:
    kind, box, level = piece.region
    if piece.table is not None:
        return [Region("table", box, table=piece.table)]
    if kind == "figure":
        return [Region("figure", box), *_lines_of(piece.words)]
    if not piece.words:
        return []  # the model sees text that is hidden, too
    if kind == "table":
        return _table(piece.words, rules)
    (region,) = _lines_of(piece.words)
    if kind == "heading":
        size = max(piece.words, key=lambda word: len(word.text)).size
        return [Region("heading", region.bbox, region.lines, level=level or heading_level(size, body))]
    return [Region(kind, region.bbox, region.lines)]


def _table(words: Sequence[RawWord], rules: Sequence[Rule]) -> list[Region]:
    """The tables among the words of what the model calls one, and lines of text above, between and below."""
    segments = find_segments(words)
    tables = find_plain_tables(segments, _CELL_WORDS, rules)
    taken = {id(segment) for table in tables for segment in table.segments}
    regions = [Region("table", table.bbox, table=table.table) for table in tables]
    regions += _text([segment for segment in segments if id(segment) not in taken], [t.bbox for t in tables])
    return sorted(regions, key=lambda region: region.bbox[1])


def _text(segments: Sequence[Segment], between: Sequence[Box]) -> list[Region]:
    """Segments as regions of text, parted by the boxes between them."""
    groups: dict[int, list[Segment]] = {}
    for segment in segments:
        groups.setdefault(sum(box[1] <= segment.y0 for box in between), []).append(segment)
    return [_region_of(group) for group in groups.values()]


def _lines_of(words: Sequence[RawWord]) -> list[Region]:
    """Words as one region of text; none where there are no words."""
    return [_region_of(find_segments(words))] if words else []


def _region_of(segments: Iterable[Segment]) -> Region:
    lines = tuple(line_of(row) for row in find_rows(segments))
    return Region("text", union([line.bbox for line in lines]), lines)


def _find_text(page: RawPage, words: Sequence[RawWord]) -> list[Region]:
    """Words that the model did not see, as geometry reads them."""
    if not words:
        return []
    alone = RawPage(page.number, page.size, list(words), [], [], [])
    return list(find_regions(alone))


def _holds(box: Box, word: RawWord) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _share_inside(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height) / _area(box) if _area(box) > 0 else 1.0
