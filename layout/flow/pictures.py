"""Pictures of a flow made ready to be set: checked, of a size in points, in a format that MuPDF draws."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from PIL import Image

from mm_megacontext.errors import ErrorCode, first_words
from mm_megacontext.layout.flow.flow import Picture

Image.init()  # loads all decoders now: the process that reads documents can open no files later

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_AS_IT_IS = ("PNG", "JPEG")
_PT_PER_PX = 0.75  # 96 dpi, as in browsers
_USUAL_DRAWING = (225.0, 112.5)  # 300 x 150 px
_LENGTHS = [
    re.compile(rf"""\s{side}=["']\s*(\d{{1,6}}(?:\.\d+)?)\s*(px|pt|mm|cm|in|)\s*["']""", re.IGNORECASE)
    for side in ("width", "height")
]
_PT_PER = {"": _PT_PER_PX, "px": _PT_PER_PX, "pt": 1.0, "mm": 2.835, "cm": 28.35, "in": 72.0}
_MIN_SIDE_PT = 12.0
"""Smaller pictures are bullets, icons and counters."""


class PictureUnread(Exception):
    """A picture cannot be shown; the message and ``code`` say why."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReadyPicture:
    """An image file, the width and height in points that it is to have, and whether it is SVG."""

    data: bytes
    width: float
    height: float
    is_drawing: bool = False


def make_ready(picture: Picture, room: tuple[float, float], max_pixels: int) -> ReadyPicture | None:
    """A picture fitted into ``room`` (width and height in points); None for one too small to be looked at.

    Raises:
        PictureUnread: It is damaged, of a kind that is not read, or has more than ``max_pixels``.
    """
    data, size = picture.data, picture.size
    if not _is_svg(data):
        data, natural = _checked(data, max_pixels)
        size = size or natural
    else:
        size = size or _size_of_drawing(data)
    if min(size) < _MIN_SIDE_PT:
        return None
    scale = min(1.0, room[0] / size[0], room[1] / size[1])
    return ReadyPicture(data, size[0] * scale, size[1] * scale, _is_svg(data))


def is_opaque(data: bytes) -> bool:
    """Whether nothing is seen through an image; False for one that cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return image.mode in ("1", "L", "RGB", "CMYK", "YCbCr", "P") and "transparency" not in image.info
    except Exception:  # decoders raise anything on damaged data
        return False


def _checked(data: bytes, max_pixels: int) -> tuple[bytes, tuple[float, float]]:
    """The image in a format that MuPDF draws, and its own size in points."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PictureUnread(
                    f"a picture of {width} x {height} pixels is more than the limit of {max_pixels}: raise "
                    "max_decoded_pixels if you trust the file",
                    "limit_pixels",
                )
            if image.format not in _AS_IT_IS:
                out = io.BytesIO()
                image.convert("RGB").save(out, "PNG")
                data = out.getvalue()
    except PictureUnread:
        raise
    except Exception as e:  # decoders raise anything on damaged data
        raise PictureUnread(f"a picture cannot be read ({first_words(e)})", "corrupt") from e
    return data, (width * _PT_PER_PX, height * _PT_PER_PX)


def _size_of_drawing(data: bytes) -> tuple[float, float]:
    """The size that a drawing gives itself, in points: its sides, else its view, else what browsers take."""
    head = data[: data.find(b">") + 1].decode("utf-8", "replace")
    sides = [length.search(head) for length in _LENGTHS]
    if all(sides):
        width, height = (float(side[1]) * _PT_PER[side[2].lower()] for side in sides if side)
    else:
        view = re.search(r"viewBox=[\"']\s*(?:-?[\d.]+[\s,]+){2}([\d.]+)[\s,]+([\d.]+)", head, re.IGNORECASE)
        width, height = (float(view[1]) * _PT_PER_PX, float(view[2]) * _PT_PER_PX) if view else _USUAL_DRAWING
    return (width, height) if width > 0 and height > 0 else _USUAL_DRAWING


def _is_svg(data: bytes) -> bool:
    return data.lstrip()[:4] == b"<svg"
