"""What every framework asks of a retriever: the passages that fit a question best, as text with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from mm_megacontext.memory import MegaContext
from mm_megacontext.passages.parts import Passage
from mm_megacontext.tree.nodes import Modality

FOR_PEOPLE = ("id", "bbox", "unit", "lod", "score", "words", "image")
"""Metadata that a language model need not be shown beside the text."""

_LOCKS: WeakKeyDictionary[MegaContext, Lock] = WeakKeyDictionary()
_LOCKS_LOCK = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A passage as frameworks want it.

    Attributes:
        key: Names it by its place, so that a framework knows it again in the answer to another question.
        text: Empty, of a piece of a picture.
        score: How well it fits the question, in [0, 1].
        metadata: Plain JSON values: source, page, bbox, unit, kind, headings, … See ``mmctx context`` in docs/cli.md.
    """

    key: str
    text: str
    score: float
    metadata: dict[str, Any]


class Retrieval:
    """Asks a memory for passages, from any thread, one question at a time.

    A memory is for one thread at a time: all retrievals over the same one wait for each other. Whoever also asks it
    directly, in another thread, gives the retrieval its directory instead, of which it opens a handle of its own.

    Args:
        memory: The memory, or its directory, which is opened with the default model at the first question.
        budget, modalities: See ``MegaContext.context``.
        source: The only source to search.
        k: The most passages that are returned; None for all that the question opened.
        words: Whether the metadata hold every word with its box.

    Raises:
        ValueError: ``k`` is not at least 1.
    """

    def __init__(
        self,
        memory: MegaContext | str | Path,
        *,
        budget: int | None = None,
        source: str | Path | None = None,
        k: int | None = None,
        modalities: Sequence[Modality] | None = None,
        words: bool = False,
    ) -> None:
        if k is not None and k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self._memory = memory
        self.budget, self.source, self.k, self.modalities, self.words = budget, source, k, modalities, words
        self._opening = Lock()

    @property
    def directory(self) -> Path:
        """Of the memory."""
        return self._memory.directory if isinstance(self._memory, MegaContext) else Path(self._memory)

    def records(self, question: str) -> list[Record]:
        """Passages that fit the question best, the best first; of equal ones, the first of the document.

        Raises:
            EmptyQuestion, BudgetTooSmall, StoreError: See ``MegaContext.context``.
        """
        memory = self._opened()
        with _lock_of(memory):  # until the words are there, too: a passage reads them when they are asked for
            context = memory.context(question, budget=self.budget, source=self.source, modalities=self.modalities)
            best = sorted(context.passages, key=lambda passage: -passage.score)[: self.k]
            return [record(passage, words=self.words) for passage in best]

    def _opened(self) -> MegaContext:
        with self._opening:
            if not isinstance(self._memory, MegaContext):
                self._memory = MegaContext.open(self._memory, create=False)
            return self._memory


def record(passage: Passage, *, words: bool = False) -> Record:
    """A passage as text and what is known of it; a piece of a picture has its pixels as a data URL."""
    told = passage.to_json(words=words, images=True)
    text = told.pop("text")
    if told["image"] is None:
        del told["image"]
    box = ",".join(f"{edge:g}" for edge in told["bbox"])
    key = f"{passage.source}#page={passage.page}&bbox={box}"
    return Record(key=key, text=text, score=passage.score, metadata=told)


def _lock_of(memory: MegaContext) -> Lock:
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(memory, Lock())
