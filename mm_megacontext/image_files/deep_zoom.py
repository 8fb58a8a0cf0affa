"""Deep Zoom images (DZI): a descriptor in XML, and beside it a folder of tiles for every level.

Pixels are read from the tiles of the full resolution; smaller levels serve for overviews only. A tile holds its own
square and ``overlap`` pixels of its neighbours on every side that has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mm_megacontext.errors import IngestError

_MAX_DESCRIPTOR_BYTES = 64 << 10
_NAMESPACES = ("http://schemas.microsoft.com/deepzoom/2008", "http://schemas.microsoft.com/deepzoom/2009")
_FORMATS = {"jpg", "jpeg", "png", "webp", "tif", "tiff"}


@dataclass(frozen=True, slots=True)
class DeepZoom:
    """What a descriptor says.

    Attributes:
        path: The descriptor; the tiles are in the folder of its name with ``_files`` for the suffix.
        size: Width and height of the image in pixels.
        tile_size: Side of a tile without its overlap.
        overlap: Pixels of its neighbours that a tile holds as well.
        suffix: Of the tiles' names.
    """

    path: Path
    size: tuple[int, int]
    tile_size: int
    overlap: int
    suffix: str

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of tiles at full resolution."""
        return -(-self.size[0] // self.tile_size), -(-self.size[1] // self.tile_size)

    @property
    def folder(self) -> Path:
        """Where the tiles of this resolution are: of a smaller copy, if ``size`` is that of one."""
        level = (max(self.size) - 1).bit_length()
        return self.path.with_name(f"{self.path.stem}_files") / str(level)

    def tile(self, column: int, row: int) -> Path:
        """The file of a tile."""
        return self.folder / f"{column}_{row}.{self.suffix}"

    def covered(self, column: int, row: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the image that the file of a tile holds, overlap included."""
        x0, y0 = max(0, column * self.tile_size - self.overlap), max(0, row * self.tile_size - self.overlap)
        x1 = min(self.size[0], (column + 1) * self.tile_size + self.overlap)
        y1 = min(self.size[1], (row + 1) * self.tile_size + self.overlap)
        return x0, y0, x1 - x0, y1 - y0


def is_deep_zoom(head: bytes) -> bool:
    """Whether a file that starts so is a Deep Zoom descriptor."""
    return b"<Image" in head and any(space.encode() in head for space in _NAMESPACES)


def read_deep_zoom(path: Path) -> DeepZoom:
    """Read a descriptor.

    Raises:
        IngestError: It is damaged, or describes no single image in tiles that are read.
    """
    try:
        text = path.read_bytes()[: _MAX_DESCRIPTOR_BYTES + 1]
        if len(text) > _MAX_DESCRIPTOR_BYTES or b"<!" in text:  # no entities, no document type
            raise ValueError("it is no plain descriptor")
        image = ElementTree.fromstring(text)
        space = image.tag.removesuffix("Image")
        size = image.find(f"{space}Size")
        if size is None:
            raise ValueError("it has no Size")
        return _checked(
            DeepZoom(
                path=path,
                size=(int(size.attrib["Width"]), int(size.attrib["Height"])),
                tile_size=int(image.attrib["TileSize"]),
                overlap=int(image.attrib.get("Overlap", "0")),
                suffix=image.attrib["Format"],
            )
        )
    except (ElementTree.ParseError, ValueError, KeyError) as e:
        raise IngestError(f"the Deep Zoom descriptor is damaged ({e}): export it anew", source=str(path)) from e


def _checked(found: DeepZoom) -> DeepZoom:
    if min(found.size) < 1 or found.tile_size < 1 or not 0 <= found.overlap <= found.tile_size:
        raise ValueError(f"size {found.size}, tiles of {found.tile_size} with an overlap of {found.overlap}")
    if found.suffix.lower() not in _FORMATS:
        raise ValueError(f"tiles of format {found.suffix[:20]!r}")
    return found


def belongs_to_deep_zoom(path: Path) -> bool:
    """Whether a file is a tile (or such) in the folder of a Deep Zoom image that stands beside it."""
    return any(
        folder.name.endswith("_files") and folder.with_name(folder.name.removesuffix("_files") + ".dzi").is_file()
        for folder in path.parents
    )
