"""A memory as a retriever of LangChain (``langchain-core``): passages as documents, their boxes in the metadata."""

from __future__ import annotations

from typing import Any

from mm_megacontext.adapters.retrieval import Retrieval
from mm_megacontext.errors import MissingExtra

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as e:
    raise MissingExtra("adapters.langchain needs langchain-core: pip install 'mm-megacontext[langchain]'") from e


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
            Document(id=found.key, page_content=found.text, metadata=found.metadata)
            for found in self.retrieval.records(query)
        ]
