"""A memory as a component of Haystack (``haystack-ai``): passages as documents, their boxes in ``meta``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mm_megacontext.adapters.retrieval import Retrieval
from mm_megacontext.errors import MissingExtra
from mm_megacontext.tree.nodes import Modality

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ModuleNotFoundError as e:
    raise MissingExtra("adapters.haystack needs haystack-ai: pip install 'mm-megacontext[haystack]'") from e


@component
class MegaContextRetriever:
    """Passages of a memory for a query, the best first.

    A pipeline that is written down names the memory's directory; it is opened with the default model when it is read.
    Haystack reads such a pipeline only if this module is allowed:
    ``Pipeline.load(…, allowed_modules=["mm_megacontext.adapters.haystack"])``.

    Args:
        memory: The memory, or the directory of one.
        budget, source, top_k, modalities, words: See ``Retrieval``, where ``top_k`` is ``k``.

    Example:
        >>> MegaContextRetriever("memory", top_k=5).run(query="What is the rent?")["documents"]   # doctest: +SKIP
    """

    def __init__(
        self,
        memory: Any,
        *,
        budget: int | None = None,
        source: str | Path | None = None,
        top_k: int | None = None,
        modalities: Sequence[Modality] | None = None,
        words: bool = False,
    ) -> None:
        self._retrieval = Retrieval(memory, budget=budget, source=source, k=top_k, modalities=modalities, words=words)

    def to_dict(self) -> dict[str, Any]:
        """As Haystack writes it down."""
        asked = self._retrieval
        return default_to_dict(
            self,
            memory=str(asked.directory),
            budget=asked.budget,
            source=None if asked.source is None else str(asked.source),
            top_k=asked.k,
            modalities=None if asked.modalities is None else list(asked.modalities),
            words=asked.words,
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
                Document(id=found.key, content=found.text, meta=found.metadata, score=found.score)
                for found in self._retrieval.records(query)
            ]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str) -> dict[str, list[Document]]:
        """The same, in a thread."""
        found: dict[str, list[Document]] = await asyncio.to_thread(self.run, query)
        return found
