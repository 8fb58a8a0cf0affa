"""Nodes as rows of the ``nodes`` table: what is packed into bytes, what stands in columns, and back.

A node is read a few dozen at a time, at random, in the middle of answering; each column costs about as much to read as
the whole row. So everything a ``Node`` needs is packed into one ``record``, its leaves into another, and only what is
searched, filtered or replaced on its own (source, LOD, modality, text, gist) has a column. The text there is what a
node is found by, with its context; the text that is read stands in the record.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.store.identity import GistShape
from mm_megacontext.tree.nodes import Leaves, Modality, Node, NodeId, NodeRow, PatchGrid, PixelRef, Summary

MODALITIES: tuple[Modality, ...] = ("text", "image", "mixed")


def at_lod1(modality: Modality) -> str:
    """A filter on rows: the blocks, or the tiles."""
    return f"lod = 1 AND modality = {MODALITIES.index(modality)}"


NODE_COLUMNS = ["record", "gist"]
"""Columns that make a ``Node``."""
LEAF_COLUMNS = ["leaves"]
"""Columns that make ``Leaves``."""
ROW_COLUMNS = [*NODE_COLUMNS, *LEAF_COLUMNS, "text"]
"""Columns that make a ``NodeRow``."""

# index, first, lod, modality, page, last_page | bbox | t_start, t_end, n_leaves | mu, sigma
# | has pixels, page, level, x, y, width, height | number of children and links, bytes of kind and text
_RECORD = struct.Struct("<iiBBii 4d 3q 6d B6i IIHI")
_MOMENTS_AT = struct.calcsize("<iiBBii 4d 3q")
# leaves, tokens, first t, packing of the geometry
_LEAVES = struct.Struct("<IIqB")
_RAW, _DEFLATED, _GRID = 0, 1, 2
# slots of all children together, behind the text where they are not as many each as the node's own
_COUNT = struct.Struct("<I")
# x, y, width, height, level, right, bottom, unit of a tile's patches
_PATCHES = struct.Struct("<7i d")
_HASH_BYTES = 16
_SUMMARY = [field.name for field in fields(Summary)]
_NO_LEAVES = Leaves(
    mu=np.zeros((0, 3)),
    boxes=np.zeros((0, 4), dtype=np.float32),
    token_ids=np.zeros(0, dtype=np.int64),
    roles=np.zeros(0, dtype=np.uint8),
)


def nodes_schema(shape: GistShape) -> pa.Schema:
    """Schema of the ``nodes`` table."""
    return pa.schema(
        [
            pa.field("source", pa.int32(), nullable=False),
            pa.field("node", pa.int32(), nullable=False),
            pa.field("lod", pa.int8(), nullable=False),
            pa.field("modality", pa.int8(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("gist", pa.list_(pa.float16(), shape.width)),
            pa.field("record", pa.binary(), nullable=False),
            pa.field("leaves", pa.binary()),
            pa.field("hash", pa.binary(_HASH_BYTES), nullable=False),
        ]
    )


def padded(gist: npt.NDArray[np.float16], shape: GistShape) -> npt.NDArray[np.float16]:
    """A gist with zeros in place of the slots that others of the memory have and it has not: sums stay as they are."""
    missing = shape.slots - len(gist)
    return np.pad(gist, ((0, missing), (0, 0))) if missing else gist


def encode_rows(source: int, rows: Sequence[NodeRow], shape: GistShape) -> pa.Table:
    """Rows of one source as a table of the schema for ``shape``."""
    schema = nodes_schema(shape)
    records = [_pack_record(row) for row in rows]
    leaves = [_pack_leaves(row) if row.lod == 1 else None for row in rows]
    gists = np.ascontiguousarray(np.stack([padded(row.gist, shape) for row in rows]), dtype=np.float16)
    texts = [_encodable(f"{row.context} {row.text}".strip()) for row in rows]
    hashes = [row_hash(*parts) for parts in zip(texts, records, leaves, gists, strict=True)]
    size = schema.field("gist").type.list_size
    columns = [
        pa.array(np.full(len(rows), source, dtype=np.int32)),
        pa.array([row.index for row in rows], pa.int32()),
        pa.array([row.lod for row in rows], pa.int8()),
        pa.array([MODALITIES.index(row.modality) for row in rows], pa.int8()),
        pa.array([text or None for text in texts], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(gists.reshape(-1)), size),
        pa.array(records, pa.binary()),
        pa.array(leaves, pa.binary()),
        pa.array(hashes, pa.binary(_HASH_BYTES)),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def gists_of(table: pa.Table, shape: GistShape) -> npt.NDArray[np.float16]:
    """The ``gist`` column as (rows, slots, dim), with zeros where a gist has fewer slots."""
    flat = table.column("gist").combine_chunks().flatten()
    values: npt.NDArray[np.float16] = flat.to_numpy(zero_copy_only=False)
    return values.reshape(len(table), shape.slots, shape.dim)


def decode_nodes(sources: Sequence[int], table: pa.Table, shape: GistShape) -> list[Node]:
    """Nodes of a table with ``NODE_COLUMNS``, one source number per row."""
    gists = gists_of(table, shape)
    records: list[bytes] = table.column("record").to_pylist()
    return [
        decode_node(source, record, gist, shape) for source, record, gist in zip(sources, records, gists, strict=True)
    ]


def decode_node(source: int, record: bytes, gist: npt.NDArray[np.float16], shape: GistShape) -> Node:
    """One node from its record and its ``padded`` gist."""
    head = _RECORD.unpack_from(record)
    index, first, lod, modality, page, last_page, x0, y0, x1, y1, t_start, t_end, n_leaves = head[:13]
    has_pixels, *pixels = head[19:26]
    n_children, n_links, n_kind, n_text = head[26:]
    moments = np.frombuffer(record, np.float64, 6, _MOMENTS_AT)
    at = _RECORD.size
    children = struct.unpack_from(f"<{n_children}i", record, at)
    at += 4 * n_children
    links = struct.unpack_from(f"<{n_links}i", record, at)
    at += 4 * n_links
    end = at + n_kind + n_text
    id = NodeId(source, index)
    return Node(
        id=id,
        first=NodeId(source, first),
        last=id,
        children=tuple([NodeId(source, child) for child in children]),
        lod=lod,
        modality=MODALITIES[modality],
        kind=record[at : at + n_kind].decode(),
        page=page,
        last_page=last_page,
        bbox=(x0, y0, x1, y1),
        t_span=(t_start, t_end),
        n_leaves=n_leaves,
        mu=moments[:3],
        sigma=moments[3:],
        # A copy: a view would keep the gists of all nodes read together alive with any one of them.
        gist=gist[: shape.slots_of(MODALITIES[modality])].copy(),
        child_slots=_COUNT.unpack_from(record, end)[0] if len(record) > end else None,
        text=record[at + n_kind : end].decode(),
        pixels=PixelRef(*pixels) if has_pixels else None,
        links=tuple([NodeId(source, link) for link in links]),
    )


def decode_leaves(packed: bytes) -> Leaves:
    """The leaves of one block or tile; the pixels of a tile are elsewhere."""
    n, n_tokens, t_start, packing = _LEAVES.unpack_from(packed)
    body = packed[_LEAVES.size :]
    grid = _grid_of(packed)
    if grid is not None:
        return _leaves_of_grid(grid)
    if packing == _DEFLATED:
        body = zlib.decompress(body)
    mu = np.empty((n, 3), dtype=np.float64)
    mu[:, 0] = t_start + np.frombuffer(body, np.uint32, n).astype(np.int64)
    mu[:, 1:] = np.frombuffer(body, np.float32, 2 * n, 4 * n).reshape(n, 2)
    return Leaves(
        mu=mu,
        boxes=np.frombuffer(body, np.float32, 4 * n, 12 * n).reshape(n, 4),
        token_ids=np.frombuffer(body, np.int32, n_tokens, 28 * n).astype(np.int64),
        roles=np.frombuffer(body, np.uint8, n_tokens, 28 * n + 4 * n_tokens),
    )


def _grid_of(packed: bytes) -> PatchGrid | None:
    """What the leaves of a tile follow from, if that is what was stored."""
    _, _, t_start, packing = _LEAVES.unpack_from(packed)
    if packing != _GRID:
        return None
    x, y, width, height, level, right, bottom, unit = _PATCHES.unpack(packed[_LEAVES.size :])
    return PatchGrid(x, y, width, height, level, right, bottom, unit, t_start)


def _leaves_of_grid(grid: PatchGrid) -> Leaves:
    return Leaves(
        mu=grid.mu(), boxes=grid.boxes(), token_ids=np.zeros(0, dtype=np.int64), roles=np.zeros(0, dtype=np.uint8)
    )


def decode_rows(source: int, table: pa.Table, shape: GistShape) -> list[NodeRow]:
    """The rows of one source as they were written: the inverse of ``encode_rows``, from a table with its columns."""
    texts, records, leaves = (table.column(name).to_pylist() for name in ("text", "record", "leaves"))
    parts = zip(texts, records, leaves, gists_of(table, shape), strict=True)
    return [_row(decode_node(source, record, gist, shape), text or "", own) for text, record, own, gist in parts]


def _row(node: Node, searched: str, packed: bytes | None) -> NodeRow:
    leaves = _NO_LEAVES if packed is None else decode_leaves(packed)
    return NodeRow(
        **{name: getattr(node, name) for name in _SUMMARY},
        index=node.id.index,
        first=node.first.index,
        children=tuple(child.index for child in node.children),
        text=node.text,
        context=searched.removesuffix(_encodable(node.text)).strip(),
        pixels=node.pixels,
        links=tuple(link.index for link in node.links),
        child_slots=node.child_slots,
        token_ids=leaves.token_ids.astype(np.int32),
        leaf_mu=leaves.mu,
        leaf_boxes=leaves.boxes,
        leaf_roles=leaves.roles,
        grid=None if packed is None else _grid_of(packed),
    )


def row_hash(text: str, record: bytes, leaves: bytes | None, gist: npt.NDArray[np.float16]) -> bytes:
    """Hash of all that a row holds, apart from the number its source happens to have."""
    digest = hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES)
    digest.update(record)
    digest.update(leaves or b"")
    digest.update(gist.tobytes())
    return digest.digest()


def check_row(row: NodeRow, index: int, shape: GistShape) -> None:
    """Refuse a row that is not the ``index``-th of its source or whose gist has another shape."""
    if row.index != index:
        raise ValueError(f"rows must come in post-order without gaps: expected node {index}, got {row.index}")
    if row.gist.shape != (shape.slots_of(row.modality), shape.dim):
        raise IncompatibleGists(
            f"node {index} ({row.modality}): the memory holds gists of {shape}, got one of {row.gist.shape[0]} × "
            f"{row.gist.shape[-1]}; give a gister that makes these, or a new memory"
        )
    n_tokens = len(row.token_ids)
    if row.lod == 1 and not (
        0 < len(row.leaf_mu) == len(row.leaf_boxes) == row.n_leaves
        and len(row.leaf_roles) == n_tokens
        and n_tokens in (0, row.n_leaves)
        and (row.grid is None or len(row.grid) == row.n_leaves)
    ):
        raise ValueError(f"node {index}: its {row.n_leaves} leaves and its leaf arrays differ in length")


def _pack_record(row: NodeRow) -> bytes:
    pixels: tuple[Any, ...] = (0,) * 6
    if row.pixels is not None:
        p = row.pixels
        pixels = (p.page, p.level, p.x, p.y, p.width, p.height)
    kind = row.kind.encode()
    text = _encodable(row.text).encode()
    head = _RECORD.pack(
        *(row.index, row.first, row.lod, MODALITIES.index(row.modality), row.page, row.last_page),
        *row.bbox,
        *(*row.t_span, row.n_leaves),
        *(*row.mu, *row.sigma),
        *(row.pixels is not None, *pixels),
        *(len(row.children), len(row.links), len(kind), len(text)),
    )
    numbers = struct.pack(f"<{len(row.children) + len(row.links)}i", *row.children, *row.links)
    return head + numbers + kind + text + (b"" if row.child_slots is None else _COUNT.pack(row.child_slots))


def _pack_leaves(row: NodeRow) -> bytes:
    if row.grid is not None:
        g = row.grid
        place = _PATCHES.pack(g.x, g.y, g.width, g.height, g.level, g.right, g.bottom, g.unit)
        return _LEAVES.pack(len(g), 0, g.t, _GRID) + place
    t = row.leaf_mu[:, 0].astype(np.int64)
    t_start = int(t.min(initial=row.t_span[0]))
    body = b"".join(
        np.ascontiguousarray(values, dtype=kind).tobytes()
        for values, kind in (
            (t - t_start, np.uint32),
            (row.leaf_mu[:, 1:], np.float32),
            (row.leaf_boxes, np.float32),
            (row.token_ids, np.int32),
            (row.leaf_roles, np.uint8),
        )
    )
    packing = _RAW
    if not len(row.token_ids):  # patches shrink to a tenth; the geometry of text hardly
        body, packing = zlib.compress(body, 1), _DEFLATED
    return _LEAVES.pack(len(t), len(row.token_ids), t_start, packing) + body


def _encodable(text: str) -> str:
    """``text`` without lone surrogates, which broken PDFs hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
