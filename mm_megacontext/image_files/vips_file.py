"""Image files open in libvips: stored samples by region, without the whole image in memory.

libvips is loaded when it is needed; it comes with the extra ``vips``. Every file is given to one loader, chosen by its
content: libvips never guesses, so no file can reach a loader that starts programs or follows references.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.image_files.header import TURNED, ImageHeader, Reader
from mm_megacontext.image_files.scale import PhysicalScale, scale_of

Samples = npt.NDArray[np.generic]
"""(height, width, bands), as stored."""

_LOADERS = {"JPEG": "jpegload", "JPEG2000": "jp2kload", "MPO": "jpegload", "PNG": "pngload", "TIFF": "tiffload"}
_OPENSLIDE = "openslideload"
_DTYPES = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16, "uint": np.uint32, "int": np.int32,
    "float": np.float32, "double": np.float64,
}  # fmt: skip
_PROBE_PX = 64
_JPEG_SHRINK = 8
"""The most by which a JPEG decoder shrinks."""
_CACHE_BYTES = 32 << 20
"""Decoded tiles that libvips may keep. By itself it keeps more than a row of them, gigabytes of a wide image."""
_BLOCK_PX = 1024
"""Side of what is fetched at once: larger regions overflow libvips' cache of decoded tiles, and take twice as long."""


def load_pyvips() -> Any:
    """The module ``pyvips``.

    libvips' cache of operations is switched off for the process: it would keep files open that nobody reads any more,
    and answer with the old pixels of a file that has changed.

    Raises:
        MissingExtra: It is not installed, or finds no libvips.
    """
    logging.getLogger("pyvips").addHandler(logging.NullHandler())  # else its warnings go to stderr, line by line
    try:
        import pyvips
    except (ImportError, OSError) as e:
        raise MissingExtra("images too large for memory are read by libvips: pip install 'mm-megacontext[vips]'") from e
    pyvips.cache_set_max(0)
    return pyvips


def _options(loader: str, page: int, subpage: int) -> dict[str, Any]:
    if loader == _OPENSLIDE:
        return {"level": page, "rgb": True}
    if loader == "tiffload":  # below "warning", tiles that cannot be decoded become black ones
        return {"page": page, "subifd": subpage, "fail_on": "warning"}
    return {"fail_on": "error"}


