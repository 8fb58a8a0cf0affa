"""Tiles with marked objects. Oracle: labels from boxes by hand."""

from __future__ import annotations

import numpy as np

from mm_megacontext.training.data.marked_tiles import SIDE, cut
from mm_megacontext.training.data.scenes import KINDS, Plain, Scene, Thing

WHITE = Plain((255, 255, 255))


def labels_of(things: list[Thing]) -> np.ndarray:
    tiles = cut([Scene((SIDE, SIDE), things, WHITE)], np.random.default_rng(0), empty=1.0)
    assert tiles.pixels.shape == (64, 128, 128, 3)
    return tiles.labels.reshape(8, 8, len(KINDS))


def test_an_object_is_where_a_tenth_of_it_is() -> None:
    """40 pixels wide, from 120: 8 columns of it, a fifth, in the first tile, the rest in the second."""
    labels = labels_of([Thing(7, 120, 200, 40)])
    assert np.argwhere(labels == 1).tolist() == [[1, 0, 7], [1, 1, 7]]
    labels = labels_of([Thing(7, 125, 200, 40)])  # 3 of 40 columns: hardly there
    assert np.argwhere(labels == 1).tolist() == [[1, 1, 7]]
    assert np.argwhere(labels == -1).tolist() == [[1, 0, 7]]


def test_of_two_of_a_kind_in_a_tile_the_one_that_is_there_counts() -> None:
    labels = labels_of([Thing(7, 125, 200, 40), Thing(7, 20, 200, 40)])
    assert labels[1, 0, 7] == 1


def test_most_tiles_without_objects_are_left_out() -> None:
    scene = Scene((SIDE, SIDE), [Thing(7, 10, 10, 40)], WHITE)
    tiles = cut([scene] * 20, np.random.default_rng(0), empty=0.1)
    assert (tiles.labels == 1).any(axis=1).sum() == 20
    assert 60 < len(tiles.labels) - 20 < 200


def test_a_patch_is_on_the_object_that_its_middle_lies_on() -> None:
    """From x = 120, y = 200, 40 wide: middles 120 to 152 across, 200 to 232 down."""
    at = cut([Scene((SIDE, SIDE), [Thing(7, 120, 200, 40)], WHITE)], np.random.default_rng(0), empty=1.0).at
    on = np.argwhere(at.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64) == 7)
    assert on.tolist() == [[row, column] for row in (12, 13, 14) for column in (7, 8, 9)]
    assert (at[at != 7] == -1).all()
