"""Pictures of open tiles: those that touch each other become one, as they lay in the image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import PATCH_PX, PixelRef, count_patches

NOT_OPEN = 128
"""Grey of what lies between open tiles and is not open itself."""


class _Raster(NamedTuple):
    source: int
    page: int
    level: int


def touching(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Open tiles in groups that touch each other, in document order."""
    rasters: dict[_Raster, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.leaves is not None and entry.node.pixels is not None:
            ref = entry.node.pixels
            rasters[_Raster(entry.id.source, ref.page, ref.level)].append(entry)
    groups = [group for tiles in rasters.values() for group in _groups(tiles)]
    return sorted(groups, key=lambda group: group[0].order)


def picture_of(tiles: Sequence[Entry]) -> Image.Image:
    """Tiles of one raster as one picture, at the resolution at which they were read."""
    refs = [_ref(tile) for tile in tiles]
    left, top = min(ref.x for ref in refs), min(ref.y for ref in refs)
    width, height = max(ref.x + ref.width for ref in refs) - left, max(ref.y + ref.height for ref in refs) - top
    canvas = np.full((height, width, 3), NOT_OPEN, dtype=np.uint8)
    for tile, ref in zip(tiles, refs, strict=True):
        x, y = ref.x - left, ref.y - top
        canvas[y : y + ref.height, x : x + ref.width] = _pixels(tile, ref)
    return Image.fromarray(canvas)


def _pixels(tile: Entry, ref: PixelRef) -> npt.NDArray[np.uint8]:
    """(height, width, 3), without the repeated pixels of patches at the edge."""
    assert tile.leaves is not None, "an open tile has leaves"
    assert tile.leaves.pixels is not None, "a memory reads the pixels of what it opens"
    columns, rows = count_patches(ref.width, ref.height)
    patches = tile.leaves.pixels.reshape(rows, columns, 3, PATCH_PX, PATCH_PX)
    whole = patches.transpose(0, 3, 1, 4, 2).reshape(rows * PATCH_PX, columns * PATCH_PX, 3)
    return np.ascontiguousarray(whole[: ref.height, : ref.width])


def _groups(tiles: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Connected groups, each in document order; tiles touch along an edge or at a corner."""
    left = {tile.id: tile for tile in tiles}
    while left:
        todo = [left.pop(next(iter(left)))]
        group = []
        while todo:
            tile = todo.pop()
            group.append(tile)
            near = [other for other in left.values() if _touch(_ref(tile), _ref(other))]
            for other in near:
                del left[other.id]
            todo += near
        yield sorted(group, key=lambda one: one.order)


def _touch(a: PixelRef, b: PixelRef) -> bool:
    return a.x <= b.x + b.width and b.x <= a.x + a.width and a.y <= b.y + b.height and b.y <= a.y + a.height


def _ref(tile: Entry) -> PixelRef:
    assert tile.node.pixels is not None, "a tile says where its pixels are"
    return tile.node.pixels
