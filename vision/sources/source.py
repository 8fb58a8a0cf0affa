"""Images as something that can be read piece by piece: a size, mipmap levels, and pixels on request.

Frame: origin top-left, x right, y down, orientation applied. All pixels are sRGB, uint8, (height, width, 3).

Level ``k`` of an image is its exact box filter: a pixel is the mean, rounded half up, of the level-0 pixels in its
2^k x 2^k square. At the right and bottom edge a square may reach past the image: only pixels that exist count.
A region may reach past the edges of its level: there it repeats the nearest edge pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from mm_megacontext.limits import DEFAULT_DECODED_PIXELS

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3), sRGB."""

Colour = tuple[int, int, int]
"""sRGB, 0 to 255."""

Rect = tuple[int, int, int, int]
"""(x, y, width, height) in pixels of one level."""

DEFAULT_MAX_PIXELS = DEFAULT_DECODED_PIXELS
"""Pages with more are refused by default, and images are not decoded whole."""

_CHUNK_PX = 2048
"""Downsampling reads level 0 in squares of this side, so that memory does not grow with the region."""


class ImageSource(Protocol):
    """Anything pixels can be read from. Two reads of one region give the same pixels."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of level 0."""
        ...

    @property
    def n_levels(self) -> int:
        """Number of levels; the last one is 1 x 1."""
        ...

    def read(self, region: Rect, level: int = 0) -> Pixels:
        """The pixels of ``region``, given in pixels of ``level``; edges are repeated beyond the image."""
        ...


@runtime_checkable
class SparseSource(ImageSource, Protocol):
    """An image that knows of large parts of itself, without reading them, that they have one colour.

    What it says so of becomes one node of the quad-tree: the cost of an image is then that of its content.
    """

    def uniform(self, region: Rect) -> Colour | None:
        """The colour of every pixel of a level-0 region inside the image, or None: it has several, or is not known.

        May be called while another thread is in ``read``.
        """
        ...


def level_size(size: tuple[int, int], level: int) -> tuple[int, int]:
    """Size of a mipmap level.

    Example:
        >>> level_size((1000, 3), 2)
        (250, 1)
    """
    return -(-size[0] >> level), -(-size[1] >> level)


def count_levels(size: tuple[int, int]) -> int:
    """Number of levels down to 1 x 1.

    Example:
        >>> count_levels((1, 1)), count_levels((128, 5)), count_levels((129, 5))
        (1, 8, 9)
    """
    return (max(size) - 1).bit_length() + 1


def read_padded(read_inside: Callable[[Rect], Pixels], size: tuple[int, int], region: Rect, level: int) -> Pixels:
    """Implements ``ImageSource.read`` for a source that can serve level-0 regions inside its bounds.

    Args:
        read_inside: Serves a level-0 region that lies inside the image.
        size: Size of level 0.
        region: What to read, in pixels of ``level``.
        level: Mipmap level.

    Raises:
        ValueError: The region is empty or the level does not exist.
    """
    x, y, width, height = region
    if width < 1 or height < 1:
        raise ValueError(f"a region must have at least 1 x 1 pixels, got {width} x {height}")
    if not 0 <= level < count_levels(size):
        raise ValueError(f"level must be 0 to {count_levels(size) - 1} for an image of {size}, got {level}")
    level_width, level_height = level_size(size, level)
    x0, x1 = _clip_span(x, x + width, level_width)
    y0, y1 = _clip_span(y, y + height, level_height)
    inside = (x0, y0, x1 - x0, y1 - y0)
    pixels = read_inside(inside) if level == 0 else _read_downsampled(read_inside, size, inside, level)
    return repeat_edges(pixels, left=x0 - x, top=y0 - y, width=width, height=height)


def _clip_span(start: int, stop: int, length: int) -> tuple[int, int]:
    """The part of [start, stop) inside [0, length); the nearest single pixel if there is none."""
    first = min(max(start, 0), length - 1)
    return first, max(min(stop, length), first + 1)


def repeat_edges(pixels: Pixels, *, width: int, height: int, left: int = 0, top: int = 0) -> Pixels:
    """Grow to (height, width) by repeating edges; ``pixels`` starts at (left, top), which may lie outside."""
    if pixels.shape[:2] == (height, width) and left == 0 and top == 0:
        return pixels
    rows = np.clip(np.arange(height) - top, 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(width) - left, 0, pixels.shape[1] - 1)
    return pixels[rows[:, None], columns[None, :]]


def _read_downsampled(read_inside: Callable[[Rect], Pixels], size: tuple[int, int], region: Rect, level: int) -> Pixels:
    x, y, width, height = region
    out = np.empty((height, width, 3), dtype=np.uint8)
    step = max(1, _CHUNK_PX >> level)
    for top in range(0, height, step):
        for left in range(0, width, step):
            columns, rows = min(step, width - left), min(step, height - top)
            x0, y0 = (x + left) << level, (y + top) << level
            x1, y1 = min((x + left + columns) << level, size[0]), min((y + top + rows) << level, size[1])
            out[top : top + rows, left : left + columns] = box_filter(read_inside((x0, y0, x1 - x0, y1 - y0)), level)
    return out


