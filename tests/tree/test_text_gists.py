"""Mean gists. Oracle: the mean of all leaves in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.tree.text_gists import TEXT_GISTERS, MeanTextGister

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


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 99))
def test_slots_are_means_of_equal_runs_at_every_level(slots: int, sizes: list[int], seed: int) -> None:
    """Blocks of a multiple of the slots, so that every edge of a run above falls on an edge below or cuts one slot."""
    rng = np.random.default_rng(seed)
    blocks = [rng.integers(0, 50, slots * size) for size in sizes]
    net = MeanTextGister(embed, 6, slots)
    gists = net.of_tokens(blocks)
    for block, gist in zip(blocks, gists, strict=True):
        runs = np.split(TABLE[block].astype(np.float64), slots)
        np.testing.assert_allclose(gist, [run.mean(axis=0) for run in runs], atol=TOLERANCE)
    lengths = [len(block) for block in blocks]
    spread = np.concatenate([np.repeat(gist, size, axis=0) for gist, size in zip(gists, sizes, strict=True)])
    runs = np.split(spread.astype(np.float64), slots)  # every leaf as what its slot says of it
    np.testing.assert_allclose(net.of_gists(gists, lengths), [run.mean(axis=0) for run in runs], atol=TOLERANCE)


def test_fewer_tokens_than_slots_speak_more_than_once() -> None:
    (gist,) = MeanTextGister(embed, 6, 4).of_tokens([np.array([7, 9])])
    np.testing.assert_allclose(gist, TABLE[[7, 7, 9, 9]])


def test_a_gister_says_what_it_makes() -> None:
    assert (MeanTextGister(embed, 6).id, MeanTextGister(embed, 6, 4).id) == ("mean", "mean-of-4-runs")
    with pytest.raises(ValueError, match="at least one slot, got 0"):
        MeanTextGister(embed, 6, 0)
    base = NativeBase.from_pretrained()
    made = TEXT_GISTERS.get("mean")(base, 2)
    assert (made.dim, made.slots) == (base.dim, 2)


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
