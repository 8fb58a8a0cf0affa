"""A raster image as a page, in pixels: a figure that covers it, and before it the words that OCR finds on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mm_megacontext.document import Page, Region
from mm_megacontext.errors import ErrorCode, IngestError, LimitExceeded, MissingExtra, first_line
from mm_megacontext.image_files.deep_zoom import read_deep_zoom
from mm_megacontext.image_files.header import (
    TURNED,
    ImageHeader,
    choose_reader,
    orientation_of,
    pillow_limited_to,
    read_header,
)
from mm_megacontext.image_files.left_out import left_out
from mm_megacontext.image_files.tiff_pages import document_pages, read_tiff_pages
from mm_megacontext.image_files.vips_file import VipsFile
from mm_megacontext.layout.page.image_words import MAX_OCR_PIXELS, find_writing
from mm_megacontext.layout.page.ocr import Ocr, OcrFailed
from mm_megacontext.layout.page.scan import ILLEGIBLE, UNSURE
from mm_megacontext.limits import IngestLimits

_JPEG_DRAFT = 8  # JPEG decodes at an eighth of the size, and still reads every byte


class Raster(Protocol):
    """Gives the pixels of a rectangle of the image, upright: (height, width, 3)."""

    def read(self, region: tuple[int, int, int, int], level: int = 0) -> npt.NDArray[np.uint8]: ...


def image_page(
    path: Path, image_format: str, number: int, limits: IngestLimits, ocr: Ocr | None, raster: Callable[[], Raster]
) -> Page:
    """An image file, or a page of one, as a page; what is wrong with its words is the page's problem.

    What fits in memory is decoded once, to know that it can be, and let go. Of larger images the directories are
    followed, the file's length is compared with what they say, and a few places are decoded; a TIFF without tiles, PNG
    or JPEG of that size is decoded whole, to disk.

    Args:
        path: The file.
        image_format: What it is.
        number: Of the page, from 1.
        limits: What is refused.
        ocr: What reads words; None to leave them alone. An image of more than ``MAX_OCR_PIXELS`` is not read.
        raster: Opens the page as pixels.

    Raises:
        LimitExceeded: The image is larger than ``limits`` allow; the message names the limit.
        IngestError: It is truncated or damaged, or needs libvips, which is not installed.
    """
    header = read_header(path, image_format, number)
    reader = choose_reader(header, limits)
    if reader == "pillow":
        width, height = _decoded_size(header, limits)
    elif reader == "deep zoom":
        width, height = _deep_zoom_size(header)
    else:
        try:
            large = VipsFile(header, reader, page=header.directory)
        except MissingExtra as e:  # what stops this file must not stop the next one
            raise IngestError(str(e), source=str(path), code="missing_extra") from e
        large.probe()
        width, height = large.size
    size = (float(width), float(height))
    rest = left_out(header)
    problem: str | None = rest
    code: ErrorCode | None = None if rest is None else "channels_left_out"
    figure = Region(kind="figure", bbox=(0.0, 0.0, *size))
    if ocr is None or width * height > MAX_OCR_PIXELS:
        return Page(number, size, (figure,), reader, problem=problem, code=code)
    try:
        writing = find_writing(raster().read((0, 0, width, height)), ocr)
    except OcrFailed as e:
        return Page(number, size, (figure,), reader, problem=str(e), code=e.code)
    if writing.is_illegible:
        problem, code = UNSURE, ILLEGIBLE
    return Page(number, size, (*writing.regions, figure), reader, problem=problem, code=code)


def count_pages(path: Path, image_format: str) -> int:
    """The pages of an image file: of a TIFF that is a document, its pages; else one. Raises IngestError."""
    return len(document_pages(read_tiff_pages(path))) if image_format == "TIFF" else 1


def _decoded_size(header: ImageHeader, limits: IngestLimits) -> tuple[int, int]:
    """Width and height as shown, after the EXIF orientation, of an image that was decoded."""
    name, source = header.format, str(header.path)
    try:
        with pillow_limited_to(limits.max_decoded_pixels), Image.open(header.path, formats=[name]) as image:
            if header.directory:
                image.seek(header.directory)
            width, height = image.size
            if name == "JPEG":
                image.draft(image.mode, (max(1, width // _JPEG_DRAFT), max(1, height // _JPEG_DRAFT)))
            image.load()
            orientation = header.tiff_page.orientation if header.tiff_page else orientation_of(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise LimitExceeded(
            f"a frame has more than the limit of {limits.max_decoded_pixels} pixels: raise max_decoded_pixels if you "
            "trust the file",
            source=source,
        ) from e
    except UnidentifiedImageError as e:
        raise IngestError(f"cannot be opened as {name}: export it anew", source=source) from e
    except MemoryError:
        raise  # of a limit, not of the file
    except Exception as e:  # decoders raise anything on damaged data
        raise IngestError(
            f"the {name} image is truncated or damaged ({first_line(e)}): export it anew", source=source
        ) from e
    return (height, width) if orientation in TURNED else (width, height)


def _deep_zoom_size(header: ImageHeader) -> tuple[int, int]:
    """Width and height of a Deep Zoom image whose outermost tiles are there."""
    zoom = read_deep_zoom(header.path)
    columns, rows = zoom.grid
    for column in {0, columns - 1}:
        for row in {0, rows - 1}:
            if not zoom.tile(column, row).is_file():
                raise IngestError(
                    f"the tile {zoom.tile(column, row)} is missing: keep the folder of tiles beside the descriptor",
                    source=str(header.path),
                )
    return zoom.size
