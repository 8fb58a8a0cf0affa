"""What every framework asks of a retriever: the passages that fit a question best, each with its place."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from mm_megacontext.memory import MegaContext
from mm_megacontext.passages.parts import Passage


class Retrieval:
    """Asks a memory for passages, from any thread, one question at a time.

    Args:
        memory: The memory, or its directory, which is opened with the default model at the first question.
        budget: See ``MegaContext.context``.
        source: The only source to search.
        k: The most passages that are returned; None for all that the question opened.

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
    ) -> None:
        if k is not None and k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self._memory = memory
        self.budget, self.source, self.k = budget, source, k
        self._lock = Lock()

    @property
    def directory(self) -> Path:
        """Of the memory."""
        return self._memory.directory if isinstance(self._memory, MegaContext) else Path(self._memory)

    def passages(self, question: str) -> list[Passage]:
        """Those that fit the question best, the best first; of equal ones, the first of the document.

        Raises:
            EmptyQuestion, BudgetTooSmall, StoreError: See ``MegaContext.context``.
        """
        with self._lock:
            if not isinstance(self._memory, MegaContext):
                self._memory = MegaContext.open(self._memory, create=False)
            shown = self._memory.context(question, budget=self.budget, source=self.source).passages
        return sorted(shown, key=lambda passage: -passage.score)[: self.k]


def metadata(passage: Passage) -> dict[str, Any]:
    """What is known of a passage besides its text, as plain JSON values: see ``mmctx context`` in docs/cli.md."""
    told = passage.to_json()
    del told["text"], told["image"]
    return told


def key(passage: Passage) -> str:
    """Names a passage by its place, so that frameworks know it again in the answer to another question."""
    box = ",".join(f"{edge:g}" for edge in passage.to_json()["bbox"])
    return f"{passage.source}#page={passage.page}&bbox={box}"
