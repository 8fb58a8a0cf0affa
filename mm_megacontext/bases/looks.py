"""What a finder makes of open tiles.

A first look finds where in a tile the object may stand. A second look, with that place in the middle and the tiles
beside it in view, says how much it looks like what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import PATCH_PX, TILE_PATCHES, NodeId, PixelRef
from mm_megacontext.vision.sources.mosaic import Mosaic
from mm_megacontext.vision.sources.source import Pixels

WINDOW = 4
"""Patches on the side of what a first look takes for one object."""
REACH = 3
"""Patches on either side of its middle that a second look takes for the object."""
N_KEPT = 2
"""The best places, which shall be seen whole."""
NEAR = 0.5
"""Patches that match at least this well beside the best one belong to what was found."""
_TIE = 1e-6
_SIDE = TILE_PATCHES * PATCH_PX
_MIDDLE = slice(TILE_PATCHES // 2 - REACH, TILE_PATCHES // 2 + REACH)

Codes = Callable[[Pixels, npt.NDArray[np.bool_]], Tensor]
"""Of (tiles, 128, 128, 3) pixels, of which (tiles, 8, 8) patches are there: (tiles, 8, 8, dim)."""


@dataclass(frozen=True, slots=True)
class Look:
    """A place in an open tile, looked at.

    Attributes:
        tile: The entry it was found in.
        corner: (x, y) of the 8 x 8 patches around it, in pixels of the raster of its level.
        likeness: Cosine of what is there and what is asked for.
        union: (dim,) what is there.
        matches: (8, 8) how well each patch matches; minus infinity where none is open.
    """

    tile: Entry
    corner: tuple[int, int]
    likeness: float
    union: Tensor
    matches: Tensor


class Looks:
    """Looks at the tiles that focus opens for one question, and remembers them while nothing beside them changes.

    Args:
        codes: What stands in patches.
        asked: (dim,) the code that is asked for.
    """

    def __init__(self, codes: Codes, asked: Tensor) -> None:
        self._codes, self._asked = codes, asked
        self._places: dict[NodeId, tuple[int, int]] = {}
        self._rejected: dict[NodeId, float] = {}
        self._known: dict[tuple[NodeId, frozenset[NodeId]], Look] = {}

    def __call__(self, entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
        """What each entry is worth, (entries,).

        1 for what holds a part of one of the best places, open or not. Other tiles that are open, or were, are below 0,
        the less alike the lower: they make room for the next. NaN where nothing is known.
        """
        looks = self.at(entries)
        self._rejected.update({look.tile.id: min(look.likeness, 1.0) - 1.0 - _TIE for look in looks})
        worth = np.array([self._rejected.get(entry.id, np.nan) for entry in entries])
        for look in looks[:N_KEPT]:
            worth[[entry.id == look.tile.id or _holds_part(entry, look) for entry in entries]] = 1.0
        return worth

    @torch.inference_mode()
    def at(self, entries: Sequence[Entry]) -> list[Look]:
        """One place in each open tile, the most alike first."""
        found: list[Look] = []
        for tiles in _by_raster(entries):
            self._find_places([tile for tile in tiles if tile.id not in self._places])
            keys = [(tile.id, frozenset(t.id for t in tiles if self._is_in_view(t, tile))) for tile in tiles]
            new = [i for i, key in enumerate(keys) if key not in self._known]
            for i, look in zip(new, self._look(tiles, [tiles[i] for i in new]), strict=True):
                self._known[keys[i]] = look
            found += [self._known[key] for key in keys]
        return sorted(found, key=lambda look: -look.likeness)

    def _find_places(self, tiles: Sequence[Entry]) -> None:
        """The first look: the middle of the window that is most alike, on the grid of patches."""
        if not tiles:
            return
        pixels, exist = zip(*(_whole(_pixels(tile)) for tile in tiles), strict=True)
        codes = self._codes(np.stack(pixels), np.stack(exist))
        windows = F.max_pool2d(codes.permute(0, 3, 1, 2), WINDOW, 1)  # (tiles, dim, 5, 5)
        best = F.cosine_similarity(windows, self._asked[:, None, None], dim=1).flatten(1).argmax(1).tolist()
        for tile, own, window in zip(tiles, codes, best, strict=True):
            row, column = divmod(window, TILE_PATCHES - WINDOW + 1)
            matches = (own[row : row + WINDOW, column : column + WINDOW] @ self._asked).clamp(min=0) + 1e-6
            weights, steps = (matches / matches.sum()).double(), torch.arange(WINDOW, dtype=torch.float64) + 0.5
            ref = _ref(tile)
            x = round(column + float((weights.sum(0) * steps).sum()))
            y = round(row + float((weights.sum(1) * steps).sum()))
            self._places[tile.id] = (ref.x + x * PATCH_PX, ref.y + y * PATCH_PX)

    def _look(self, tiles: Sequence[Entry], new: Sequence[Entry]) -> list[Look]:
        """The second look, at the places of ``new`` among all open ``tiles`` of their raster."""
        if not new:
            return []
        refs = [_ref(tile) for tile in tiles]
        mosaic = Mosaic([(r.x, r.y, r.width, r.height) for r in refs], [_pixels(tile) for tile in tiles])
        corners = [self._corner(tile) for tile in new]
        read = [mosaic.read((x, y, _SIDE, _SIDE)) for x, y in corners]
        exist = np.stack([known[::PATCH_PX, ::PATCH_PX] for _, known in read])
        codes = self._codes(np.stack([pixels for pixels, _ in read]), exist)
        unions = codes[:, _MIDDLE, _MIDDLE].amax((1, 2))
        likeness = F.cosine_similarity(unions, self._asked, dim=-1).tolist()
        matches = (codes @ self._asked).masked_fill(~torch.from_numpy(exist), -torch.inf)
        return [Look(*parts) for parts in zip(new, corners, likeness, unions, matches, strict=True)]

    def _corner(self, tile: Entry) -> tuple[int, int]:
        x, y = self._places[tile.id]
        return x - _SIDE // 2, y - _SIDE // 2

    def _is_in_view(self, other: Entry, tile: Entry) -> bool:
        """Whether any of ``other`` lies within the second look at ``tile``."""
        ref, (x, y) = _ref(other), self._corner(tile)
        return x < ref.x + ref.width and ref.x < x + _SIDE and y < ref.y + ref.height and ref.y < y + _SIDE


def leaves_of(look: Look, entries: Sequence[Entry]) -> list[tuple[NodeId, int]]:
    """The patches of open tiles that belong to what was found, the best first: (tile, leaf)."""
    matches = look.matches[_MIDDLE, _MIDDLE].flatten().double()
    bar = NEAR * matches.max() if matches.max() > 0 else matches.max()
    chosen = torch.argsort(matches, descending=True)[: int((matches >= bar).sum())].tolist()
    (tiles,) = [tiles for tiles in _by_raster(entries) if any(tile.id == look.tile.id for tile in tiles)]
    left, top = (edge + _MIDDLE.start * PATCH_PX for edge in look.corner)
    return [_leaf_at(tiles, left + i % (2 * REACH) * PATCH_PX, top + i // (2 * REACH) * PATCH_PX) for i in chosen]


def _leaf_at(tiles: Sequence[Entry], x: int, y: int) -> tuple[NodeId, int]:
    for tile in tiles:
        ref = _ref(tile)
        if ref.x <= x < ref.x + ref.width and ref.y <= y < ref.y + ref.height:
            columns = -(-ref.width // PATCH_PX)
            return tile.id, (y - ref.y) // PATCH_PX * columns + (x - ref.x) // PATCH_PX
    raise ValueError(f"no open tile holds the patch at ({x}, {y})")


def _by_raster(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Open image tiles, those together whose patches are on one grid: figures of a page can have grids of their own."""
    rasters: dict[tuple[int, ...], list[Entry]] = {}
    for entry in entries:
        if entry.leaves is not None and entry.leaves.pixels is not None:
            ref = _ref(entry)
            grid = (entry.id.source, ref.page, ref.level, ref.x % PATCH_PX, ref.y % PATCH_PX)
            rasters.setdefault(grid, []).append(entry)
    return list(rasters.values())


