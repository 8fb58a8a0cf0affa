"""A memory in the pipelines of other frameworks, run by these frameworks themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext import MegaContext
from mm_megacontext.adapters.retrieval import Retrieval
from mm_megacontext.errors import EmptyQuestion, StoreError

NOTES = {"notes.txt": "The key of the cellar hangs behind the blue door.", "bins.txt": "Bins are emptied on Mondays."}
QUESTION = "Where does the key of the cellar hang?"


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    with MegaContext.open(folder / "memory") as opened:
        for name, text in NOTES.items():
            (folder / name).write_text(text)
            opened.ingest(folder / name)
    return folder / "memory"


def check(told: dict[str, Any], text: str, score: float, memory: Path) -> None:
    assert text == NOTES["notes.txt"]
    assert told["source"] == str(memory.parent / "notes.txt")
    assert (told["page"], told["unit"], len(told["bbox"])) == (1, "pt", 4)
    assert "text" not in told
    assert score == told["score"] == 1.0


def test_langchain(memory: Path) -> None:
    langchain = pytest.importorskip("mm_megacontext.adapters.langchain", exc_type=ImportError)
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough

    retriever = langchain.MegaContextRetriever.of(memory, k=1)
    (found,) = retriever.invoke(QUESTION)
    check(found.metadata, found.page_content, 1.0, memory)
    assert asyncio.run(retriever.ainvoke(QUESTION)) == [found]
    assert retriever.batch([QUESTION, QUESTION]) == [[found]] * 2, "from several threads"

    prompts: list[str] = []

    def noted(told: Any) -> Any:
        prompts.append(told.to_string())
        return told

    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    chain = (
        {"context": retriever | (lambda documents: documents[0].page_content), "question": RunnablePassthrough()}
        | prompt
        | noted
        | FakeListChatModel(responses=["behind the blue door"])
        | StrOutputParser()
    )
    assert chain.invoke(QUESTION) == "behind the blue door"
    assert NOTES["notes.txt"] in prompts[0]


def test_llama_index(memory: Path) -> None:
    llama_index = pytest.importorskip("mm_megacontext.adapters.llama_index", exc_type=ImportError)
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.schema import MetadataMode

    retriever = llama_index.MegaContextRetriever(memory, k=1)
    (found,) = retriever.retrieve(QUESTION)
    check(found.node.metadata, found.node.text, found.score, memory)
    shown = found.node.get_content(MetadataMode.LLM)
    assert "page: 1" in shown
    assert "bbox" not in shown
    (again,) = asyncio.run(retriever.aretrieve(QUESTION))
    assert again.node.node_id == found.node.node_id

    answer = RetrieverQueryEngine.from_args(retriever, llm=MockLLM()).query(QUESTION)
    assert NOTES["notes.txt"] in str(answer)  # that model says what it was told
    assert answer.source_nodes[0].node.metadata["bbox"] == found.node.metadata["bbox"]


def test_haystack(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    haystack = pytest.importorskip("mm_megacontext.adapters.haystack", exc_type=ImportError)
    from haystack import Pipeline
    from haystack.components.builders import PromptBuilder

    retriever = haystack.MegaContextRetriever(memory, top_k=1)
    (found,) = retriever.run(query=QUESTION)["documents"]
    check(found.meta, found.content, found.score, memory)
    assert asyncio.run(retriever.run_async(query=QUESTION))["documents"] == [found]

    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    pipeline.add_component("prompt", PromptBuilder("{% for d in documents %}{{ d.content }}{% endfor %}"))
    pipeline.connect("retriever.documents", "prompt.documents")
    read = Pipeline.loads(pipeline.dumps(), allowed_modules=["mm_megacontext.adapters.haystack"])
    for one in (pipeline, read):
        assert one.run({"retriever": {"query": QUESTION}})["prompt"]["prompt"] == NOTES["notes.txt"]


def test_the_best_come_first_and_one_source_can_be_named(memory: Path) -> None:
    found = Retrieval(memory).passages(QUESTION)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert {Path(p.source).name for p in Retrieval(memory, source=memory.parent / "bins.txt").passages(QUESTION)} == {
        "bins.txt"
    }


def test_what_cannot_be_asked(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyQuestion):
        Retrieval(memory).passages(" ")
    with pytest.raises(StoreError, match="not a memory"):
        Retrieval(tmp_path).passages(QUESTION)
    with pytest.raises(ValueError, match="k must be at least 1"):
        Retrieval(memory, k=0)
