"""The zoom path: the nodes that focus opened, one inside the other, on its way to a place on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_megacontext.document import Box
from mm_megacontext.reading.trace import Trace
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Node, NodeId


@dataclass(frozen=True, slots=True)
class ZoomStep:
    """A node that focus looked into.

    Attributes:
        bbox: In source units.
        lod: Of the node as it was read before.
        step: The step of the trace that opened it.
    """

    bbox: Box
    lod: int
    step: int


def zoom_steps(context: WorkingContext, trace: Trace, source: int, page: int) -> tuple[ZoomStep, ...]:
    """What focus looked into on one page and did not give up again, coarsest first.

    Args:
        context: What was read in the end; of a trace alone, the last one that ``replay`` gives.
        trace: How focus came there.
        source: Number of the source.
        page: From 1.

    Raises:
        ValueError: The trace does not lead to this context.
    """
    expanded = [entry.node for entry in context if entry.is_expanded]
    nodes = [node for node in (*context.opened.values(), *expanded) if _is_on(node, source, page)]
    opened_in = {action.id: e.step for e in trace for action in e.actions if action.kind == "expand"}
    steps = [ZoomStep(node.bbox, node.lod, _step_of(node.id, opened_in)) for node in nodes]
    return tuple(sorted(steps, key=lambda step: (-step.lod, step.step, step.bbox)))


def path_to(bbox: Box, steps: Sequence[ZoomStep]) -> tuple[ZoomStep, ...]:
    """The steps that lead to the middle of ``bbox``, coarsest first; of those with one box, the first.

    Example:
        >>> whole, left, right = (0, 0, 80, 40), (0, 0, 40, 40), (40, 0, 80, 40)
        >>> steps = [ZoomStep(whole, 3, 0), ZoomStep(whole, 2, 1), ZoomStep(left, 1, 2), ZoomStep(right, 1, 3)]
        >>> [step.step for step in path_to((50, 10, 60, 20), steps)]
        [0, 3]
    """
    x, y = (bbox[0] + bbox[2]) / 2, (bbox[1] + bbox[3]) / 2
    path: list[ZoomStep] = []
    for step in steps:
        x0, y0, x1, y1 = step.bbox
        if x0 <= x < x1 and y0 <= y < y1 and not (path and path[-1].bbox == step.bbox):
            path.append(step)
    return tuple(path)


def _is_on(node: Node, source: int, page: int) -> bool:
    return node.first.source == node.last.source == source and node.page == node.last_page == page


def _step_of(id: NodeId, opened_in: dict[NodeId, int]) -> int:
    if id not in opened_in:
        raise ValueError(
            f"node {id.source}:{id.index} is open in the context and the trace never expands it: give the trace that "
            "led to this context"
        )
    return opened_in[id]
