"""Oracle: numpy slicing of an edge-padded array, and means computed one block at a time in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.vision.sources.source import (
    ArraySource,
    CropSource,
    FunctionSource,
    ImageSource,
    Pixels,
    Rect,
    box_filter,
    count_levels,
    level_size,
    read_padded,
)

SIDES = st.integers(1, 70)


def random_image(width: int, height: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def reference_level(image: Pixels, level: int) -> Pixels:
    """The exact box filter, block by block."""
    height, width, _ = image.shape
    side = 2**level
    columns, rows = level_size((width, height), level)
    out = np.empty((rows, columns, 3), dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            block = image[row * side : (row + 1) * side, column * side : (column + 1) * side].reshape(-1, 3)
            for channel in range(3):
                mean = Fraction(int(block[:, channel].astype(int).sum()), len(block))
                out[row, column, channel] = int(mean + Fraction(1, 2))
    return out


def reference_read(image: Pixels, region: Rect) -> Pixels:
    x, y, width, height = region
    margin = 200
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return padded[y + margin : y + margin + height, x + margin : x + margin + width]


@st.composite
def reads(draw: st.DrawFn) -> tuple[Pixels, Rect, int]:
    width, height = draw(SIDES), draw(SIDES)
    level = draw(st.integers(0, count_levels((width, height)) - 1))
    region = (draw(st.integers(-90, 90)), draw(st.integers(-90, 90)), draw(SIDES), draw(SIDES))
    return random_image(width, height, draw(st.integers(0, 99))), region, level


@settings(max_examples=120)
@given(reads())
def test_any_region_of_any_level_is_the_padded_box_filter(case: tuple[Pixels, Rect, int]) -> None:
    image, region, level = case
    expected = reference_read(reference_level(image, level), region)
    np.testing.assert_array_equal(ArraySource(image).read(region, level), expected)


@settings(max_examples=60)
@given(reads(), st.data())
def test_a_crop_is_the_image_of_its_rectangle(case: tuple[Pixels, Rect, int], data: st.DataObject) -> None:
    image, region, _ = case
    height, width, _ = image.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    rect = (x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    crop = CropSource(ArraySource(image), rect)
    alone = ArraySource(image[y : y + rect[3], x : x + rect[2]])
    assert (crop.size, crop.n_levels) == (alone.size, alone.n_levels)
    level = data.draw(st.integers(0, crop.n_levels - 1))
    np.testing.assert_array_equal(crop.read(region, level), alone.read(region, level))


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1), (5000, 4099)])
def test_the_last_level_is_one_pixel_the_mean_of_all(size: tuple[int, int]) -> None:
    image = random_image(*size, seed=3)
    source = ArraySource(image)
    pixel = source.read((0, 0, 1, 1), source.n_levels - 1)
    exact = image.reshape(-1, 3).sum(axis=0, dtype=np.int64) / (size[0] * size[1])
    assert level_size(size, source.n_levels - 1) == (1, 1)
    np.testing.assert_array_equal(pixel[0, 0], np.floor(exact + 0.5))


def test_downsampling_reads_level_0_in_bounded_pieces_that_tile_the_region() -> None:
    size = (9001, 6007)
    seen = np.zeros((size[1], size[0]), dtype=np.uint8)

    def read_inside(rect: Rect) -> Pixels:
        x, y, width, height = rect
        assert width * height <= 2048 * 2048
        seen[y : y + height, x : x + width] += 1
        return np.zeros((height, width, 3), dtype=np.uint8)

    read_padded(read_inside, size, (0, 0, *level_size(size, 3)), 3)
    assert (seen == 1).all()


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (0, 0, 5, 0), (3, 3, -1, 2)])
def test_an_empty_region_is_refused(region: Rect) -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        ArraySource(random_image(8, 8, 0)).read(region)


@pytest.mark.parametrize("level", [-1, 4])
def test_a_level_that_does_not_exist_is_refused(level: int) -> None:
    with pytest.raises(ValueError, match=f"level must be 0 to 3.*got {level}"):
        ArraySource(random_image(8, 8, 0)).read((0, 0, 1, 1), level)


@pytest.mark.parametrize("rect", [(-1, 0, 2, 2), (0, 0, 9, 2), (4, 4, 4, 5), (0, 0, 0, 1)])
def test_a_crop_must_lie_inside(rect: Rect) -> None:
    with pytest.raises(ValueError, match="does not lie inside"):
        CropSource(ArraySource(random_image(8, 8, 0)), rect)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_an_array_that_is_no_image_is_refused(array: Pixels) -> None:
    with pytest.raises(ValueError, match="pixels must be uint8"):
        ArraySource(array)


def test_sources_keep_the_protocol() -> None:
    source: ImageSource = CropSource(ArraySource(random_image(8, 4, 0)), (0, 0, 8, 4))
    assert source.size == (8, 4)


def gradient(region: Rect) -> Pixels:
    x, y, width, height = region
    columns, rows = np.meshgrid(np.arange(x, x + width), np.arange(y, y + height))
    return np.stack([columns * 7 + rows, columns ^ rows, rows * 3], axis=2).astype(np.uint8)


@settings(max_examples=60)
@given(reads())
def test_a_function_is_the_image_it_computes(case: tuple[Pixels, Rect, int]) -> None:
    image, region, level = case
    size = image.shape[1], image.shape[0]
    whole = ArraySource(gradient((0, 0, *size)))
    source: ImageSource = FunctionSource(size, gradient)
    assert (source.size, source.n_levels) == (size, whole.n_levels)
    np.testing.assert_array_equal(source.read(region, level), whole.read(region, level))


def test_a_canvas_of_any_size_is_read_where_it_is_asked_for() -> None:
    side = 10**6
    seen: list[Rect] = []

    def compute(region: Rect) -> Pixels:
        seen.append(region)
        return gradient(region)

    source = FunctionSource((side, side), compute)
    corner = (side - 300, side - 200, 300, 200)
    np.testing.assert_array_equal(source.read(corner), gradient(corner))
    np.testing.assert_array_equal(source.read((1000, 2000, 2, 2), 5), box_filter(gradient((32_000, 64_000, 64, 64)), 5))
    assert seen == [corner, (32_000, 64_000, 64, 64)]


@pytest.mark.parametrize("size", [(0, 1), (1, -1)])
def test_a_canvas_has_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        FunctionSource(size, gradient)


@pytest.mark.parametrize("wrong", [np.zeros((5, 5, 3), np.uint8), np.zeros((8, 9, 3)), np.zeros((8, 9, 4), np.uint8)])
def test_a_function_must_give_the_pixels_asked_for(wrong: Pixels) -> None:
    with pytest.raises(ValueError, match=r"must give uint8 \(8, 9, 3\)"):
        FunctionSource((20, 20), lambda region: wrong).read((0, 0, 9, 8))
