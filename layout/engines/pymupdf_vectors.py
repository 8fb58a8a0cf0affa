"""What is drawn on a page of PyMuPDF beside text: rules, drawings, images, in which order; and its picture in grey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box
from mm_megacontext.layout.engines.protocol import Painted, place_vector
from mm_megacontext.layout.engines.pymupdf_frame import PageFrame
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.engines.pymupdf_words import COLLECT_VECTORS, Block

_VECTOR_BLOCK = 3
_MAX_VECTORS = 4_000  # pages of more are maps or plots: their rules are no evidence for tables


def read_vectors(page: Any, blocks: list[Block], frame: PageFrame) -> tuple[list[Box], list[Box]]:
    """Boxes of rules, and of other drawings."""
    rules: list[Box] = []
    drawings: list[Box] = []
    vectors = [block for block in blocks if block["type"] == _VECTOR_BLOCK]
    if len(vectors) > _MAX_VECTORS:
        boxes = (frame.clipped(block["bbox"]) for block in vectors)
        return rules, [box for box in boxes if box is not None]
    # The text page's own boxes of stroked lines are wider than the lines, so these are read apart.
    paths = page.get_cdrawings() if vectors or not COLLECT_VECTORS else []
    for item, is_rectangle in _drawn(paths):
        box = frame.clipped(item)
        if box is not None:
            place_vector(box, is_rectangle, rules, drawings)
    return rules, drawings


def read_images(page: Any, frame: PageFrame) -> list[Box]:
    """Boxes of the images that are painted."""
    boxes = (frame.clipped(image["bbox"]) for image in page.get_image_info())
    return [box for box in boxes if box is not None]


def raster(page: Any, scale: float) -> npt.NDArray[np.uint8]:
    """The page in grey, ``scale`` pixels a point, annotations included."""
    pixmap = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csGRAY, alpha=False)
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    return rows[:, : pixmap.width].copy()


def paint_order(page: Any, frame: PageFrame) -> list[Painted]:
    """Texts, images and covers in the order in which they are painted."""
    covers = {path["seqno"] for path in page.get_cdrawings() if _is_cover(path)}
    order = []
    for number, (what, box, *_) in enumerate(page.get_bboxlog()):
        if what.endswith("-text"):
            order.append(Painted("text", frame.turned(box)))
        elif what == "fill-image":
            order.append(Painted("image", frame.turned(box)))
        elif number in covers:
            order.append(Painted("cover", frame.turned(box)))
    return order


def _is_cover(path: dict[str, Any]) -> bool:
    """Whether a path is a filled rectangle that nothing shows through, as far as its opacity tells."""
    is_filled = path["type"] in ("f", "fs") and path.get("fill_opacity", 1.0) == 1.0
    return is_filled and len(path["items"]) == 1 and path["items"][0][0] == "re"


def _drawn(paths: list[dict[str, Any]]) -> Iterator[tuple[Box, bool]]:
    """Each straight line, rectangle and curve of the paths: its box, and whether it is a rectangle."""
    for path in paths:
        if path["type"] in ("clip", "group"):
            continue
        for item in path["items"]:
            if item[0] == "re":
                yield item[1], True
            else:
                xs, ys = zip(*(item[1] if item[0] == "qu" else item[1:]), strict=True)
                yield (min(xs), min(ys), max(xs), max(ys)), item[0] == "qu" and _is_upright(xs, ys)


def _is_upright(xs: Sequence[float], ys: Sequence[float]) -> bool:
    """Whether a quadrilateral is a rectangle along the axes: each corner has a side in common with the next."""
    return len({round(x, 1) for x in xs}) <= 2 and len({round(y, 1) for y in ys}) <= 2
