"""Pixels of an image file in the process that is expendable; ``isolated`` is the other end."""

from __future__ import annotations

import os
from pathlib import Path

from mm_megacontext.errors import IngestError
from mm_megacontext.vision.sources.files import open_image, open_to_look_at, read_overview
from mm_megacontext.vision.sources.source import Pixels, Rect
from mm_megacontext.workers.messages import ImageFile, OpenPixels, PixelRows, PixelsOpened, ReadOverview, ReadPixels


class ServedPixels:
    """An image file, open. Raises IngestError, LimitExceeded, MissingExtra as ``open_image`` does."""

    def __init__(self, file: ImageFile) -> None:
        self._path = Path(os.fsdecode(file.path))
        self._source = (open_to_look_at if file.is_looked_at else open_image)(self._path, file.limits, page=file.page)

    def read(self, region: Rect, level: int = 0) -> Pixels:
        """Pixels of a region, see ``ImageSource.read``."""
        return self._source.read(region, level)

    def answer(self, request: OpenPixels | ReadPixels | ReadOverview) -> PixelsOpened | PixelRows:
        """What a request wants of them. Raises IngestError."""
        if isinstance(request, OpenPixels):
            scale = self._source.scale
            return PixelsOpened(*self._source.size, None if scale is None else (scale.x, scale.y))
        if isinstance(request, ReadPixels):
            return PixelRows(self._source.read(request.rect).tobytes())
        overview = read_overview(self._source, request.level)
        if overview.shape[1::-1] != request.size:
            raise IngestError(f"level {request.level} is not of {request.size} pixels", source=str(self._path))
        return PixelRows(overview.tobytes())
