"""Tiles side by side. Oracle: a crop of the image they were cut from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.vision.sources.mosaic import GREY, Mosaic

SIDE = 40
IMAGE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@given(
    open_tiles=st.sets(st.integers(0, 15)),
    x=st.integers(-30, 60),
    y=st.integers(-30, 60),
    width=st.integers(1, 50),
    height=st.integers(1, 50),
)
def test_a_region_is_the_image_where_tiles_are_open_and_grey_elsewhere(
    open_tiles: set[int], x: int, y: int, width: int, height: int
) -> None:
    rects = [(10 * (i % 4), 10 * (i // 4), 10, 10) for i in sorted(open_tiles)]
    mosaic = Mosaic(rects, [IMAGE[top : top + h, left : left + w] for left, top, w, h in rects])
    pixels, is_known = mosaic.read((x, y, width, height))
    expected = np.full((200, 200, 3), GREY, dtype=np.uint8)
    open_at = np.zeros((200, 200), dtype=bool)
    for left, top, w, h in rects:
        expected[50 + top : 50 + top + h, 50 + left : 50 + left + w] = IMAGE[top : top + h, left : left + w]
        open_at[50 + top : 50 + top + h, 50 + left : 50 + left + w] = True
    here = slice(50 + y, 50 + y + height), slice(50 + x, 50 + x + width)
    np.testing.assert_array_equal(pixels, expected[here])
    np.testing.assert_array_equal(is_known, open_at[here])
