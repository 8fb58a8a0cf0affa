"""From an image to the rows of its quad-tree of gists, streaming: memory does not grow with the image.

Pixels of a row are addressed in the raster of the whole page (``PixelRef``), never of the figure they were read
through, so whoever opens the page later reads the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.layout.document import Box
from mm_megacontext.tree import PATCH_PX, TILE_PATCHES, Moments, NodeRow, PixelRef
from mm_megacontext.vision.gists import Gist, TileGister, VisualGister
from mm_megacontext.vision.source import ImageSource, Pixels, Rect, level_size, repeat_edges
from mm_megacontext.vision.tiles import TILE_PX, Frame, GridNode, TileGrid, count_patches

BATCH_TILES = 64
"""Tiles read before they are encoded together: 3 MB of pixels."""

_NO_TOKENS = np.zeros(0, dtype=np.int32)
_NO_ROLES = np.zeros(0, dtype=np.uint8)
_NO_MU = np.zeros((0, 3), dtype=np.float64)
_NO_BOXES = np.zeros((0, 4), dtype=np.float32)


def build_image_nodes(
    source: ImageSource, tiles: TileGister, *, page: int, frame: Frame, t: int, index_start: int
) -> Iterator[NodeRow]:
    """The rows of an image's or figure's quad-tree in post-order, root last.

    Args:
        source: The pixels.
        tiles: Makes the gists.
        page: Page number the rows get, from 1.
        frame: Where the pixels lie on the page: see ``PageImages.region``.
        t: Timeline unit of all its patches.
        index_start: Index of the first row.

    Yields:
        Rows of kind "tile" (LOD 1) and "tiles" (LOD 2 and above).
    """
    grid = TileGrid(*source.size)
    assembler = _Assembler(grid, _Place(source.size, page, frame, t), tiles.gister, index_start)
    waiting: list[GridNode] = []
    pixels: list[Pixels] = []
    for node in grid.postorder():
        waiting.append(node)
        if node.level == 0:
            pixels.append(source.read(grid.rect(0, node.tx, node.ty)))
        if len(pixels) == BATCH_TILES:
            yield from assembler.rows(waiting, tiles.gists(pixels))
            waiting, pixels = [], []
    yield from assembler.rows(waiting, tiles.gists(pixels))


def build_thumbnail_row(
    source: ImageSource, tiles: TileGister, *, page: int, frame: Frame, t: int, index: int
) -> NodeRow:
    """A whole page as one tile: the finest mipmap level that fits 128 x 128 pixels, its patches with boxes on the page.

    Raises:
        ValueError: The source is a part of a page; levels of a part do not line up with the page's.
    """
    if frame.origin_px != (0, 0):
        raise ValueError(f"a thumbnail shows a whole page, got a part of it at {frame.origin_px}")
    level = thumbnail_level(source.size)
    rect = (0, 0, *level_size(source.size, level))
    (gist,) = tiles.gists([source.read(rect, level)])
    return _tile_row(_Place(source.size, page, frame, t), rect, level, index, gist)


def thumbnail_level(size: tuple[int, int]) -> int:
    """The finest mipmap level that fits one tile.

    Example:
        >>> thumbnail_level((1224, 1584)), thumbnail_level((128, 9)), thumbnail_level((129, 9))
        (4, 0, 1)
    """
    return (-(-max(size) // TILE_PX) - 1).bit_length()


def read_leaf_pixels(source: ImageSource, ref: PixelRef) -> npt.NDArray[np.uint8]:
    """The patches of a tile exactly as they were encoded.

    Args:
        source: The whole page the tile is on (for a figure of a PDF: its page, not the figure).
        ref: ``pixels`` of the tile's node.

    Returns:
        (n_leaves, 3, 16, 16), row-major; patches at the edge of the image repeat its last pixels.

    Raises:
        ValueError: ``ref`` is of a node above the tiles.
    """
    if max(ref.width, ref.height) > TILE_PX:
        raise ValueError(f"only a tile of at most {TILE_PX} x {TILE_PX} pixels has leaves, got {ref}")
    columns, rows = count_patches(ref.width, ref.height)
    tile = source.read((ref.x, ref.y, ref.width, ref.height), ref.level)
    whole = repeat_edges(tile, width=columns * PATCH_PX, height=rows * PATCH_PX)
    patches = whole.reshape(rows, PATCH_PX, columns, PATCH_PX, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(patches.reshape(rows * columns, 3, PATCH_PX, PATCH_PX))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where on which page an image is, and when."""

    size: tuple[int, int]
    page: int
    frame: Frame
    t: int

    def ref(self, rect: Rect, level: int) -> PixelRef:
        """``rect`` of ``level``, in the raster of the page."""
        left, top = self.frame.origin_px
        x, y, width, height = rect
        return PixelRef(self.page, level, x + (left >> level), y + (top >> level), width, height)

    def box(self, rect: Rect, level: int) -> Box:
        """``rect`` of ``level`` in source units, cut at the edge of the image."""
        x, y, width, height = rect
        x1, y1 = ((x + width) << level, (y + height) << level)
        return self.frame.box(x << level, y << level, min(x1, self.size[0]), min(y1, self.size[1]))

    def leaf_boxes(self, rect: Rect, level: int) -> npt.NDArray[np.float32]:
        """Boxes of the patches of a tile, (n, 4), cut at the edge of the image."""
        corners = _patch_layout(rect).corners
        offset = np.array(rect[:2] * 2)
        edges = np.minimum((offset + corners) << level, np.array(self.size * 2))
        boxes = (np.array(self.frame.origin_px * 2) + edges) * self.frame.unit_per_px
        return np.asarray(boxes, dtype=np.float32)

    def leaf_mu(self, rect: Rect, level: int) -> npt.NDArray[np.float64]:
        """Positions of the patches of a tile, (n, 3): their centres, in patches of the page."""
        centres = _patch_layout(rect).centres
        mu = np.full((len(centres), 3), float(self.t))
        mu[:, 1:] = (np.array(self.frame.origin_px) + (np.array(rect[:2]) + centres) * 2.0**level) / PATCH_PX
        return mu


