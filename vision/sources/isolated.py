"""Image files as sources whose pixels another process decodes, so that a hostile file cannot harm this one.

Squares of pixels come over the worker's socket: 3 MB for the square that is read at once, which costs about as much as
one more copy of it. Shared memory would save that copy, and would have to be sealed against a worker that shrinks it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

import numpy as np

from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.limits import IngestLimits
from mm_megacontext.vision.sources.source import LevelSource, Pixels, Rect, level_size
from mm_megacontext.workers.client import ask, image_file, let_go
from mm_megacontext.workers.messages import OpenPixels, PixelsOpened, ReadOverview, ReadPixels

_PIECE_PX = 2048
"""Larger regions come in squares of this side: a message has a bounded length."""


class IsolatedImage(LevelSource):
    """An image file read by a worker; what it gives is what ``vision.sources.files.open_image`` gives.

    Several threads may read; they take turns. It holds nothing open; its worker does, until ``close`` or until others
    need the place, and then another one opens the file again.

    Args:
        path: The file, of any name.
        limits: What is refused, and what the worker may use.
        is_looked_at: Only little of it will be read: see ``vision.sources.files.open_to_look_at``.
        page: From 1; only a TIFF has more than one.

    Raises:
        LimitExceeded: The image is larger than ``limits`` allow, or takes its worker more time or memory.
        IngestError: The file is missing, damaged, or no image that is read; or its decoder crashed.
        MissingExtra: It is for libvips, which is not installed.
    """

    def __init__(
        self, path: str | Path, limits: IngestLimits | None = None, *, is_looked_at: bool = False, page: int = 1
    ) -> None:
        self._limits = limits or IngestLimits()
        self._file = image_file(path, self._limits, is_looked_at=is_looked_at, page=page)
        self._lock = threading.Lock()
        opened: PixelsOpened = ask(OpenPixels(self._file), self._limits)
        self._size = opened.width, opened.height
        self._scale = None if opened.scale is None else PhysicalScale(*opened.scale)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def scale(self) -> PhysicalScale | None:
        """Micrometres per pixel, if the file says so."""
        return self._scale

    def read_overview(self, level: int) -> Pixels:
        """The whole image at ``level``, quickly: see ``vision.sources.files.read_overview``."""
        width, height = level_size(self._size, level)
        return self._ask(ReadOverview(self._file, level, (width, height)), width, height)

    def close(self) -> None:
        """Let go of what the worker has decoded. The image can still be read."""
        let_go(self._file)

    def __enter__(self) -> IsolatedImage:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read_inside(self, region: Rect) -> Pixels:
        left, top, width, height = region
        if max(width, height) <= _PIECE_PX:
            return self._ask(ReadPixels(self._file, region), width, height)
        out = np.empty((height, width, 3), dtype=np.uint8)
        for y in range(0, height, _PIECE_PX):
            for x in range(0, width, _PIECE_PX):
                across, down = min(_PIECE_PX, width - x), min(_PIECE_PX, height - y)
                piece = ReadPixels(self._file, (left + x, top + y, across, down))
                out[y : y + down, x : x + across] = self._ask(piece, across, down)
        return out

    def _ask(self, request: ReadPixels | ReadOverview, width: int, height: int) -> Pixels:
        with self._lock:
            rgb: bytes = ask(request, self._limits).rgb
        return np.frombuffer(rgb, dtype=np.uint8).reshape(height, width, 3)
