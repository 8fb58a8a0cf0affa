"""Scenes. Oracles: the same scene read in another way; boxes; Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.training.data.scenes import (
    COLOURS,
    KINDS,
    SIZES,
    Plain,
    Scene,
    Textured,
    Thing,
    paint,
    scatter,
    sprite,
)
from mm_megacontext.vision.sources.source import SparseSource

WHITE = (255, 255, 255)
SIDE = 700


def scene(seed: int, is_textured: bool) -> Scene:
    rng = np.random.default_rng(seed)
    things = scatter(rng, (SIDE, SIDE), rng.integers(0, len(KINDS), 5).tolist())
    return Scene((SIDE, SIDE), things, Textured(seed % 3) if is_textured else Plain(WHITE))


RECTS = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(1, 200), st.integers(1, 200)).map(
    lambda r: (r[0], r[1], min(r[2], SIDE - r[0]), min(r[3], SIDE - r[1]))
)


@settings(max_examples=40)
@given(st.integers(0, 9), st.booleans(), RECTS)
def test_a_part_is_what_the_whole_shows_there(seed: int, is_textured: bool, rect: tuple[int, int, int, int]) -> None:
    made = scene(seed, is_textured)
    x, y, width, height = rect
    whole = made.read((0, 0, SIDE, SIDE))
    np.testing.assert_array_equal(made.read(rect), whole[y : y + height, x : x + width])


@settings(max_examples=100)
@given(st.integers(0, 9), RECTS)
def test_what_is_uniform_has_one_colour_and_what_is_not_touches_an_object(
    seed: int, rect: tuple[int, int, int, int]
) -> None:
    made: SparseSource = scene(seed, False)
    colour = made.uniform(rect)
    pixels = made.read(rect)
    if colour is not None:
        assert (pixels == colour).all()
    elif (pixels == WHITE).all():  # a corner of an object's square where it paints nothing
        assert any(_overlap(thing, rect) for thing in scene(seed, False).things)


def _overlap(thing: Thing, rect: tuple[int, int, int, int]) -> bool:
    x, y, width, height = rect
    return x < thing.x + thing.size and thing.x < x + width and y < thing.y + thing.size and thing.y < y + height


def test_a_textured_scene_is_nowhere_uniform() -> None:
    assert scene(0, True).uniform((0, 0, 1, 1)) is None


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_objects_lie_inside_and_apart(seed: int) -> None:
    things = scene(seed, False).things
    for i, thing in enumerate(things):
        assert min(thing.x, thing.y) >= 0
        assert max(thing.x, thing.y) + thing.size <= SIDE
        assert not any(_overlap(other, thing.box) for other in things[i + 1 :])


def test_too_many_objects_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        scatter(np.random.default_rng(0), (256, 256), [0, 1, 2])


def test_kinds_differ_in_what_is_painted() -> None:
    assert len({sprite(kind, SIZES[0]).tobytes() for kind in range(len(KINDS))}) == len(KINDS) == 512


@pytest.mark.parametrize("kind", [0, 77, 300, 511])
def test_an_object_has_its_colour(kind: int) -> None:
    pixels = np.full((60, 60, 3), 255, dtype=np.uint8)
    paint(pixels, (100, 200), [Thing(kind, 102, 203, 56)])
    share = (pixels == COLOURS[KINDS[kind].colour]).all(axis=-1).mean()
    assert 0.15 < share < 0.9
    assert (pixels[:3] == 255).all(), "outside its square nothing is painted"
    assert (pixels[:, :2] == 255).all(), "outside its square nothing is painted"


def test_squares_of_a_texture_differ() -> None:
    texture = Textured(1)
    squares = {texture((1024 * i, 1024 * j, 8, 8)).tobytes() for i in range(6) for j in range(6)}
    assert len(squares) == 36
    np.testing.assert_array_equal(texture((5000, 7000, 40, 30)), Textured(1)((5000, 7000, 40, 30)))
