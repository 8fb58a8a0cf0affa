"""The catalogue: what a memory knows of each source. Its row in the ``sources`` table is what makes a source exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mm_megacontext.document import SourceKind, Unit
from mm_megacontext.errors import CorruptStore
from mm_megacontext.store.durable import decoding
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import padded
from mm_megacontext.tree.nodes import Node, NodeId

COUNTER_URI = ""
"""The row with this uri is no source: its number is the last one given out, so that none is used twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What is known of a source besides its tree.

    ``page_sizes`` and ``problems`` are read after the last row was written, so lists that grow while pages are read
    may be given.

    Attributes:
        content_hash: Of the file's bytes; a source whose hash and engine have not changed is not written again.
        page_sizes: (width, height) of each page that was read, in ``unit``.
        problems: (page from 1, what is wrong with it) of pages that could not be read whole.
        engine: Name of what opened it, where there is a choice.
    """

    uri: str
    kind: SourceKind
    unit: Unit
    n_pages: int
    content_hash: str
    page_sizes: Sequence[tuple[float, float]] = ()
    problems: Sequence[tuple[int, str]] = ()
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceRecord:
    """A stored source.

    Attributes:
        number: Counts from 1 and is never given to another source.
        page_sizes: (pages, 2) float64, width and height in ``unit``.
        root: Post-order index of the root; ``n_nodes - 1``.
        t_length: Units of its timeline, which starts at 0.
        gist: float16 (slots, dim), of the root, with zeros where it has fewer slots than others of the memory;
            likewise ``mu`` and ``sigma``, float64 (3,).
        bytes: Size of its rows on disk when it was written.
        row_start: Id of its first row in the ``nodes`` table; the others follow.
    """

    number: int
    uri: str
    kind: SourceKind
    unit: Unit
    n_pages: int
    content_hash: str
    page_sizes: npt.NDArray[np.float64]
    problems: tuple[tuple[int, str], ...]
    engine: str
    n_nodes: int
    n_leaves: int
    t_length: int
    gist: npt.NDArray[np.float16]
    mu: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    bytes: int
    row_start: int

    @property
    def root(self) -> int:
        return self.n_nodes - 1

    @property
    def root_id(self) -> NodeId:
        return NodeId(self.number, self.root)


def sources_schema(shape: GistShape) -> pa.Schema:
    """Schema of the ``sources`` table."""
    triple = pa.list_(pa.float64(), 3)
    return pa.schema(
        [
            pa.field("uri", pa.string(), nullable=False),
            pa.field("number", pa.int32(), nullable=False),
            pa.field("kind", pa.string()),
            pa.field("unit", pa.string()),
            pa.field("n_pages", pa.int32()),
            pa.field("content_hash", pa.string()),
            pa.field("page_sizes", pa.list_(pa.float64())),
            pa.field("problem_pages", pa.list_(pa.int32())),
            pa.field("problems", pa.list_(pa.string())),
            pa.field("engine", pa.string()),
            pa.field("n_nodes", pa.int32()),
            pa.field("n_leaves", pa.int64()),
            pa.field("t_length", pa.int64()),
            pa.field("gist", pa.list_(pa.float16(), shape.width)),
            pa.field("mu", triple),
            pa.field("sigma", triple),
            pa.field("bytes", pa.int64()),
            pa.field("row_start", pa.int64()),
        ]
    )


def counter_row(last_number: int, identity: str) -> dict[str, Any]:
    """The row that remembers the last number given out, and, should ``memory.json`` get lost, whose gists there are."""
    return {"uri": COUNTER_URI, "number": last_number, "engine": identity}


def source_row(info: SourceInfo, root: Node, shape: GistShape, *, n_bytes: int, row_start: int) -> dict[str, Any]:
    """The catalogue row of a source whose nodes are written; ``root`` is the last of them."""
    return {
        "uri": info.uri,
        "number": root.id.source,
        "kind": info.kind,
        "unit": info.unit,
        "n_pages": info.n_pages,
        "content_hash": info.content_hash,
        "page_sizes": [float(side) for size in info.page_sizes for side in size],
        "problem_pages": [page for page, _ in info.problems],
        "problems": [problem for _, problem in info.problems],
        "engine": info.engine,
        "n_nodes": root.id.index + 1,
        "n_leaves": root.n_leaves,
        "t_length": root.t_span[1],
        "gist": padded(root.gist, shape).reshape(-1),
        "mu": root.mu,
        "sigma": root.sigma,
        "bytes": n_bytes,
        "row_start": row_start,
    }


def moved_row(record: SourceRecord, uri: str) -> dict[str, Any]:
    """The catalogue row of a stored source under another uri."""
    told = {field.name: getattr(record, field.name) for field in fields(record)} | {"uri": uri}
    pages, problems = zip(*told.pop("problems"), strict=True) if record.problems else ((), ())
    return {
        **told,
        "page_sizes": record.page_sizes.reshape(-1),
        "problem_pages": pages,
        "problems": problems,
        "gist": record.gist.reshape(-1),
    }


def rows_table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Catalogue rows as a table; what a row leaves out is null."""
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The content of the ``sources`` table.

    Attributes:
        last_number: The last number given out.
        identity: Whose gists there are, as JSON; empty in memories that older versions wrote last.
        records: All sources, in the order they were added.
    """

    last_number: int
    identity: str
    records: list[SourceRecord]


def read_catalogue(table: pa.Table, shape: GistShape) -> Catalogue:
    """The catalogue in a table. Raises CorruptStore where it says what cannot be."""
    with decoding("the catalogue of the sources"):
        is_counter = pc.equal(table.column("uri"), COUNTER_URI)
        counters = table.filter(is_counter).select(["number", "engine"]).to_pylist()
        if len(counters) != 1 or not isinstance(counters[0]["number"], int):
            raise CorruptStore(f"the catalogue of the sources is damaged: it has {len(counters)} counters instead of 1")
        records = _records(table.filter(pc.invert(is_counter)), shape)
        last, identity = counters[0]["number"], counters[0]["engine"] or ""
        _check_numbers(records, last)
        return Catalogue(last, identity, records)


def read_identity_copy(table: pa.Table) -> str:
    """Whose gists there are, as JSON, of a catalogue whose vectors have any size; empty without a copy."""
    with decoding("the catalogue of the sources"):
        copies = table.filter(pc.equal(table.column("uri"), COUNTER_URI)).column("engine").to_pylist()
        return str(copies[0] or "") if copies else ""


def _records(table: pa.Table, shape: GistShape) -> list[SourceRecord]:
    table = table.sort_by("number").combine_chunks()
    # Vectors go through numpy: as Python objects they would make opening a memory of many sources slow.
    gists = _vectors(table, "gist", shape.width).reshape(-1, shape.slots, shape.dim)
    mus, sigmas = _vectors(table, "mu", 3), _vectors(table, "sigma", 3)
    sizes = table.column("page_sizes")
    rows = table.drop_columns(["gist", "mu", "sigma", "page_sizes"]).to_pylist()
    records = []
    for i, row in enumerate(rows):
        pages, problems = row.pop("problem_pages"), row.pop("problems")
        record = SourceRecord(
            **row,
            page_sizes=sizes[i].values.to_numpy().reshape(-1, 2),
            problems=tuple(zip(pages, problems, strict=True)),
            gist=gists[i],
            mu=mus[i],
            sigma=sigmas[i],
        )
        _check(record)
        records.append(record)
    return records


_KINDS, _UNITS = frozenset(get_args(SourceKind)), frozenset(get_args(Unit))


def _check(record: SourceRecord) -> None:
    """Refuse a record that no writer of ours has made. Raises ValueError, TypeError."""
    if record.kind not in _KINDS or record.unit not in _UNITS:
        raise ValueError(f"source {record.number} is of kind {record.kind!r} in {record.unit!r}")
    if min(record.number, record.n_pages, record.n_nodes, record.n_leaves) < 1 or record.n_nodes > _MOST_NODES:
        raise ValueError(f"source {record.number} has no pages, nodes or leaves")
    if min(record.t_length, record.bytes, record.row_start) < 0 or record.row_start + record.n_nodes >= _MOST_ROWS:
        raise ValueError(f"source {record.number} has a negative place")
    if not (record.uri.__class__ is record.content_hash.__class__ is record.engine.__class__ is str):
        raise TypeError(f"source {record.number} has no name or hash")


_MOST_NODES, _MOST_ROWS = 2**31, 2**63


def _check_numbers(records: Sequence[SourceRecord], last: int) -> None:
    """Numbers and uris are given once. Raises ValueError."""
    numbers, uris = {record.number for record in records}, {record.uri for record in records}
    if len(numbers) != len(records) or len(uris) != len(records) or max(numbers, default=0) > last:
        raise ValueError("a source stands in it twice, or with a number that was not given out")


def _vectors(table: pa.Table, name: str, size: int) -> npt.NDArray[Any]:
    flat = table.column(name).combine_chunks().flatten()
    values: npt.NDArray[Any] = flat.to_numpy(zero_copy_only=False)
    return values.reshape(-1, size)
