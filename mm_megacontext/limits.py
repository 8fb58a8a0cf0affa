"""What a file may cost: how large it may be, and what the process that reads it may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

DEFAULT_DECODED_PIXELS = 2 * 89_478_485
"""Where Pillow, too, suspects a decompression bomb."""
_EXPANSION_COUNTS_FROM = 64 << 20
"""Bytes: what decodes to less is no danger, however small its file; blank pages compress well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLimits:
    """What is taken from files. Every limit is named in the error that it causes.

    The first four are about images, and those that begin with ``image_``; the others are about PDFs, HTML, books and
    office files (``max_file_bytes`` also about texts). All but texts are read in processes of their own: see
    ``workers.serve``.

    Args:
        max_pixels: The most pixels an image may have at all.
        max_decoded_pixels: The most pixels of an image that is decoded into memory whole (3 to 7 bytes a pixel);
            larger ones are read piece by piece. Of a PDF page, the most pixels it may have when it is rendered.
        max_scratch_bytes: The most bytes that an image without tiles (PNG, JPEG, TIFF in strips) may take decoded, in
            a temporary file, when it is too large for memory.
        max_expansion: The most bytes that one byte of a file may decode to, on average, in an image that decodes to
            more than 64 MiB. Deflate, which PNG and most TIFF files use, cannot reach 1 100.
        max_file_bytes: The largest file that is read and is no image.
        max_pages: The most pages of a file.
        page_seconds: Wall clock, for opening a file, for reading a page (OCR included) and for rendering a part of one.
        page_cpu_seconds: Processor time of the same, without OCR's; counted in whole seconds, rounded up.
        document_seconds: Wall clock that is waited for all pages of a file; those after it are failed pages.
        worker_bytes: Address space of the process that reads a file.
        image_seconds: Wall clock, for opening an image (OCR included, and decoding one without tiles to a temporary
            file) and for reading a part of it.
        image_cpu_seconds: Processor time of the same, without OCR's.
        image_bytes: Address space of the process that reads an image; decoding takes up to 20 bytes a pixel.

    Raises:
        ValueError: A limit is not positive.
    """

    max_pixels: int = 200_000_000_000
    max_decoded_pixels: int = DEFAULT_DECODED_PIXELS
    max_scratch_bytes: int = 4 << 30
    max_expansion: int = 2_000
    max_file_bytes: int = 4 << 30
    max_pages: int = 50_000
    page_seconds: float = 120.0
    page_cpu_seconds: float = 60.0
    document_seconds: float = 14_400.0
    worker_bytes: int = 2 << 30
    image_seconds: float = 600.0
    image_cpu_seconds: float = 300.0
    image_bytes: int = 6 << 30

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_seconds"):
                if not 0 < value < math.inf:
                    raise ValueError(f"{field.name} must be above 0, got {value}")
            elif value < 1:
                raise ValueError(f"{field.name} must be at least 1, got {value}")

    def refusal(self, size: tuple[int, int], decoded_bytes: int, file_bytes: int) -> str | None:
        """Why an image is refused whatever reads it, or None.

        Args:
            size: Width and height in pixels.
            decoded_bytes: What its samples take.
            file_bytes: What its file takes.

        Example:
            >>> IngestLimits().refusal((50_000, 50_000), 7_500_000_000, 1_000)
            '50000 x 50000 pixels in a file of 1000 bytes: it would expand more than the limit of 2000 times; raise max_expansion if you trust it'
        """  # noqa: E501
        width, height = size
        if width < 1 or height < 1:
            return f"the image has no pixels ({width} x {height}): export it anew"
        if width * height > self.max_pixels:
            return (
                f"{width} x {height} pixels are more than the limit of {self.max_pixels}: shrink it or raise max_pixels"
            )
        if decoded_bytes > _EXPANSION_COUNTS_FROM and decoded_bytes > self.max_expansion * file_bytes:
            return (
                f"{width} x {height} pixels in a file of {file_bytes} bytes: it would expand more than the limit of "
                f"{self.max_expansion} times; raise max_expansion if you trust it"
            )
        return None
