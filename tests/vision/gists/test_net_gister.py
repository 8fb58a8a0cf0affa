"""Oracles: the numpy gisters for mean and max; the same tiles one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mm_megacontext.vision.gists import net_gister
from mm_megacontext.vision.gists.gistnet import Cells, GistModule, GistNet, GistNetConfig, MaxNet, MeanNet
from mm_megacontext.vision.gists.net_gister import NetGister
from mm_megacontext.vision.gists.tile_gister import Gist, MaxPool, MeanPool, TileGister, VisualGister
from mm_megacontext.vision.quadtree.build import build_image_nodes
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import ArraySource
from tests.vision.gists.test_gistnet import make

DIM = 12
BATCHED = 1e-6
"""However tiles are batched; gists are of size about one."""
SHAPES = ((8, 8), (3, 8), (8, 1), (1, 1), (5, 7))


def tiles(seed: int = 0) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(*shape, DIM)).astype(np.float32) for shape in SHAPES]


def children(n: int, slots: int = 1) -> tuple[list[Gist], list[int]]:
    rng = np.random.default_rng(n)
    return [rng.normal(size=(slots, DIM)).astype(np.float32) for _ in range(n)], rng.integers(1, 65, n).tolist()


PAIRS = [(MeanNet, MeanPool), (MaxNet, MaxPool)]


@pytest.mark.parametrize(("net", "pool"), PAIRS)
@pytest.mark.parametrize("slots", [1, 3])
def test_as_a_net_and_in_numpy_they_are_the_same(net: type[GistModule], pool: type[MeanPool], slots: int) -> None:
    by_net, by_pool = NetGister(net(slots)), pool(slots)
    for one, other in zip(by_net.of_patches(tiles()), by_pool.of_patches(tiles()), strict=True):
        np.testing.assert_allclose(one, other, atol=BATCHED)
        assert one.shape == (slots, DIM)
    for n in (1, 2, 3, 4):
        np.testing.assert_allclose(
            by_net.of_gists(*children(n, slots)), by_pool.of_gists(*children(n, slots)), atol=BATCHED
        )


def test_an_untrained_gistnet_is_mean_pooling() -> None:
    untrained, mean = NetGister(GistNet(GistNetConfig(dim=DIM))), MeanPool()
    for one, other in zip(untrained.of_patches(tiles()), mean.of_patches(tiles()), strict=True):
        np.testing.assert_allclose(one, other, atol=BATCHED)
    for n in (1, 2, 3, 4):
        np.testing.assert_allclose(untrained.of_gists(*children(n)), mean.of_gists(*children(n)), atol=BATCHED)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gists_do_not_depend_on_the_batch(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gister = NetGister(make())
    together = gister.of_patches(tiles())
    alone = [gister.of_patches([tile])[0] for tile in tiles()]
    monkeypatch.setattr(net_gister, "BATCH_TILES", size)
    cut = gister.of_patches(tiles())
    for one, other, third in zip(together, alone, cut, strict=True):
        np.testing.assert_allclose(one, other, atol=BATCHED)
        np.testing.assert_allclose(one, third, atol=BATCHED)


def test_children_that_are_told_apart_by_place() -> None:
    gister = NetGister(make())
    (first, second), n_leaves = children(2)
    beside = gister.of_gists([first, second], n_leaves, [(0, 0), (0, 1)])
    below = gister.of_gists([first, second], n_leaves, [(0, 0), (1, 0)])
    anywhere = gister.of_gists([first, second], n_leaves)
    assert min(np.abs(beside - below).max(), np.abs(beside - anywhere).max()) > 1e-4
    swapped = gister.of_gists([second, first], n_leaves[::-1], [(0, 1), (0, 0)])
    np.testing.assert_allclose(swapped, beside, atol=BATCHED)


def test_four_children_are_in_z_order() -> None:
    gister = NetGister(make())
    gists, n_leaves = children(4)
    told = gister.of_gists(gists, n_leaves, [(0, 0), (0, 1), (1, 0), (1, 1)])
    np.testing.assert_array_equal(gister.of_gists(gists, n_leaves), told)
    np.testing.assert_array_equal(
        gister.of_gists(gists[:1], n_leaves[:1]), gister.of_gists(gists[:1], n_leaves[:1], [(0, 0)])
    )


def test_the_id_is_that_of_class_shape_and_weights() -> None:
    ids = [
        NetGister(MeanNet()).id,
        NetGister(MeanNet(2)).id,
        NetGister(MaxNet()).id,
        NetGister(make(is_open=False)).id,
        NetGister(make()).id,
        NetGister(make(n_heads=1)).id,
        MeanPool().id,
        MaxPool().id,
    ]
    assert len(set(ids)) == len(ids)
    assert NetGister(make()).id == NetGister(make()).id
    assert ids[4].startswith("gistnet-")


class Corner(GistModule):
    """What a researcher may write: the first cell speaks for all."""

    def forward(self, cells: Cells) -> torch.Tensor:
        return cells.vectors[:, 0, 0].expand(-1, self.slots, -1)


def test_a_net_of_ones_own_builds_a_tree() -> None:
    from mm_megacontext.vision.encoders import create_encoder

    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    encoder = create_encoder("dct", DIM)
    gister: VisualGister = NetGister(Corner())
    rows = list(
        build_image_nodes(
            ArraySource(pixels), TileGister(encoder, gister), page=1, frame=IMAGE_FRAME, t=0, index_start=0
        )
    )
    first_patch = encoder.encode(np.ascontiguousarray(pixels[None, :16, :16].transpose(0, 3, 1, 2)))[0, 0, 0]
    np.testing.assert_allclose(rows[0].gist[0], first_patch, atol=1e-3)  # float16
    np.testing.assert_array_equal(rows[-1].gist, rows[0].gist)


def test_a_module_without_forward_says_so() -> None:
    class Empty(GistModule):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define forward"):
        NetGister(Empty()).of_patches(tiles())
