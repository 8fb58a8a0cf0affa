"""Which boxes lie in which: a page may have very many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box

_MOST = 200
"""Of boxes in one place; where there are more, it is a pile, of which the last count: they were painted on top."""

_CHUNK = 64
"""Of boxes that are looked at together: as many times all of these are pairs in memory."""


class Boxes:
    """Boxes that can be asked for by place."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        array: npt.NDArray[np.float64] = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        self._x0, self._y0, self._x1, self._y1 = np.ascontiguousarray(array.T)

    def touching(self, box: Box) -> list[int]:
        """The numbers of the last boxes that have some area in common with this one, ascending."""
        found: list[int] = np.flatnonzero(self._touch(box))[-_MOST:].tolist()
        return found

    def meet(self, boxes: Sequence[Box], at_least: int = 1) -> list[bool]:
        """Of each of the boxes, whether so many of these or more have some area in common with it."""
        found: list[bool] = []
        for start in range(0, len(boxes), _CHUNK):
            columns = np.array(boxes[start : start + _CHUNK], dtype=np.float64).T[..., None]
            found += (self._touch(columns).sum(axis=1) >= at_least).tolist()
        return found

    def crowded(self) -> list[bool]:
        """Of each of these boxes, whether it has some area in common with another one."""
        columns = np.stack([self._x0, self._y0, self._x1, self._y1])
        found: list[bool] = []
        for start in range(0, len(self._x0), _CHUNK):
            found += (self._touch(tuple(columns[:, start : start + _CHUNK, None])).sum(axis=1) >= 2).tolist()
        return found

    def _touch(self, box: Box | npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], ...]) -> npt.NDArray[np.bool_]:
        """(…, n) for a box whose edges are numbers or arrays (…, 1)."""
        found: npt.NDArray[np.bool_] = (self._x0 < box[2]) & (self._x1 > box[0])
        found &= self._y0 < box[3]
        found &= self._y1 > box[1]
        return found


def share_under(box: Box, other: Box) -> float:
    """The share of ``box`` that ``other`` covers; 1 for a box without area inside it."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width < 0 or height < 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    return width * height / area if area > 0 else 1.0
