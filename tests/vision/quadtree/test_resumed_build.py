"""Going on with a quad-tree after any number of its rows. Oracle: the rows of the build that nobody interrupted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.vision.encoders import DctEncoder
from mm_megacontext.vision.sources.source import ArraySource
from tests.images import (
    SparseArraySource,
    TexturedSource,
    assert_rows_equal,
    image_rows,
    patchwork,
    tops_of,
)

SIZES = st.tuples(st.integers(1, 2300), st.integers(1, 1300))


def stored(tops: tuple[NodeRow, ...]) -> tuple[NodeRow, ...]:
    """As they come back from disk: without leaves."""
    none = np.zeros((0, 3)), np.zeros((0, 4), np.float32)
    return tuple(dataclasses.replace(top, leaf_mu=none[0], leaf_boxes=none[1], grid=None) for top in tops)


@settings(max_examples=25)
@given(SIZES, st.booleans(), st.integers(0, 2**32), st.data())
def test_the_rest_is_the_rest(size: tuple[int, int], is_sparse: bool, seed: int, data: st.DataObject) -> None:
    pixels = patchwork(*size, seed)
    source = SparseArraySource(pixels) if is_sparse else ArraySource(pixels)
    rows = image_rows(source)
    n = data.draw(st.integers(0, len(rows)))
    assert_rows_equal(image_rows(source, n, stored(tops_of(rows[:n]))), rows[n:])


@pytest.mark.parametrize("n", [1, 63, 64, 85, 86, 300, 425])
def test_gists_do_not_depend_on_where_it_broke_off(n: int) -> None:
    """Textured: every tile is encoded, in other batches than before."""
    source = TexturedSource(2600, 2100)
    rows = image_rows(source)
    assert_rows_equal(image_rows(source, n, stored(tops_of(rows[:n]))), rows[n:])


@pytest.mark.parametrize("dim", [3, 24, 192, 768])
def test_the_vectors_of_a_tile_have_the_same_bits_in_any_batch(dim: int) -> None:
    tiles = np.random.default_rng(dim).integers(0, 256, (9, 3, 128, 128), dtype=np.uint8)
    encoder = DctEncoder(dim)
    together = encoder.encode(tiles)
    for parts in ([1] * 9, [2, 7], [8, 1], [4, 5]):
        starts = np.cumsum([0, *parts[:-1]])
        apart = [encoder.encode(tiles[start : start + n]) for start, n in zip(starts, parts, strict=True)]
        np.testing.assert_array_equal(np.concatenate(apart), together)


def test_the_rows_of_another_image_are_refused() -> None:
    rows = image_rows(TexturedSource(1000, 500))
    with pytest.raises(ValueError, match="none of its parts"):
        image_rows(TexturedSource(700, 500), 5, tops_of(rows[:-1]))
