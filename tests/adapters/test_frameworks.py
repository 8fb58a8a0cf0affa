"""A memory in the pipelines of other frameworks, run by these frameworks themselves."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from PIL import Image

from mm_megacontext import MegaContext
from mm_megacontext.adapters.retrieval import Retrieval
from mm_megacontext.errors import EmptyQuestion, MissingExtra, StoreError

NOTES = {"notes.txt": "The key of the cellar hangs behind the blue door.", "bins.txt": "Bins are emptied on Mondays."}
DOCS = Path(__file__).parents[2] / "docs" / "readers.md"
QUESTION = "Where does the key of the cellar hang?"


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    with MegaContext.open(folder / "memory") as opened:
        for name, text in NOTES.items():
            (folder / name).write_text(text)
            opened.ingest(folder / name)
    return folder / "memory"


def check(told: dict[str, Any], text: str | None, score: float | None, memory: Path) -> None:
    assert text == NOTES["notes.txt"]
    assert told["source"] == str(memory.parent / "notes.txt")
    assert (told["page"], told["unit"], len(told["bbox"])) == (1, "pt", 4)
    assert "text" not in told
    assert score == told["score"] == 1.0


def test_langchain(memory: Path) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough

    from mm_megacontext.adapters.langchain import MegaContextRetriever

    retriever = MegaContextRetriever.of(memory, k=1)
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
    pytest.importorskip("llama_index.core")
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.schema import MetadataMode

    from mm_megacontext.adapters.llama_index import MegaContextRetriever

    retriever = MegaContextRetriever(memory, k=1)
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
    pytest.importorskip("haystack")
    from haystack import Pipeline
    from haystack.components.builders import PromptBuilder

    from mm_megacontext.adapters.haystack import MegaContextRetriever

    retriever = MegaContextRetriever(memory, top_k=1)
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


@pytest.mark.parametrize(
    ("adapter", "library"),
    [("langchain", "langchain_core"), ("llama_index", "llama_index.core"), ("haystack", "haystack")],
)
class TestEach:
    def test_the_example_of_the_documentation_runs(
        self,
        adapter: str,
        library: str,
        memory: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
        pytest.importorskip(library)
        monkeypatch.chdir(memory.parent)
        page = DOCS.read_text(encoding="utf-8")
        examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        (example,) = [text for text in examples if f"mm_megacontext.adapters.{adapter} " in text]
        exec(example, {})
        assert NOTES["notes.txt"] in capsys.readouterr().out

    def test_a_library_that_is_missing_is_named_with_its_extra(
        self, adapter: str, library: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = library.partition(".")[0]
        for loaded in [name for name in sys.modules if name.partition(".")[0] == root]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.delitem(sys.modules, f"mm_megacontext.adapters.{adapter}", raising=False)
        monkeypatch.setitem(sys.modules, root, None)  # Python's own way to say that it is not there
        extra = adapter.replace("_", "")
        with pytest.raises(MissingExtra, match=rf"mm-megacontext\[{extra}\]"):
            importlib.import_module(f"mm_megacontext.adapters.{adapter}")


def test_retrievals_over_one_memory_wait_for_each_other(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)
    met: list[bool] = []
    with MegaContext.open(memory, create=False) as opened, ThreadPoolExecutor(2) as pool:
        context = opened.context

        def watched(question: str, **options: Any) -> Any:
            try:
                both.wait(timeout=0.3)  # passes only if the other one is inside, too
                met.append(True)
            except BrokenBarrierError:
                met.append(False)
            return context(question, **options)

        monkeypatch.setattr(opened, "context", watched)
        found = list(pool.map(lambda retrieval: retrieval.records(QUESTION), [Retrieval(opened), Retrieval(opened)]))
    assert met == [False, False]
    assert found[0] == found[1]


def test_words_come_with_their_boxes(memory: Path) -> None:
    (plain,) = Retrieval(memory, k=1).records(QUESTION)
    (found,) = Retrieval(memory, k=1, words=True).records(QUESTION)
    assert "words" not in plain.metadata
    assert [word["text"] for word in found.metadata["words"]] == NOTES["notes.txt"].split()
    x0, y0, x1, y1 = found.metadata["bbox"]
    for word in found.metadata["words"]:
        left, top, right, bottom = word["bbox"]
        assert x0 <= left < right <= x1 + 0.01
        assert y0 <= top < bottom <= y1 + 0.01


def test_pictures_come_when_they_are_asked_for(picture_memory: MegaContext) -> None:
    assert all(r.text for r in Retrieval(picture_memory, modalities=["text"]).records("red"))
    pictures = Retrieval(picture_memory, modalities=["image"]).records("red")
    assert pictures
    for picture in pictures:
        assert (picture.text, picture.metadata["kind"], picture.metadata["unit"]) == ("", "image", "px")
        assert picture.metadata["image"]["url"].startswith("data:image/png;base64,")


@pytest.fixture
def picture_memory(tmp_path: Path) -> Iterator[MegaContext]:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    with MegaContext.open(tmp_path / "memory") as opened:
        opened.ingest(tmp_path / "red.png")
        yield opened


def test_haystack_writes_down_every_option(memory: Path) -> None:
    pytest.importorskip("haystack")
    from mm_megacontext.adapters.haystack import MegaContextRetriever

    options: dict[str, Any] = {"budget": 512, "top_k": 2, "modalities": ["text"], "words": True}
    written = MegaContextRetriever(memory, source=memory.parent / "bins.txt", **options).to_dict()
    assert written["init_parameters"] == options | {"memory": str(memory), "source": str(memory.parent / "bins.txt")}
    assert MegaContextRetriever.from_dict(written).to_dict() == written


def test_the_best_come_first_and_one_source_can_be_named(memory: Path) -> None:
    found = Retrieval(memory).records(QUESTION)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert {
        Path(p.metadata["source"]).name for p in Retrieval(memory, source=memory.parent / "bins.txt").records(QUESTION)
    } == {"bins.txt"}


def test_what_cannot_be_asked(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyQuestion):
        Retrieval(memory).records(" ")
    with pytest.raises(StoreError, match="not a memory"):
        Retrieval(tmp_path).records(QUESTION)
    with pytest.raises(ValueError, match="k must be at least 1"):
        Retrieval(memory, k=0)
