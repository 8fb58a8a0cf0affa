"""A memory as it was at one moment: both tables at fixed versions, and every way of reading them."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance.query import MatchQuery

from mm_megacontext.errors import CorruptStore, NodeNotFound, StoreError
from mm_megacontext.store.cache import MOST_RUNS, RowCache, Run, Span, rows_per_run, split_runs
from mm_megacontext.store.catalogue import SourceRecord, read_catalogue
from mm_megacontext.store.durable import StoreWarning, decoding, translated
from mm_megacontext.store.identity import GistShape, Identity
from mm_megacontext.store.places import MEMORY_FILE, NODES, SOURCES
from mm_megacontext.store.rows import LEAF_COLUMNS, NODE_COLUMNS, ROW_COLUMNS, at_lod1, decode_rows, nodes_schema
from mm_megacontext.store.versions import Fallback, open_newest, table_versions
from mm_megacontext.tree.nodes import Leaves, Modality, Node, NodeId, NodeRow

READ_BYTES = 65_536
"""Reads nearer to each other than this become one: 64 nodes of a source take half the time."""
ROWS_AT_ONCE = 1024
"""Rows that are read together where all are wanted."""
PROBES = 16
"""Partitions of the vector index that a search looks into; each holds some 4 000 vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a reader sees until it refreshes.

    Attributes:
        records: Sources that are whole, by number, in the order they were added.
        last_number: The last source number given out.
        hidden: Source numbers that have rows but are not to be seen: left by a killed writer, or about to be deleted.
        broken: Sources in the catalogue whose rows are not all there.
        fallbacks: Where an older version is in use than there was.
        identity_copy: Whose gists there are, as the catalogue has it; empty if an older version wrote it.
    """

    path: Path
    shape: GistShape
    nodes_table: lance.LanceDataset
    sources_table: lance.LanceDataset
    records: dict[int, SourceRecord]
    last_number: int
    hidden: frozenset[int]
    broken: dict[int, SourceRecord]
    fallbacks: tuple[Fallback, ...] = ()
    identity_copy: str = ""
    cache: RowCache = field(default_factory=RowCache)

    @classmethod
    def take(cls, path: Path, identity: Identity, cache: RowCache | None = None) -> Snapshot:
        """The newest state of the memory in ``path``.

        Raises:
            CorruptStore: It is damaged, or holds gists of another shape than ``identity`` says.
        """
        while True:
            before = table_versions(path / SOURCES)
            sources, table, fallback = open_newest(path / SOURCES, lambda dataset: dataset.to_table())
            nodes, n_rows, other = open_newest(path / NODES, lambda data: data.count_rows(), block_size=READ_BYTES)
            # A writer adds nodes before their source and deletes them after it: if the catalogue stood still while
            # nodes were opened, they hold all that it names.
            if table_versions(path / SOURCES)[:1] == before[:1]:
                break
        _check_shape(path, nodes, identity)
        with decoding(str(path)):
            catalogue = read_catalogue(table, identity.shape)
        if catalogue.identity not in ("", identity.to_json()):
            raise CorruptStore(
                f"{path / MEMORY_FILE} is damaged (the catalogue has {catalogue.identity}); "
                f"rebuild it with: mmctx verify {path} --repair"
            )
        whole, hidden, broken = _compare(path, nodes, n_rows, catalogue.records)
        fallbacks = tuple(found for found in (fallback, other) if found is not None)
        for found in fallbacks:
            warnings.warn(str(found), StoreWarning, stacklevel=2)
        if broken:
            names = ", ".join(record.uri for record in broken.values())
            warnings.warn(f"{path}: damaged and left out, ingest again: {names}", StoreWarning, stacklevel=2)
        return cls(
            path=path,
            shape=identity.shape,
            nodes_table=nodes,
            sources_table=sources,
            records={record.number: record for record in whole},
            last_number=catalogue.last_number,
            hidden=hidden,
            broken=broken,
            fallbacks=fallbacks,
            identity_copy=catalogue.identity,
            cache=cache or RowCache(),
        )

    def find(self, uri: str) -> SourceRecord | None:
        """The source of that uri."""
        return next((record for record in self.records.values() if record.uri == uri), None)

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        """See ``TreeReader.nodes``."""
        self.row_ids(ids)  # the cache may know sources that are forgotten
        found = self.cache.nodes.get(ids)
        missing = {id for id in ids if id not in found}
        if missing:
            with decoding(f"a node in {self.path}"):
                read = {id: run.node(id) for id, run in self._runs_of(missing)}
            self.cache.nodes.put(read)
            found.update(read)
        return [found[id] for id in ids]

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        """See ``TreeReader.leaves``."""
        self.row_ids(ids)
        with decoding(f"a node in {self.path}"):
            found = {id: run.leaves_of(id) for id, run in self._runs_of(set(ids))}
        return [found[id] for id in ids]

    def _runs_of(self, ids: Iterable[NodeId]) -> list[tuple[NodeId, Run]]:
        """Nodes that exist, each with a run that holds it."""
        spans = {id: self._span(id) for id in ids}
        held = self.cache.runs.get(set(spans.values()))
        missing = {id: span for id, span in spans.items() if span not in held}
        if len(set(missing.values())) > MOST_RUNS:
            spans |= {id: Span(id.source, id.index, id.index + 1) for id in missing}
            held |= self._read_runs([spans[id] for id in sorted(missing)])
        elif missing:
            read = self._read_runs(sorted(set(missing.values())))
            self.cache.runs.put(read)
            held |= read
        return [(id, held[span]) for id, span in spans.items()]

    def _span(self, id: NodeId) -> Span:
        """The run in which a node is read."""
        length = rows_per_run(self.shape)
        begin = id.index - id.index % length
        return Span(id.source, begin, min(begin + length, self.records[id.source].n_nodes))

    def _read_runs(self, spans: Sequence[Span]) -> dict[Span, Run]:
        starts = [self.records[span.source].row_start for span in spans]
        rows = [start + i for start, span in zip(starts, spans, strict=True) for i in range(span.begin, span.end)]
        return split_runs(self.take_rows(rows, [*NODE_COLUMNS, *LEAF_COLUMNS]), spans, self.shape)

    def row_ids(self, ids: Iterable[NodeId]) -> list[int]:
        """Where nodes are in the nodes table. Raises NodeNotFound."""
        rows = []
        for source, index in ids:
            record = self.records.get(source)
            if record is None or not 0 <= index < record.n_nodes:
                known = f"source {source} is not in this memory" if record is None else f"it has {record.n_nodes} nodes"
                raise NodeNotFound(f"no node {source}:{index}: {known}")
            rows.append(record.row_start + index)
        return rows

    def take_rows(self, row_ids: list[int], columns: list[str]) -> pa.Table:
        """Rows of the nodes table by id; ids stay when rows are compacted, offsets would not."""
        with translated(f"cannot read {self.path}"):
            table = self.nodes_table._take_rows(row_ids, columns)
            if len(table) != len(row_ids):
                raise ValueError(f"{len(row_ids) - len(table)} of {len(row_ids)} nodes are missing; run verify")
            return table

    def rows_of(self, number: int) -> Iterator[list[NodeRow]]:
        """The rows of a source as they were written, in lists."""
        record = self.records[number]
        for start in range(0, record.n_nodes, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, record.n_nodes)
            ids = [record.row_start + index for index in range(start, stop)]
            with decoding(f"a node in {self.path}"):
                yield decode_rows(number, self.take_rows(ids, ROW_COLUMNS), self.shape)

    def search_text(self, query: str, k: int, within: Sequence[int] | None) -> list[tuple[NodeId, float]]:
        """Blocks by BM25, best first."""
        words = query.encode("utf-8", "replace").decode()
        if not words.strip() or k < 1 or not self.records:
            return []
        with translated(f"cannot search {self.path} (if its index is damaged, vacuum builds it anew)"):
            table = self.nodes_table.scanner(
                columns=["_score"],
                with_row_id=True,
                full_text_query=MatchQuery(words, "text"),
                limit=k,
                filter=self._visible(within),
                prefilter=True,
            ).to_table()
        return self._ranked(table, table.column("_score").to_numpy())

    def search_vectors(
        self, vector: npt.NDArray[np.float32], k: int, within: Sequence[int] | None, modality: Modality
    ) -> list[tuple[NodeId, float]]:
        """Blocks or tiles by cosine to the mean of their gist slots, up to the length of that mean; best first."""
        dim = self.shape.dim
        query = np.asarray(vector, dtype=np.float32).reshape(-1)
        if query.shape != (dim,):
            raise ValueError(f"the memory holds gists of {dim} dimensions, the vector has {len(query)}")
        length = float(np.linalg.norm(query))
        if not np.isfinite(length):
            raise ValueError("the vector is not finite")
        if length == 0 or k < 1 or not self.records:
            return []
        # Repeated over the slots, the product with a whole gist is that with the sum of its slots.
        tiled = np.tile(query / length, self.shape.slots).astype(np.float16)
        nearest = {"column": "gist", "q": tiled, "k": k, "metric": "cosine", "nprobes": PROBES}
        with translated(f"cannot search {self.path} (if its index is damaged, vacuum builds it anew)"):
            table = self.nodes_table.scanner(
                columns=["_distance"],
                with_row_id=True,
                nearest=nearest,
                filter=" AND ".join(filter(None, [at_lod1(modality), self._visible(within)])),
                prefilter=True,
            ).to_table()
        return self._ranked(table, 1.0 - table.column("_distance").to_numpy())

    def counts(self) -> dict[int, int]:
        """Nodes per LOD."""
        with translated(f"cannot read {self.path}"):
            lods = self.nodes_table.to_table(columns=["lod"], filter=self._visible()).column("lod")
        return {pair["values"]: pair["counts"] for pair in sorted(pc.value_counts(lods).to_pylist(), key=_lod)}

    def _ranked(self, table: pa.Table, scores: npt.NDArray[np.float32]) -> list[tuple[NodeId, float]]:
        """Hits by score, then in document order; a hit's node follows from its row, which is not read."""
        records = sorted(self.records.values(), key=attrgetter("row_start"))
        rows = table.column("_rowid").to_numpy().astype(np.int64)
        at = np.searchsorted([record.row_start for record in records], rows, "right") - 1
        hits = []
        for i, row, score in zip(at.tolist(), rows.tolist(), scores.tolist(), strict=True):
            index = row - records[i].row_start
            if 0 <= index < records[i].n_nodes:  # the rows of what is damaged and left out may be found, too
                hits.append((NodeId(records[i].number, index), score))
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def _visible(self, within: Sequence[int] | None = None) -> str | None:
        """A filter on the rows: the given sources, or all but the hidden ones."""
        if within is not None:
            numbers = sorted(set(within) - self.hidden)
            return f"source IN ({', '.join(map(str, numbers))})" if numbers else "false"
        numbers = sorted(self.hidden)
        return f"source NOT IN ({', '.join(map(str, numbers))})" if numbers else None


