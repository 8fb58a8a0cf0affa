"""Files into a store: found, read, built into a tree, committed one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mm_megacontext.bases.base import BaseTokenizer
from mm_megacontext.build import Gister, TreeBuilder, is_one_figure
from mm_megacontext.errors import IngestError
from mm_megacontext.image_limits import ImageLimits
from mm_megacontext.layout.document import Document, Page
from mm_megacontext.layout.reader import is_supported_name, read
from mm_megacontext.store import Store
from mm_megacontext.store_catalogue import SourceInfo, SourceRecord
from mm_megacontext.tree import NodeRow
from mm_megacontext.vision.gists import TileGister
from mm_megacontext.vision.pages import PageFigures, PageImages
from mm_megacontext.vision.quadtree import BUILD


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far the ingest of one file is; ``file`` counts from 1 to ``n_files``, ``page`` from 1 to ``n_pages``."""

    uri: str
    file: int
    n_files: int
    page: int
    n_pages: int


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """A source that was taken up; ``problems`` are pages (from 1) that could not be read whole, with the reason."""

    uri: str
    kind: str
    pages: int
    nodes: int
    problems: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class IngestFailure:
    """A file that could not be read; the memory is as before."""

    uri: str
    message: str


@dataclass(slots=True)
class IngestReport:
    """What became of each file."""

    ingested: list[SourceSummary] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[IngestFailure] = field(default_factory=list)


def find_files(path: Path) -> list[Path]:
    """The file itself, or all supported files below a directory, in a stable order; hidden ones are left out."""
    if not path.is_dir():
        return [path]
    found = (p for p in sorted(path.rglob("*")) if p.is_file() and is_supported_name(p))
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]


@dataclass(slots=True)
class Ingester:
    """Reads files and writes them to a store.

    Args:
        tokenizer, gister: Of the base and gistnet the store belongs to.
        tiles: Makes the gists of image tiles.
        writable: Opens the store for writing; called when there is something to write, not before.
        limits: What is refused of images.
        running_titles: Whether headers and footers that come back on page after page are taken up, too.
    """

    tokenizer: BaseTokenizer
    gister: Gister
    tiles: TileGister
    writable: Callable[[], Store]
    limits: ImageLimits = field(default_factory=ImageLimits)
    running_titles: bool = False

    def open(self, path: Path, *, engine: str, password: str | None, ocr: str) -> Document:
        """Open a file. Raises IngestError."""
        return read(path.resolve(), engine=engine, password=password, ocr=ocr, limits=self.limits)

    def add(self, document: Document, password: str | None, on_page: Callable[[Page], None]) -> SourceRecord:
        """Build the document's tree and commit it.

        Raises:
            IngestError: It holds nothing that can be read; nothing was written.
            StoreError: It could not be written; nothing of it is visible.
        """
        problems: list[tuple[int, str]] = []
        sizes: list[tuple[float, float]] = []
        engines: list[str] = []

        def note(page: Page) -> None:
            sizes.append(page.size)
            engines.append(page.engine)
            if page.problem is not None:
                problems.append((page.number, page.problem))
            on_page(page)

        info = SourceInfo(
            uri=document.uri,
            kind=document.kind,
            unit=document.unit,
            n_pages=document.n_pages,
            content_hash=document.content_hash,
            page_sizes=sizes,
            problems=problems,
        )
        with ExitStack() as stack:
            figures = self._figures(document, password, stack)
            builder = TreeBuilder(
                document.unit,
                self.tokenizer,
                self.gister,
                figures,
                on_problem=lambda *p: problems.append(p),
                running_titles=self.running_titles,
            )
            if figures is None or document.kind != "image" or not is_one_figure(document):
                batches = _at_least_one(builder.build(document, note), document, problems)
                return self.writable().add_source(info, batches)
            figures.open(1)  # what cannot be opened leaves no trace
            written = self.writable().written(info, self.fingerprint)
            batches = builder.build(document, note, written)
            if not written.n_rows:
                batches = _at_least_one(batches, document, problems)
            return self.writable().add_source(info, batches, self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Names what the rows of an image depend on besides its file, so that one ingest can go on with another's."""
        return f"quad-tree {BUILD}, {self.tiles.fingerprint}"

    def _figures(self, document: Document, password: str | None, stack: ExitStack) -> PageFigures | None:
        if document.kind not in ("pdf", "image"):
            return None
        images = PageImages(document.uri, document.kind, password=password, limits=self.limits)
        stack.enter_context(images)
        return PageFigures(images, self.tiles)


def _at_least_one(
    batches: Iterator[list[NodeRow]], document: Document, problems: Sequence[tuple[int, str]]
) -> Iterator[list[NodeRow]]:
    """The batches, after making sure that there is a row in them."""
    for first in batches:
        if first:
            return chain([first], batches)
    why = f" (page {problems[0][0]}: {problems[0][1]})" if problems else ""
    raise IngestError(f"nothing in it can be read{why}: give a file with text or pictures", source=document.uri)


def summarise(record: SourceRecord) -> SourceSummary:
    """A stored source, for people."""
    return SourceSummary(record.uri, record.kind, record.n_pages, record.n_nodes, record.problems)
