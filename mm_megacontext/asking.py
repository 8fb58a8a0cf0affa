"""One question: what is opened for it, what a reader makes of that, and what is said of where the answer stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from mm_megacontext.answer import Answer, Evidence, Usage
from mm_megacontext.errors import BudgetTooSmall
from mm_megacontext.evidence import cited_evidence, collect_evidence, node_evidence
from mm_megacontext.models import Model
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Passage
from mm_megacontext.reading.allocator import Focused
from mm_megacontext.reading.base import Base, Reader, TextReader
from mm_megacontext.reading.cut_passages import show
from mm_megacontext.reading.fitting import LEAVES_PER_TOKEN, Fitted, fit
from mm_megacontext.reading.headings import Headings
from mm_megacontext.reading.hints import SearchByMeaning
from mm_megacontext.reading.runtime import ReadContext, ReadingConfig, Runtime
from mm_megacontext.reading.why_not import why_not
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.store import Store
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import Modality

NOT_FOUND = "not found"
DEFAULT_BUDGET = 512
"""Embeddings, where none is said."""
DEFAULT_TOKENS = 4096
"""Tokens of a text reader, where no budget is said."""
N_CANDIDATES = 3
"""Places that an answer names as the best besides its evidence."""
CANDIDATE_LEAVES = 1024
"""What is looked through for them where nothing was found."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A question and what it is asked of.

    Attributes:
        question: Not empty.
        store: The memory.
        tree: Of the sources in scope.
        within: Their numbers, or None for all.
        records: All sources by number.
        meaning: Searches the memory by meaning, or None.
        draw: Draws an answer that was read from a working context.
    """

    question: str
    store: Store
    tree: CollectionTree
    within: list[int] | None
    records: Mapping[int, SourceRecord]
    draw: Callable[[Answer, WorkingContext], Image.Image]
    meaning: SearchByMeaning | None = None


class Asking:
    """Asks a model, or a text reader that the model leads; keeps no state between questions.

    Args:
        model: Made the gists of the memory.
        text_reader: Reads and answers in the model's place, or None.
        config: How focus moves and hints are found.
    """

    def __init__(self, model: Model, text_reader: TextReader | None, config: ReadingConfig | None = None) -> None:
        self._base: Base = model.reader
        self._lens = model.lens
        self._text_reader = text_reader
        self._config = config

    @property
    def reader(self) -> Reader:
        """What reads and answers."""
        return self._text_reader or self._base

    def ask(self, scope: Scope, budget: int | None) -> Answer:
        """The answer; see ``MegaContext.ask``."""
        begun = time.perf_counter()
        if self._text_reader is not None:
            return self._ask_text(self._text_reader, scope, DEFAULT_TOKENS if budget is None else budget, begun)
        budget = DEFAULT_BUDGET if budget is None else budget
        prompt = self.prompt_cost(scope.question, budget)
        runtime = self._runtime(scope, self._base.modalities)
        read = runtime.read(scope.tree, scope.store, scope.question, budget - prompt, scope.within)
        cut, scores = read.focused.context, read.focused.scores
        evidence = collect_evidence(read.reading.pointed, cut, scores, self._base.tokenizer, scope.records)
        evidence += node_evidence(read.reading, cut, scores, scope.records)
        usage = _usage(read, scope, budget, cut.cost + prompt, begun)
        return self._told(scope, read, self._show(read.focused, scope), evidence, usage)

    def context(self, scope: Scope, budget: int | None, modalities: Sequence[Modality] | None) -> Context:
        """What the reader would be shown; see ``MegaContext.context``."""
        opened = self.reader.modalities if modalities is None else tuple(modalities)
        if self._text_reader is not None:
            return self._fitted(self._text_reader, scope, DEFAULT_TOKENS if budget is None else budget, opened).context
        budget = DEFAULT_BUDGET if budget is None else budget
        capacity = budget - self.prompt_cost(scope.question, budget)
        looked = self._runtime(scope, opened).look(scope.tree, scope.store, scope.question, capacity, scope.within)
        return self._show(looked.focused, scope)

    def prompt_cost(self, question: str, budget: int | None) -> int:
        """What the question alone costs the model; see ``MegaContext.prompt_cost``."""
        budget = DEFAULT_BUDGET if budget is None else budget
        cost = self._base.prompt_cost(question)
        if budget <= cost:
            raise BudgetTooSmall(
                f"the budget is {budget}, the question alone takes {cost} and the roots of the tree at least 1; "
                f"give a budget of {cost + 1} or more"
            )
        return cost

    def _runtime(self, scope: Scope, modalities: Sequence[Modality]) -> Runtime:
        return Runtime(self._base, self._lens, self._config, modalities, scope.meaning)

    def _ask_text(self, reader: TextReader, scope: Scope, budget: int, begun: float) -> Answer:
        fitted = self._fitted(reader, scope, budget, reader.modalities)
        reading = reader.read(fitted.context)
        read = ReadContext(fitted.looked.focused, reading, fitted.looked.trace)
        usage = _usage(read, scope, budget, fitted.cost, begun, reader.budget_unit)
        return self._told(scope, read, fitted.context, cited_evidence(reading, fitted.context), usage)

    def _fitted(self, reader: TextReader, scope: Scope, budget: int, modalities: Sequence[Modality]) -> Fitted:
        """What a text reader is shown."""
        capacity = int(LEAVES_PER_TOKEN * budget)
        looked = self._runtime(scope, modalities).look(scope.tree, scope.store, scope.question, capacity, scope.within)
        headings = Headings.near(looked.focused.context)
        return fit(looked, lambda focused: self._show(focused, scope, headings), reader.cost, budget)

    def _show(self, focused: Focused, scope: Scope, headings: Headings | None = None) -> Context:
        return show(focused.context, focused.scores, scope.question, self._base.tokenizer, scope.records, headings)

    def _told(
        self, scope: Scope, read: ReadContext, context: Context, evidence: tuple[Evidence, ...], usage: Usage
    ) -> Answer:
        cut, reading, reader = read.focused.context, read.reading, self.reader
        found = reading.found
        return Answer(
            question=scope.question,
            text=reading.text if found else NOT_FOUND,
            found=found,
            evidence=evidence if found else (),
            usage=usage,
            trace=read.trace,
            model=reader.id,
            context=context,
            reason=None if found else why_not(scope.question, cut, reader.modalities, scope.store, scope.within),
            candidates=tuple(map(Evidence.of_passages, self._best(scope, read, context))),
            draw=lambda answer: scope.draw(answer, cut),
        )

    def _best(self, scope: Scope, read: ReadContext, context: Context) -> list[tuple[Passage, ...]]:
        """What fits the question best: of what was read, or if the model found nothing there, of what search finds."""
        if not read.reading.found and self._text_reader is None:
            runtime = self._runtime(scope, self._base.modalities)
            looked = runtime.look(scope.tree, scope.store, scope.question, CANDIDATE_LEAVES, scope.within)
            context = self._show(looked.focused, scope)
        return context.best_stretches(N_CANDIDATES)


def _usage(read: ReadContext, scope: Scope, budget: int, cost: int, begun: float, unit: str = "embeddings") -> Usage:
    return Usage(
        budget=budget,
        cost=cost,
        entries=len(read.focused.context),
        leaves=scope.tree.n_leaves,
        steps=read.steps,
        seconds=time.perf_counter() - begun,
        unit=unit,
    )
