"""Repairing a memory: what is damaged is taken out, and what follows from the rest with certainty is made anew.

Nothing is guessed. A version whose manifest is damaged is set aside, rows that cannot be read or are not as they were
written go, and so does every source that is not whole without them: it is named, and can be ingested again.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import lance
import pyarrow.compute as pc

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.cache import RowCache
from mm_megacontext.store.catalogue import COUNTER_URI, counter_row, read_identity_copy, rows_table, sources_schema
from mm_megacontext.store.checksums import Checksums
from mm_megacontext.store.durable import StoreWarning, decoding, translated
from mm_megacontext.store.guard import check_files
from mm_megacontext.store.identity import Identity, read_identity, was_in_use, write_identity
from mm_megacontext.store.lock import WriteLock
from mm_megacontext.store.places import MEMORY_FILE, NODES, SOURCES
from mm_megacontext.store.snapshot import Snapshot
from mm_megacontext.store.spaces import spaces_in
from mm_megacontext.store.store import problems_in
from mm_megacontext.store.table import WritableTable
from mm_megacontext.store.vectors import damaged_vectors
from mm_megacontext.store.verify import source_problems
from mm_megacontext.store.versions import hinted_version, manifest_path, open_version, set_aside, table_versions
from mm_megacontext.store.writer import Writer


@dataclass(slots=True)
class Repairs:
    """What was done to a memory.

    Attributes:
        done: As sentences.
        lost: What has to be ingested again: uris, or where a name is lost, too, a sentence.
    """

    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def repair(path: Path) -> Repairs:
    """Make a damaged memory whole again, with what can be saved of it.

    Raises:
        StoreError: There is no memory, or nothing of it can be saved with certainty.
        MemoryLocked: Another writer has it.
    """
    check_files(path)
    if not was_in_use(path):
        read_identity(path)  # says what is wrong; nothing was ever written to it
    lock = WriteLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)  # the report says it
            found = _Repair(path)
            identity = found.run()
    finally:
        lock.release()
    writer = Writer(path, identity, RowCache())
    try:
        writer.vacuum()
        checksums = Checksums(path)
        checksums.note(checksums.damaged())  # what is left of them, nobody reads
    finally:
        writer.close()
    _remove_what_can_be_made_anew(path, found.repairs)
    return found.repairs


def _remove_what_can_be_made_anew(path: Path, repairs: Repairs) -> None:
    """Nothing is saved of vectors, and of gists of other models, that are damaged: they follow from what is there."""
    for vectors in damaged_vectors(path):
        with translated(f"cannot remove {vectors}"):
            shutil.rmtree(vectors)
        repairs.done.append(f"{vectors}: removed (damaged); `mmctx ingest` with its embedder makes it anew")
    for space in spaces_in(path):
        problems = problems_in(space)
        if problems:
            with translated(f"cannot remove {space}"):
                shutil.rmtree(space)
            repairs.done.append(f"{space}: removed ({problems[0]}); `mmctx refresh {path} MODEL` makes it anew")


class _Repair:
    """The steps of a repair, under the lock."""

    def __init__(self, path: Path) -> None:
        self.repairs = Repairs()
        self._path = path
        self._damaged = set(Checksums(path).damaged())
        self._sources, self._nodes = (WritableTable(path / name, max_small_fragments=1) for name in (SOURCES, NODES))

    def run(self) -> Identity:
        """Take the damage out; returns whose gists the memory holds."""
        for table in (self._sources, self._nodes):
            self._set_manifests_aside(table)
        identity = self._identity()
        self._drop_rows(self._nodes)
        self._drop_rows(self._sources)
        self._restore_counter(identity)
        self._take_out_sources(identity)
        return identity

    def _set_manifests_aside(self, table: WritableTable) -> None:
        """Keep only versions whose manifests can be trusted."""
        versions = table_versions(table.path)
        newest = max([hinted_version(table.path), *versions])
        bad = [version for version in versions if not self._is_good(table.path, version)]
        good = [version for version in versions if version not in bad]
        if not good:
            raise CorruptStore(f"no readable version of {table.path}; ingest its sources into a new memory")
        if bad or newest not in good:
            set_aside(table.path, bad)
            self.repairs.done.append(f"{table.path}: version {good[0]} is in use, {newest} was damaged or gone")
        if newest not in good and table is self._sources:
            self.repairs.lost.append(f"what was written last (version {newest} of {table.path})")

    def _is_good(self, path: Path, version: int) -> bool:
        if manifest_path(path, version) in self._damaged:
            return False
        try:
            open_version(path, version).get_fragments()
        except StoreError:
            return False
        return True

    def _identity(self) -> Identity:
        """That of ``memory.json``, or if it is no good, that of the catalogue, which is then written there."""
        sources = self._sources.open()
        try:
            with translated("cannot read the catalogue"):
                copy = read_identity_copy(sources.to_table(columns=["uri", "engine"]))
        except StoreError:
            copy = ""
        try:
            found, _ = read_identity(self._path)
            if copy in ("", found.to_json()):
                return found
        except StoreError as error:
            if not copy:
                raise CorruptStore(
                    f"{self._path / MEMORY_FILE} cannot be rebuilt: an older version of mm-megacontext wrote this "
                    "memory, without a copy; put the file back, or ingest the sources into a new memory"
                ) from error
        with decoding(f"the copy of {MEMORY_FILE} in the catalogue"), translated(f"cannot write to {self._path}"):
            identity = Identity.from_json(copy)
            write_identity(self._path, identity)
        self.repairs.done.append(f"{self._path / MEMORY_FILE}: rebuilt from the catalogue")
        return identity

    def _drop_rows(self, table: WritableTable) -> None:
        """Remove fragments that cannot be read or are not as they were written."""
        with translated(f"cannot repair {table.path}"):
            damaged = [part for part in table.open().get_fragments() if not self._is_whole(table.path, part)]
            if not damaged:
                return
            if table is self._sources:
                self.repairs.lost += [uri for fragment in damaged for uri in _uris(fragment)]
            n_rows = sum(fragment.metadata.physical_rows for fragment in damaged)
            table.commit(lance.LanceOperation.Delete([], [fragment.fragment_id for fragment in damaged], "true"))
            self.repairs.done.append(f"{table.path}: {n_rows} rows were damaged and are gone")

    def _is_whole(self, path: Path, fragment: lance.LanceFragment) -> bool:
        files = [path / "data" / file.path for file in fragment.metadata.files]
        deletions = fragment.metadata.deletion_file
        if deletions is not None:
            files += (path / "_deletions").glob(f"{fragment.fragment_id}-{deletions.read_version}-*")
        if self._damaged.intersection(files):
            return False
        try:
            with translated(f"cannot read {path}"):
                for _ in fragment.scanner(batch_size=1024).to_batches():
                    pass
        except StoreError:
            return False
        return True

    def _restore_counter(self, identity: Identity) -> None:
        """The last number given out is at least the highest that a row has."""
        with translated(f"cannot repair {self._sources.path}"):
            rows = self._sources.open().to_table(columns=["uri", "number"])
            if rows.column("uri").to_pylist().count(COUNTER_URI) == 1:
                return
            self._sources.delete(f"uri = '{COUNTER_URI}'")
            nodes = self._nodes.open().to_table(columns=["source"])
            last = max(pc.max(rows.column("number")).as_py() or 0, pc.max(nodes.column("source")).as_py() or 0)
            table = self._sources.open()
            merge = table.merge_insert("uri").when_not_matched_insert_all()
            schema = sources_schema(identity.shape)
            transaction, _ = merge.execute_uncommitted(rows_table([counter_row(last, identity.to_json())], schema))
            self._sources.commit(transaction)
            self.repairs.done.append(f"{self._sources.path}: the counter of sources is set to {last}")

    def _take_out_sources(self, identity: Identity) -> None:
        """Remove from the catalogue what is not whole."""
        snapshot = Snapshot.take(self._path, identity)
        records = [*snapshot.broken.values()]
        records += [record for record in snapshot.records.values() if source_problems(snapshot, record)]
        if records:
            numbers = ", ".join(str(record.number) for record in records)
            with translated(f"cannot repair {self._sources.path}"):
                self._sources.delete(f"number IN ({numbers}) AND uri != '{COUNTER_URI}'")
            self.repairs.done += [f"{record.uri}: was damaged and is taken out" for record in records]
            self.repairs.lost += [record.uri for record in records]


def _uris(fragment: lance.LanceFragment) -> list[str]:
    """The sources of a damaged part of the catalogue, as far as it still says."""
    try:
        with translated("cannot read the catalogue"):
            uris = fragment.to_table(columns=["uri"]).column("uri").to_pylist()
    except StoreError:
        return ["sources whose names are lost, too"]
    return [uri for uri in uris if uri != COUNTER_URI]
