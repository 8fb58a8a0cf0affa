"""A memory as a retriever of LangChain (``langchain-core``): passages as documents, their boxes in the metadata."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from mm_megacontext.adapters.retrieval import Retrieval, key, metadata


class MegaContextRetriever(BaseRetriever):
    """Passages of a memory for a question, the best first.

    ``ainvoke`` and ``abatch`` ask in a thread; questions to one memory wait for each other.

    Attributes:
        retrieval: What is asked; made from the arguments of ``Retrieval``.

    Example:
        >>> MegaContextRetriever.of("memory", budget=2048, k=5).invoke("What is the rent?")     # doctest: +SKIP
    """

    retrieval: Retrieval

    @classmethod
    def of(cls, memory: Any, **options: Any) -> MegaContextRetriever:
        """A retriever over a memory, or the directory of one; options are those of ``Retrieval``."""
        return cls(retrieval=Retrieval(memory, **options))

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(id=key(passage), page_content=passage.text, metadata=metadata(passage))
            for passage in self.retrieval.passages(query)
        ]
