"""The pixels of stored image tiles, read again from their source when they are expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mm_megacontext.limits import IngestLimits
from mm_megacontext.source_file import UnchangedFiles
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.tree.nodes import Leaves, Node
from mm_megacontext.vision.pages import PageImages
from mm_megacontext.vision.quadtree.build import read_leaf_pixels


class StoredPixels:
    """Re-reads the pixels of tiles; keeps sources open between questions.

    Args:
        records: Sources by number.
        passwords: Of encrypted sources, by uri.
        limits: What is refused of images: those of the ingest, or wider.
        files: Which files are known to be those that were ingested.
    """

    def __init__(
        self,
        records: Mapping[int, SourceRecord],
        passwords: Mapping[str, str],
        limits: IngestLimits | None = None,
        files: UnchangedFiles | None = None,
    ) -> None:
        self._files = files or UnchangedFiles()
        self._records = records
        self._passwords = passwords
        self._limits = limits
        self._images: dict[int, PageImages] = {}

    def with_pixels(self, tiles: Sequence[Node], leaves: Sequence[Leaves]) -> list[Leaves]:
        """The leaves with their pixels.

        Raises:
            IngestError: The source is gone, has changed, or cannot be read any more.
        """
        out = []
        for tile, own in zip(tiles, leaves, strict=True):
            assert tile.pixels is not None, "a tile says where its pixels are"
            page = self._open(tile.id.source).page(tile.pixels.page)
            out.append(replace(own, pixels=read_leaf_pixels(page, tile.pixels)))
        return out

    def _open(self, number: int) -> PageImages:
        record = self._records[number]
        self._files.check(record.uri, record.content_hash)
        if number not in self._images:
            password = self._passwords.get(record.uri)
            self._images[number] = PageImages(record.uri, record.kind, password=password, limits=self._limits)
        return self._images[number]
