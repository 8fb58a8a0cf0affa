"""One question to one tree: hints, focus, reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from mm_megacontext.reading.allocator import FocusConfig, Focused, ScoreFn, focus
from mm_megacontext.reading.around import in_order
from mm_megacontext.reading.base import Base, Judge, Judging, Reading
from mm_megacontext.reading.hints import HintConfig, Hints, HintSearch, Index, SearchByMeaning
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.opening import UNLIMITED, Cost, every_block, in_embeddings, in_leaves, open_in_order
from mm_megacontext.reading.paths import Paths
from mm_megacontext.reading.ranking import MEANING_WEIGHT, N_FOUND, fused, rank_blocks
from mm_megacontext.reading.trace import Trace, TraceEvent
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.tree.nodes import Modality, Node, NodeId, TreeReader

UNREADABLE = -1.0
"""Score of what is not read any closer."""
_ABOVE = 1.0
"""By how much what a base has seen and wants to keep is worth more than the strongest hint."""
WIDENING = 4
"""How much more a calibrated base reads each time that it has found nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """How a question is read.

    Attributes:
        hint_weight: What the strongest hint adds to the score of an entry that covers it.
        sure: Probability of an answer from which nothing is read but what the leading hints point at; chosen on the
            dev split.
        first_budget: What a calibrated base reads at most, question included, before it has found nothing: a larger
            budget is for what a smaller one does not find.
        last_budget: What it reads at most in the end: it was trained on short contexts, and the time that reading
            takes grows with the square of their length.
        hints: How hints are found.
        focus: How focus moves; its steps are for all that is tried for one question.
    """

    hint_weight: float = 2.5
    sure: float = 0.8
    first_budget: int = 512
    last_budget: int = 4096
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
        meaning: Finds blocks by what they mean, besides the words that they hold; None for words alone.
    """

    def __init__(
        self,
        base: Base,
        lens: Lens,
        config: ReadingConfig | None = None,
        modalities: Sequence[Modality] | None = None,
        meaning: SearchByMeaning | None = None,
    ) -> None:
        self.base = base
        self.lens = lens
        self.config = config or ReadingConfig()
        self.meaning = meaning
        self.modalities: tuple[Modality, ...] = base.modalities if modalities is None else tuple(modalities)

    def read(
        self, tree: TreeReader, index: Index, question: str, capacity: int, within: Sequence[int] | None = None
    ) -> ReadContext:
        """Cut a working context for the question and answer from it.

        A base whose confidence is calibrated answers from little, and reads more only where it finds nothing there.
        Any other is asked once, with all that the capacity has room for.

        Args:
            tree: What can be read.
            index: Search over its blocks.
            question: Any text.
            capacity: What the working context may cost.
            within: Source numbers the index shall search, or None for all.

        Raises:
            BudgetTooSmall: The roots cost more than ``capacity``.
        """
        asked = _Asked(tree, index, question, within)
        if not self.base.is_calibrated:
            opened = self.open(tree, index, question, capacity, within)
            return ReadContext(opened.focused, self._answer(opened.focused, question), opened.trace)
        if isinstance(self.base, Judging) or "text" not in self.modalities:
            return self._read_closely(asked, capacity)
        return self._read_widening(asked, capacity)

    def look(
        self, tree: TreeReader, index: Index, question: str, capacity: int, within: Sequence[int] | None = None
    ) -> Looked:
        """Open what a reader of text is shown, which is asked once, at the end.

        Args:
            tree, index, question, within: As for ``read``.
            capacity: How many leaves may be open. What is not open costs such a reader nothing but a line.
        """
        events: list[TraceEvent] = []
        start = WorkingContext.start(tree, UNLIMITED)
        focused = self._open(start, _Asked(tree, index, question, within), capacity, in_leaves, events)
        return Looked(focused, Trace(tuple(events)))

    def open(
        self, tree: TreeReader, index: Index, question: str, capacity: int, within: Sequence[int] | None = None
    ) -> Looked:
        """Open what a reader of embeddings is given that is asked once. Arguments and errors as for ``read``."""
        events: list[TraceEvent] = []
        start = WorkingContext.start(tree, capacity)
        focused = self._open(start, _Asked(tree, index, question, within), start.slack, in_embeddings, events)
        return Looked(focused, Trace(tuple(events)))

    def _read_widening(self, asked: _Asked, capacity: int) -> ReadContext:
        """Read closely within the first budget; while nothing is found, open more of what search ranks highest."""
        first = self.config.first_budget - self.base.prompt_cost(asked.question)
        slots = sum(len(root.gist) for root in asked.tree.nodes(asked.tree.roots()))
        read = self._read_closely(asked, capacity if first <= slots else min(first, capacity))
        capacity = min(capacity, max(self.config.last_budget, read.focused.context.capacity))
        events = list(read.trace)
        while not read.reading.found and read.focused.context.capacity < capacity:
            before = read.focused.context
            wider = replace(before, capacity=min(WIDENING * before.capacity, capacity))
            focused = self._open(wider, asked, wider.slack, in_embeddings, events)
            read = ReadContext(focused, self._answer(focused, asked.question), Trace(tuple(events)))
        return read

    def _read_closely(self, asked: _Asked, capacity: int) -> ReadContext:
        """Focus step by step, until the base is sure or nothing is worth a look any more."""
        events: list[TraceEvent] = []
        for focused in self._foci(asked, capacity, events):
            reading = self._answer(focused, asked.question)
            if reading.found and reading.confidence >= self.config.sure:
                break
        return ReadContext(focused, reading, Trace(tuple(events)))

    def _open(self, start: WorkingContext, asked: _Asked, left: int, cost: Cost, events: list[TraceEvent]) -> Focused:
        """Open what fits the question best with what stands around it, then the rest in document order."""
        paths = Paths(asked.tree, start.roots)
        order = chain(self._hits_in_order(asked, paths), every_block(paths, start.roots, self._is_readable))
        return open_in_order(start, order, paths, left, cost, _numbering(events))

    def _hits_in_order(self, asked: _Asked, paths: Paths) -> Iterator[NodeId]:
        """What search finds, with what stands around it; where it knows no word, what looks like the question."""
        hits: Sequence[NodeId] = ()
        if "text" in self.modalities:
            hits = self._ranked(asked)
            hits = hits or self._alike(asked, "text", self.config.hints.n_text)
        pictures = self._alike(asked, "image", self.config.hints.n_tiles) if "image" in self.modalities else ()
        return in_order(hits, pictures, asked.tree, paths, "image" in self.modalities)

    def _ranked(self, asked: _Asked) -> list[NodeId]:
        """Blocks by their words, and by what they mean if that can be searched."""
        by_words = rank_blocks(asked.index, asked.tree, asked.question, asked.within)
        if self.meaning is None:
            return by_words
        by_meaning = [id for id, _ in self.meaning.search(asked.question, N_FOUND, asked.within)]
        return fused([by_words, by_meaning], weights=(1.0, MEANING_WEIGHT))

    def _alike(self, asked: _Asked, modality: Modality, n: int) -> list[NodeId]:
        """Blocks or tiles whose gists look as the lens expects."""
        words = self._embed(asked.question)
        if not len(words) or not n:
            return []
        found = asked.index.search_vectors(self.lens.query_vector(words), n, asked.within, modality)
        return [id for id, _ in found]

    def _embed(self, question: str) -> npt.NDArray[np.float32]:
        return self.base.embed_tokens(np.array(self.base.tokenizer.encode(question), dtype=np.int64))

    def _foci(self, asked: _Asked, capacity: int, events: list[TraceEvent]) -> Iterator[Focused]:
        """Where each pass ends, until the steps run out; what is done on the way is added to ``events``."""
        context = WorkingContext.start(asked.tree, capacity)
        left = self.config.focus.max_steps
        for score in self._passes(context, asked):
            config = replace(self.config.focus, max_steps=left)
            focused = focus(context, score, config, _numbering(events))
            yield focused
            left -= focused.steps
            if left == 0:
                return
            context = focused.context

    def _answer(self, focused: Focused, question: str) -> Reading:
        t_end = max(root.t_span[1] for root in focused.context.roots)
        return self.base.read(focused.context.entries, question, t_end)

    def _passes(self, start: WorkingContext, asked: _Asked) -> Iterator[ScoreFn]:
        """What to look at first, and what then if the answer is not sure."""
        if sum(root.n_leaves for root in start.roots) <= start.capacity:
            yield self._read_everything
            return
        search = HintSearch(asked.index, asked.tree, asked.question, self.config.hints, asked.within, self.modalities)
        lead = search.lead()
        if lead is not None:
            yield lambda context: self._mask(context, self._lift(context, lead))
        words = self._embed(asked.question)
        hints = search.all(self.lens.query_vector(words) if len(words) else None)
        if isinstance(self.base, Judging) and self.modalities == self.base.modalities:
            yield from self._judged(self.base.judge(asked.question), hints, words)
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
        readable = [self._is_readable(entry.node) for entry in context]
        return np.where(readable, scores, UNREADABLE)

    def _is_readable(self, node: Node) -> bool:
        return node.modality == "mixed" or node.modality in self.modalities


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question and what it is asked of; see ``Runtime.read``."""

    tree: TreeReader
    index: Index
    question: str
    within: Sequence[int] | None


def _numbering(events: list[TraceEvent]) -> Callable[[TraceEvent], None]:
    """Adds events to a list, numbered on."""
    return lambda event: events.append(replace(event, step=len(events)))


def _is_on_the_way(context: WorkingContext, lift: npt.NDArray[np.float64]) -> bool:
    """Whether a hint leads below some gist of gists, whatever the lens may say of it: its scores stay within 1."""
    return any(
        lift[i] > 1 and entry.lod > 1 and entry.is_expandable and entry.expansion_cost <= context.slack
        for i, entry in enumerate(context.entries)
    )
