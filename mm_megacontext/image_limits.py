"""How large an image may be: what is refused before a pixel is decoded, and which reader takes the rest."""

from __future__ import annotations

from dataclasses import dataclass, fields

DEFAULT_DECODED_PIXELS = 2 * 89_478_485
"""Where Pillow, too, suspects a decompression bomb."""
_EXPANSION_COUNTS_FROM = 64 << 20
"""Bytes: what decodes to less is no danger, however small its file; blank pages compress well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What is taken from an image file. Every limit is named in the error that it causes.

    Args:
        max_pixels: The most pixels an image may have at all.
        max_decoded_pixels: The most pixels of an image that is decoded into memory whole (3 to 7 bytes a pixel);
            larger ones are read piece by piece.
        max_scratch_bytes: The most bytes that an image without tiles (PNG, JPEG, TIFF in strips) may take decoded, in
            a temporary file, when it is too large for memory.
        max_expansion: The most bytes that one byte of a file may decode to, on average, in an image that decodes to
            more than 64 MiB. Deflate, which PNG and most TIFF files use, cannot reach 1 100.

    Raises:
        ValueError: A limit is not positive.
    """

    max_pixels: int = 200_000_000_000
    max_decoded_pixels: int = DEFAULT_DECODED_PIXELS
    max_scratch_bytes: int = 4 << 30
    max_expansion: int = 2_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} must be at least 1, got {getattr(self, field.name)}")

    def refusal(self, size: tuple[int, int], decoded_bytes: int, file_bytes: int) -> str | None:
        """Why an image is refused whatever reads it, or None.

        Args:
            size: Width and height in pixels.
            decoded_bytes: What its samples take.
            file_bytes: What its file takes.

        Example:
            >>> ImageLimits().refusal((50_000, 50_000), 7_500_000_000, 1_000)
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
