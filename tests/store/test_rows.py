"""Rows to bytes and back. Oracle: what was put in."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import (
    LEAF_COLUMNS,
    NODE_COLUMNS,
    check_row,
    decode_leaves,
    decode_nodes,
    encode_rows,
)
from mm_megacontext.tree.nodes import Modality, NodeId, NodeRow, PixelRef
from tests.store.store_worker import IDENTITY, tree_rows

DIM = 3
SHAPE = GistShape(DIM, text_slots=2, image_slots=3)
INT32 = st.integers(0, 2**31 - 1)
COORDINATE = st.floats(-1e6, 1e6, width=32)


def floats(n: int, width: int) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    kind = np.dtype(f"f{width // 8}")
    # Bounds, not ``allow_infinity=False``: that draws 64 bits and throws away what does not fit the width.
    ends = np.finfo(kind)
    numbers = st.floats(float(ends.min), float(ends.max), width=width)  # type: ignore[arg-type]
    return st.lists(numbers, min_size=n, max_size=n).map(lambda values: np.array(values, dtype=kind))


@st.composite
def rows(draw: st.DrawFn) -> NodeRow:
    """Any row at all: the store keeps what it is given, whether it makes a tree is for ``verify``."""
    lod = draw(st.integers(1, 6))
    is_text = draw(st.booleans())
    modality: Modality = draw(st.sampled_from(["text", "image", "mixed"]))
    slots = SHAPE.slots_of(modality)
    n = draw(st.integers(1, 12)) if lod == 1 else 0
    n_tokens = n if is_text else 0
    start = draw(st.integers(0, 2**50))
    steps = draw(st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n))
    xy = draw(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=n, max_size=n))
    children = tuple(draw(st.lists(INT32, max_size=32))) if lod > 1 else ()
    return NodeRow(
        index=draw(INT32),
        first=draw(INT32),
        children=children,
        lod=lod,
        modality=modality,
        kind=draw(st.sampled_from(["text", "table", "figure", "Überschrift"])),
        page=draw(INT32),
        last_page=draw(INT32),
        bbox=draw(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4)),
        t_span=(start, start + 2**32),
        n_leaves=draw(st.integers(0, 2**60)) if lod > 1 else n,
        mu=draw(floats(3, 64)),
        sigma=draw(floats(3, 64)),
        gist=draw(floats(DIM * slots, 16)).reshape(slots, DIM).astype(np.float16),
        child_slots=draw(st.none() | st.integers(0, 2**32 - 1)),
        text=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=60)),
        pixels=draw(st.none() | st.builds(PixelRef, INT32, INT32, INT32, INT32, INT32, INT32)),
        links=tuple(draw(st.lists(INT32, max_size=4))),
        token_ids=np.array(draw(st.lists(INT32, min_size=n_tokens, max_size=n_tokens)), dtype=np.int32),
        leaf_mu=np.column_stack([np.array([start + s for s in steps], dtype=np.float64), np.array(xy).reshape(n, 2)]),
        leaf_boxes=draw(floats(4 * n, 32)).reshape(n, 4).astype(np.float32),
        leaf_roles=np.array(draw(st.lists(st.integers(0, 255), min_size=n_tokens, max_size=n_tokens)), dtype=np.uint8),
    )


@settings(max_examples=40)
@given(st.lists(rows(), min_size=1, max_size=3), st.integers(1, 2**31 - 1))
def test_rows_come_back_as_they_were(written: list[NodeRow], source: int) -> None:
    table = encode_rows(source, written, SHAPE)
    nodes = decode_nodes([source] * len(written), table.select(NODE_COLUMNS), SHAPE)
    packed = table.select(LEAF_COLUMNS).column("leaves").to_pylist()
    for row, node, leaves in zip(written, nodes, packed, strict=True):
        assert node.id == node.last == NodeId(source, row.index)
        assert node.first == NodeId(source, row.first)
        assert node.children == tuple(NodeId(source, child) for child in row.children)
        assert node.links == tuple(NodeId(source, link) for link in row.links)
        for name in ("lod", "modality", "kind", "page", "last_page", "bbox", "t_span", "n_leaves", "text", "pixels"):
            assert getattr(node, name) == getattr(row, name), name
        assert node.child_slots == row.child_slots
        for name in ("mu", "sigma", "gist"):
            np.testing.assert_array_equal(getattr(node, name), getattr(row, name), strict=True)
        assert (leaves is None) == (row.lod > 1)
        if leaves is not None:
            assert_leaves(row, leaves)


def assert_leaves(row: NodeRow, packed: bytes) -> None:
    leaves = decode_leaves(packed)
    np.testing.assert_array_equal(leaves.mu, row.leaf_mu, strict=True)  # x and y were drawn from float32
    np.testing.assert_array_equal(leaves.boxes, row.leaf_boxes, strict=True)
    np.testing.assert_array_equal(leaves.token_ids, row.token_ids.astype(np.int64), strict=True)
    np.testing.assert_array_equal(leaves.roles, row.leaf_roles, strict=True)
    assert leaves.pixels is None


def test_what_utf8_cannot_hold_is_replaced() -> None:
    ((row, *_), *_) = tree_rows(1)
    table = encode_rows(1, [dataclasses.replace(row, text="a\ud800b")], IDENTITY.shape)
    (node,) = decode_nodes([1], table, IDENTITY.shape)
    assert node.text == table.column("text")[0].as_py() == "a?b"


def test_the_leaves_of_a_tile_take_little_room() -> None:
    tile = next(row for batch in tree_rows(1) for row in batch if row.modality == "image")
    (packed,) = encode_rows(1, [tile], IDENTITY.shape).column("leaves").to_pylist()
    assert len(packed) < 400  # 28 bytes a patch would be 1792


def test_wrong_rows_are_refused() -> None:
    ((row, *_), *_) = tree_rows(1)
    shape = IDENTITY.shape
    check_row(row, 0, shape)
    with pytest.raises(ValueError, match="post-order without gaps: expected node 3, got 0"):
        check_row(row, 3, shape)
    with pytest.raises(
        IncompatibleGists, match=r"node 0 \(text\): the memory holds gists of 2 × 8, of images 1 × 8, got"
    ):
        check_row(row, 0, GistShape(8, 2, 1))
    with pytest.raises(ValueError, match="leaf arrays differ in length"):
        check_row(dataclasses.replace(row, token_ids=row.token_ids[:-1]), 0, shape)
