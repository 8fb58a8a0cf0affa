"""Oracles: means and maxima by numpy, invariances of the task, and the same net on a grid without holes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mm_megacontext.vision.gists.gistnet import Cells, GistModule, GistNet, GistNetConfig, Level, MaxNet, MeanNet

DIM = 12
SAME = 1e-6
"""Float32 sums of up to 64 values of size about one."""
TURNED = 2e-5
"""Sums in another order, through attention and a perceptron, of an opened net."""


def cells(
    n: int = 2,
    *,
    level: Level = "patches",
    slots: int = 1,
    seed: int = 0,
    has_holes: bool = True,
    side: int | None = None,
) -> Cells:
    rng = np.random.default_rng(seed)
    side = side or (8 if level == "patches" else 2)
    vectors = rng.normal(size=(n, side, side, slots, DIM)).astype(np.float32)
    weights = np.ones((n, side, side), np.float32) if level == "patches" else rng.integers(1, 65, (n, side, side))
    if has_holes:
        rows, columns = rng.integers(1, side + 1, (2, n))
        inside = (np.arange(side)[None, :, None] < rows[:, None, None]) & (np.arange(side) < columns[:, None, None])
        weights = weights * inside
    return Cells(torch.from_numpy(vectors), torch.from_numpy(weights.astype(np.float32)), level)


def make(*, is_open: bool = True, **changes: int) -> GistNet:
    """A net as if trained: its gates are open."""
    net = GistNet(GistNetConfig(**({"dim": DIM, "width": 32, "n_heads": 2} | changes)))
    if is_open:
        rng = np.random.default_rng(1)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name.endswith("gate"):
                    parameter.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32)))
    return net.eval()


def run(net: GistModule, grid: Cells) -> Tensor:
    with torch.inference_mode():
        gist: Tensor = net(grid)
    return gist


NETS: dict[str, Callable[[], GistModule]] = {"mean": MeanNet, "max": MaxNet, "gistnet": make}


@pytest.mark.parametrize("level", ["patches", "gists"])
def test_mean_and_max_are_those_of_the_cells_that_exist(level: Level) -> None:
    grid = cells(level=level)
    for item, (vectors, weights) in enumerate(zip(grid.vectors.numpy(), grid.weights.numpy(), strict=True)):
        existing = weights > 0
        mean = np.average(vectors[existing][:, 0], axis=0, weights=weights[existing])
        np.testing.assert_allclose(run(MeanNet(), grid)[item, 0], mean, atol=SAME)
        np.testing.assert_array_equal(run(MaxNet(), grid)[item, 0], vectors[existing][:, 0].max(axis=0))


@pytest.mark.parametrize("level", ["patches", "gists"])
@pytest.mark.parametrize("slots", [1, 3])
def test_untrained_it_is_the_mean_bit_for_bit(level: Level, slots: int) -> None:
    grid = cells(level=level, slots=1 if level == "patches" else slots)
    assert torch.equal(run(make(is_open=False, slots=slots), grid), run(MeanNet(slots), grid))


@pytest.mark.parametrize("level", ["patches", "gists"])
def test_opened_it_is_not(level: Level) -> None:
    grid = cells(level=level)
    assert (run(make(), grid) - run(MeanNet(), grid)).abs().max() > 0.01


@settings(max_examples=15)
@given(
    st.sampled_from(sorted(NETS)),
    st.sampled_from(["patches", "gists"]),
    st.integers(0, 1000),
    st.sampled_from([0.0, 1e30, float("inf"), float("nan")]),
)
def test_cells_that_do_not_exist_have_no_influence(name: str, level: Level, seed: int, garbage: float) -> None:
    net, grid = NETS[name](), cells(level=level, seed=seed)
    soiled = torch.where(grid.exist[..., None, None], grid.vectors, garbage)
    assert torch.equal(run(net, grid), run(net, grid._replace(vectors=soiled)))


@pytest.mark.parametrize("name", sorted(NETS))
def test_padding_has_no_influence(name: str) -> None:
    small = cells(side=3, has_holes=False)
    vectors, weights = torch.full((2, 8, 8, 1, DIM), 9.0), torch.zeros(2, 8, 8)
    vectors[:, :3, :3], weights[:, :3, :3] = small.vectors, small.weights
    torch.testing.assert_close(
        run(NETS[name](), small), run(NETS[name](), Cells(vectors, weights, "patches")), atol=TURNED, rtol=0
    )


@settings(max_examples=15)
@given(st.sampled_from(["patches", "gists"]), st.tuples(st.integers(-4000, 4000), st.integers(-4000, 4000)))
def test_moved_by_whole_tiles_the_gist_is_the_same(level: Level, tiles: tuple[int, int]) -> None:
    grid = cells(level=level, seed=3)
    side = grid.weights.shape[1]
    moved = grid._replace(corner=(float(tiles[0] * side), float(tiles[1] * side)))
    torch.testing.assert_close(run(make(), moved), run(make(), grid), atol=TURNED, rtol=0)


@settings(max_examples=15)
@given(st.permutations(range(4)), st.integers(0, 99))
def test_for_mean_and_max_the_order_of_children_is_nothing(order: list[int], seed: int) -> None:
    grid = cells(level="gists", seed=seed)
    vectors = grid.vectors.flatten(1, 2)[:, order].unflatten(1, (2, 2))
    weights = grid.weights.flatten(1, 2)[:, order].unflatten(1, (2, 2))
    for net in (MeanNet(), MaxNet()):
        found = run(net, grid._replace(vectors=vectors, weights=weights))
        torch.testing.assert_close(found, run(net, grid), atol=SAME, rtol=0)


def test_for_gistnet_it_matters_where_a_cell_stands() -> None:
    net, grid = make(), cells(has_holes=False)
    turned = grid._replace(vectors=grid.vectors.flip(2))
    assert (run(net, grid) - run(net, turned)).abs().max() > 1e-3


def test_of_children_without_places_the_order_is_nothing() -> None:
    """They are all everywhere, so the net must not tell one order from another."""
    net, grid = make(), cells(level="gists", has_holes=False)
    row = Cells(grid.vectors[:, :1], grid.weights[:, :1], "gists", unplaced=torch.tensor([True, True]))
    swapped = row._replace(vectors=row.vectors.flip(2), weights=row.weights.flip(2))
    torch.testing.assert_close(run(net, row), run(net, swapped), atol=TURNED, rtol=0)
    placed = row._replace(unplaced=torch.tensor([True, False]))
    assert torch.equal(run(net, placed)[0], run(net, row)[0])
    assert not torch.allclose(run(net, placed)[1], run(net, row)[1], atol=1e-4)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_gradient_reaches_every_parameter(slots: int) -> None:
    net = make(slots=slots, n_layers=2)
    weight = torch.from_numpy(np.random.default_rng(2).normal(size=(2, slots, DIM)).astype(np.float32))
    tile, parent = cells(has_holes=False), cells(level="gists", slots=slots, has_holes=False)
    ((net(tile) + net(parent)) * weight).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad.abs().flatten(1 if parameter.dim() > 1 else 0).amax() > 1e-8).all(), name


def test_at_first_the_gradient_reaches_the_gate() -> None:
    net = make(is_open=False)
    net(cells()).square().sum().backward()
    gradient = net.gate.grad
    assert gradient is not None
    assert (gradient != 0).all()


def test_slots_differ_once_trained() -> None:
    gists = run(make(slots=3), cells())
    assert gists.shape == (2, 3, DIM)
    assert (gists[:, 0] - gists[:, 1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="cells have 2 slots, gists are to have 3"):
        make(slots=3)(cells(level="gists", slots=2))


def test_spread_is_felt_up_the_pyramid_alone() -> None:
    """A patch is a point; a child fills its cell, and its damping has a gain."""
    net, wide = make(), make()
    with torch.no_grad():
        wide.spread_gain.fill_(0.0)
    parent = cells(level="gists", has_holes=False)
    assert not torch.allclose(run(net, parent), run(wide, parent), atol=1e-5)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    net = make(slots=2)
    net.save_pretrained(tmp_path)
    loaded = GistNet.from_pretrained(tmp_path)
    assert loaded.config == net.config
    assert torch.equal(run(loaded, cells()), run(net, cells()))


def test_the_seed_decides() -> None:
    def weights(seed: int) -> Tensor:
        return nn.utils.parameters_to_vector(make(seed=seed).parameters())

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="width 30 must be a multiple of 4 times n_heads, which is 8"):
        GistNetConfig(dim=DIM, width=30, n_heads=2)
    with pytest.raises(ValueError, match="all sizes must be at least 1"):
        GistNetConfig(dim=DIM, slots=0)
    with pytest.raises(ValueError, match="at least one slot, got 0"):
        MeanNet(0)
