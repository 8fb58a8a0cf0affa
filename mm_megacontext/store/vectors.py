"""Vectors of texts by an embedder, beside the nodes of a memory: a table for each embedder.

They follow from what the memory holds, as an index does: what is missing can be made, and what is left over of sources
that are gone is passed over until ``vacuum``. A source's vectors are committed together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mm_megacontext.store.checksums import Checksums
from mm_megacontext.store.durable import translated
from mm_megacontext.store.guard import check_files
from mm_megacontext.store.places import VECTORS
from mm_megacontext.store.table import STORAGE_VERSION, WritableTable
from mm_megacontext.store.versions import open_version, table_versions
from mm_megacontext.tree.nodes import NodeId

INDEXED_ROWS = 50_000
"""From how many rows on an index is searched, which may miss a few."""
PARTITION_ROWS = 4096
PROBES = 16
"""Partitions that a search looks into."""
_NAME_CHARACTERS = 16
_MOST_SMALL_FRAGMENTS = 16


def vectors_of(memory: Path, embedder: str) -> Path:
    """Where the vectors of an embedder lie, by its id."""
    return memory / VECTORS / hashlib.sha256(embedder.encode()).hexdigest()[:_NAME_CHARACTERS]


def vectors_in(memory: Path) -> list[Path]:
    """Where vectors lie in a memory."""
    folder = memory / VECTORS
    check_files(folder)
    with translated(f"cannot read {folder}"):
        return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def damaged_vectors(memory: Path) -> list[Path]:
    """Tables of vectors of which a file is not as it was written, or can be read no more."""
    checksums = Checksums(memory / VECTORS)
    return [path for path in vectors_in(memory) if checksums.damaged([path.name])]


def forget_vectors(memory: Path, kept: Collection[int]) -> None:
    """Drop the vectors of all sources but some, by whatever embedder."""
    for path in vectors_in(memory):
        table = VectorTable(path, dim=1)
        table.drop(sorted(table.sources() - set(kept)))


class VectorTable:
    """The vectors of one embedder. Who writes holds the memory's lock.

    Args:
        path: See ``vectors_of``; need not be there.
        dim: Length of a vector.
    """

    def __init__(self, path: Path, dim: int) -> None:
        self._path, self._dim = path, dim
        check_files(path)
        self._table: lance.LanceDataset | None = None
        self.refresh()

    def refresh(self) -> None:
        """See what others have written since."""
        versions = table_versions(self._path)[:1] if (self._path / "_versions").is_dir() else []
        if versions and (self._table is None or self._table.version != versions[0]):
            self._table = open_version(self._path, versions[0])

    def sources(self) -> set[int]:
        """Numbers of the sources that have vectors."""
        if self._table is None:
            return set()
        with translated(f"cannot read {self._path}"):
            numbers: list[int] = self._table.to_table(columns=["source"]).column("source").unique().to_pylist()
        return set(numbers)

    def add(self, source: int, nodes: Sequence[int], vectors: npt.NDArray[np.float32]) -> None:
        """The vectors (nodes, dim) of a source: all of them in one commit, which is durable when this returns.

        A source without text has one row, of node -1, which says that it was looked at.
        """
        marked = nodes or [_NO_NODE]
        held = vectors if len(nodes) else np.zeros((1, self._dim), dtype=np.float32)
        rows = pa.Table.from_arrays(
            [
                pa.array(np.full(len(marked), source, dtype=np.int32)),
                pa.array(np.asarray(marked, dtype=np.int32)),
                pa.FixedSizeListArray.from_arrays(pa.array(held.astype(np.float16).reshape(-1)), self._dim),
            ],
            schema=self._schema(),
        )
        self._written().replace(f"source = {source}", rows)
        self.refresh()

    def drop(self, sources: Sequence[int]) -> None:
        """Forget the vectors of sources, and give their space back."""
        if self._table is None:
            return
        table = self._written()
        if sources:
            table.delete(f"source IN ({', '.join(map(str, sorted(sources)))})")
        self.tidy()

    def tidy(self) -> None:
        """Bring small parts together, and index what is large."""
        table = self._written()
        table.compact()
        dataset = table.open()
        n_rows = dataset.count_rows()
        if n_rows >= INDEXED_ROWS:
            with translated(f"cannot index {self._path}"):
                dataset.create_index(
                    "vector",
                    "IVF_FLAT",
                    name="vector",
                    metric="cosine",
                    num_partitions=n_rows // PARTITION_ROWS,
                    replace=True,
                )
        table.clean(timedelta(0))
        self.refresh()

    def search(self, vector: npt.NDArray[np.float32], k: int, within: Sequence[int]) -> list[tuple[NodeId, float]]:
        """The ``k`` nodes of some sources whose vectors are nearest to (1, dim), with their cosines, best first."""
        if self._table is None or not within or k < 1:
            return []
        nearest = {"column": "vector", "q": vector.reshape(-1).astype(np.float16), "k": k, "metric": "cosine"}
        with translated(f"cannot search {self._path}"):
            found = self._table.to_table(
                columns=["source", "node", "_distance"],
                nearest={**nearest, "nprobes": PROBES},
                filter=f"node >= 0 AND source IN ({', '.join(map(str, within))})",
                prefilter=True,
            )
        columns = [found.column(name).to_pylist() for name in ("source", "node", "_distance")]
        hits = [(NodeId(source, node), 1.0 - distance) for source, node, distance in zip(*columns, strict=True)]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def _written(self) -> WritableTable:
        if self._table is None:
            options: dict[str, Any] = {"enable_stable_row_ids": True, "data_storage_version": STORAGE_VERSION}
            with translated(f"cannot write to {self._path}"):
                self._path.mkdir(parents=True, exist_ok=True)
                lance.write_dataset(self._schema().empty_table(), self._path, **options)
            self.refresh()
        return WritableTable(self._path, max_small_fragments=_MOST_SMALL_FRAGMENTS)

    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field("source", pa.int32(), nullable=False),
                pa.field("node", pa.int32(), nullable=False),
                pa.field("vector", pa.list_(pa.float16(), self._dim)),
            ]
        )


_NO_NODE = -1
