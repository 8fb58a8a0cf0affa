"""UnionNet. Oracles: unions of sets; the same grid seen elsewhere; numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mm_megacontext.vision.encoders import DctEncoder
from mm_megacontext.vision.gists.gistnet import Cells
from mm_megacontext.vision.gists.net_gister import NetGister, UnionGister
from mm_megacontext.vision.gists.tile_gister import TileGister, VisualGister
from mm_megacontext.vision.gists.union_net import UnionNet, UnionNetConfig
from mm_megacontext.vision.quadtree.build import build_image_nodes
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import ArraySource

DIM = 12
TOLERANCE = 1e-5
"""Codes of size about one, convolved in another order."""


def net(seed: int = 0) -> UnionNet:
    return UnionNet(UnionNetConfig(dim=DIM, width=8, n_layers=2, seed=seed)).eval()


def patches(seed: int, rows: int = 8, columns: int = 8) -> Cells:
    made = torch.Generator().manual_seed(seed)
    weights = torch.zeros(1, 8, 8)
    weights[:, :rows, :columns] = 1
    return Cells(torch.randn(1, 8, 8, 1, DIM, generator=made), weights, "patches")


def union(gists: list[Tensor]) -> Tensor:
    vectors, weights = torch.zeros(1, 2, 2, 1, DIM), torch.zeros(1, 2, 2)
    for i, gist in enumerate(gists):
        vectors[0, i // 2, i % 2, 0], weights[0, i // 2, i % 2] = gist, 1 + i
    with torch.no_grad():
        made: Tensor = net()(Cells(vectors, weights, "gists"))[0, 0]
    return made


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_the_gist_of_a_parent_is_a_union(seeds: list[int]) -> None:
    """Whatever order, and however often the same is in it; each child is in it whole."""
    with torch.no_grad():
        gists = [net()(patches(seed))[0, 0] for seed in seeds]
    whole = union(gists)
    np.testing.assert_array_equal(whole.numpy(), np.max([g.numpy() for g in gists], axis=0))
    assert torch.equal(whole, union(gists[::-1]))
    assert torch.equal(whole, union([whole, gists[0]]))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 8), st.integers(1, 8))
def test_what_stands_where_there_is_no_patch_changes_nothing(seed: int, rows: int, columns: int) -> None:
    cells = patches(seed, rows, columns)
    other = cells._replace(vectors=torch.where(cells.exist[..., None, None], cells.vectors, 1e3))
    with torch.no_grad():
        assert torch.equal(net()(cells), net()(other))
        assert (net().codes(cells)[~cells.exist] == 0).all()


def test_a_gist_of_patches_is_the_union_of_their_codes() -> None:
    with torch.no_grad():
        np.testing.assert_array_equal(net().codes(patches(0)).amax((1, 2))[0], net()(patches(0))[0, 0])
        assert (net().codes(patches(0)) >= 0).all()


def test_a_patch_is_seen_with_its_neighbours_and_no_further_than_the_layers_reach() -> None:
    cells = patches(0)
    changed = cells.vectors.clone()
    changed[0, 0, 0] += 1
    with torch.no_grad():
        difference = (net().codes(cells) - net().codes(cells._replace(vectors=changed))).abs().amax(-1)[0]
    assert difference[:3, :3].max() > TOLERANCE
    assert max(difference[3:].max(), difference[:, 3:].max()) < TOLERANCE, "two layers see two patches far"


def test_weights_come_back_from_a_directory(tmp_path: Path) -> None:
    net(3).save_pretrained(tmp_path)
    loaded = UnionNet.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(patches(1)), net(3)(patches(1)))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_without_calling_the_net_parents_are_the_same(seeds: list[int]) -> None:
    called, not_called = NetGister(net()), UnionGister(net())
    gists = called.of_patches([patches(seed).vectors[0, :, :, 0].numpy() for seed in seeds])
    n_leaves, cells = [64] * len(gists), [(i // 2, i % 2) for i in range(len(gists))]
    np.testing.assert_array_equal(called.of_gists(gists, n_leaves, cells), not_called.of_gists(gists, n_leaves, cells))
    assert called.id == not_called.id


def test_up_the_pyramid_nothing_is_lost() -> None:
    """Whatever code some tile has, the root has it as well, to the bit."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    gister: VisualGister = UnionGister(net())
    tiles = TileGister(DctEncoder(DIM), gister)
    rows = list(build_image_nodes(ArraySource(pixels), tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=0))
    of_tiles = [row.gist for row in rows if row.lod == 1]
    assert len(of_tiles) == 12
    np.testing.assert_array_equal(rows[-1].gist, np.max(of_tiles, axis=0))


def test_sizes_are_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        UnionNetConfig(dim=0)
