"""Frames that are turned. Oracles: the way back; rotation matrices of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Box, Line, Region, Word
from mm_megacontext.turned_frame import TurnedFrame, mapped

SIZE = (612.0, 792.0)
BOXES = st.tuples(st.floats(200, 300), st.floats(250, 400), st.floats(1, 100), st.floats(1, 100)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(BOXES, st.sampled_from([0.0, 90.0, 180.0, 270.0]))
def test_quarter_turns_lead_back_exactly(box: Box, turn: float) -> None:
    frame = TurnedFrame.of(SIZE, turn)
    assert frame.on_page(frame.upright(box)) == pytest.approx(box, abs=1e-9)


@given(BOXES, st.floats(-12, 12), st.sampled_from([0.0, 90.0, 180.0, 270.0]))
def test_a_skewed_box_is_found_again_from_the_one_around_it(box: Box, skew: float, turn: float) -> None:
    frame = TurnedFrame.of(SIZE, turn + skew)
    middle = (frame.turned_size[0] / 2 - 200, frame.turned_size[1] / 2 - 250)
    inner = (box[0] / 2 + middle[0], box[1] / 2 + middle[1], box[2] / 2 + middle[0], box[3] / 2 + middle[1])
    assert frame.upright(frame.on_page(inner)) == pytest.approx(inner, abs=1e-6)


@given(BOXES, st.floats(-180, 180))
def test_the_box_on_the_page_holds_the_turned_corners(box: Box, turn: float) -> None:
    frame = TurnedFrame.of(SIZE, turn)
    angle = np.radians(turn)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(x, y) for x in box[::2] for y in box[1::2]]) - np.array(frame.turned_size) / 2
    seen = corners @ matrix.T + np.array(SIZE) / 2
    expected = np.concatenate([seen.min(0), seen.max(0)]).clip(0, [*SIZE, *SIZE])
    assert frame.on_page(box) == pytest.approx(expected.tolist(), abs=1e-6)


def test_all_boxes_of_a_region_are_put_elsewhere() -> None:
    box = (1.0, 2.0, 3.0, 4.0)
    region = Region("text", box, (Line((Word("oil", box, (0, 3), 0.9),)),), turn=90.0)
    elsewhere = (5.0, 6.0, 7.0, 8.0)
    assert mapped(region, lambda _: elsewhere) == Region(
        "text", elsewhere, (Line((Word("oil", elsewhere, (0, 3), 0.9),)),), turn=90.0
    )
