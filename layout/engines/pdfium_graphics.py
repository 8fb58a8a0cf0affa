"""What the PDFium engine needs beside text: the page's frame, and the boxes of its images and drawings."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import Painted, clip_box, place_vector

_MAX_OBJECTS = 20_000  # pages of more objects than this are maps or plots: their tail is no evidence for tables
_MAX_SEGMENTS = 2_000
_MAX_DEPTH = 5  # of form XObjects in form XObjects
WHOLE_DEPTH = 40
"""Where PDFium itself stops following forms in forms."""
_CORNER_DIGITS = 1  # tenths of a point: closer corners are one


@dataclass(frozen=True, slots=True)
class PageSpace:
    """From PDF user space (origin bottom-left, unrotated) to the page as shown (origin top-left)."""

    left: float
    top: float
    width: float
    height: float
    rotation: int

    @classmethod
    def of(cls, page: pdfium.PdfPage) -> PageSpace:
        """The frame of a page: its crop box within its media box, inherited ones included."""
        left, bottom, right, top = page.get_bbox()
        return cls(left, top, right - left, top - bottom, page.get_rotation())

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as shown."""
        return (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        u, v = x - self.left, self.top - y
        if self.rotation == 90:
            return self.height - v, u
        if self.rotation == 180:
            return self.width - u, self.height - v
        if self.rotation == 270:
            return v, self.width - u
        return u, v

    def box(self, left: float, bottom: float, right: float, top: float) -> Box | None:
        """A user-space box as shown, clipped to the page; None where it lies outside."""
        return clip_box((*self._point(left, top), *self._point(right, bottom)), self.size)

    def whole_box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """A user-space box as shown, wherever it lies."""
        (u0, v0), (u1, v1) = self._point(left, top), self._point(right, bottom)
        return (min(u0, u1), min(v0, v1), max(u0, u1), max(v0, v1))


Graphics = tuple[list[Box], list[Box], list[Box]]
"""Rules, images, drawings."""


def read_graphics(page: pdfium.PdfPage, frame: PageSpace) -> Graphics:
    """Boxes of the rules, images and drawings of a page."""
    rules: list[Box] = []
    images: list[Box] = []
    drawings: list[Box] = []
    for n, (item, matrix) in enumerate(walk_objects(page)):
        if n >= _MAX_OBJECTS:
            break
        if item.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            box = _bounds(item, matrix, frame)
            if box is not None:
                images.append(box)
        elif item.type == pdfium_c.FPDF_PAGEOBJ_PATH:
            for box, is_rectangle in _path_boxes(item, matrix, frame):
                place_vector(box, is_rectangle, rules, drawings)
    return rules, images, drawings


def paint_order(page: pdfium.PdfPage, frame: PageSpace) -> list[Painted]:
    """Texts, images and covers of a page in the order in which they are painted."""
    items = itertools.islice(walk_objects(page), _MAX_OBJECTS)
    found = ((kind, _bounds(item, matrix, frame)) for item, matrix in items if (kind := _painted_as(item)) is not None)
    return [Painted(kind, box) for kind, box in found if box is not None]


def _painted_as(item: pdfium.PdfObject) -> Literal["text", "image", "cover"] | None:
    """What an object is in the order of painting; None where that does not matter."""
    if item.type == pdfium_c.FPDF_PAGEOBJ_PATH:
        return "cover" if _is_cover(item) else None
    return {pdfium_c.FPDF_PAGEOBJ_TEXT: "text", pdfium_c.FPDF_PAGEOBJ_IMAGE: "image"}.get(item.type)  # type: ignore[return-value]


def _is_cover(path: pdfium.PdfObject) -> bool:
    """Whether a path is a filled rectangle that nothing shows through."""
    mode, stroked = ctypes.c_int(), ctypes.c_int()
    pdfium_c.FPDFPath_GetDrawMode(path, mode, stroked)
    if mode.value == pdfium_c.FPDF_FILLMODE_NONE or pdfium_c.FPDFPageObj_HasTransparency(path):
        return False
    return pdfium_c.FPDFPath_CountSegments(path) in (4, 5) and _is_rectangle(_path_points(path, path.get_matrix()))


def walk_objects(
    page: pdfium.PdfPage, max_depth: int = _MAX_DEPTH
) -> Iterator[tuple[pdfium.PdfObject, pdfium.PdfMatrix]]:
    """Each object of a page, those in forms too, with the matrix from where it stands to the page."""
    return _objects(page, None, pdfium.PdfMatrix(), 1, max_depth)


def _objects(
    page: pdfium.PdfPage, form: pdfium.PdfObject | None, matrix: pdfium.PdfMatrix, depth: int, max_depth: int
) -> Iterator[tuple[pdfium.PdfObject, pdfium.PdfMatrix]]:
    """Each object with the matrix of the forms it stands in; PDFium gives an object's place within its form only."""
    for item in page.get_objects(max_depth=depth, form=form, level=depth - 1):
        if item.type == pdfium_c.FPDF_PAGEOBJ_FORM:
            if depth < max_depth:
                yield from _objects(page, item, item.get_matrix().multiply(matrix), depth + 1, max_depth)
        else:
            yield item, matrix


def _bounds(item: pdfium.PdfObject, matrix: pdfium.PdfMatrix, frame: PageSpace) -> Box | None:
    left, bottom, right, top = item.get_bounds()
    return frame.box(*matrix.on_rect(left, bottom, right, top))


_Point = tuple[float, float, int, bool]  # x, y, segment type, closes its sub-path


def _path_boxes(path: pdfium.PdfObject, matrix: pdfium.PdfMatrix, frame: PageSpace) -> Iterator[tuple[Box, bool]]:
    """Boxes of a path's straight pieces, or of the whole path if it is curved or has very many pieces."""
    points = _path_points(path, path.get_matrix().multiply(matrix))
    if points:
        yield from _straight_pieces(points, frame)
        return
    box = _bounds(path, matrix, frame)
    if box is not None:
        yield box, False


def _path_points(path: pdfium.PdfObject, matrix: pdfium.PdfMatrix) -> list[_Point]:
    """The corners of a path of straight lines; none for a curved or very long one."""
    n = pdfium_c.FPDFPath_CountSegments(path)
    if n > _MAX_SEGMENTS:
        return []
    points: list[_Point] = []
    x, y = ctypes.c_float(), ctypes.c_float()
    for i in range(n):
        segment = pdfium_c.FPDFPath_GetPathSegment(path, i)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_BEZIERTO:
            return []
        pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
        px, py = matrix.on_point(x.value, y.value)
        points.append((px, py, kind, bool(pdfium_c.FPDFPathSegment_GetClose(segment))))
    return points


def _straight_pieces(points: list[_Point], frame: PageSpace) -> Iterator[tuple[Box, bool]]:
    """Each sub-path as a rectangle where it is one, else its edges one by one."""
    starts = [i for i, point in enumerate(points) if i == 0 or point[2] == pdfium_c.FPDF_SEGMENT_MOVETO]
    for start, end in zip(starts, [*starts[1:], len(points)], strict=True):
        piece = points[start:end]
        if _is_rectangle(piece):
            xs, ys = [p[0] for p in piece], [p[1] for p in piece]
            edges = [(min(xs), min(ys), max(xs), max(ys))]
        else:
            ring = [*piece, piece[0]] if piece[-1][3] else piece
            edges = [(p[0], p[1], q[0], q[1]) for p, q in itertools.pairwise(ring)]
        for edge in edges:
            box = frame.box(*edge)
            if box is not None:
                yield box, len(piece) >= 4 and len(edges) == 1


def _is_rectangle(points: list[_Point]) -> bool:
    """Whether points are the corners of one with upright sides."""
    xs = {round(p[0], _CORNER_DIGITS) for p in points}
    ys = {round(p[1], _CORNER_DIGITS) for p in points}
    return len(points) >= 4 and len(xs) <= 2 and len(ys) <= 2
