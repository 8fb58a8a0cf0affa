"""The zoom path. Oracle: arithmetic of the quad-tree, whose nodes above a point are known without walking it."""

from __future__ import annotations

import pytest

from mm_megacontext.document import Box
from mm_megacontext.pictures.zoom_path import path_to, zoom_steps
from mm_megacontext.reading.allocator import FocusConfig, focus
from mm_megacontext.reading.trace import Trace, TraceEvent, replay
from mm_megacontext.reading.working_context import Entry, WorkingContext
from tests.images import TexturedSource, image_rows
from tests.tiny import as_tree

SIZE = (3000, 1700)
TARGET = (2100.0, 900.0)


def is_above(entry: Entry, target: tuple[float, float] = TARGET) -> bool:
    x0, y0, x1, y1 = entry.node.bbox
    return x0 <= target[0] < x1 and y0 <= target[1] < y1


def zoomed(*targets: tuple[float, float], capacity: int = 300) -> tuple[WorkingContext, WorkingContext, Trace]:
    """A fresh context of an image, the one where a lens that knows the targets ends, and the trace between them."""
    start = WorkingContext.start(as_tree(image_rows(TexturedSource(*SIZE))), capacity)
    events: list[TraceEvent] = []

    def score(context: WorkingContext) -> list[float]:
        return [0.9 if any(is_above(entry, target) for target in targets) else -0.9 for entry in context]

    return start, focus(start, score, FocusConfig(), events.append).context, Trace(tuple(events))


def nested_boxes() -> list[Box]:
    """What lies around the target at 4096, 2048, ... 128 pixels on a side, cut at the edges of the image."""
    boxes = []
    for side in (4096, 2048, 1024, 512, 256, 128):
        x, y = (int(edge) // side * side for edge in TARGET)
        boxes.append((float(x), float(y), float(min(x + side, SIZE[0])), float(min(y + side, SIZE[1]))))
    return boxes


def test_the_steps_are_the_nested_boxes_around_the_target() -> None:
    _, context, trace = zoomed(TARGET)
    assert all(entry.is_expanded for entry in context if is_above(entry))
    steps = zoom_steps(context, trace, 1, 1)
    assert [step.bbox for step in steps] == nested_boxes()
    assert [step.lod for step in steps] == [6, 5, 4, 3, 2, 1]
    assert [step.step for step in steps] == [0, 1, 2, 3, 4, 5]


def test_what_was_looked_into_elsewhere_is_a_step_and_not_on_the_path() -> None:
    _, context, trace = zoomed(TARGET, (10.0, 10.0))
    steps = zoom_steps(context, trace, 1, 1)
    assert len(steps) == 11, "both ways begin at the root"
    path = path_to((*TARGET, TARGET[0] + 1, TARGET[1] + 1), steps)
    assert [step.bbox for step in path] == nested_boxes()


def test_a_trace_and_the_tree_are_enough() -> None:
    start, context, trace = zoomed(TARGET)
    *_, last = replay(start, trace)
    assert zoom_steps(last, trace, 1, 1) == zoom_steps(context, trace, 1, 1)


def test_what_was_given_up_is_no_step() -> None:
    start, context, trace = zoomed(TARGET)
    closed = context.collapse([start.roots[0].id])
    assert zoom_steps(closed, trace, 1, 1) == ()


@pytest.mark.parametrize(("source", "page"), [(2, 1), (1, 2)])
def test_other_sources_and_pages_have_their_own(source: int, page: int) -> None:
    _, context, trace = zoomed(TARGET)
    assert zoom_steps(context, trace, source, page) == ()


def test_the_trace_of_another_reading_is_refused() -> None:
    _, context, _ = zoomed(TARGET)
    with pytest.raises(ValueError, match="the trace never expands it"):
        zoom_steps(context, Trace(), 1, 1)


def test_a_place_off_every_step_has_no_path() -> None:
    _, context, trace = zoomed(TARGET)
    assert path_to((5000.0, 0.0, 5001.0, 1.0), zoom_steps(context, trace, 1, 1)) == ()
