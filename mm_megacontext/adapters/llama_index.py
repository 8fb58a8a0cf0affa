"""A memory as a retriever of LlamaIndex (``llama-index-core``): passages as nodes with scores, boxes in metadata."""

from __future__ import annotations

import asyncio
from typing import Any

from mm_megacontext.adapters.retrieval import FOR_PEOPLE, Retrieval
from mm_megacontext.errors import MissingExtra

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ModuleNotFoundError as e:
    raise MissingExtra("adapters.llama_index needs llama-index-core: pip install 'mm-megacontext[llamaindex]'") from e


class MegaContextRetriever(BaseRetriever):
    """Passages of a memory for a question, the best first.

    Args:
        memory: The memory, or the directory of one.
        options: Those of ``Retrieval``.

    Example:
        >>> MegaContextRetriever("memory", budget=2048, k=5).retrieve("What is the rent?")      # doctest: +SKIP
    """

    def __init__(self, memory: Any, **options: Any) -> None:
        super().__init__()
        self._retrieval = Retrieval(memory, **options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(
                    id_=found.key,
                    text=found.text,
                    metadata=found.metadata,
                    excluded_llm_metadata_keys=list(FOR_PEOPLE),
                    excluded_embed_metadata_keys=list(FOR_PEOPLE),
                ),
                score=found.score,
            )
            for found in self._retrieval.records(query_bundle.query_str)
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