def box_filter(pixels: Pixels, level: int) -> Pixels:
    """Means of 2^level squares, rounded half up; squares cut off by the edge average what they have."""
    factor = 1 << level
    height, width, _ = pixels.shape
    columns, rows = level_size((width, height), level)
    in_strips = _sum_runs(pixels.reshape(height, width * 3), factor, np.uint32)  # (rows, width * 3); twice as fast
    by_column = in_strips.reshape(rows, width, 3).swapaxes(0, 1)  # (width, rows, 3)
    sums = _sum_runs(by_column, factor, np.uint64).swapaxes(0, 1)
    n_down = np.minimum(factor, height - factor * np.arange(rows)).astype(np.uint64)
    n_across = np.minimum(factor, width - factor * np.arange(columns)).astype(np.uint64)
    n = (n_down[:, None] * n_across[None, :])[:, :, None]
    return np.asarray((2 * sums + n) // (2 * n), dtype=np.uint8)


_Sum = TypeVar("_Sum", np.uint32, np.uint64)


def _sum_runs(values: npt.NDArray[np.unsignedinteger], length: int, dtype: type[_Sum]) -> npt.NDArray[_Sum]:
    """Sums over runs of ``length`` along the first axis; the last run may be shorter."""
    n_whole = len(values) // length
    whole = values[: n_whole * length].reshape(n_whole, length, *values.shape[1:]).sum(axis=1, dtype=dtype)
    if n_whole * length == len(values):
        return np.asarray(whole)
    rest = values[n_whole * length :].sum(axis=0, dtype=dtype)
    return np.concatenate([whole, rest[None]])


class LevelSource(ABC):
    """What our sources have in common: levels follow from level 0, and edges are repeated beyond it.

    Who derives from it gives ``size`` and the pixels of level-0 regions inside the image.
    """

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """See ``ImageSource.size``."""

    @property
    def n_levels(self) -> int:
        """See ``ImageSource.n_levels``."""
        return count_levels(self.size)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        """See ``ImageSource.read``."""
        return read_padded(self._read_inside, self.size, region, level)

    @abstractmethod
    def _read_inside(self, region: Rect) -> Pixels:
        """The pixels of a level-0 region inside the image."""


class ArraySource(LevelSource):
    """An image that is already in memory.

    Args:
        pixels: (height, width, 3) uint8; kept, not copied.

    Raises:
        ValueError: The array is not such an image, or has no pixels.
    """

    def __init__(self, pixels: Pixels) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
            raise ValueError(f"pixels must be uint8 (height, width, 3), got {pixels.dtype} {pixels.shape}")
        self._pixels = pixels

    @property
    def size(self) -> tuple[int, int]:
        return self._pixels.shape[1], self._pixels.shape[0]

    def _read_inside(self, region: Rect) -> Pixels:
        x, y, width, height = region
        return self._pixels[y : y + height, x : x + width]


class FunctionSource(LevelSource):
    """An image that a function computes: procedural canvases of any size.

    Args:
        size: Width and height of level 0.
        compute: Gives the pixels of a level-0 region inside the image, (height, width, 3) uint8; for one region always
            the same ones. Higher levels are their exact box filter, so a read calls it for all that lies under its
            region, at most 2048 x 2048 pixels at a time.

    Raises:
        ValueError: The size is not positive; on reading, ``compute`` gives something else than such pixels.
    """

    def __init__(self, size: tuple[int, int], compute: Callable[[Rect], Pixels]) -> None:
        if min(size) < 1:
            raise ValueError(f"an image must have at least 1 x 1 pixels, got {size[0]} x {size[1]}")
        self._size, self._compute = size, compute

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _read_inside(self, region: Rect) -> Pixels:
        pixels = self._compute(region)
        if pixels.dtype != np.uint8 or pixels.shape != (region[3], region[2], 3):
            raise ValueError(
                f"the function must give uint8 ({region[3]}, {region[2]}, 3) for the region {region}, "
                f"got {pixels.dtype} {pixels.shape}"
            )
        return pixels


class CropSource(LevelSource):
    """A rectangle of another source as an image of its own, with its own edges and its own levels.

    Args:
        source: Where the pixels come from.
        rect: The rectangle, in level-0 pixels of ``source``; must lie inside it.

    Raises:
        ValueError: ``rect`` is empty or reaches past the edges.
    """

    def __init__(self, source: ImageSource, rect: Rect) -> None:
        x, y, width, height = rect
        if min(x, y) < 0 or min(width, height) < 1 or x + width > source.size[0] or y + height > source.size[1]:
            raise ValueError(f"the rectangle {rect} does not lie inside an image of {source.size}")
        self._source, self._corner, self._size = source, (x, y), (width, height)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def _read_inside(self, region: Rect) -> Pixels:
        x, y, width, height = region
        return self._source.read((x + self._corner[0], y + self._corner[1], width, height))


class SparseCropSource(CropSource):
    """A rectangle of a sparse source; sparse too."""

    def __init__(self, source: SparseSource, rect: Rect) -> None:
        super().__init__(source, rect)
        self._sparse = source

    def uniform(self, region: Rect) -> Colour | None:
        """See ``SparseSource.uniform``."""
        x, y, width, height = region
        return self._sparse.uniform((x + self._corner[0], y + self._corner[1], width, height))


def crop(source: ImageSource, rect: Rect) -> CropSource:
    """A rectangle of ``source`` as an image of its own, sparse if that is. Raises as ``CropSource`` does."""
    return SparseCropSource(source, rect) if isinstance(source, SparseSource) else CropSource(source, rect)
