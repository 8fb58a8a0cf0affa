"""The gists of another model beside those that a memory was made with, from what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from mm_megacontext.errors import IngestError, StoreError
from mm_megacontext.ingest_report import IngestFailure, IngestReport, PageCounts, ProgressEvent, SourceSummary
from mm_megacontext.limits import IngestLimits
from mm_megacontext.models import Model
from mm_megacontext.source_file import UnchangedFiles
from mm_megacontext.store.catalogue import SourceInfo, SourceRecord
from mm_megacontext.store.identity import Identity
from mm_megacontext.store.spaces import space_of
from mm_megacontext.store.store import Store
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.tree.retell import Retelling
from mm_megacontext.vision.gists.tile_gister import TileGister
from mm_megacontext.vision.pages import PageFigures, PageImages, has_pixels


@dataclass(slots=True)
class GistSpace:
    """Makes the gists of ``model`` for the sources of a memory, and keeps them in step with it.

    Args:
        first: The memory, with the gists that it was made with.
        made_with: The model that these are of.
        model: Whose gists are to be added.
        passwords: Of encrypted sources, by uri.
        limits: What is refused of pictures that are read again.
        files: Which files are known to be those that were ingested.
    """

    first: Store
    made_with: Model
    model: Model
    passwords: dict[str, str]
    limits: IngestLimits
    files: UnchangedFiles
    _tile_gister: TileGister = field(init=False)

    def __post_init__(self) -> None:
        self._tile_gister = TileGister(self.model.encoder, self.model.visual_gister)

    def refresh(self, on_progress: Callable[[ProgressEvent], None] | None = None) -> IngestReport:
        """Tell what is new, and drop what is gone; a source at a time, each whole or not at all.

        Raises:
            StoreError: The gists are those that the memory was made with, or cannot be written.
            MemoryLocked: Another process is writing these gists.
        """
        path = space_of(self.first.path, self.model.identity)
        if self.model.identity == self.first.identity:
            raise StoreError(f"{self.first.path} was made with the gists of {self.model.reader.id}: nothing is to do")
        report = IngestReport()
        records = self.first.sources()
        exists = Store.exists(path)
        with Store.open(path, self.model.identity, "w") if exists else Store.create(path, self.model.identity) as space:
            uris = {record.uri for record in records}
            for gone in [record.uri for record in space.sources() if record.uri not in uris]:
                space.forget(gone)
                report.pruned.append(gone)
            for number, record in enumerate(records, 1):
                self._add(space, record, report)
                if on_progress is not None:
                    on_progress(ProgressEvent(record.uri, number, len(records), record.n_pages, record.n_pages))
        return report

    def _add(self, space: Store, record: SourceRecord, report: IngestReport) -> None:
        known = space.find(record.uri)
        if known is not None and (known.content_hash, known.engine) == (record.content_hash, record.engine):
            report.unchanged.append(record.uri)
            return
        try:
            with ExitStack() as stack:
                added = space.add_source(_info(record), self._rows(record, stack))
        except IngestError as error:
            report.failed.append(IngestFailure(record.uri, error.reason, error.code))
            return
        counts = PageCounts(ok=added.n_pages)
        report.ingested.append(SourceSummary(added.uri, added.kind, added.n_pages, added.n_nodes, (), counts))

    def _rows(self, record: SourceRecord, stack: ExitStack) -> Iterator[list[NodeRow]]:
        figures = self._figures(record, stack)

        def unchanged() -> PageFigures:
            assert figures is not None, "its pictures were read from it"
            self.files.check(record.uri, record.content_hash)
            return figures

        def stored() -> Iterator[NodeRow]:
            for rows in self.first.rows_of(record.number):
                yield from rows

        retelling = Retelling(
            record.uri,
            record.unit,
            record.page_sizes,
            self.made_with.reader.tokenizer,
            self.model.reader.tokenizer,
            self.model.text_gister,
            None if _of_pictures(self.first.identity) == _of_pictures(self.model.identity) else unchanged,
            figures,
        )
        return retelling.rows(stored)

    def _figures(self, record: SourceRecord, stack: ExitStack) -> PageFigures | None:
        if not has_pixels(record.kind):
            return None
        password = self.passwords.get(record.uri)
        images = stack.enter_context(PageImages(record.uri, record.kind, password=password, limits=self.limits))
        return PageFigures(images, self._tile_gister)


def _info(record: SourceRecord) -> SourceInfo:
    return SourceInfo(
        uri=record.uri,
        kind=record.kind,
        unit=record.unit,
        n_pages=record.n_pages,
        content_hash=record.content_hash,
        page_sizes=[(width, height) for width, height in record.page_sizes.tolist()],
        problems=record.problems,
        engine=record.engine,
    )


def _of_pictures(identity: Identity) -> tuple[object, ...]:
    """What the gists of pictures depend on."""
    return identity.encoder, identity.image_gistnet, identity.dim, identity.image_slots
