"""A memory on disk: sources, their gist trees, and search over them.

One writer at a time, any number of readers, no server. A source is either whole or absent, whenever the writer is
killed or the power fails.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from mm_megacontext.errors import IncompatibleGists, StoreError
from mm_megacontext.store.cache import RowCache
from mm_megacontext.store.catalogue import SourceInfo as SourceInfo
from mm_megacontext.store.catalogue import SourceRecord as SourceRecord
from mm_megacontext.store.durable import StoreWarning as StoreWarning
from mm_megacontext.store.durable import fsync_path, translated
from mm_megacontext.store.guard import check_files
from mm_megacontext.store.identity import FORMAT as FORMAT
from mm_megacontext.store.identity import Identity as Identity
from mm_megacontext.store.identity import read_identity, was_in_use, write_identity
from mm_megacontext.store.lock import WriteLock
from mm_megacontext.store.places import ALL, CHECKSUM_FILE, DRAFT, LOCK_FILE, NODES, SOURCES, UNFINISHED
from mm_megacontext.store.places import MEMORY_FILE as MEMORY_FILE
from mm_megacontext.store.snapshot import Snapshot
from mm_megacontext.store.spaces import spaces_in
from mm_megacontext.store.vectors import damaged_vectors, forget_vectors
from mm_megacontext.store.verify import verify
from mm_megacontext.store.versions import table_versions
from mm_megacontext.store.writer import Writer, create_tables
from mm_megacontext.tree.nodes import Leaves, Modality, Node, NodeId, NodeRow, Written

T = TypeVar("T")


class Store:
    """An open memory. Made by ``create`` and ``open``; a ``TreeReader`` over whole sources.

    A reader sees the memory as it was when it was opened, until ``refresh``. Times are those of the source.

    Example:
        >>> store = Store.open("memory")                            # doctest: +SKIP
        >>> for id, score in store.search_text("INV-2041", k=5):    # doctest: +SKIP
        ...     print(store.nodes([id])[0].text)
    """

    def __init__(self, path: Path, identity: Identity, writer: Writer | None, cache: RowCache) -> None:
        self.path = path
        self.identity = identity
        self._writer = writer
        self._cache = cache
        self._snapshot = writer.snapshot if writer is not None else self._take()

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a memory at ``path``, damaged or not; one whose making was killed is none yet."""
        with translated(f"cannot read {path}"):
            return os.path.lexists(Path(path) / MEMORY_FILE) or was_in_use(Path(path))

    @staticmethod
    def foreign(path: str | Path) -> list[str]:
        """Names at ``path`` that belong to no memory, not even to one whose creation was killed."""
        with translated(f"cannot read {path}"):
            names = {entry.name for entry in Path(path).iterdir()} if Path(path).exists() else set()
        return sorted(names - {*ALL, *(name + DRAFT for name in ALL)})

    @classmethod
    def create(cls, path: str | Path, identity: Identity) -> Store:
        """Make an empty memory and open it for writing.

        Args:
            path: A directory that does not exist, is empty, or holds what a killed ``create`` left.
            identity: Whose gists it will hold.
        """
        path = Path(path)
        with translated(f"cannot create a memory in {path}"):
            path.mkdir(parents=True, exist_ok=True)
        check_files(path)
        if cls.exists(path):
            Snapshot.take(path, read_identity(path)[0])  # or it says how to repair it
            raise StoreError(f"{path} is a memory already; open it for writing instead")
        foreign = cls.foreign(path)
        if foreign:
            raise StoreError(f"{path} holds other things ({foreign[0]}); give an empty or new directory")
        lock = WriteLock(path)
        try:
            _remove_leftovers(path)
            create_tables(path, identity)
            with translated(f"cannot create a memory in {path}"):
                write_identity(path, identity)
                fsync_path(path.parent)
        finally:
            lock.release()
        return cls.open(path, identity, mode="w")

    @classmethod
    def open(cls, path: str | Path, identity: Identity | None = None, mode: Literal["r", "w"] = "r") -> Store:
        """Open a memory.

        Args:
            path: Its directory.
            identity: Whose gists are expected; None takes what is there.
            mode: ``"r"`` needs no lock and writes nothing; ``"w"`` excludes other writers.

        Raises:
            StoreError: No memory there, or it cannot be read.
            IncompatibleGists: It holds gists of another identity.
            MemoryLocked: Another writer has it.
            CorruptStore: It is damaged beyond what opening can repair.
        """
        path = Path(path)
        check_files(path)
        found, format = read_identity(path)
        if identity is not None and identity != found:
            Snapshot.take(path, found)  # or it is damaged, and holds no such gists
            raise IncompatibleGists(
                f"{path} holds gists of {found}; asked for {identity}; "
                f"it has {', '.join(found.differences(identity))}; open it with what made it, or add these gists "
                f"to it: mmctx refresh {path} MODEL"
            )
        cache = RowCache()
        writer = None
        if mode == "w":
            writer = Writer(path, found, cache)
            if format != FORMAT:
                with translated(f"cannot write to {path}"):
                    write_identity(path, found)
        return cls(path, found, writer, cache)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(optimize=error is None)

    def close(self, *, optimize: bool = True) -> None:
        """Let go of the memory; a writer first brings the search indexes up to date. Harmless when called again."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            if optimize and not writer.is_tidy:
                writer.optimize()
        finally:
            self._snapshot = writer.snapshot
            writer.close()

    def discard_if_empty(self) -> bool:
        """Remove a memory without sources and journals, and its directory if nothing else is in it; ends the store.

        Returns whether it was empty.

        Raises:
            StoreError: It is open for reading, or the disk refuses.
        """
        writer = self._writing()
        if writer.snapshot.records or writer.has_journals:
            return False
        self._writer = None
        try:
            with translated(f"cannot remove {self.path}"):
                _remove_leftovers(self.path)
                for name in (MEMORY_FILE, CHECKSUM_FILE):
                    (self.path / name).unlink(missing_ok=True)
        finally:
            writer.close()
        with suppress(OSError):  # somebody else has begun one, or there are other things
            (self.path / LOCK_FILE).unlink(missing_ok=True)
            self.path.rmdir()
        return True

    def refresh(self) -> None:
        """See what others have written since; costs the listing of two directories if that is nothing."""
        if self._writer is None and self._is_outdated:
            self._snapshot = self._take()

    def sources(self) -> list[SourceRecord]:
        """All sources, in the order they were added."""
        return list(self._current.records.values())

    def find(self, uri: str) -> SourceRecord | None:
        """The source of that uri, or None."""
        return self._current.find(uri)

    def roots(self) -> list[NodeId]:
        """The root of each source; see ``TreeReader.roots``."""
        return [record.root_id for record in self._current.records.values()]

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        """See ``TreeReader.nodes``."""
        return self._read(lambda snapshot: snapshot.nodes(ids))

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        """See ``TreeReader.leaves``; those of tiles come without pixels."""
        return self._read(lambda snapshot: snapshot.leaves(ids))

    def rows_of(self, number: int) -> Iterator[list[NodeRow]]:
        """The rows of a source as they were written, in post-order, in lists; of the memory as it is now.

        Raises:
            StoreError: They cannot be read.
        """
        return self._current.rows_of(number)

    def search_text(self, query: str, k: int = 20, within: Sequence[int] | None = None) -> list[tuple[NodeId, float]]:
        """Text blocks that hold words of ``query``, by BM25, best first; of the sources numbered ``within``, or of all.

        Case and accents do not count, endings do; punctuation separates words. No query is malformed.
        """
        return self._read(lambda snapshot: snapshot.search_text(query, k, within))

    def search_vectors(
        self,
        vector: npt.NDArray[np.float32],
        k: int = 20,
        within: Sequence[int] | None = None,
        modality: Modality = "text",
    ) -> list[tuple[NodeId, float]]:
        """Text blocks, or image tiles, whose gists point where ``vector`` (dim,) does, by cosine, best first.

        Of the sources ``within``, or of all. Of several slots, the sum counts. In memories of more than 50 000 nodes
        an index is used that may miss a few.
        """
        return self._read(lambda snapshot: snapshot.search_vectors(vector, k, within, modality))

    def counts(self) -> dict[int, int]:
        """Nodes per LOD, from 1."""
        return self._read(lambda snapshot: snapshot.counts())

    def size_bytes(self) -> int:
        """Size of the memory's files, old versions included."""
        with translated(f"cannot read {self.path}"):
            return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def verify(self) -> list[str]:
        """Read everything and check it: hashes, pointers, cover, counts, moments. Returns the problems."""
        of_spaces = [f"{space}: {problem}" for space in spaces_in(self.path) for problem in problems_in(space)]
        of_vectors = [f"{path}: is not as it was written" for path in damaged_vectors(self.path)]
        return self._read(verify) + of_vectors + of_spaces

    def written(self, info: SourceInfo, fingerprint: str) -> Written:
        """What is left of a source whose writer was killed or interrupted, for ``add_source`` to go on after.

        What is left of another version of the source is removed.

        Args:
            info: ``uri`` and ``content_hash`` say which source.
            fingerprint: Names all else that its rows depend on.

        Raises:
            StoreError: The memory is open for reading, or the disk refuses.
        """
        return self._writing().written(info, fingerprint)

    def add_source(
        self, info: SourceInfo, batches: Iterable[list[NodeRow]], fingerprint: str | None = None
    ) -> SourceRecord:
        """Write one source; when this returns it is durable and whole, if it raises nothing has changed.

        A source of the same uri, content hash and engine is left as it is and ``batches`` is not touched; one of
        another hash or engine is replaced in the same commit.

        Args:
            info: What is known besides the tree.
            batches: All rows in post-order, the root last, in lists of any length; only a few megabytes are held.
            fingerprint: If given, what has been written is kept in a journal, from which another call, of this or a
                later process, goes on with the rows after ``written(info, fingerprint)``. It is kept as well when this
                raises StoreError or is interrupted, and goes when ``batches`` raises any other error.

        Raises:
            StoreError: The disk is full or refuses.
            ValueError: The rows are no tree in post-order, or their gists have another shape.
        """
        return self._writing().add(info, batches, fingerprint)

    def move(self, uri: str, new_uri: str) -> SourceRecord:
        """Give a source another uri, in one commit that is durable when this returns; its nodes stay as they are.

        Raises:
            ValueError: There is no source ``uri``, or one that is called ``new_uri`` already.
            StoreError: The disk refuses; nothing has changed.
        """
        moved = self._writing().move(uri, new_uri)
        for space in self._writable_spaces():
            if space.find(uri) is not None and space.find(new_uri) is None:
                space.move(uri, new_uri)
        return moved

    def forget(self, uri: str) -> bool:
        """Remove a source: at once from sight, from disk at the next ``vacuum``. Returns whether there was one."""
        self._writing()
        for space in self._writable_spaces():  # they first: who is told that it is forgotten can rely on it
            space.forget(uri)
        return self._writing().forget(uri)

    def vacuum(self) -> None:
        """Give back the space of what was removed or replaced, and build the search indexes anew.

        Readers that are open go on with the memory as it is then.
        """
        self._writing().vacuum()
        forget_vectors(self.path, self._current.records.keys())
        for space in self._writable_spaces():
            space.vacuum()

    def spaces(self) -> list[Identity]:
        """Whose gists the memory holds besides its own."""
        return [read_identity(path)[0] for path in spaces_in(self.path)]

    def _writable_spaces(self) -> Iterator[Store]:
        for path in spaces_in(self.path):
            with Store.open(path, mode="w") as space:
                yield space

    @property
    def _current(self) -> Snapshot:
        return self._snapshot if self._writer is None else self._writer.snapshot

    def _take(self) -> Snapshot:
        return Snapshot.take(self.path, self.identity, self._cache)

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f'{self.path} is open for reading; open it with mode="w"')
        return self._writer

    def _read(self, read: Callable[[Snapshot], T]) -> T:
        """Read from the snapshot; if a writer has removed its files meanwhile, from a newer one."""
        try:
            return read(self._current)
        except StoreError:
            if self._writer is not None or not self._is_outdated:
                raise
            self.refresh()
            return read(self._current)

    @property
    def _is_outdated(self) -> bool:
        """Whether there is a newer version than the one that is read."""
        snapshot = self._current
        newest = [table_versions(self.path / table)[:1] for table in (NODES, SOURCES)]
        return newest != [[snapshot.nodes_table.version], [snapshot.sources_table.version]]


def problems_in(path: Path) -> list[str]:
    """What ``Store.verify`` says of the memory at ``path``, or why it cannot be opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)  # the problems say it
        try:
            with Store.open(path) as store:
                return store.verify()
        except StoreError as error:
            return [str(error)]


def _remove_leftovers(path: Path) -> None:
    """Remove what a ``create`` that was killed has left; it never held a source."""
    for table in (NODES, SOURCES, UNFINISHED):
        if (path / table).is_dir():
            shutil.rmtree(path / table)