class _PatchLayout(NamedTuple):
    """Patches of a tile, row-major, in pixels from its corner: (n, 2) centres and (n, 4) corners."""

    centres: npt.NDArray[np.float64]
    corners: npt.NDArray[np.int64]


def _patch_layout(rect: Rect) -> _PatchLayout:
    return _grid_layout(*count_patches(rect[2], rect[3]))


@lru_cache(maxsize=TILE_PATCHES**2)
def _grid_layout(columns: int, rows: int) -> _PatchLayout:
    y, x = np.divmod(np.arange(rows * columns), columns)
    first = np.stack([x, y], axis=1) * PATCH_PX
    return _PatchLayout(first + PATCH_PX / 2, np.concatenate([first, first + PATCH_PX], axis=1))


def _tile_row(place: _Place, rect: Rect, level: int, index: int, gist: Gist) -> NodeRow:
    """The row of a tile whose pixels are ``rect`` of ``level``."""
    leaf_mu = place.leaf_mu(rect, level)
    moments = Moments.of(leaf_mu)
    return NodeRow(
        index=index,
        first=index,
        children=(),
        lod=1,
        modality="image",
        kind="tile",
        page=place.page,
        last_page=place.page,
        bbox=place.box(rect, level),
        t_span=(place.t, place.t + 1),
        n_leaves=moments.n,
        mu=moments.mean,
        sigma=np.sqrt(moments.variance),
        gist=gist.astype(np.float16),
        pixels=place.ref(rect, level),
        token_ids=_NO_TOKENS,
        leaf_mu=leaf_mu,
        leaf_boxes=place.leaf_boxes(rect, level),
        leaf_roles=_NO_ROLES,
    )


class _Top(NamedTuple):
    """The root of a finished subtree: its row, and its gist before rounding to float16."""

    row: NodeRow
    gist: Gist


@dataclass(slots=True)
class _Assembler:
    """Turns grid nodes in post-order into rows; keeps only the roots that wait for their parent."""

    grid: TileGrid
    place: _Place
    gister: VisualGister
    n_rows: int
    tops: list[_Top] = field(default_factory=list)

    def rows(self, nodes: Sequence[GridNode], gists: Sequence[Gist]) -> Iterator[NodeRow]:
        """Rows of the next ``nodes``, with the gists of the tiles among them."""
        of_tiles = iter(gists)
        for node in nodes:
            rect = self.grid.rect(node.level, node.tx, node.ty)
            if node.level == 0:
                gist = next(of_tiles)
                row = _tile_row(self.place, rect, 0, self.n_rows, gist)
            else:
                children = self.tops[-node.n_children :]
                del self.tops[-node.n_children :]
                gist = self.gister.of_gists([c.gist for c in children], [c.row.n_leaves for c in children])
                row = self._parent_row(rect, [c.row for c in children], gist)
            self.tops.append(_Top(row, gist))
            self.n_rows += 1
            yield row

    def _parent_row(self, rect: Rect, children: Sequence[NodeRow], gist: Gist) -> NodeRow:
        moments = Moments.merge([child.moments for child in children])
        return NodeRow(
            index=self.n_rows,
            first=children[0].first,
            children=tuple(child.index for child in children),
            lod=children[0].lod + 1,
            modality="image",
            kind="tiles",
            page=self.place.page,
            last_page=self.place.page,
            bbox=self.place.box(rect, 0),
            t_span=(self.place.t, self.place.t + 1),
            n_leaves=moments.n,
            mu=moments.mean,
            sigma=np.sqrt(moments.variance),
            gist=gist.astype(np.float16),
            pixels=self.place.ref(rect, 0),
            token_ids=_NO_TOKENS,
            leaf_mu=_NO_MU,
            leaf_boxes=_NO_BOXES,
            leaf_roles=_NO_ROLES,
        )
