"""Figures: raster images and clusters of drawings that are large enough to be looked at; scans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, Region, union
from mm_megacontext.layout.engines.protocol import RawPage, RawWord

_MIN_SIDE_PT = 18.0
_MIN_IMAGE_SHARE = 0.005  # of the page's area
_MIN_DRAWING_SHARE = 0.02
_MIN_DRAWINGS = 6  # pieces of a drawing; fewer are boxes, underlines and backgrounds
_BACKGROUND_SHARE = 0.6  # of the page's area; an image of this size with the page's words on it lies behind them
_GRID_PT = 8.0  # pieces that touch the same cell of this grid belong together
_MAX_GRID = 250  # cells on a side
_FRAME_PT = 3.0  # between a form field and its frame
_INSIDE_TABLE = 0.5  # of the figure's area


def find_figures(page: RawPage, tables: Sequence[Box]) -> list[Region]:
    """Figures of a page; for one without words, a single scan (image) or figure (drawing)."""
    area = page.size[0] * page.size[1]
    if not page.words:
        return _wordless(page)
    images = [box for box in page.images if not _is_background(box, page.words, area)]
    boxes = [box for box, _ in clusters(images, page.size) if _is_large(box, _MIN_IMAGE_SHARE * area)]
    fields = [field.bbox for field in page.marks.fields]
    pieces = [box for box in (*page.drawings, *page.rules) if not any(_is_of_field(box, field) for field in fields)]
    if len(page.drawings) >= _MIN_DRAWINGS:
        for box, n_pieces in clusters(pieces, page.size):
            if n_pieces >= _MIN_DRAWINGS and _is_drawing(box, page, area):
                boxes.append(box)
    kept = [box for box in joined(boxes) if not any(_share_inside(box, t) > _INSIDE_TABLE for t in tables)]
    return [Region("figure", box) for box in kept]


def _is_of_field(box: Box, field: Box) -> bool:
    """Whether a drawing is the frame or background of a form field, or in it."""
    x0, y0, x1, y1 = field
    inner = box[0] >= x0 - _FRAME_PT and box[1] >= y0 - _FRAME_PT
    return inner and box[2] <= x1 + _FRAME_PT and box[3] <= y1 + _FRAME_PT


def _wordless(page: RawPage) -> list[Region]:
    if page.images:
        return [Region("scan", (0.0, 0.0, *page.size))]
    drawn = [*page.drawings, *page.rules]
    box = union(drawn) if drawn else (0.0, 0.0, 0.0, 0.0)
    return [Region("figure", box)] if _is_large(box, 0.0) else []


def _is_large(box: Box, min_area: float) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    return width >= _MIN_SIDE_PT and height >= _MIN_SIDE_PT and width * height >= min_area


def _is_background(box: Box, words: Sequence[RawWord], area: float) -> bool:
    if (box[2] - box[0]) * (box[3] - box[1]) < _BACKGROUND_SHARE * area:
        return False
    return _n_inside(box, words) > 0.5 * len(words)


def _n_inside(box: Box, words: Sequence[RawWord]) -> int:
    return sum(box[0] <= (w.x0 + w.x1) / 2 <= box[2] and box[1] <= (w.y0 + w.y1) / 2 <= box[3] for w in words)


def _is_drawing(box: Box, page: RawPage, area: float) -> bool:
    """Whether a cluster of vector graphics is a figure and not the frame or background of text."""
    if not _is_large(box, _MIN_DRAWING_SHARE * area):
        return False
    inside = [w for w in page.words if box[0] <= w.x0 and w.x1 <= box[2] and box[1] <= w.y0 and w.y1 <= box[3]]
    inked = sum((w.x1 - w.x0) * (w.y1 - w.y0) for w in inside)
    return inked < 0.15 * (box[2] - box[0]) * (box[3] - box[1])


def clusters(boxes: Sequence[Box], size: tuple[float, float]) -> list[tuple[Box, int]]:
    """Boxes that touch, or nearly so, joined: (union, how many). Works on a grid, so any number is cheap."""
    if not boxes:
        return []
    if len(boxes) == 1:
        return [(boxes[0], 1)]
    step = max(_GRID_PT, max(size) / _MAX_GRID)
    cells = np.floor(np.array(boxes) / step).astype(np.int64)
    grid = np.zeros((int(size[1] / step) + 2, int(size[0] / step) + 2), dtype=np.bool_)
    for x0, y0, x1, y1 in np.unique(cells, axis=0).tolist():
        grid[y0 : y1 + 1, x0 : x1 + 1] = True
    labels = _label(grid)
    groups: dict[int, tuple[list[float], int]] = {}
    for box, (x0, y0, _, _) in zip(boxes, cells.tolist(), strict=True):
        label = int(labels[y0, x0])
        bounds, n = groups.get(label, ([*box], 0))
        bounds = [min(bounds[0], box[0]), min(bounds[1], box[1]), max(bounds[2], box[2]), max(bounds[3], box[3])]
        groups[label] = (bounds, n + 1)
    return [((b[0], b[1], b[2], b[3]), n) for b, n in groups.values()]


def _label(grid: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Connected components of the cells that are set, by their four neighbours; numbered from 2."""
    height, width = grid.shape
    # An empty cell at the end of each row and an empty row below spare the bounds checks.
    padded = np.zeros((height + 1, width + 1), dtype=np.int32)
    padded[:height, :width] = grid
    row = width + 1
    cells = padded.ravel().tolist()  # plain integers: indexing an array one by one is ten times slower
    n = 1
    for start in np.flatnonzero(padded).tolist():
        if cells[start] != 1:
            continue
        n += 1
        stack = [start]
        cells[start] = n
        while stack:
            at = stack.pop()
            for neighbour in (at - 1, at + 1, at - row, at + row):
                if cells[neighbour] == 1:
                    cells[neighbour] = n
                    stack.append(neighbour)
    return np.array(cells, dtype=np.int32).reshape(padded.shape)[:height, :width]


def joined(boxes: list[Box]) -> list[Box]:
    """Boxes with those that overlap made one."""
    apart: list[Box] = []
    for box in sorted(boxes):
        merged = box
        while overlapping := [b for b in apart if _overlap(b, merged)]:
            apart = [b for b in apart if not _overlap(b, merged)]
            merged = union([merged, *overlapping])
        apart.append(merged)
    return apart


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _share_inside(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, width) * max(0.0, height) / area if area > 0 else 1.0
