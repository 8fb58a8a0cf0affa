"""The trace of an answer: what focus saw and did, step by step; as JSON lines, and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from mm_megacontext.reading.working_context import Action, WorkingContext
from mm_megacontext.tree.nodes import NodeId


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One step of focus.

    Attributes:
        step: From 0.
        scores: Score of every entry before the step, by node.
        actions: What was done, in order; empty in the last event.
        cost: Cost of the working context after the step.
        entries: Number of its entries after the step.
        seconds: Time the step took, scoring and reading included.
    """

    step: int
    scores: Mapping[NodeId, float]
    actions: tuple[Action, ...]
    cost: int
    entries: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; node ids become ``"source:index"``."""
        return {
            "step": self.step,
            "scores": {_write_id(id): score for id, score in self.scores.items()},
            "actions": [
                {
                    "kind": action.kind,
                    "id": _write_id(action.id),
                    "score": action.score,
                    "cost_delta": action.cost_delta,
                }
                for action in self.actions
            ],
            "cost": self.cost,
            "entries": self.entries,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TraceEvent:
        """The inverse of ``to_json``.

        Raises:
            ValueError: A field is missing or not of its kind.
        """
        try:
            return cls(
                int(data["step"]),
                {_read_id(id): float(score) for id, score in data["scores"].items()},
                tuple(_read_action(action) for action in data["actions"]),
                int(data["cost"]),
                int(data["entries"]),
                float(data["seconds"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a trace event: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Trace:
    """All steps of one answer."""

    events: tuple[TraceEvent, ...] = ()

    def __iter__(self) -> Iterator[TraceEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions of all steps, in order."""
        return tuple(action for event in self.events for action in event.actions)

    @property
    def steps(self) -> int:
        """How often actions were applied."""
        return sum(1 for event in self.events if event.actions)

    @property
    def seconds(self) -> float:
        """Time all steps took."""
        return sum(event.seconds for event in self.events)

    def write(self, path: str | PathLike[str]) -> None:
        """Write one JSON object per line."""
        lines = (json.dumps(event.to_json(), allow_nan=False) + "\n" for event in self.events)
        Path(path).write_text("".join(lines), encoding="utf-8")

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Trace:
        """Read what ``write`` wrote.

        Raises:
            ValueError: A line is not a trace event; the message names it.
        """
        events = []
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
            try:
                events.append(TraceEvent.from_json(json.loads(line)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
        return cls(tuple(events))


def replay(start: WorkingContext, events: Sequence[TraceEvent] | Trace) -> Iterator[WorkingContext]:
    """The working context after each step; the last one is what the base model read.

    Args:
        start: A fresh context of the same tree and capacity.
        events: The steps.

    Raises:
        IllegalAction: The trace belongs to another tree or capacity.
    """
    context = start
    for event in events:
        context = context.apply(event.actions)
        yield context


def _write_id(id: NodeId) -> str:
    return f"{id.source}:{id.index}"


def _read_id(text: str) -> NodeId:
    source, index = text.split(":")
    return NodeId(int(source), int(index))


def _read_action(data: Mapping[str, Any]) -> Action:
    if data["kind"] not in ("expand", "collapse"):
        raise ValueError(f"unknown action {data['kind']!r}")
    return Action(data["kind"], _read_id(data["id"]), float(data["score"]), int(data["cost_delta"]))
