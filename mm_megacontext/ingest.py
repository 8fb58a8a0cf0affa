"""Files into a store: found, read, built into a tree, committed one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mm_megacontext.document import Document, LayoutMethod, Page
from mm_megacontext.errors import IngestError
from mm_megacontext.ingest_report import PageLog, PageProblem, SourceSummary
from mm_megacontext.layout.formats import is_supported_name
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.reading.base import BaseTokenizer
from mm_megacontext.source_file import SourceFile
from mm_megacontext.store.catalogue import SourceInfo
from mm_megacontext.store.store import Store
from mm_megacontext.tree.build import TreeBuilder, is_one_figure
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.tree.parents import Gister
from mm_megacontext.vision.gists.tile_gister import TileGister
from mm_megacontext.vision.pages import PageFigures, PageImages, has_pixels
from mm_megacontext.vision.quadtree.build import BUILD


def find_files(path: Path) -> list[Path]:
    """The file itself, or all supported files below a directory, in a stable order; hidden ones are left out.

    A link that leads nowhere is among them: that is for whoever opens it to say.
    """
    if not path.is_dir():
        return [path]
    found = (p for p in sorted(path.rglob("*")) if is_supported_name(p) and (p.is_file() or _is_broken_link(p)))
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


@dataclass(slots=True)
class Ingester:
    """Reads files and writes them to a store.

    Args:
        tokenizer, gister: Of the base and gistnet the store belongs to.
        tile_gister: Makes the gists of image tiles.
        writable: Opens the store for writing; called when there is something to write, not before.
        limits: What is refused, and what reading may take.
        running_titles: Whether headers and footers that come back on page after page are taken up, too.
    """

    tokenizer: BaseTokenizer
    gister: Gister
    tile_gister: TileGister
    writable: Callable[[], Store]
    limits: IngestLimits = field(default_factory=IngestLimits)
    running_titles: bool = False

    def open(self, file: SourceFile, *, engine: str, layout: LayoutMethod, password: str | None, ocr: str) -> Document:
        """Open a file. Raises IngestError."""
        return read(file, engine=engine, layout=layout, password=password, ocr=ocr, limits=self.limits)

    def add(self, document: Document, password: str | None, on_page: Callable[[Page], None]) -> SourceSummary:
        """Build the document's tree and commit it.

        Raises:
            IngestError: It holds nothing that can be read; nothing was written.
            StoreError: It could not be written; nothing of it is visible.
        """
        log = PageLog(on_page)
        info = SourceInfo(
            uri=document.uri,
            kind=document.kind,
            unit=document.unit,
            n_pages=document.n_pages,
            content_hash=document.content_hash,
            page_sizes=log.sizes,
            problems=log.told,
            engine=document.engine,
        )
        with ExitStack() as stack:
            figures = self._figures(document, password, stack)
            builder = TreeBuilder(
                document.unit,
                self.tokenizer,
                self.gister,
                figures,
                on_problem=log.figure,
                running_titles=self.running_titles,
            )
            if figures is None or document.kind != "image" or not is_one_figure(document):
                batches = _at_least_one(builder.build(document, log.page), document, log.problems)
                return log.summary(self.writable().add_source(info, batches))
            figures.open(1)  # what cannot be opened leaves no trace
            written = self.writable().written(info, self.fingerprint)
            batches = builder.build(document, log.page, written)
            if not written.n_rows:
                batches = _at_least_one(batches, document, log.problems)
            return log.summary(self.writable().add_source(info, batches, self.fingerprint))

    @property
    def fingerprint(self) -> str:
        """Names what the rows of an image depend on besides its file, so that one ingest can go on with another's."""
        return f"quad-tree {BUILD}, {self.tile_gister.fingerprint}"

    def _figures(self, document: Document, password: str | None, stack: ExitStack) -> PageFigures | None:
        if not has_pixels(document.kind):
            return None
        images = PageImages(document.uri, document.kind, password=password, limits=self.limits)
        stack.enter_context(images)
        return PageFigures(images, self.tile_gister)


def _at_least_one(
    batches: Iterator[list[NodeRow]], document: Document, problems: Sequence[PageProblem]
) -> Iterator[list[NodeRow]]:
    """The batches, after making sure that there is a row in them."""
    for first in batches:
        if first:
            return chain([first], batches)
    why = f" (page {problems[0].page}: {problems[0].message})" if problems else ""
    raise IngestError(
        f"nothing in it can be read{why}: give a file with text or pictures",
        source=document.uri,
        code=problems[0].code if problems else "nothing_readable",
    )
