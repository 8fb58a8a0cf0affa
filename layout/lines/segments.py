"""Words to segments: runs of words on one baseline without a wide gap. Columns and tables are found among these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mm_megacontext.document import Box, Line, Word, union
from mm_megacontext.layout.engines.protocol import RawWord
from mm_megacontext.layout.lines.direction import in_reading_order

MAX_GAP_EM = 0.9
"""Words further apart than this many ems are in different segments: more than justified text, less than a gutter."""

_BIN_PT = 8.0  # words are looked up by the height of their middle, in bins
_MIN_OVERLAP = 0.5  # of the lower of two boxes, for them to stand on one line
_DUPLICATE_PT = 1.0  # the same word drawn again this close is a shadow or fake bold


@dataclass(slots=True, eq=False)
class Segment:
    """A run of words, or a piece of the page that is read as a whole (``solid``: a table or figure)."""

    x0: float
    y0: float
    x1: float
    y1: float
    words: list[RawWord] = field(default_factory=list)
    solid: int | None = None
    """Index of the table or figure that it stands for."""
    is_turned: bool = False
    """Text that runs up or down the page."""

    @property
    def box(self) -> Box:
        return (self.x0, self.y0, self.x1, self.y1)

    @property
    def is_alone(self) -> bool:
        """Whether it can share no row with others."""
        return self.solid is not None or self.is_turned

    @property
    def size(self) -> float:
        return self.words[0].size if self.words else 0.0


def find_segments(words: Sequence[RawWord]) -> list[Segment]:
    """Segments of upright words by geometry; turned words by the engine's own lines."""
    turned: dict[int, list[RawWord]] = defaultdict(list)
    upright: list[Segment] = []
    last: RawWord | None = None
    for word in words:
        if not word.upright:
            turned[word.line].append(word)
            continue
        # Nearly all words follow the one before; what is left to link afterwards is few.
        if last is not None and word.line == last.line and _follows(last, word):
            _append(upright[-1], word)
        else:
            upright.append(Segment(word.x0, word.y0, word.x1, word.y1, [word]))
        last = word
    return _link(upright) + [_turned_segment(group) for group in turned.values()]


def _follows(word: RawWord, other: RawWord) -> bool:
    return -0.5 * other.size < other.x0 - word.x1 <= MAX_GAP_EM * other.size and _on_line(word, other.y0, other.y1)


def _link(parts: list[Segment]) -> list[Segment]:
    """Hang each part, from left to right, on the nearest segment that ends before it on its line."""
    segments: list[Segment] = []
    bins: dict[int, list[Segment]] = defaultdict(list)
    for part in sorted(parts, key=lambda s: s.x0):
        first = part.words[0]
        at = int((first.y0 + first.y1) / 2 // _BIN_PT)
        near = [s for b in (at, at - 1, at + 1) for s in bins.get(b, ()) if _on_line(s.words[-1], first.y0, first.y1)]
        if any(_is_repeated(part, s) for s in near):
            continue
        left = [s for s in near if _follows(s.words[-1], first)]
        if left:
            nearest = min(left, key=lambda s: first.x0 - s.x1)
            for word in part.words:
                _append(nearest, word)
        else:
            nearest = part
            segments.append(part)
        last = nearest.words[-1]
        bins[int((last.y0 + last.y1) / 2 // _BIN_PT)].append(nearest)
    return segments


def _is_repeated(part: Segment, other: Segment) -> bool:
    """Whether the part is drawn a second time over the other: a shadow or fake bold."""
    return (
        abs(part.x0 - other.x0) < _DUPLICATE_PT
        and abs(part.x1 - other.x1) < _DUPLICATE_PT
        and abs(part.y0 - other.y0) < _DUPLICATE_PT
        and len(part.words) == len(other.words)
        and all(a.text == b.text for a, b in zip(part.words, other.words, strict=True))
    )


def _append(segment: Segment, word: RawWord) -> None:
    segment.words.append(word)
    segment.x1 = max(segment.x1, word.x1)
    segment.y0 = min(segment.y0, word.y0)
    segment.y1 = max(segment.y1, word.y1)


def _on_line(word: RawWord, y0: float, y1: float) -> bool:
    overlap = min(word.y1, y1) - max(word.y0, y0)
    return overlap > _MIN_OVERLAP * min(word.y1 - word.y0, y1 - y0)


def _turned_segment(words: list[RawWord]) -> Segment:
    return Segment(*union([w[:4] for w in words]), words, is_turned=True)


def find_rows(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Segments side by side as rows, top to bottom, each left to right; a solid or turned one is a row of its own."""
    rows: list[list[Segment]] = []
    y0 = y1 = 0.0
    for segment in sorted(segments, key=lambda s: s.y0 + s.y1):
        height = segment.y1 - segment.y0
        overlap = min(y1, segment.y1) - max(y0, segment.y0)
        alone = segment.is_alone or not rows or rows[-1][0].is_alone
        if alone or overlap <= _MIN_OVERLAP * min(height, y1 - y0):
            rows.append([segment])
            y0, y1 = segment.y0, segment.y1
        else:
            rows[-1].append(segment)
    for row in rows:
        row.sort(key=lambda s: s.x0)
    return rows


def line_of(row: Iterable[Segment]) -> Line:
    """A row as one line: the words of all its segments, whatever the gaps between them, as they are read."""
    words = in_reading_order([word for segment in row for word in segment.words])
    return Line(tuple(Word(word.text, word.box, None, word.confidence, word.script) for word in words))
