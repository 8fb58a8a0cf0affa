"""A memory as a component of Haystack (``haystack-ai``): passages as documents, their boxes in ``meta``."""

from __future__ import annotations

import asyncio
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from mm_megacontext.adapters.retrieval import Retrieval, key, metadata


@component
class MegaContextRetriever:
    """Passages of a memory for a query, the best first.

    A pipeline that is written down names the memory's directory; it is opened with the default model when it is read.
    Haystack reads such a pipeline only if this module is allowed:
    ``Pipeline.load(…, allowed_modules=["mm_megacontext.adapters.haystack"])``.

    Args:
        memory: The memory, or the directory of one.
        budget, source, top_k: See ``Retrieval``.

    Example:
        >>> MegaContextRetriever("memory", top_k=5).run(query="What is the rent?")["documents"]   # doctest: +SKIP
    """

    def __init__(
        self, memory: Any, *, budget: int | None = None, source: str | None = None, top_k: int | None = None
    ) -> None:
        self._retrieval = Retrieval(memory, budget=budget, source=source, k=top_k)

    def to_dict(self) -> dict[str, Any]:
        """As Haystack writes it down."""
        asked = self._retrieval
        return default_to_dict(
            self, memory=str(asked.directory), budget=asked.budget, source=asked.source, top_k=asked.k
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MegaContextRetriever:
        """What ``to_dict`` has written."""
        made: MegaContextRetriever = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        """Passages for a query."""
        return {
            "documents": [
                Document(id=key(passage), content=passage.text, meta=metadata(passage), score=passage.score)
                for passage in self._retrieval.passages(query)
            ]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str) -> dict[str, list[Document]]:
        """The same, in a thread."""
        found: dict[str, list[Document]] = await asyncio.to_thread(self.run, query)
        return found