class VipsFile:
    """An image file open in libvips, upright. Several threads may read it; they take turns.

    Args:
        header: Of the file.
        reader: "vips" or "openslide".
        page: Directory of a TIFF, from 0; a reduced level of it counts as a page of its own.
        subpage: Sub-directory of that page, from 0; -1 for the page itself.

    Raises:
        IngestError: The file is damaged, or this build of libvips has no loader for its format.
        MissingExtra: libvips is not installed.
    """

    def __init__(self, header: ImageHeader, reader: Reader, *, page: int = 0, subpage: int = -1) -> None:
        self._vips = load_pyvips()
        self._path = header.path
        loader = _OPENSLIDE if reader == "openslide" else _LOADERS[header.format]
        if self._vips.type_find("VipsForeignLoad", loader) == 0:
            raise IngestError(
                f"this build of libvips cannot read {header.format} images of this kind (it has no {loader}): convert "
                "the file to a tiled TIFF, or install a libvips that has it in place of pyvips-binary",
                source=str(header.path),
            )
        self._loader, self._options = loader, _options(loader, page, subpage)
        self._lock = threading.Lock()
        self._tile = header.pages[page].tile_size if loader == "tiffload" and subpage < 0 else None
        self._kept: set[tuple[int, int]] = set()
        self._open()
        self._size = self.size

    def _open(self) -> None:
        """Open the file, or open it anew and let go of the tiles that libvips kept."""
        self._kept.clear()
        try:
            self._stored = getattr(self._vips.Image, self._loader)(str(self._path), **self._options)
            self._image = self._stored.autorot()
        except self._vips.Error as e:
            raise self._damaged(e) from e

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return int(self._image.width), int(self._image.height)

    @property
    def interpretation(self) -> str:
        """What libvips says the samples mean: "srgb", "b-w", "rgb16", "cmyk" ..."""
        return str(self._image.interpretation)

    @property
    def n_bands(self) -> int:
        """Samples of a pixel."""
        return int(self._image.bands)

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of the samples."""
        return _DTYPES.get(self._image.format, np.void)

    def field(self, name: str) -> Any:
        """A metadata item of libvips, None if the file has it not."""
        return self._image.get(name) if self._image.get_typeof(name) else None

    def read(self, x: int, y: int, width: int, height: int) -> Samples:
        """Samples of a region inside the image.

        Raises:
            IngestError: Its part of the file is damaged.
        """
        if max(width, height) <= _BLOCK_PX:
            return self._fetch(x, y, width, height)
        out = np.empty((height, width, self.n_bands), dtype=self.dtype)
        for top in range(0, height, _BLOCK_PX):
            for left in range(0, width, _BLOCK_PX):
                across, down = min(_BLOCK_PX, width - left), min(_BLOCK_PX, height - top)
                out[top : top + down, left : left + across] = self._fetch(x + left, y + top, across, down)
        return out

    def shrunk(self, factor: int) -> Samples:
        """All of the image, each sample the mean of a square of ``factor`` on a side, from one pass over the file.

        Nothing is kept, in memory or on disk, but what comes out: for formats without tiles, whose rows come one after
        the other. Of a JPEG the decoder takes most of the means itself.

        Args:
            factor: A power of two.

        Raises:
            IngestError: The file is damaged.
        """
        options = {**self._options, "access": "sequential"}
        by_loader = min(factor, _JPEG_SHRINK) if self._loader == "jpegload" else 1
        if by_loader > 1:
            options["shrink"] = by_loader
        size = [-(-side // by_loader) for side in (self._stored.width, self._stored.height)]
        rest = factor // by_loader
        try:
            stored = getattr(self._vips.Image, self._loader)(str(self._path), **options)
            whole = stored.embed(0, 0, *size, extend="copy")  # the JPEG decoder leaves out what is no whole square
            image = whole.shrink(rest, rest, ceil=True).copy_memory().autorot()
            buffer = image.write_to_memory()
        except self._vips.Error as e:
            raise self._damaged(e) from e
        return np.frombuffer(buffer, dtype=self.dtype).reshape(image.height, image.width, self.n_bands)

    def _fetch(self, x: int, y: int, width: int, height: int) -> Samples:
        with self._lock:
            if self.size != self._size:  # it was opened anew in the meantime
                raise IngestError("the file has changed while it was read: ingest it again", source=str(self._path))
            try:
                buffer = self._image.crop(x, y, width, height).write_to_memory()
            except self._vips.Error as e:  # libvips keeps a tile that failed as a black one, and would give that next
                self._open()
                raise self._damaged(e) from e
            self._count_tiles(x, y, width, height)
        return np.frombuffer(buffer, dtype=self.dtype).reshape(height, width, self.n_bands)

    def _count_tiles(self, x: int, y: int, width: int, height: int) -> None:
        """Note which tiles libvips has decoded for a region; open the file anew when they are too many."""
        if self._tile is None:
            return
        across, down = self._tile
        rows = range(y // down, (y + height - 1) // down + 1)
        columns = range(x // across, (x + width - 1) // across + 1)
        self._kept.update((column, row) for row in rows for column in columns)
        tile_bytes = across * down * self.n_bands * np.dtype(self.dtype).itemsize
        if len(self._kept) * tile_bytes > _CACHE_BYTES:
            self._open()

    def probe(self) -> None:
        """Decode a little at the corners and in the middle.

        Raises:
            IngestError: One of these places is damaged.
        """
        width, height = self.size
        across, down = min(_PROBE_PX, width), min(_PROBE_PX, height)
        right, bottom = width - across, height - down
        for x, y in ((0, 0), (right, 0), (right // 2, bottom // 2), (0, bottom), (right, bottom)):
            self.read(x, y, across, down)

    def scale(self, stored: PhysicalScale | None) -> PhysicalScale | None:
        """The scale upright: of the slide if it has one, else ``stored``, as the file's header gives it."""
        mpp = [self.field(f"openslide.mpp-{axis}") for axis in "xy"]
        if None not in mpp:
            return scale_of(float(mpp[0]), float(mpp[1]))
        is_turned = self._stored.get_typeof("orientation") and self._stored.get("orientation") in TURNED
        return stored.turned if stored is not None and is_turned else stored

    def _damaged(self, e: Exception) -> IngestError:
        what = (str(e).strip().splitlines() or [type(e).__name__])[-1].strip()
        return IngestError(f"the image is truncated or damaged ({what}): export it anew", source=str(self._path))
