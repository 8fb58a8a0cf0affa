"""The directories of a TIFF or BigTIFF file, and what each of them holds: the image, a level of it, something else.

The first directory is the image, or the first page of a document. The others are told apart so that nothing takes a
label for a level: a pyramid keeps reduced copies of the image in further directories (or in sub-directories), a
microscope keeps focal planes and channels there, a slide scanner photographs of the label and of the whole glass.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mm_megacontext.errors import IngestError, first_words
from mm_megacontext.image_files.scale import PhysicalScale, scale_from_description, scale_from_dpi

PageRole = Literal["image", "level", "plane", "associated"]
"""The image itself; a reduced copy of it; another picture of the same kind (focal plane, channel, page of a
document); a picture that goes with it (label, macro, thumbnail)."""

_BIG_SIGNATURES = (b"II+\0", b"MM\0+")
SIGNATURES = (b"II*\0", b"MM\0*", *_BIG_SIGNATURES)
"""What TIFF and BigTIFF files start with."""

_MAX_PAGES = 4096
"""Directories beyond are not looked at."""
_BIG_HEADER, _HEADER = 16, 8

_NODATA = 42113  # of GDAL
_PLANES = (33628, 34412)  # MetaMorph and Zeiss say in these tags how the pages of a stack belong together
_STACKS = ("<OME", "ImageJ=")
"""How descriptions of stacks of focal planes, channels and times begin, or what they hold."""

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_DESCRIPTION, _STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_BYTES = 270, 273, 274, 277, 279
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _SUB_IFDS, _EXTRA_SAMPLES, _XMP, _NDPI = (
    322,
    323,
    324,
    325,
    330,
    338,
    700,
    65420,
)
_DTYPES = {3: "u2", 4: "u4", 16: "u8"}
"""Of the types SHORT, LONG and LONG8."""
_REDUCED = 1
_INCH, _CENTIMETRE = 2, 3
_CM_PER_INCH = 2.54
_APERIO_JPEG2000 = {33003, 33005}
_OPENSLIDE_ONLY = ("<iScan", "www.leica-microsystems.com/scn")


@dataclass(frozen=True, slots=True)
class TiffPage:
    """One directory of a TIFF, as far as it matters here.

    Attributes:
        size: Width and height as stored, before the orientation is applied.
        decoded_bytes: What its samples take.
        data_end: Where the last byte of its pixel data must be in the file.
        tile_size: Width and height of its tiles; None if it is in strips.
        is_reduced: It calls itself a reduced copy of another image.
        n_subpages: Number of its sub-directories.
        orientation: 1 to 8, as in EXIF.
        extra_samples: What the samples beyond the colours are: 0 unspecified, 1 premultiplied alpha, 2 alpha.
        needs_openslide: libtiff alone would misread it: NDPI, Ventana, Leica SCN, or Aperio with JPEG 2000.
        n_samples: Of a pixel.
        nodata: The value of samples that hold nothing, as GDAL notes it.
        is_of_stack: It says that the directories are planes, channels or times of one thing, and no pages.
    """

    size: tuple[int, int]
    decoded_bytes: int
    data_end: int
    tile_size: tuple[int, int] | None
    is_reduced: bool
    n_subpages: int
    orientation: int
    extra_samples: tuple[int, ...]
    description: str
    scale: PhysicalScale | None
    needs_openslide: bool
    n_samples: int = 1
    nodata: float | None = None
    is_of_stack: bool = False


def read_tiff_pages(path: Path) -> tuple[TiffPage, ...]:
    """The directories of a TIFF: at least one, at most 4096, up to the first damaged one.

    Raises:
        IngestError: They lead in a circle, or the first one is missing or damaged.
    """
    pages: list[TiffPage] = []
    try:
        with path.open("rb") as file, _quietly():
            for page in _follow(file, path):
                pages.append(page)
    except IngestError:
        raise
    except Exception as e:  # damaged tags raise anything; without the first directory there is no image
        if not pages:
            raise _damaged(path, f"{first_words(e)} in its first directory") from e
    if not pages:
        raise _damaged(path, "it has no directory")
    return tuple(pages)


def check_whole(page: TiffPage, path: Path) -> None:
    """Make sure that the file reaches as far as the pixels of a page do, without decoding them.

    Raises:
        IngestError: It ends before.
    """
    file_bytes = path.stat().st_size
    if page.data_end > file_bytes:
        raise _damaged(path, f"its pixels end at byte {page.data_end}, the file at byte {file_bytes}")


def _damaged(path: Path, what: str) -> IngestError:
    return IngestError(f"the TIFF image is truncated or damaged ({what}): export it anew", source=str(path))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings on odd tags: what matters is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _follow(file: BinaryIO, path: Path) -> Iterator[TiffPage]:
    head = file.read(_BIG_HEADER)
    directory = ImageFileDirectory_v2(head if head.startswith(_BIG_SIGNATURES) else head[:_HEADER])
    seen: set[int] = set()
    while directory.next and len(seen) < _MAX_PAGES:
        if directory.next in seen:
            raise _damaged(path, f"its directories lead in a circle after {len(seen)}")
        seen.add(directory.next)
        file.seek(directory.next)
        directory.next = 0  # stays so if the directory is cut off
        directory.load(file)
        yield _page(directory)


def _page(tags: ImageFileDirectory_v2) -> TiffPage:
    width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    n_samples = int(tags.get(_SAMPLES, 1))
    bits = _numbers(tags, _BITS) or (1,)
    sample_bits = sum(bits) if len(bits) == n_samples else bits[0] * n_samples
    is_tiled = _TILE_WIDTH in tags
    offsets = _many_numbers(tags, _TILE_OFFSETS if is_tiled else _STRIP_OFFSETS)
    lengths = _many_numbers(tags, _TILE_BYTES if is_tiled else _STRIP_BYTES)
    n_pieces = min(len(offsets), len(lengths))
    description = tags.get(_DESCRIPTION, "")
    description = description if isinstance(description, str) else ""
    return TiffPage(
        size=(width, height),
        decoded_bytes=(width * sample_bits + 7) // 8 * height,
        data_end=int((offsets[:n_pieces] + lengths[:n_pieces]).max(initial=0)),
        tile_size=(int(tags[_TILE_WIDTH]), int(tags[_TILE_HEIGHT])) if is_tiled else None,
        is_reduced=bool(int(tags.get(_SUBFILE_TYPE, 0)) & _REDUCED),
        n_subpages=len(_numbers(tags, _SUB_IFDS)),
        orientation=int(tags.get(_ORIENTATION, 1)),
        extra_samples=_numbers(tags, _EXTRA_SAMPLES),
        description=description,
        scale=scale_from_description(description) or _scale_of_tags(tags),
        needs_openslide=_needs_openslide(tags, description),
        n_samples=n_samples,
        nodata=_nodata(tags),
        is_of_stack=any(mark in description for mark in _STACKS) or any(tag in tags for tag in _PLANES),
    )


def _numbers(tags: ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    value = tags.get(tag, ())
    return tuple(value) if isinstance(value, (tuple, bytes)) else (int(value),)


def _many_numbers(tags: ImageFileDirectory_v2, tag: int) -> npt.NDArray[np.float64]:
    """Numbers up to 2^53 of a tag that may have millions: Pillow would make a Python object of each."""
    data, kind = tags._tagdata.get(tag, b""), _DTYPES.get(tags.tagtype.get(tag, 0))
    if kind is None:
        return np.zeros(0)
    return np.frombuffer(data, dtype=("<" if tags.prefix == b"II" else ">") + kind).astype(np.float64)


def _scale_of_tags(tags: ImageFileDirectory_v2) -> PhysicalScale | None:
    try:
        x, y = float(tags[_X_RESOLUTION]), float(tags[_Y_RESOLUTION])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    unit = tags.get(_RESOLUTION_UNIT, _INCH)
    if unit == _CENTIMETRE:
        return scale_from_dpi(x * _CM_PER_INCH, y * _CM_PER_INCH)
    return scale_from_dpi(x, y) if unit == _INCH else None


def _needs_openslide(tags: ImageFileDirectory_v2, description: str) -> bool:
    xml = description + str(tags.get(_XMP, b""))
    return _NDPI in tags or tags.get(_COMPRESSION) in _APERIO_JPEG2000 or any(mark in xml for mark in _OPENSLIDE_ONLY)


def _nodata(tags: ImageFileDirectory_v2) -> float | None:
    try:
        return float(str(tags.get(_NODATA, "")).strip("\0 "))
    except ValueError:
        return None


def document_pages(pages: tuple[TiffPage, ...]) -> tuple[int, ...]:
    """The directories of a TIFF that are pages of a document, in order; the first one alone where they are none."""
    if pages[0].is_of_stack or pages[0].needs_openslide:
        return (0,)
    return tuple(i for i, role in enumerate(page_roles(pages)) if role in ("image", "plane"))


def page_roles(pages: tuple[TiffPage, ...]) -> tuple[PageRole, ...]:
    """What each directory of a TIFF holds; the first one is the image."""
    return tuple("image" if i == 0 else _role(page, pages[0]) for i, page in enumerate(pages))


def _role(page: TiffPage, image: TiffPage) -> PageRole:
    if image.description.startswith("Aperio"):  # its levels are tiled, its thumbnail, label and macro are in strips
        return "level" if page.tile_size is not None and _has_same_shape(page.size, image.size) else "associated"
    if page.is_reduced:
        return "level" if _has_same_shape(page.size, image.size) else "associated"
    return "plane"


def _has_same_shape(reduced: tuple[int, int], whole: tuple[int, int]) -> bool:
    """Whether a smaller image may be the larger one reduced: one factor on both sides, to the pixel."""
    if reduced[0] >= whole[0] and reduced[1] >= whole[1]:
        return False
    across, down = whole[0] / reduced[0], whole[1] / reduced[1]
    return abs(whole[1] / across - reduced[1]) <= 1 or abs(whole[0] / down - reduced[0]) <= 1