def _ref(tile: Entry) -> PixelRef:
    assert tile.node.pixels is not None
    return tile.node.pixels


def _pixels(tile: Entry) -> Pixels:
    """(height, width, 3) of an open tile, without what was repeated at its edges."""
    leaves, ref = tile.leaves, _ref(tile)
    assert leaves is not None
    assert leaves.pixels is not None
    columns, rows = -(-ref.width // PATCH_PX), -(-ref.height // PATCH_PX)
    grid = leaves.pixels.reshape(rows, columns, 3, PATCH_PX, PATCH_PX).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * PATCH_PX, columns * PATCH_PX, 3)[: ref.height, : ref.width]


def _whole(pixels: Pixels) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """A tile filled up to 128 x 128 with its last pixels, as for its gist, and which patches it has."""
    height, width, _ = pixels.shape
    exist = np.zeros((TILE_PATCHES, TILE_PATCHES), dtype=np.bool_)
    exist[: -(-height // PATCH_PX), : -(-width // PATCH_PX)] = True
    return np.pad(pixels, ((0, _SIDE - height), (0, _SIDE - width), (0, 0)), mode="edge"), exist


def _holds_part(entry: Entry, look: Look) -> bool:
    """Whether an entry, open or not, holds pixels of the window in the middle of a look."""
    here, there = entry.node, look.tile.node
    if (here.modality, here.id.source, here.page) != ("image", there.id.source, there.page):
        return False
    ref, bbox = _ref(look.tile), there.bbox
    scale_x, scale_y = (bbox[2] - bbox[0]) / ref.width, (bbox[3] - bbox[1]) / ref.height
    margin, side = (_SIDE - WINDOW * PATCH_PX) // 2, WINDOW * PATCH_PX
    left = bbox[0] + (look.corner[0] + margin - ref.x) * scale_x
    top = bbox[1] + (look.corner[1] + margin - ref.y) * scale_y
    x0, y0, x1, y1 = here.bbox
    return x0 < left + side * scale_x and left < x1 and y0 < top + side * scale_y and top < y1