def _lod(pair: dict[str, int]) -> int:
    return pair["values"]


def _compare(
    path: Path, nodes: lance.LanceDataset, n_rows: int, records: Sequence[SourceRecord]
) -> tuple[list[SourceRecord], frozenset[int], dict[int, SourceRecord]]:
    """Whole records, numbers to hide, broken records.

    Rows come and go a whole source at a time: if there are as many as there should be, and one of each source, then
    they are all there, and no others.
    """
    firsts = _sources_of_rows(nodes, [record.row_start for record in records])
    if n_rows == sum(r.n_nodes for r in records) and firsts == [r.number for r in records]:
        return list(records), frozenset(), {}
    present = Counter[int]()
    for fragment in nodes.get_fragments():
        present.update(_sources_of_fragment(fragment, path / NODES) or {})
    broken = {record.number: record for record in records if present[record.number] != record.n_nodes}
    whole = [record for record in records if record.number not in broken]
    hidden = frozenset(present) - {record.number for record in whole}
    return whole, hidden, broken


def _sources_of_rows(nodes: lance.LanceDataset, row_ids: list[int]) -> list[int] | None:
    """The source number of each row; None if they cannot all be read."""
    try:
        with translated("cannot read the nodes table"):
            numbers: list[int] = nodes._take_rows(row_ids, ["source"]).column("source").to_pylist()
            return numbers
    except StoreError:
        return None


def _sources_of_fragment(fragment: lance.LanceFragment, directory: Path) -> Counter[int] | None:
    """How many rows of which source a fragment holds; None if it is damaged or gone, not if reading is forbidden."""
    try:
        with translated(f"cannot read {directory}"):
            numbers = fragment.to_table(columns=["source"]).column("source").to_numpy()
    except StoreError:
        for file in fragment.metadata.files:
            with contextlib.suppress(FileNotFoundError), translated(f"cannot read {directory}"):
                (directory / "data" / file.path).open("rb").close()
        return None
    return Counter(dict(zip(*(part.tolist() for part in np.unique(numbers, return_counts=True)), strict=True)))


def _check_shape(path: Path, nodes: lance.LanceDataset, identity: Identity) -> None:
    """Refuse a table without our columns, or with gists of another size than ``identity`` says."""
    with decoding(str(path)):
        for field in nodes_schema(identity.shape):
            if nodes.schema.field(field.name).type != field.type:
                raise ValueError(f"column {field.name} of its nodes is {nodes.schema.field(field.name).type}")
