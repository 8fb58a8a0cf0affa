"""Layout of the picture of a zoom: what must hold for any image and any place in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.pictures.pixel_boxes import grown, overlap
from mm_megacontext.pictures.zoom_layout import (
    BAR_PX,
    CLOSE_UP_PX,
    CONTEXT_PX,
    MARGIN_PX,
    MAX_MAGNIFICATION,
    OVERVIEW_PX,
    ROW_PX,
    choose_close_up,
    lay_out,
    overview_level,
)
from mm_megacontext.vision.sources.source import level_size

LENGTHS = st.one_of(st.integers(1, 200), st.integers(1, 200_000))


@given(size=st.tuples(LENGTHS, LENGTHS))
def test_the_overview_is_the_finest_level_that_fits(size: tuple[int, int]) -> None:
    level = overview_level(size)
    assert max(level_size(size, level)) <= OVERVIEW_PX
    assert level == 0 or max(level_size(size, level - 1)) > OVERVIEW_PX


@given(size=st.tuples(LENGTHS, LENGTHS), data=st.data())
def test_a_close_up_shows_all_of_the_evidence_and_nothing_off_the_image(
    size: tuple[int, int], data: st.DataObject
) -> None:
    x0, y0 = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    bbox = (float(x0), float(y0), float(data.draw(st.integers(x0 + 1, size[0]))), float(size[1]))
    found = choose_close_up(bbox, size)
    x, y, width, height = found.area
    columns, rows = level_size(size, found.level)
    assert min(x, y) >= 0
    assert min(width, height) >= 1
    assert (x + width <= columns, y + height <= rows) == (True, True)
    assert all(side <= most for side, most in zip(found.size, CLOSE_UP_PX, strict=True))
    assert found.bbox[0] <= bbox[0] <= bbox[2] <= found.bbox[2]
    assert found.bbox[1] <= bbox[1] <= bbox[3] <= found.bbox[3]
    assert found.level == 0 or found.magnification == 1
    if min(x0, y0) >= CONTEXT_PX and found.magnification > 1:
        assert min(bbox[0] - found.bbox[0], bbox[1] - found.bbox[1]) >= CONTEXT_PX


@pytest.mark.parametrize(
    ("side", "level", "magnification"),
    [(1, 0, MAX_MAGNIFICATION), (80, 0, 3), (400, 0, 1), (401, 0, 1), (440, 1, 1), (1_000, 2, 1), (4_000, 4, 1)],
)
def test_small_evidence_is_magnified_and_large_evidence_is_reduced(side: int, level: int, magnification: int) -> None:
    found = choose_close_up((9_000.0, 9_000.0, 9_000.0 + side, 9_000.0 + side), (30_000, 30_000))
    assert (found.level, found.magnification) == (level, magnification)


@given(
    overview=st.tuples(st.integers(1, OVERVIEW_PX), st.integers(1, OVERVIEW_PX)),
    close_up=st.none() | st.tuples(st.integers(1, CLOSE_UP_PX[0]), st.integers(1, CLOSE_UP_PX[1])),
    n_notes=st.integers(0, 25),
)
def test_nothing_hides_anything(overview: tuple[int, int], close_up: tuple[int, int] | None, n_notes: int) -> None:
    layout = lay_out(overview, close_up, n_notes)
    x, y = layout.notes
    parts = [layout.overview]
    if layout.close_up is not None:
        parts.append(layout.close_up)
    if n_notes:
        parts.append((x, y, x + CLOSE_UP_PX[0] - 1, y + n_notes * ROW_PX - 1))
    for i, part in enumerate(parts):
        assert part[0] >= MARGIN_PX
        assert part[1] >= BAR_PX
        assert part[2] < layout.size[0] - MARGIN_PX + 1
        assert part[3] < layout.size[1] - MARGIN_PX + 1
        assert not any(overlap(grown(part, 8), other) for other in parts[i + 1 :])
    assert (layout.overview[2] - layout.overview[0] + 1, layout.overview[3] - layout.overview[1] + 1) == overview
