"""An image file in the process that is expendable: what it is, what is on it, and its pixels, piece by piece."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Page
from mm_megacontext.errors import IngestError
from mm_megacontext.image_files.header import image_format, supported_formats
from mm_megacontext.image_files.scale import PhysicalScale
from mm_megacontext.layout.image_messages import (
    Identified,
    Identify,
    ImageFile,
    ImageRequest,
    OpenPixels,
    PixelsOpened,
    ReadImage,
    ReadPixels,
)
from mm_megacontext.layout.ocr import Ocr
from mm_megacontext.layout.page.from_image import image_page
from mm_megacontext.workers.messages import Pixels

_SOURCES = "mm_megacontext.vision.sources.files"
"""What opens images as pixels. It stands above layout, and is loaded by name, as engines are."""


class _Source(Protocol):
    """What is needed of ``vision.files.ImageFileSource``."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def scale(self) -> PhysicalScale | None: ...

    def read(self, region: tuple[int, int, int, int], level: int = 0) -> npt.NDArray[np.uint8]: ...


def load_image_libraries() -> None:
    """Import what decodes images that fit in memory; libvips starts threads, and is left to those who need it."""
    supported_formats()
    import_module(_SOURCES)


class ImageReader:
    """Answers requests about one file; holds its pixels open once they were asked for."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._path = Path(os.fsdecode(file.path))
        self._source: _Source | None = None

    def answer(self, request: ImageRequest, ocr: Ocr | None) -> Identified | Page | PixelsOpened | Pixels:
        """The answer; ``ocr`` is what reads words, where they are asked for. Raises IngestError, MissingExtra."""
        if isinstance(request, Identify):
            return Identified(image_format(self._path, has_signature=request.has_signature))
        if isinstance(request, ReadImage):
            return image_page(self._path, request.format, self._file.limits, ocr, lambda: self._pixels)
        if isinstance(request, OpenPixels):
            scale = self._pixels.scale
            return PixelsOpened(*self._pixels.size, None if scale is None else (scale.x, scale.y))
        if isinstance(request, ReadPixels):
            return Pixels(self._pixels.read(request.rect).tobytes())
        overview = _sources().read_overview(self._pixels, request.level)
        if overview.shape[1::-1] != request.size:
            raise IngestError(f"level {request.level} is not of {request.size} pixels", source=str(self._path))
        return Pixels(overview.tobytes())

    def close(self) -> None:
        """Let go of the file, and of what libvips has decoded of it to disk."""
        self._source = None

    @property
    def _pixels(self) -> _Source:
        if self._source is None:
            sources = _sources()
            opened = sources.open_to_look_at if self._file.is_looked_at else sources.open_image
            self._source = opened(self._path, self._file.limits)
        return self._source


def _sources() -> Any:
    return import_module(_SOURCES)
