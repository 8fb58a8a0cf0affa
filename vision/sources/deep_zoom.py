"""Deep Zoom images, put together from the tiles of their full resolution."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.image_files.deep_zoom import DeepZoom, read_deep_zoom
from mm_megacontext.image_files.header import DEEP_ZOOM, choose_reader, read_header
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.raster import PillowSource
from mm_megacontext.vision.sources.source import LevelSource, Pixels, Rect, level_size

_CACHE_BYTES = 64 << 20
_FEWEST_CACHED = 4


class DeepZoomSource(LevelSource):
    """The image that a DZI descriptor stands for. Its tiles are decoded when they are read; the last ones are kept.

    Levels are computed from level 0; the descriptor's smaller copies are looked at for ``read_overview`` alone.

    Args:
        path: The descriptor; its tiles are in the folder beside it.
        limits: What is refused.

    Raises:
        LimitExceeded: The image, or one of its tiles, is larger than ``limits`` allow.
        IngestError: The descriptor is missing or damaged; on reading, a tile is missing, damaged, or not of its size.
    """

    def __init__(self, path: str | Path, *, limits: IngestLimits | None = None) -> None:
        limits = limits or IngestLimits()
        path = Path(path)
        if not path.is_file():
            raise IngestError("no such file", source=str(path), code="not_found")
        choose_reader(read_header(path, DEEP_ZOOM), limits)
        self._zoom = read_deep_zoom(path)
        self._tile_pixels = (self._zoom.tile_size + 2 * self._zoom.overlap) ** 2
        if min(self._tile_pixels, self.size[0] * self.size[1]) > limits.max_decoded_pixels:
            raise LimitExceeded(
                f"its tiles have {self._zoom.tile_size} pixels on a side, more than the {limits.max_decoded_pixels} "
                "pixels that are decoded at once: raise max_decoded_pixels, or export it with smaller tiles",
                source=str(path),
            )
        self._n_cached = max(_FEWEST_CACHED, _CACHE_BYTES // (3 * self._tile_pixels))
        self._tiles: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        return self._zoom.size

    @property
    def scale(self) -> None:
        """Deep Zoom does not say how large a pixel is."""
        return None

    def read_overview(self, level: int) -> Pixels:
        """The whole image at ``level``, quickly: for people to look at, not for gists.

        Put together from the descriptor's own smaller copy, whose pixels are those of its writer's filter. Where that
        copy is not there whole, this is ``read`` of the whole level.
        """
        region = (0, 0, *level_size(self.size, level))
        smaller = replace(self._zoom, size=region[2:])
        columns, rows = smaller.grid
        if level and all(smaller.tile(column, row).is_file() for column in range(columns) for row in range(rows)):
            return _assembled(smaller, region, partial(_decoded, smaller))
        return self.read(region, level)

    def _read_inside(self, region: Rect) -> Pixels:
        return _assembled(self._zoom, region, self._tile)

    def _tile(self, column: int, row: int) -> Pixels:
        with self._lock:
            if (column, row) not in self._tiles:
                if len(self._tiles) >= self._n_cached:
                    self._tiles.popitem(last=False)
                self._tiles[column, row] = _decoded(self._zoom, column, row)
            self._tiles.move_to_end((column, row))
            return self._tiles[column, row]


def _assembled(zoom: DeepZoom, region: Rect, tile_at: Callable[[int, int], Pixels]) -> Pixels:
    """The pixels of a region inside the image, from its tiles by column and row."""
    left, top, width, height = region
    side = zoom.tile_size
    out = np.empty((height, width, 3), dtype=np.uint8)
    for row in range(top // side, (top + height - 1) // side + 1):
        for column in range(left // side, (left + width - 1) // side + 1):
            x0, y0 = max(left, column * side), max(top, row * side)
            x1, y1 = min(left + width, (column + 1) * side), min(top + height, (row + 1) * side)
            x, y, _, _ = zoom.covered(column, row)
            tile = tile_at(column, row)
            out[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - y : y1 - y, x0 - x : x1 - x]
    return out


def _decoded(zoom: DeepZoom, column: int, row: int) -> Pixels:
    _, _, width, height = zoom.covered(column, row)
    tile = PillowSource(zoom.tile(column, row), max_pixels=width * height)
    if tile.size != (width, height):
        raise IngestError(
            f"the tile has {tile.size[0]} x {tile.size[1]} pixels and should have {width} x {height}: export it anew",
            source=str(zoom.tile(column, row)),
        )
    return tile.read((0, 0, width, height))
