"""From an image to the rows of its quad-tree of gists, streaming: memory does not grow with the image.

Pixels of a row are addressed in the raster of the whole page (``PixelRef``), never of the figure they were read
through, so whoever opens the page later reads the same ones.

The gist of a parent is made of its children's as they are stored, in float16, so that an interrupted build goes on from
stored rows to the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box
from mm_megacontext.tree.nodes import PATCH_PX, TILE_PX, UNIFORM, NodeRow, PatchGrid, PixelRef, count_patches
from mm_megacontext.vision.gists.tile_gister import Gist, TileGister
from mm_megacontext.vision.quadtree.ahead import run_ahead
from mm_megacontext.vision.quadtree.batches import Batch, read_batches
from mm_megacontext.vision.quadtree.grid import GridNode, TileGrid
from mm_megacontext.vision.quadtree.uniform import Uniform, UniformGists
from mm_megacontext.vision.sources.frame import Frame
from mm_megacontext.vision.sources.source import ImageSource, Rect, SparseSource, level_size, repeat_edges

BUILD = 1
"""Goes up when the same image would give other rows: no build goes on with rows of another one."""

_NO_TOKENS = np.zeros(0, dtype=np.int32)
_NO_ROLES = np.zeros(0, dtype=np.uint8)
_NO_MU = np.zeros((0, 3), dtype=np.float64)
_NO_BOXES = np.zeros((0, 4), dtype=np.float32)


def build_image_nodes(
    source: ImageSource,
    tile_gister: TileGister,
    *,
    page: int,
    frame: Frame,
    t: int,
    index_start: int,
    done: Sequence[NodeRow] = (),
) -> Iterator[NodeRow]:
    """The rows of an image's or figure's quad-tree in post-order, root last.

    Args:
        source: The pixels. If there are many, they are read in another thread, never in two at a time.
        tile_gister: Makes the gists; of many tiles in a third thread.
        page: Page number the rows get, from 1.
        frame: Where the pixels lie on the page: see ``PageImages.region``.
        t: Timeline unit of all its patches.
        index_start: Index of the first row.
        done: Where an earlier build of the same image broke off: roots of the subtrees that were made, in order, as
            ``Written.tops``. The rows that come are those after the last of them.

    Yields:
        Rows of kind "tile" (LOD 1), "tile_group" (LOD 2 and above), and ``UNIFORM`` for parts of more than a tile that
        a ``SparseSource`` says have one colour.

    Raises:
        ValueError: ``done`` is of another image.
    """
    grid = TileGrid(*source.size)
    place = _Place(source.size, page, frame, t)
    assembler = _Assembler(grid, place, tile_gister, index_start)
    nodes = grid.postorder(_what_is_known(source, grid, place, done))

    def encode(batch: Batch) -> tuple[Batch, list[Gist]]:
        return batch, tile_gister.gists_of(batch.tiles)

    with closing(read_batches(source, grid, nodes, tile_gister)) as batches:
        for batch, gists in run_ahead(encode, batches, 1):
            yield from assembler.rows(batch.nodes, gists)


def _what_is_known(
    source: ImageSource, grid: TileGrid, place: _Place, done: Sequence[NodeRow]
) -> Callable[[int, int, int], NodeRow | Uniform | None] | None:
    """Says of a node in the walk that it was made before, or has one colour."""
    sparse = source if isinstance(source, SparseSource) else None
    if sparse is None and not done:
        return None
    left = deque(done)

    def known(level: int, tx: int, ty: int) -> NodeRow | Uniform | None:
        rect = grid.rect(level, tx, ty)
        if left:
            if left[0].lod == level + 1 and left[0].pixels == place.ref(rect, 0):
                return left.popleft()
            if level == 0:
                raise ValueError(f"the image was begun with {left[0].pixels}, which is none of its parts in this order")
            return None  # begun, and not of one colour, or it would have been made as a whole
        colour = sparse.uniform(rect) if level and sparse is not None else None
        return None if colour is None else Uniform(colour, rect[2], rect[3])

    return known


def build_thumbnail_row(
    source: ImageSource, tile_gister: TileGister, *, page: int, frame: Frame, t: int, index: int
) -> NodeRow:
    """A whole page as one tile: the finest mipmap level that fits 128 x 128 pixels, its patches with boxes on the page.

    Raises:
        ValueError: The source is a part of a page; levels of a part do not line up with the page's.
    """
    if frame.origin_px != (0, 0):
        raise ValueError(f"a thumbnail shows a whole page, got a part of it at {frame.origin_px}")
    level = thumbnail_level(source.size)
    rect = (0, 0, *level_size(source.size, level))
    (gist,) = tile_gister.gists([source.read(rect, level)])
    return _row(_Place(source.size, page, frame, t), rect, index, gist, kind="thumbnail", level=level)


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

    def grid(self, ref: PixelRef) -> PatchGrid:
        """The patches of some pixels of the page."""
        (left, top), (width, height) = self.frame.origin_px, self.size
        return PatchGrid(
            *(ref.x, ref.y, ref.width, ref.height, ref.level),
            *(left + width, top + height, self.frame.unit_per_px, self.t),
        )


def _row(
    place: _Place,
    rect: Rect,
    index: int,
    gist: Gist,
    *,
    kind: str,
    level: int = 0,
    lod: int = 1,
    children: Sequence[NodeRow] = (),
) -> NodeRow:
    """The row of a node that covers ``rect`` of ``level``: its moments follow from that, whatever lies between."""
    ref = place.ref(rect, level)
    grid = place.grid(ref)
    is_tile = lod == 1
    n, mean, variance = grid.moments()
    return NodeRow(
        index=index,
        first=children[0].first if children else index,
        children=tuple([child.index for child in children]),
        lod=lod,
        modality="image",
        kind=kind,
        page=place.page,
        last_page=place.page,
        bbox=place.box(rect, level),
        t_span=(place.t, place.t + 1),
        n_leaves=n,
        mu=mean,
        sigma=np.sqrt(variance),
        gist=gist.astype(np.float16),
        pixels=ref,
        token_ids=_NO_TOKENS,
        leaf_mu=grid.mu() if is_tile else _NO_MU,
        leaf_boxes=grid.boxes() if is_tile else _NO_BOXES,
        leaf_roles=_NO_ROLES,
        grid=grid if is_tile else None,
    )


@dataclass(slots=True)
class _Assembler:
    """Turns grid nodes in post-order into rows; keeps only the roots that wait for their parent."""

    grid: TileGrid
    place: _Place
    tile_gister: TileGister
    n_rows: int
    tops: list[NodeRow] = field(default_factory=list)
    uniform: UniformGists = field(init=False)

    def __post_init__(self) -> None:
        self.uniform = UniformGists(self.tile_gister)

    def rows(self, nodes: Sequence[GridNode], gists: Sequence[Gist]) -> Iterator[NodeRow]:
        """Rows of the next ``nodes``, with the gists of the tiles among them; none of those that were made before."""
        of_tiles = iter(gists)
        for node in nodes:
            if isinstance(node.known, NodeRow):
                self.tops.append(node.known)
                continue
            row = self._tile(node, next(of_tiles)) if node.level == 0 else self._inner(node)
            self.tops.append(row)
            self.n_rows += 1
            yield row

    def _tile(self, node: GridNode, gist: Gist) -> NodeRow:
        return _row(self.place, self.grid.rect(0, node.tx, node.ty), self.n_rows, gist, kind="tile")

    def _inner(self, node: GridNode) -> NodeRow:
        rect = self.grid.rect(node.level, node.tx, node.ty)
        if isinstance(node.known, Uniform):
            gist = self.uniform.gist(node.known, node.level)
            return _row(self.place, rect, self.n_rows, gist, kind=UNIFORM, lod=node.level + 1)
        children = self.tops[-node.n_children :]
        del self.tops[-node.n_children :]
        gists = [child.gist.astype(np.float32) for child in children]
        gist = self.tile_gister.gister.of_gists(gists, [child.n_leaves for child in children], self.grid.cells(node))
        return _row(self.place, rect, self.n_rows, gist, kind="tile_group", lod=node.level + 1, children=children)
