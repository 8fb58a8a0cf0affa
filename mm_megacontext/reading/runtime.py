"""One question to one tree: hints, focus, reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.allocator import FocusConfig, Focused, ScoreFn, focus
from mm_megacontext.reading.base import Base, Judge, Judging, Reading
from mm_megacontext.reading.hints import HintConfig, Hints, HintSearch, Index
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.trace import Trace, TraceEvent
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Modality, TreeReader

UNREADABLE = -1.0
"""Score of what is not read any closer."""
_ABOVE = 1.0
"""By how much what a base has seen and wants to keep is worth more than the strongest hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """How a question is read.

    Attributes:
        hint_weight: What the strongest hint adds to the score of an entry that covers it.
        sure: Probability of an answer from which nothing is read but what the leading hints point at; chosen on the
            dev split.
        hints: How hints are found.
        focus: How focus moves; its steps are for all that is tried for one question.
    """

    hint_weight: float = 2.5
    sure: float = 0.8
    hints: HintConfig = field(default_factory=HintConfig)
    focus: FocusConfig = field(default_factory=lambda: FocusConfig(max_steps=48, actions_per_step=48))


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Where focus ended, and every step on the way."""

    focused: Focused
    trace: Trace


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """Where focus ended, what the base read there, and every step on the way."""

    focused: Focused
    reading: Reading
    trace: Trace

    @property
    def steps(self) -> int:
        """How often actions were applied."""
        return self.trace.steps


class Runtime:
    """Focuses and reads with one base and one lens; keeps no state between questions.

    Args:
        base: Made the gists; reads and answers, unless only ``look`` is asked for.
        lens: Scores entries; of the same base.
        config: How.
        modalities: What is opened; by default what the base reads.
    """

    def __init__(
        self,
        base: Base,
        lens: Lens,
        config: ReadingConfig | None = None,
        modalities: Sequence[Modality] | None = None,
    ) -> None:
        self.base = base
        self.lens = lens
        self.config = config or ReadingConfig()
        self.modalities: tuple[Modality, ...] = base.modalities if modalities is None else tuple(modalities)

    def read(
        self, tree: TreeReader, index: Index, question: str, capacity: int, within: Sequence[int] | None = None
    ) -> ReadContext:
        """Cut a working context for the question and answer from it.

        Args:
            tree: What can be read.
            index: Search over its blocks.
            question: Any text.
            capacity: What the working context may cost.
            within: Source numbers the index shall search, or None for all.

        Raises:
            BudgetTooSmall: The roots cost more than ``capacity``.
        """
        events: list[TraceEvent] = []
        reading: Reading | None = None
        for focused in self._foci(tree, index, question, capacity, within, events):
            reading = None
            if self.base.is_calibrated:
                reading = self._answer(focused, question)
                if reading.found and reading.confidence >= self.config.sure:
                    break
        return ReadContext(focused, reading or self._answer(focused, question), Trace(tuple(events)))

    def look(
        self, tree: TreeReader, index: Index, question: str, capacity: int, within: Sequence[int] | None = None
    ) -> Looked:
        """Cut a working context for a reader that is asked once, at the end. Arguments and errors as for ``read``."""
        events: list[TraceEvent] = []
        *_, focused = self._foci(tree, index, question, capacity, within, events)
        return Looked(focused, Trace(tuple(events)))

    def _foci(
        self,
        tree: TreeReader,
        index: Index,
        question: str,
        capacity: int,
        within: Sequence[int] | None,
        events: list[TraceEvent],
    ) -> Iterator[Focused]:
        """Where each pass ends, until the steps run out; what is done on the way is added to ``events``."""
        context = WorkingContext.start(tree, capacity)
        left = self.config.focus.max_steps
        for score in self._passes(context, tree, index, question, within):
            config = replace(self.config.focus, max_steps=left)
            focused = focus(context, score, config, lambda e: events.append(replace(e, step=len(events))))
            yield focused
            left -= focused.steps
            if left == 0:
                return
            context = focused.context

    def _answer(self, focused: Focused, question: str) -> Reading:
        t_end = max(root.t_span[1] for root in focused.context.roots)
        return self.base.read(focused.context.entries, question, t_end)

    def _passes(
        self, start: WorkingContext, tree: TreeReader, index: Index, question: str, within: Sequence[int] | None
    ) -> Iterator[ScoreFn]:
        """What to look at first, and what then if the answer is not sure."""
        if sum(root.n_leaves for root in start.roots) <= start.capacity:
            yield self._read_everything
            return
        search = HintSearch(index, tree, question, self.config.hints, within, self.modalities)
        lead = search.lead()
        if lead is not None:
            yield lambda context: self._mask(context, self._lift(context, lead))
        words = self.base.embed_tokens(np.array(self.base.tokenizer.encode(question), dtype=np.int64))
        hints = search.all(self.lens.query_vector(words) if len(words) else None)
        if isinstance(self.base, Judging) and self.modalities == self.base.modalities:
            yield from self._judged(self.base.judge(question), hints, words)
            return

        def score(context: WorkingContext) -> npt.NDArray[np.float64]:
            lift = self._lift(context, hints)
            if _is_on_the_way(context, lift):
                return self._mask(context, np.where(lift > 1, lift, 0.0))
            return self._mask(context, self.lens.score(context.entries, words) + lift)

        yield score

    def _judged(self, judge: Judge, hints: Hints, words: npt.NDArray[np.float32]) -> Iterator[ScoreFn]:
        """Where hints lead, then also where the lens does; what the base has seen counts as it sees it."""

        def led(context: WorkingContext) -> npt.NDArray[np.float64]:
            lift = self._lift(context, hints)
            seen = (self.config.hint_weight + _ABOVE) * judge(context.entries)
            return self._mask(context, np.where(np.isnan(seen), np.where(lift > 1, lift, 0.0), seen))

        def unled(context: WorkingContext) -> npt.NDArray[np.float64]:
            scores = led(context)
            if _is_on_the_way(context, self._lift(context, hints)):
                return scores
            return np.where(scores == 0, self.lens.score(context.entries, words), scores)

        yield led
        yield unled

    def _read_everything(self, context: WorkingContext) -> npt.NDArray[np.float64]:
        """Where all leaves fit the budget, nothing is left out."""
        return self._mask(context, np.ones(len(context)))

    def _lift(self, context: WorkingContext, hints: Hints) -> npt.NDArray[np.float64]:
        return self.config.hint_weight * hints.of(context.entries)

    def _mask(self, context: WorkingContext, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        modalities = {*self.modalities, "mixed"}
        readable = [entry.node.modality in modalities for entry in context]
        return np.where(readable, scores, UNREADABLE)


def _is_on_the_way(context: WorkingContext, lift: npt.NDArray[np.float64]) -> bool:
    """Whether a hint leads below some gist of gists, whatever the lens may say of it: its scores stay within 1."""
    return any(
        lift[i] > 1 and entry.lod > 1 and entry.is_expandable and entry.expansion_cost <= context.slack
        for i, entry in enumerate(context.entries)
    )
