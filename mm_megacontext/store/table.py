"""One Lance table under the writer's lock: commits that last, and upkeep."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from lance.optimize import Compaction, CompactionOptions

from mm_megacontext.store.checksums import Checksums
from mm_megacontext.store.durable import SyncedDirectory, translated
from mm_megacontext.store.versions import open_version, table_versions

STORAGE_VERSION = "2.1"
"""Lance's file format; fixed, so that a newer library writes what an older one reads."""
FRAGMENT_ROWS = 65_536
"""Smaller fragments are merged into such of about this size."""
COPIED_ROWS = 512
"""Fragments of more rows than this are joined as they are: three times quicker than encoding them anew, in a tenth of
the memory. Smaller ones would leave too many pages."""


def write_fragments(table: pa.Table, path: Path, *, is_new: bool = False) -> list[Any]:
    """Write rows into the directory of a table, where they belong to no version yet.

    Args:
        table: The rows.
        path: The table's directory.
        is_new: Whether there is no table there. Its columns are numbered as those of a new one.

    Returns:
        Fragments to commit.
    """
    with translated(f"cannot write to {path}"):
        fragments: list[Any] = lance.fragment.write_fragments(
            table,
            path,
            schema=table.schema,
            mode="create" if is_new else "append",
            data_storage_version=STORAGE_VERSION,
        )
        return fragments


class WritableTable:
    """A table that only we change.

    Args:
        path: Its directory.
        max_small_fragments: If there are more, they are merged: every fragment costs every reader time.

    Attributes:
        files: What of it is durable.
        is_changed: Whether it was committed to since this was last set to False.
    """

    def __init__(self, path: Path, max_small_fragments: int) -> None:
        self.path = path
        self._checksums = Checksums(path.parent)
        self.files = SyncedDirectory(path)
        self.is_changed = False
        self._max_small_fragments = max_small_fragments

    def open(self) -> lance.LanceDataset:
        """The newest version."""
        return open_version(self.path, table_versions(self.path)[0])

    def sync(self) -> None:
        """Make what is new durable, and take down its checksums."""
        self._checksums.note(self.files.sync())

    def commit(self, operation: Any) -> lance.LanceDataset:
        """Make a version: its files are durable before it exists, and it is durable before we go on."""
        self.sync()
        dataset = self.open()
        self.is_changed = True
        committed = lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
        self.sync()
        return committed

    def delete(self, predicate: str) -> None:
        """Delete rows, with the deletion files durable before the commit; ``LanceDataset.delete`` would do both."""
        changed, emptied = self._without(predicate)
        if changed or emptied:
            self.commit(lance.LanceOperation.Delete(changed, emptied, predicate))

    def replace(self, predicate: str, rows: pa.Table) -> None:
        """Put ``rows`` in the place of those that ``predicate`` names: all of it at once, or nothing."""
        changed, emptied = self._without(predicate)
        self.commit(lance.LanceOperation.Update(emptied, changed, write_fragments(rows, self.path)))

    def _without(self, predicate: str) -> tuple[list[Any], list[int]]:
        """What remains of fragments that hold such rows, written but not committed; and those of which nothing does."""
        dataset = self.open()
        hits = dataset.scanner(columns=[], filter=predicate, with_row_address=True).to_table()
        touched = np.unique(hits.column("_rowaddr").to_numpy() >> np.uint64(32)).tolist()
        changed, emptied = [], []
        for fragment_id in touched:
            fragment = dataset.get_fragment(fragment_id)
            assert fragment is not None
            remains = fragment.delete(predicate)
            if remains is None:
                emptied.append(fragment_id)
            else:
                changed.append(remains)
        return changed, emptied

    def compact(self, *, all: bool = False) -> bool:
        """Merge small fragments if there are many; if ``all``, also drop every deleted row.

        Returns:
            Whether there was anything to do.
        """
        with translated(f"cannot merge files in {self.path}"):
            dataset = self.open()
            fragments = dataset.get_fragments()
            small = sum(fragment.count_rows() < FRAGMENT_ROWS for fragment in fragments)
            if not all and small <= self._max_small_fragments:
                return False
            options: CompactionOptions = {"target_rows_per_fragment": FRAGMENT_ROWS}
            if dataset.count_rows() > len(fragments) * COPIED_ROWS:
                options["compaction_mode"] = "try_binary_copy"
            if all:
                options["materialize_deletions_threshold"] = 0.0
            rewrites = [task.execute(dataset) for task in Compaction.plan(dataset, options).tasks]
            if rewrites:
                self.sync()
                Compaction.commit(dataset, rewrites)
                self.sync()
            return bool(rewrites)

    def clean(self, older_than: timedelta) -> None:
        """Remove old versions, and files of no version: under the lock nobody is about to commit them."""
        with translated(f"cannot remove old versions from {self.path}"):
            self.open().cleanup_old_versions(older_than=older_than, delete_unverified=True)
            self.sync()
            self._checksums.renew()
