"""Mean gists. Oracle: the mean of all leaves in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.tree.text_gists import MeanTextGister

TABLE = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
TOLERANCE = 2e-6
"""Sums of up to a thousand float32 of magnitude 1, divided by their number."""

BLOCKS = st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=32), min_size=1, max_size=32)


def embed(ids: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows: np.ndarray[Any, np.dtype[np.float32]] = TABLE[ids]
    return rows


@settings(max_examples=100)
@given(BLOCKS)
def test_gists_of_blocks_are_means_at_every_level(blocks: list[list[int]]) -> None:
    net = MeanTextGister(embed, 6)
    gists = net.of_tokens([np.array(block) for block in blocks])
    for block, gist in zip(blocks, gists, strict=True):
        assert gist.shape == (1, 6)
        np.testing.assert_allclose(gist[0], TABLE[block].astype(np.float64).mean(axis=0), atol=TOLERANCE)
    half = len(blocks) // 2
    parts = [range(half), range(half, len(blocks))] if half else [range(len(blocks))]
    parents = [net.of_gists([gists[i] for i in part], [len(blocks[i]) for i in part]) for part in parts]
    top = net.of_gists(parents, [sum(len(blocks[i]) for i in part) for part in parts])
    everything = TABLE[[i for block in blocks for i in block]].astype(np.float64)
    np.testing.assert_allclose(top[0], everything.mean(axis=0), atol=TOLERANCE)
    assert top.dtype == np.float32


def test_unequal_children_weigh_by_their_leaves() -> None:
    net = MeanTextGister(embed, 6)
    gist = net.of_gists([np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)], [1, 3])
    np.testing.assert_allclose(gist, [[0.75, 0.75]])


def test_nothing_gives_nothing() -> None:
    assert MeanTextGister(embed, 6).of_tokens([]) == []


def test_unrelated_blocks_have_unlike_gists() -> None:
    """Defect 3 of the origin: there, gists of unrelated blocks were the same."""
    base = NativeBase.from_pretrained()
    rng = np.random.default_rng(0)
    blocks = [rng.choice(np.arange(200, 4000), 32, replace=False) for _ in range(20)]
    gists = np.concatenate(MeanTextGister(base.embed_tokens, base.dim).of_tokens(blocks)).astype(np.float64)
    unit = gists / np.linalg.norm(gists, axis=1, keepdims=True)
    likeness = unit @ unit.T
    assert np.allclose(np.diag(likeness), 1)
    assert np.abs(likeness - np.eye(20)).max() < 0.7
