"""Writing a memory: everything that is done under its lock.

A source is written in two commits: its nodes, which nobody sees yet, then its row in the catalogue, which makes all of
it visible at once and, if it replaces an older version, retires that in the same commit. Whatever a writer that was
killed in between leaves behind is invisible, and removed by the next one; unless it kept a journal, from which the next
one can go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
from lance.query import MatchQuery

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.cache import RowCache
from mm_megacontext.store.catalogue import (
    COUNTER_URI,
    SourceInfo,
    SourceRecord,
    counter_row,
    moved_row,
    rows_table,
    source_row,
    sources_schema,
)
from mm_megacontext.store.checksums import CATALOGUE_PARTS, Checksums
from mm_megacontext.store.durable import SyncedDirectory, translated
from mm_megacontext.store.identity import Identity
from mm_megacontext.store.journal import Journal, Journals
from mm_megacontext.store.lock import WriteLock
from mm_megacontext.store.places import NODES, SOURCES, UNFINISHED
from mm_megacontext.store.rows import at_lod1, check_row, decode_nodes, encode_rows, nodes_schema
from mm_megacontext.store.snapshot import Snapshot
from mm_megacontext.store.table import STORAGE_VERSION, WritableTable, write_fragments
from mm_megacontext.store.versions import set_aside, table_versions
from mm_megacontext.tree.nodes import Node, NodeRow, Written

FRAGMENT_BYTES = 4 * 2**20
"""Rows are held back until about this much is to be written."""
SESSION_ROWS, SESSION_SOURCES = 20_000, 64
"""Indexes and fragments are tidied up after so many, at the latest: searching rows without an index is slow."""
VECTOR_INDEX_ROWS = 50_000
"""With more blocks of text, comparing a vector with all takes longer than 25 ms, and an index is built. Tiles do not
count: they are not searched, and building an index over millions of them takes minutes and gigabytes."""
PARTITION_ROWS = 4096
GRACE = timedelta(minutes=10)
"""A reader may go on for this long with what it opened; then its files are removed."""

_NOT_COUNTER = f"uri != '{COUNTER_URI}'"
_TEXT_INDEX, _VECTOR_INDEX = "text_idx", "gist_idx"
_TOKENIZER: dict[str, Any] = {
    # Words and numbers as they stand: "running" is not "run", "the" is a word, INV-2041/7 is INV and 2041 and 7.
    "base_tokenizer": "simple",
    "lower_case": True,
    "stem": False,
    "remove_stop_words": False,
    "ascii_folding": True,
    "max_token_length": None,
    "with_position": False,
}


def create_tables(path: Path, identity: Identity) -> None:
    """Make the empty tables of a new memory, durably."""
    sources = sources_schema(identity.shape)
    options: dict[str, Any] = {"enable_stable_row_ids": True, "data_storage_version": STORAGE_VERSION}
    with translated(f"cannot create a memory in {path}"):
        lance.write_dataset(rows_table([counter_row(0, identity.to_json())], sources), path / SOURCES, **options)
        nodes = lance.write_dataset(nodes_schema(identity.shape).empty_table(), path / NODES, **options)
        create_text_index(nodes)
        for table in (SOURCES, NODES):
            Checksums(path).note(SyncedDirectory(path / table).sync())


def create_text_index(nodes: lance.LanceDataset) -> None:
    """Index the text of all rows, in place of an older index."""
    nodes.create_scalar_index("text", "INVERTED", name=_TEXT_INDEX, replace=True, **_TOKENIZER)


class Writer:
    """Holds the lock of a memory and changes it.

    Attributes:
        snapshot: What the memory holds after the last change.
    """

    def __init__(self, path: Path, identity: Identity, cache: RowCache) -> None:
        self._path, self._identity, self._cache = path, identity, cache
        self._shape = identity.shape
        self._nodes = WritableTable(path / NODES, max_small_fragments=16)
        self._sources = WritableTable(path / SOURCES, max_small_fragments=8)
        self._tables = (self._nodes, self._sources)
        self._journals = Journals(path / UNFINISHED)
        self._rows_since_tidy = self._sources_since_tidy = 0
        self._lock = WriteLock(path)
        try:
            self.snapshot = Snapshot.take(path, identity, cache)
            self._refuse_damage()
            self._recover()
        except BaseException:
            self._lock.release()
            raise

    @property
    def is_tidy(self) -> bool:
        """Whether ``optimize`` would have nothing to do; also sees what a killed writer left undone."""
        if any(table.is_changed for table in self._tables):
            return False
        try:
            with translated(f"cannot read the indexes of {self._path}"):
                return int(self._nodes.open().stats.index_stats(_TEXT_INDEX)["num_unindexed_rows"]) == 0
        except StoreError:
            return False  # damaged: will be built anew

    @property
    def has_journals(self) -> bool:
        """Whether something is left of a source that is not whole."""
        return self._journals.are_there

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def written(self, info: SourceInfo, fingerprint: str) -> Written:
        """What an earlier writer left of a source; see ``Store.written``."""
        return self._journal(info, fingerprint).written(self._shape)

    def add(self, info: SourceInfo, batches: Iterable[list[NodeRow]], fingerprint: str | None = None) -> SourceRecord:
        """Write one source; see ``Store.add_source``."""
        if info.uri == COUNTER_URI:
            raise ValueError("a source needs a uri")
        old = self.snapshot.find(info.uri)
        if old is not None and (old.content_hash, old.engine) == (info.content_hash, info.engine):
            return old
        journal = None if fingerprint is None else self._journal(info, fingerprint)
        with self._undone_on_error(journal):
            fragments, root = self._write_rows(batches, journal)
            number = root.id.source
            row_start = self._append(fragments, root.id.index + 1)
            n_bytes = sum(file.file_size_bytes for fragment in fragments for file in fragment.files)
            row = source_row(info, root, self._shape, n_bytes=n_bytes, row_start=row_start)
            self._commit_catalogue(max(number, self.snapshot.last_number), [row])
        self._refresh()
        if journal is not None:
            with contextlib.suppress(StoreError):  # the next writer removes it
                journal.remove()
        self._rows_since_tidy += root.id.index + 1
        self._sources_since_tidy += 1
        # The source is in and safe. If the disk refuses to be tidied, closing tries again and tells.
        with contextlib.suppress(StoreError):
            self._tidy()
        return self.snapshot.records[number]

    def move(self, uri: str, new_uri: str) -> SourceRecord:
        """Give a source another uri; see ``Store.move``."""
        record = self.snapshot.find(uri)
        if record is None or new_uri == COUNTER_URI or self.snapshot.find(new_uri) is not None:
            raise ValueError(f"{uri} is no source that could become {new_uri}")
        row = rows_table([moved_row(record, new_uri)], sources_schema(self._shape))
        with self._undone_on_error(), translated(f"cannot rename {uri} in {self._path}"):
            self._sources.replace(f"number = {record.number} AND {_NOT_COUNTER}", row)
        self._refresh()
        return self.snapshot.records[record.number]

    def forget(self, uri: str) -> bool:
        """Remove one source; see ``Store.forget``."""
        record = self.snapshot.find(uri)
        if record is None:
            return False
        with self._undone_on_error(), translated(f"cannot remove {uri} from {self._path}"):
            self._sources.delete(f"number = {record.number} AND {_NOT_COUNTER}")
        self._refresh()
        with contextlib.suppress(StoreError):
            self._tidy()
        return True

    def optimize(self) -> None:
        """Bring the indexes up to date, merge small fragments, and drop versions nobody reads any more."""
        with translated(f"the sources in {self._path} are safe, but it could not be tidied up"):
            self._delete_hidden()
            for table in self._tables:
                table.compact()
            self._index()
            for table in self._tables:
                table.clean(GRACE)
                table.is_changed = False
        self._rows_since_tidy = self._sources_since_tidy = 0
        self._refresh()

    def vacuum(self) -> None:
        """Give back the space of removed sources and old versions at once, and build the indexes anew."""
        with translated(f"cannot vacuum {self._path}"):
            self._delete_hidden()
            self._journals.remove_all()
            for table in self._tables:
                table.compact(all=True)
            self._index(anew=True)
            for table in self._tables:
                table.clean(timedelta(0))
                # The same once more: should this manifest be damaged, opening has one to fall back to.
                table.commit(lance.LanceOperation.Append([]))
                table.is_changed = False
        self._refresh()

    def _refuse_damage(self) -> None:
        """Do not write where sources that were committed would be lost for good. Raises CorruptStore.

        A writer removes the rows that the catalogue does not name: first it must be sure of the catalogue.
        """
        snapshot = self.snapshot
        what = [
            str(fallback) for fallback in snapshot.fallbacks if fallback.was_committed and fallback.path.name == SOURCES
        ]
        what += [f"nodes of {record.uri} are missing" for record in snapshot.broken.values()]
        what += [f"{file} is not as it was written" for file in Checksums(self._path).damaged(CATALOGUE_PARTS)]
        if what:
            raise CorruptStore(
                f"{self._path} is damaged ({what[0]}) and is not written to; "
                f"save what is left with: mmctx verify {self._path} --repair"
            )

    def _recover(self) -> None:
        """Take a memory over from a writer that was killed, or after a power cut."""
        used = (self.snapshot.nodes_table.version, self.snapshot.sources_table.version)
        for table, version in zip(self._tables, used, strict=True):
            with translated(f"cannot write to {self._path}"):
                if any(fallback.path == table.path for fallback in self.snapshot.fallbacks):
                    set_aside(table.path, [newer for newer in table_versions(table.path) if newer > version])
                table.files.sync()
        self._delete_hidden()
        self._journals.remove_stale({(record.uri, record.content_hash) for record in self.snapshot.records.values()})

    def _tidy(self) -> None:
        """What is worth doing after each source."""
        self._delete_hidden()
        if self._rows_since_tidy >= SESSION_ROWS or self._sources_since_tidy >= SESSION_SOURCES:
            self.optimize()
        elif self._sources.compact():
            self._refresh()

    def _refresh(self) -> None:
        self.snapshot = Snapshot.take(self._path, self._identity, self._cache)

    @contextlib.contextmanager
    def _undone_on_error(self, journal: Journal | None = None) -> Iterator[None]:
        """Leave nothing behind when writing a source fails, as far as the disk lets us.

        A journal stays if the source was not to blame: after an interruption, or when the disk is full.
        """
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(StoreError):
                if journal is not None and isinstance(error, Exception) and not isinstance(error, StoreError):
                    journal.remove()
                self._refresh()
                self._delete_hidden()
                for table in self._tables:
                    table.clean(GRACE)
            raise

    def _write_rows(self, batches: Iterable[list[NodeRow]], journal: Journal | None) -> tuple[list[Any], Node]:
        """Write fragments that belong to no version yet. Returns them and the source's root.

        Each is written in another thread while the rows of the next one are made.
        """
        written = Written() if journal is None else journal.written(self._shape)
        number = journal.number if journal is not None and journal.is_begun else self.snapshot.last_number + 1
        last = written.tops[-1] if written.tops else None
        n_rows = written.n_rows
        writes: list[Future[list[Any]]] = []
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="write-behind") as pool:
                for rows in self._chunks(batches):
                    for row in rows:
                        check_row(row, n_rows, self._shape)
                        n_rows += 1
                    last = rows[-1]
                    if writes:
                        writes[-1].result()
                    writes.append(pool.submit(self._write_chunk, number, rows, journal))
            fragments = [fragment for write in writes for fragment in write.result()]
            if last is None:
                raise ValueError("a source without nodes cannot be stored")
            if last.first != 0:
                raise ValueError(f"the last node must stand above all others, but {last.index} begins at {last.first}")
            if journal is not None and journal.is_begun:
                fragments = journal.hand_over(self._path / NODES)
        except BaseException:
            for file in self._nodes.files.new_files("data"):
                file.unlink(missing_ok=True)
            raise
        table = encode_rows(number, [last], self._shape)
        return fragments, decode_nodes([number], table, self._shape)[0]

    def _write_chunk(self, number: int, rows: list[NodeRow], journal: Journal | None) -> list[Any]:
        """Write the rows of one fragment into the journal, or if there is none, the table; returns the table's."""
        if journal is not None and not journal.is_begun and len(rows) == self._chunk_rows:
            self._commit_catalogue(number, [])  # nobody else may get it meanwhile
            journal.begin(number)
        table = encode_rows(number, rows, self._shape)
        if journal is None or not journal.is_begun:
            return write_fragments(table, self._path / NODES)
        journal.add(table)
        return []

    def _journal(self, info: SourceInfo, fingerprint: str) -> Journal:
        return self._journals.find(info, fingerprint, self.snapshot.records)

    @property
    def _chunk_rows(self) -> int:
        """Rows of a fragment: enough to be worth one, few enough to be held in memory."""
        return max(64, FRAGMENT_BYTES // (2 * self._shape.width + 2048))

    def _chunks(self, batches: Iterable[list[NodeRow]]) -> Iterator[list[NodeRow]]:
        """Rows in lists of ``_chunk_rows``, the last one shorter."""
        at_most = self._chunk_rows
        held: list[NodeRow] = []
        for batch in batches:
            held += batch
            while len(held) >= at_most:
                yield held[:at_most]
                del held[:at_most]
        if held:
            yield held

    def _append(self, fragments: list[Any], n_rows: int) -> int:
        """Commit fragments to the nodes table; returns the id of their first row."""
        with translated(f"cannot write to {self._path}"):
            before = {fragment.fragment_id for fragment in self._nodes.open().get_fragments()}
            dataset = self._nodes.commit(lance.LanceOperation.Append(fragments))
            added = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id not in before]
            scanner = dataset.scanner(columns=["node"], fragments=added, with_row_id=True, scan_in_order=True)
            found, starts = 0, set[int]()
            for batch in scanner.to_batches():
                found += len(batch)
                ids, nodes = (batch.column(name).to_numpy().astype(np.int64) for name in ("_rowid", "node"))
                starts.update(np.unique(ids - nodes).tolist())
            if found != n_rows or len(starts) != 1:
                raise ValueError("Lance did not give the rows consecutive ids")
            return starts.pop()

    def _commit_catalogue(self, last_number: int, rows: list[dict[str, Any]]) -> None:
        """Insert or replace the counter and rows by uri: all of them at once, or none."""
        rows = [counter_row(last_number, self._identity.to_json()), *rows]
        with translated(f"cannot write to {self._path}"):
            merge = self._sources.open().merge_insert("uri").when_matched_update_all().when_not_matched_insert_all()
            transaction, _ = merge.execute_uncommitted(rows_table(rows, sources_schema(self._shape)))
            self._sources.commit(transaction)

    def _delete_hidden(self) -> None:
        """Delete the rows of sources that the catalogue does not hold."""
        if self.snapshot.hidden:
            numbers = ", ".join(map(str, sorted(self.snapshot.hidden)))
            with translated(f"cannot remove rows from {self._path}"):
                self._nodes.delete(f"source IN ({numbers})")
            self._refresh()

    def _index(self, *, anew: bool = False) -> None:
        """Take rows into the indexes that are not in them yet; a damaged index is built ``anew``."""
        dataset = self._nodes.open()
        n_rows = dataset.count_rows()
        names = {index.name for index in dataset.describe_indices()}
        try:
            if n_rows and not anew:
                with translated("cannot update the indexes"):
                    dataset.optimize.optimize_indices()
                    # That does not read all of an index; a search does.
                    self._nodes.open().scanner(
                        columns=["node"], full_text_query=MatchQuery("0", "text"), limit=1
                    ).to_table()
        except StoreError:
            anew = True
        if anew or _TEXT_INDEX not in names:
            create_text_index(self._nodes.open())
        if anew and _VECTOR_INDEX in names:
            self._nodes.open().drop_index(_VECTOR_INDEX)
        needs_index = n_rows >= VECTOR_INDEX_ROWS and dataset.count_rows(at_lod1("text")) >= VECTOR_INDEX_ROWS
        if needs_index and (anew or _VECTOR_INDEX not in names):
            partitions = max(1, n_rows // PARTITION_ROWS)
            self._nodes.open().create_index(
                "gist", "IVF_FLAT", name=_VECTOR_INDEX, metric="cosine", num_partitions=partitions
            )
        self._nodes.sync()
