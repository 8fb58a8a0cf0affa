"""What a worker can be made for: each opener knows how files of one kind are opened and asked.

Openers stand in packages above, and are found by name by the process that workers are copies of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.registry import Registry
from mm_megacontext.workers.allowance import WorkerSettings
from mm_megacontext.workers.messages import (
    ImageFile,
    OpenPixels,
    PixelRows,
    PixelsOpened,
    ReadOverview,
    ReadPixels,
)


class OpenFile(Protocol):
    """A file that is held open, and answers requests about itself."""

    def answer(self, request: Any) -> object:
        """The answer that belongs to the request, see ``messages``.

        Raises:
            IngestError: The file or the page is at fault. Libraries may raise anything else on damaged files.
            MissingExtra: What reads it is not installed.
        """
        ...

    def close(self) -> None:
        """Let go of the file, and of what was decoded of it."""
        ...


class Opener(Protocol):
    """Opens files of one kind."""

    def preload(self, engine: str) -> None:
        """Import what reads files, before there is any: workers are copies of the process that did."""
        ...

    def open(self, file: Any, settings: WorkerSettings) -> OpenFile:
        """Open a file, of the class that its requests name. Raises what ``OpenFile.answer`` raises."""
        ...


class ImagePixels(Protocol):
    """Pixels of an image file that is open in this process."""

    def read(self, region: tuple[int, int, int, int], level: int = 0) -> npt.NDArray[np.uint8]:
        """(height, width, 3) of a region (x, y, width, height) of ``level``."""
        ...

    def answer(self, request: OpenPixels | ReadPixels | ReadOverview) -> PixelsOpened | PixelRows:
        """What a request wants of them. Raises IngestError."""
        ...


OPENERS = Registry[Callable[[], Opener]](
    "opener of files",
    group="mm_megacontext.openers",
    built_in={
        "pdf pages": "mm_megacontext.layout.openers:PdfPagesOpener",
        "pdf pixels": "mm_megacontext.layout.openers:PdfPixelsOpener",
        "flow": "mm_megacontext.layout.openers:FlowOpener",
        "image": "mm_megacontext.layout.image_opener:ImageOpener",
    },
)
"""By ``messages.OpenerName``: what makes an opener."""

IMAGE_PIXELS = Registry[Callable[[ImageFile], ImagePixels]](
    "reader of pixels",
    group="mm_megacontext.image_pixels",
    built_in={"files": "mm_megacontext.vision.sources.served:ServedPixels"},
)
"""What opens the pixels of image files; it raises IngestError, LimitExceeded, MissingExtra."""
