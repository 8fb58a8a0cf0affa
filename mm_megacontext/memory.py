"""``MegaContext``: a memory on disk that takes up files and answers questions about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mm_megacontext.answer import Answer as Answer
from mm_megacontext.answer import Usage
from mm_megacontext.document import LayoutMethod, Page
from mm_megacontext.errors import BudgetTooSmall, IngestError, StoreError
from mm_megacontext.evidence import collect_evidence
from mm_megacontext.ingest_report import IngestFailure, IngestReport, ProgressEvent
from mm_megacontext.layout.engines.protocol import layout_of
from mm_megacontext.limits import IngestLimits
from mm_megacontext.models import DEFAULT, Model, assemble
from mm_megacontext.reading.base import Base
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.runtime import ReadContext, ReadingConfig, Runtime
from mm_megacontext.source_file import SourceFile, UnchangedFiles, locate, look_at
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.inspection import inspect_store
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.tile_pixels import StoredPixels
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.text_gists import TextGister
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.gists.tile_gister import TileGister, VisualGister

if TYPE_CHECKING:
    from PIL import Image

    from mm_megacontext.reading.working_context import WorkingContext

NOT_FOUND = "not found"
OnProgress = Callable[[ProgressEvent], None]


class MegaContext:
    """A memory directory, opened with the model that reads it.

    Args:
        directory: The memory; need not exist before the first file was ingested.
        model: Reads and answers: the model itself, its name, or the directory that it was trained into.
        base, lens, text_gister, gister, encoder: Parts to take in the place of the model's: see ``models.assemble``.
            ``gister`` makes the gists of images.
        config: How questions are read.
        limits: What is refused, and what reading may take.

    Raises:
        UnknownName: There is no such model; the message lists those that there are.
        IncompatibleGists: Two parts do not fit; the message names both.

    Example:
        >>> with MegaContext.open("memory") as memory:             # doctest: +SKIP
        ...     memory.ingest("lease.pdf")
        ...     answer = memory.ask("What is the monthly rent?")
        >>> answer.text, answer.evidence[0].bbox                    # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str | Path,
        model: Model | str | Path = DEFAULT,
        *,
        base: Base | None = None,
        lens: Lens | None = None,
        text_gister: TextGister | None = None,
        gister: VisualGister | None = None,
        encoder: PatchEncoder | None = None,
        config: ReadingConfig | None = None,
        limits: IngestLimits | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.model = assemble(model, base=base, lens=lens, text_gister=text_gister, gister=gister, encoder=encoder)
        self._tile_gister = TileGister(self.model.encoder, self.model.visual_gister)
        self._runtime = Runtime(self.model.reader, self.model.lens, config)
        self._store: Store | None = None
        self._is_writing = self._is_new = False
        self._tree: tuple[list[int], CollectionTree] | None = None
        self._passwords: dict[str, str] = {}
        self._limits = limits or IngestLimits()
        self._files = UnchangedFiles()

    @classmethod
    def open(
        cls,
        directory: str | Path,
        model: Model | str | Path = DEFAULT,
        *,
        create: bool = True,
        base: Base | None = None,
        lens: Lens | None = None,
        text_gister: TextGister | None = None,
        gister: VisualGister | None = None,
        encoder: PatchEncoder | None = None,
        config: ReadingConfig | None = None,
        limits: IngestLimits | None = None,
    ) -> MegaContext:
        """Open a memory, or with ``create`` name one that the first ingest will make. Arguments are the class's.

        Raises:
            StoreError: There is no memory and ``create`` is false, or it cannot be read.
            UnknownName: There is no such model.
            IncompatibleGists: The memory was made by another model, or two parts of this one do not fit.
        """
        memory = cls(
            directory,
            model,
            base=base,
            lens=lens,
            text_gister=text_gister,
            gister=gister,
            encoder=encoder,
            config=config,
            limits=limits,
        )
        if Store.exists(directory):
            memory._store = Store.open(directory, memory.identity)
        elif not create or Store.foreign(directory):
            raise StoreError(f"{directory} is not a memory; make one with `mmctx ingest PATH --memory {directory}`")
        return memory

    def __repr__(self) -> str:
        n = len(self.sources)
        held = "not made yet, or closed" if self._store is None else f"{n} source{'' if n == 1 else 's'}"
        return f"<MegaContext {str(self.directory)!r}: {held}, read by {self.base.id}>"

    def __enter__(self) -> MegaContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the memory; brings its indexes up to date if something was written."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def identity(self) -> Identity:
        """Whose gists this memory holds or will hold."""
        return self.model.identity

    @property
    def base(self) -> Base:
        """What reads and answers."""
        return self.model.reader

    @property
    def sources(self) -> list[SourceRecord]:
        """What the memory holds."""
        return [] if self._store is None else self._store.sources()

    def ingest(
        self,
        path: str | Path,
        *,
        engine: str = "auto",
        layout: LayoutMethod = "geometric",
        password: str | None = None,
        ocr: str = "auto",
        running_titles: bool = False,
        on_progress: OnProgress | None = None,
    ) -> IngestReport:
        """Take up a file, or every supported file below a directory.

        A file whose content the memory holds already is left alone, a PDF if it was read with the same layout; a
        changed one replaces its old self. A file that cannot be read is reported, and the next one goes on.

        Args:
            path: A file or directory.
            engine, layout, password, ocr: How files are read, see ``layout.reader.read``.
            running_titles: Whether headers and footers that come back on page after page are taken up, too.
            on_progress: Told of every page.

        Raises:
            StoreError: The memory cannot be written. What was committed before stays.
            MemoryLocked: Another process is writing it.
        """
        from mm_megacontext.ingest import find_files

        report = IngestReport()
        try:
            self._ingest(find_files(Path(path)), report, engine, layout, password, ocr, running_titles, on_progress)
        finally:
            self._remove_if_nothing_came()
        return report

    def _ingest(
        self,
        files: Sequence[Path],
        report: IngestReport,
        engine: str,
        layout: LayoutMethod,
        password: str | None,
        ocr: str,
        running_titles: bool,
        on_progress: OnProgress | None,
    ) -> None:
        from mm_megacontext.ingest import Ingester  # what reads files is not for those who only ask

        ingester = Ingester(
            self.base.tokenizer, self.model.text_gister, self._tile_gister, self._writable, self._limits, running_titles
        )
        for number, path in enumerate(files, 1):
            try:
                file = look_at(locate(path))
                if self._is_known(file, layout):
                    report.unchanged.append(str(file.path))
                    continue
                document = ingester.open(file, engine=engine, layout=layout, password=password, ocr=ocr)
                note = _progress(on_progress, document.uri, number, len(files), document.n_pages)
                report.ingested.append(ingester.add(document, password, note))
            except IngestError as error:
                report.failed.append(IngestFailure(error.source, error.reason, error.code))
                continue
            if password is not None:
                self._passwords[document.uri] = password

    def _remove_if_nothing_came(self) -> None:
        """Leave no memory behind that was made for a file of which nothing could be taken up."""
        if self._is_new and self._store is not None and self._store.discard_if_empty():
            self._store, self._is_writing = None, False
        self._is_new = False

    def _is_known(self, file: SourceFile, layout: LayoutMethod) -> bool:
        """Whether the memory holds a file as it is, told by its bytes and layout alone."""
        known = None if self._store is None else self._store.find(str(file.path))
        if known is None or (known.kind == "pdf" and layout_of(known.engine) != layout):
            return False
        return known.content_hash == file.content_hash

    def _writable(self) -> Store:
        if self._store is not None and self._is_writing:
            return self._store
        exists = Store.exists(self.directory)
        store = (
            Store.open(self.directory, self.identity, "w") if exists else Store.create(self.directory, self.identity)
        )
        self._store, self._is_writing, self._is_new = store, True, not exists
        return store

    def ask(self, question: str, *, budget: int = 512, source: str | None = None) -> Answer:
        """Answer a question from the whole memory, or from one source of it.

        Args:
            question: Any text.
            budget: The most embeddings that may stand before the model when it starts to answer, question included.
            source: Uri of the only source to read, or None for all.

        Raises:
            BudgetTooSmall: Not even the roots of the tree and the question fit.
            StoreError: The memory is empty or cannot be read.
        """
        begun = time.perf_counter()
        question = _encodable(question)
        store = self._store
        if store is None or not store.sources():
            raise StoreError(f"{self.directory} holds no source yet; ingest a file first")
        prompt = self.prompt_cost(question, budget)
        within = None if source is None else [self._number(source)]
        tree = self._tree_of(within)
        read = self._runtime.read(tree, store, question, budget - prompt, within)
        return self._answer(question, read, tree, budget, prompt, begun)

    def prompt_cost(self, question: str, budget: int) -> int:
        """What the question alone costs.

        Raises:
            BudgetTooSmall: Nothing of ``budget`` would be left for the memory.
        """
        cost = self.base.prompt_cost(_encodable(question))
        if budget <= cost:
            raise BudgetTooSmall(
                f"the budget is {budget}, the question alone takes {cost} and the roots of the tree at least 1; "
                f"give a budget of {cost + 1} or more"
            )
        return cost

    def _number(self, uri: str) -> int:
        assert self._store is not None
        record = self._store.find(uri)
        if record is None:
            raise StoreError(f"{self.directory} holds no source {uri}; ingest it first")
        return record.number

    def _tree_of(self, within: Sequence[int] | None) -> CollectionTree:
        """The tree of the sources in scope; that of the last question if nothing changed."""
        assert self._store is not None
        records = [r for r in self._store.sources() if within is None or r.number in within]
        numbers = [r.number for r in records]
        if self._tree is None or self._tree[0] != numbers:
            pixels = StoredPixels({r.number: r for r in records}, self._passwords, self._limits, self._files)
            self._tree = (numbers, CollectionTree(self._store, records, pixels))
        return self._tree[1]

    def _answer(
        self, question: str, read: ReadContext, tree: CollectionTree, budget: int, prompt: int, begun: float
    ) -> Answer:
        context, reading = read.focused.context, read.reading
        records = {r.number: r for r in self.sources}
        evidence = collect_evidence(reading.pointed, context, read.focused.scores, self.base.tokenizer, records)
        is_found = reading.found and bool(evidence)  # what quotes nothing is invented
        usage = Usage(
            budget=budget,
            cost=context.cost + prompt,
            entries=len(context),
            leaves=tree.n_leaves,
            steps=read.steps,
            seconds=time.perf_counter() - begun,
        )
        return Answer(
            question=question,
            text=reading.text if is_found else NOT_FOUND,
            found=is_found,
            evidence=evidence,
            usage=usage,
            trace=read.trace,
            model=self.base.id,
            draw=partial(_drawn, context, records, self._passwords, self._limits, self._files),
        )

    def forget(self, source: str) -> bool:
        """Remove a source from sight at once; says whether it was there. ``vacuum`` gives its space back."""
        return self._store is not None and self._writable().forget(source)

    def vacuum(self) -> None:
        """Give back the space of forgotten and replaced sources."""
        self._writable().vacuum()

    def inspect(self) -> dict[str, Any]:
        """The documented JSON of ``mmctx inspect``."""
        return inspect_store(self._store, self.identity)

    def verify(self) -> list[str]:
        """Read everything and check it; returns the problems, none if all is well."""
        return [] if self._store is None else self._store.verify()


def _encodable(question: str) -> str:
    """``question`` with "?" for lone surrogates, which stand for bytes of a command line that are no UTF-8."""
    return question.encode("utf-8", "replace").decode()


def _progress(
    on_progress: OnProgress | None, uri: str, file: int, n_files: int, n_pages: int
) -> Callable[[Page], None]:
    def note(page: Page) -> None:
        if on_progress is not None:
            on_progress(ProgressEvent(uri, file, n_files, page.number, n_pages))

    return note


def _drawn(
    context: WorkingContext,
    records: Mapping[int, SourceRecord],
    passwords: Mapping[str, str],
    limits: IngestLimits,
    files: UnchangedFiles,
    answer: Answer,
) -> Image.Image:
    from mm_megacontext.pictures.answer_picture import draw_answer  # what draws is not for those who only read

    return draw_answer(answer, context, records, passwords, limits, files)
