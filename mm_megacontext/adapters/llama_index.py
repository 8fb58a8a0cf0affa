"""A memory as a retriever of LlamaIndex (``llama-index-core``): passages as nodes with scores, boxes in metadata."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from mm_megacontext.adapters.retrieval import Retrieval, key, metadata

_FOR_PEOPLE = ("id", "bbox", "unit", "lod", "score")
"""Metadata that a language model is not shown beside the text."""


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
                    id_=key(passage),
                    text=passage.text,
                    metadata=metadata(passage),
                    excluded_llm_metadata_keys=list(_FOR_PEOPLE),
                    excluded_embed_metadata_keys=list(_FOR_PEOPLE),
                ),
                score=passage.score,
            )
            for passage in self._retrieval.passages(query_bundle.query_str)
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
