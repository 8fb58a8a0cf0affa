"""``MegaContext``: a memory on disk that takes up files and answers questions about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mm_megacontext.answer import Answer as Answer
from mm_megacontext.asking import NOT_FOUND as NOT_FOUND
from mm_megacontext.asking import Asking, Scope
from mm_megacontext.document import LayoutMethod, Page
from mm_megacontext.embedders import TextEmbedder, open_embedder
from mm_megacontext.errors import EmptyQuestion, IngestError, StoreError
from mm_megacontext.ingest_report import IngestFailure, IngestReport, MovedSource, ProgressEvent
from mm_megacontext.layout.engines.protocol import layout_of
from mm_megacontext.limits import IngestLimits
from mm_megacontext.meaning import Meaning
from mm_megacontext.models import DEFAULT, Model, assemble, open_reader
from mm_megacontext.open_stores import OpenStores
from mm_megacontext.passages.context import Context as Context
from mm_megacontext.reading.base import Base, Reader, TextReader
from mm_megacontext.reading.function_reader import ReadFunction
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.runtime import ReadingConfig
from mm_megacontext.source_file import SourceFile, UnchangedFiles, locate, look_at, names_of
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.inspection import inspect_store
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.tile_pixels import StoredPixels
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import Modality
from mm_megacontext.tree.text_gists import TextGister
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.gists.tile_gister import TileGister, VisualGister

if TYPE_CHECKING:
    from PIL import Image

    from mm_megacontext.reading.working_context import WorkingContext

OnProgress = Callable[[ProgressEvent], None]


class MegaContext:
    """A memory directory, opened with the model that reads it.

    A handle is for one thread at a time, and not for a forked process: open one in each. Any number of handles, of any
    number of processes, may read a memory; one may write it, and holds its lock from the first change to ``close``.
    A question sees what others had committed when it was asked.

    Args:
        directory: The memory; need not exist before the first file was ingested.
        model: Makes the gists, and reads and answers: the model itself, its name, or the directory it was trained into.
        reader: Reads and answers in the model's place: a text reader, its name as in ``api:MODEL``, or a function from
            a ``Context`` to an answer. The model leads it to what it reads; any memory can be read so.
        embedder: Searches by meaning as well as by words: a text embedder, or its name as in
            ``sentence-transformers:NAME``. What is ingested with it gets its vectors.
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
        reader: TextReader | ReadFunction | str | None = None,
        embedder: TextEmbedder | str | Path | None = None,
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
        self._asking = Asking(self.model, None if reader is None else open_reader(reader), config)
        self._embedder = open_embedder(embedder) if isinstance(embedder, str | Path) else embedder
        self._stores = OpenStores(self.directory, self.model.identity)
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
        reader: TextReader | ReadFunction | str | None = None,
        embedder: TextEmbedder | str | Path | None = None,
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
            reader=reader,
            embedder=embedder,
            base=base,
            lens=lens,
            text_gister=text_gister,
            gister=gister,
            encoder=encoder,
            config=config,
            limits=limits,
        )
        memory._stores.open(create=create)
        return memory

    def __repr__(self) -> str:
        n = len(self.sources)
        held = "not made yet, or closed" if self._store is None else f"{n} source{'' if n == 1 else 's'}"
        return f"<MegaContext {str(self.directory)!r}: {held}, read by {self.reader.id}>"

    def __enter__(self) -> MegaContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the memory; brings its indexes up to date if something was written."""
        self._stores.close()

    @property
    def _store(self) -> Store | None:
        return self._stores.store

    @property
    def identity(self) -> Identity:
        """Whose gists this memory holds or will hold."""
        return self.model.identity

    @property
    def base(self) -> Base:
        """The model's own reader: its tokens are the leaves of the memory."""
        return self.model.reader

    @property
    def reader(self) -> Reader:
        """What reads and answers."""
        return self._asking.reader

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
        changed one replaces its old self. One that was moved, so that nothing is left in its old place, keeps its
        tree and gets its new name. A file that cannot be read is reported, and the next one goes on.

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
            self._stores.remove_if_nothing_came()
        self._bring_meaning_up_to_date(on_progress)
        return report

    def _bring_meaning_up_to_date(self, on_progress: OnProgress | None) -> None:
        if self._embedder is None or self._store is None or Meaning(self._store, self._embedder).is_in_step:
            return
        Meaning(self._stores.writable(), self._embedder).bring_up_to_date(on_progress)

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
            self.base.tokenizer,
            self.model.text_gister,
            self._tile_gister,
            self._stores.writable,
            self._limits,
            running_titles,
        )
        for number, path in enumerate(files, 1):
            try:
                file = look_at(locate(path))
                if self._is_known(file, layout):
                    report.unchanged.append(str(file.path))
                    continue
                if (moved := self._moved(file, layout)) is not None:
                    report.moved.append(moved)
                    continue
                document = ingester.open(file, engine=engine, layout=layout, password=password, ocr=ocr)
                note = _progress(on_progress, document.uri, number, len(files), document.n_pages)
                report.ingested.append(ingester.add(document, password, note))
            except IngestError as error:
                report.failed.append(IngestFailure(error.source, error.reason, error.code))
                continue
            if password is not None:
                self._passwords[document.uri] = password

    def _is_known(self, file: SourceFile, layout: LayoutMethod) -> bool:
        """Whether the memory holds a file as it is, told by its bytes and layout alone."""
        known = None if self._store is None else self._store.find(str(file.path))
        return known is not None and _is_that(known, file, layout)

    def _moved(self, file: SourceFile, layout: LayoutMethod) -> MovedSource | None:
        """Give a source the uri of a file that has its name's suffix and its bytes, if its own file is gone."""
        if self._store is None or self._store.find(str(file.path)) is not None or not file.is_whole:
            return None
        for record in self._store.sources():
            was = Path(record.uri)
            if was.suffix.lower() == file.suffix and _is_that(record, file, layout) and not was.exists():
                self._stores.writable().move(record.uri, str(file.path))
                self._tree = None
                return MovedSource(str(file.path), record.uri)
        return None

    def ask(self, question: str, *, budget: int | None = None, source: str | Path | None = None) -> Answer:
        """Answer a question from the whole memory, or from one source of it.

        Args:
            question: Any text but an empty one.
            budget: The most that may stand before the reader when it starts to answer, question included: embeddings,
                512 if None; of a text reader tokens, 4096 if None.
            source: The only source to read, by its uri or any path that leads to it; None for all.

        Raises:
            EmptyQuestion: Nothing is asked.
            BudgetTooSmall: Not even the roots of the tree and the question fit.
            StoreError: The memory is empty or cannot be read, or has no such source.
            ReaderFailed: The text reader cannot be reached, or says nothing that can be used.
        """
        return self._asking.ask(self._scope(question, source), budget)

    def context(
        self,
        question: str,
        *,
        budget: int | None = None,
        source: str | Path | None = None,
        modalities: Sequence[Modality] | None = None,
    ) -> Context:
        """What a question opens, as passages: for a reader of your own, or to look at. Nothing answers.

        Args:
            question, source: As for ``ask``, with the same errors.
            budget: In the units of the text reader; without one, what the question and the leaves that are shown may
                take, 512 if None.
            modalities: What is opened; by default what the reader reads. With "image", pictures come as crops.
        """
        return self._asking.context(self._scope(question, source), budget, modalities)

    def prompt_cost(self, question: str, budget: int | None = None) -> int:
        """What the question alone costs an embedding reader.

        Raises:
            EmptyQuestion: Nothing is asked.
            BudgetTooSmall: Nothing of ``budget`` would be left for the memory.
        """
        return self._asking.prompt_cost(_asked(question), budget)

    def _scope(self, question: str, source: str | Path | None) -> Scope:
        """What a question is asked of."""
        question = _asked(question)
        self.refresh()
        store = self._stores.readable()
        within = None if source is None else [self._find(source).number]
        records = {r.number: r for r in store.sources()}
        tree, draw = self._tree_of(within), partial(self._draw, records)
        return Scope(question, store, tree, within, records, draw, self._meaning(store))

    def _meaning(self, store: Store) -> Meaning | None:
        if self._embedder is None:
            return None
        meaning = Meaning(store, self._embedder)
        meaning.check()
        return meaning

    def _draw(self, records: Mapping[int, SourceRecord], answer: Answer, cut: WorkingContext) -> Image.Image:
        """The sources are those that were asked: the memory may be closed by now."""
        from mm_megacontext.pictures.answer_picture import draw_answer  # what draws is not for those who only read

        return draw_answer(answer, cut, records, self._passwords, self._limits, self._files)

    def _find(self, source: str | Path) -> SourceRecord:
        """A source by its uri, or by a path that leads to it."""
        assert self._store is not None
        found = filter(None, map(self._store.find, names_of(source)))
        record = next(found, None)
        if record is None:
            raise StoreError(f"{self.directory} holds no source {source}; ingest it first")
        return record

    def _tree_of(self, within: Sequence[int] | None) -> CollectionTree:
        """The tree of the sources in scope; that of the last question if nothing changed."""
        assert self._store is not None
        records = [r for r in self._store.sources() if within is None or r.number in within]
        numbers = [r.number for r in records]
        if self._tree is None or self._tree[0] != numbers:
            pixels = StoredPixels({r.number: r for r in records}, self._passwords, self._limits, self._files)
            self._tree = (numbers, CollectionTree(self._store, records, pixels))
        return self._tree[1]

    def forget(self, source: str | Path) -> bool:
        """Remove a source from sight at once; says whether it was there. ``vacuum`` gives its space back.

        Args:
            source: Its uri, or any path that leads to it; the file need not be there any more.
        """
        if self._store is None:
            return False
        store = self._stores.writable()
        return any(map(store.forget, names_of(source)))

    def prune(self, path: str | Path) -> list[str]:
        """Forget the sources below ``path`` whose files are gone, and say which.

        Raises:
            IngestError: ``path`` itself is gone: a disk that is not there must not empty a memory.
        """
        folder = locate(path)
        if not folder.exists():
            raise IngestError("no such file or directory", source=str(path), code="not_found")
        below = [Path(record.uri) for record in self.sources if Path(record.uri).is_relative_to(folder)]
        gone = [str(file) for file in below if not file.exists() and not file.is_symlink()]
        for uri in gone:
            self._stores.writable().forget(uri)
        return gone

    def refresh(
        self, model: Model | str | Path | None = None, *, on_progress: OnProgress | None = None
    ) -> IngestReport:
        """See what other processes have committed since; ``ask`` and ``context`` do so themselves.

        With a ``model``, bring its gists up to date, too: what the memory holds is told again in its tokens and gists,
        beside those there are, and can be opened with it from then on. No text is read from files again; pictures are,
        unless both models see them the same way. A source at a time is committed: what is interrupted goes on.

        Args:
            model: Whose gists to add: the model itself, its name or its directory.
            on_progress: Told of every source.

        Returns:
            What became of each source; empty without a model.

        Raises:
            StoreError: This handle's model is not the one that the memory was made with, or nothing is there.
            MemoryLocked: Another process is adding the same gists.
        """
        self._stores.refresh()
        return IngestReport() if model is None else self._add_space(assemble(model), on_progress)

    def _add_space(self, model: Model, on_progress: OnProgress | None) -> IngestReport:
        from mm_megacontext.gist_spaces import GistSpace  # what makes gists is not for those who only ask

        first = self._stores.as_it_was_made()
        return GistSpace(first, self.model, model, self._passwords, self._limits, self._files).refresh(on_progress)

    def vacuum(self) -> None:
        """Give back the space of forgotten and replaced sources."""
        self._stores.writable().vacuum()

    def inspect(self) -> dict[str, Any]:
        """The documented JSON of ``mmctx inspect``."""
        return inspect_store(self._store, self.identity)

    def verify(self) -> list[str]:
        """Read everything and check it; returns the problems, none if all is well."""
        return [] if self._store is None else self._store.verify()


def _is_that(record: SourceRecord, file: SourceFile, layout: LayoutMethod) -> bool:
    """Whether a source was made of these bytes, and a PDF with this layout."""
    has_layout = record.kind != "pdf" or layout_of(record.engine) == layout
    return has_layout and record.content_hash == file.content_hash


def _asked(question: str) -> str:
    """``question`` with "?" for lone surrogates, which stand for bytes of a command line that are no UTF-8."""
    if not question.strip():
        raise EmptyQuestion("the question is empty; ask something")
    return question.encode("utf-8", "replace").decode()


def _progress(
    on_progress: OnProgress | None, uri: str, file: int, n_files: int, n_pages: int
) -> Callable[[Page], None]:
    def note(page: Page) -> None:
        if on_progress is not None:
            on_progress(ProgressEvent(uri, file, n_files, page.number, n_pages))

    return note
