"""The registry of visual gisters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mm_megacontext.errors import IncompatibleGists
from mm_megacontext.vision.gists.registry import VISUAL_GISTERS, create_gister
from mm_megacontext.vision.gists.tile_gister import MaxPool, MeanPool
from tests.vision.gists.test_gistnet import make


@pytest.fixture
def again() -> Iterator[str]:
    VISUAL_GISTERS.register("again", lambda dim, slots: MeanPool(slots))
    yield "again"
    VISUAL_GISTERS.unregister("again")


def test_names_lead_to_gisters(again: str) -> None:
    assert {again, "gistnet", "max", "mean"} <= set(VISUAL_GISTERS.names())
    for name in VISUAL_GISTERS.names():
        assert create_gister(name, 24, 2).slots == 2
    assert isinstance(create_gister("mean", 24), MeanPool)
    assert isinstance(create_gister("max", 24), MaxPool)


def test_a_trained_one_is_loaded_from_its_directory(tmp_path: Path) -> None:
    net = make(slots=2)
    net.save_pretrained(tmp_path)
    gister = create_gister(f"gistnet:{tmp_path}", 12, 2)
    assert gister.id != create_gister("gistnet", 12, 2).id
    (gist,) = gister.of_patches([np.ones((8, 8, 12), np.float32)])
    assert gist.shape == (2, 12)
    with pytest.raises(IncompatibleGists, match="makes gists of 2 × 12, needed are 1 × 24"):
        create_gister(f"gistnet:{tmp_path}", 24)
    with pytest.raises(FileNotFoundError):
        create_gister(f"gistnet:{tmp_path / 'nowhere'}", 12)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no visual gister is named 'sum'; known: gistnet, max, mean, gistnet:DIR"):
        create_gister("sum", 24)
    with pytest.raises(ValueError, match="'mean' is registered already"):
        VISUAL_GISTERS.register("mean", lambda dim, slots: MeanPool(slots))
    with pytest.raises(ValueError, match="names that begin with gistnet: are taken"):
        VISUAL_GISTERS.register("gistnet:mine", lambda dim, slots: MeanPool(slots))


def test_max_pooling_is_the_maximum_of_all_patches_at_every_level() -> None:
    rng = np.random.default_rng(0)
    tiles = [rng.normal(size=(8, 8, 5)).astype(np.float32) for _ in range(4)]
    pool = MaxPool(slots=2)
    top = pool.of_gists(pool.of_patches(tiles), [64] * 4)
    np.testing.assert_array_equal(top, np.tile(np.concatenate(tiles).reshape(-1, 5).max(axis=0), (2, 1)))
    with pytest.raises(ValueError, match="at least one slot"):
        MaxPool(0)
