"""An image file in the process that is expendable: what it is, and what is written on it."""

from __future__ import annotations

import os
from pathlib import Path

from mm_megacontext.document import Page
from mm_megacontext.image_files.header import image_format, supported_formats
from mm_megacontext.layout.openers import wanted_ocr
from mm_megacontext.layout.page.from_image import count_pages, image_page
from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import (
    Counted,
    CountImage,
    Identified,
    Identify,
    ImageFile,
    ImageRequest,
    ReadImage,
)
from mm_megacontext.workers.openers import IMAGE_PIXELS, ImagePixels


class ImageOpener:
    """Image files."""

    def preload(self, engine: str) -> None:
        """Import what decodes images that fit in memory; libvips starts threads, and is left to those who need it."""
        supported_formats()
        IMAGE_PIXELS.get("files")

    def open(self, file: ImageFile, settings: WorkerSettings) -> _OpenImage:
        """Take a file; nothing is decoded before it is asked for."""
        return _OpenImage(file, settings)


class _OpenImage:
    """Answers requests about one file; holds its pixels open once they were asked for."""

    def __init__(self, file: ImageFile, settings: WorkerSettings) -> None:
        self._settings = settings
        self._path = Path(os.fsdecode(file.path))
        self._open_pixels: tuple[ImageFile, ImagePixels] | None = None

    def answer(self, request: ImageRequest) -> object:
        """See ``openers.OpenFile.answer``."""
        if isinstance(request, Identify):
            return Identified(image_format(self._path, has_signature=request.has_signature))
        if isinstance(request, CountImage):
            return Counted(count_pages(self._path, request.format), "image")
        if isinstance(request, ReadImage):
            return self._page(request)
        return self._pixels(request.file).answer(request)

    def close(self) -> None:
        """Let go of the file, and of what libvips has decoded of it to disk."""
        self._open_pixels = None

    def _page(self, request: ReadImage) -> Page:
        ocr = wanted_ocr(request, self._settings)
        file, number = request.file, request.file.page
        return image_page(self._path, request.format, number, file.limits, ocr, lambda: self._pixels(file))

    def _pixels(self, file: ImageFile) -> ImagePixels:
        """The pixels of the page that is read; of the one before, nothing is kept."""
        if self._open_pixels is None or self._open_pixels[0] != file:
            self._open_pixels = None
            self._open_pixels = file, IMAGE_PIXELS.get("files")(file)
        return self._open_pixels[1]
