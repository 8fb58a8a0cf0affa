"""Search by meaning. Oracle: an embedder that knows which words of these texts mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mm_megacontext.embedders import TextEmbedder
from mm_megacontext.embedders.protocol import Vectors
from mm_megacontext.errors import StoreError
from mm_megacontext.memory import MegaContext
from mm_megacontext.reading.ranking import fused
from mm_megacontext.store.repair import repair
from mm_megacontext.store.vectors import vectors_in, vectors_of
from mm_megacontext.tree.nodes import NodeId

MEANINGS = ({"automobile", "car", "cars"}, {"colour", "red", "hue"}, {"harbour", "port"}, {"cellar", "basement"})


class Synonyms:
    """A dimension for each meaning, and one for what has none."""

    id, dim = "synonyms", len(MEANINGS) + 1

    def __init__(self) -> None:
        self.n_embedded = 0

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.n_embedded += len(texts)
        return np.concatenate([self.embed_question(text) for text in texts])

    def embed_question(self, text: str) -> Vectors:
        words = {word.strip(".,?").lower() for word in text.split()}
        found = np.array([[*(len(words & meaning) for meaning in MEANINGS), 0.1]], dtype=np.float32)
        return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


TEXTS = {
    "a.txt": "The automobile of the mayor is red.",
    "b.txt": "Ships wait in the port until noon.",
    "c.txt": "Nothing of this matters to the question at all.",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def opened(files: Path, embedder: TextEmbedder | None) -> MegaContext:
    return MegaContext.open(files.parent / "memory", embedder=embedder)


def best(memory: MegaContext, question: str) -> str:
    return memory.context(question, budget=40).best(1)[0].text


def test_what_shares_no_word_is_found(files: Path) -> None:
    assert isinstance(Synonyms(), TextEmbedder)
    with opened(files, Synonyms()) as memory:
        memory.ingest(files)
        for question, name in (("Which hue have the cars?", "a.txt"), ("What waits in the harbour?", "b.txt")):
            shown = memory.context(question, budget=40).passages
            assert TEXTS[name] in [passage.text for passage in shown]
        only = memory.find_source("b.txt") if hasattr(memory, "find_source") else files / "b.txt"
        shown = memory.context("Which hue have the cars?", budget=40, source=only).passages
        assert {Path(passage.source).name for passage in shown} == {"b.txt"}, "only the source that was asked"


def test_only_what_is_new_is_embedded(files: Path) -> None:
    embedder = Synonyms()
    with opened(files, embedder) as memory:
        memory.ingest(files)
        assert embedder.n_embedded == 3
        (files / "d.txt").write_text("The basement is dry.")
        (files / "c.txt").write_text("Nothing of this matters.")
        memory.ingest(files)
        assert embedder.n_embedded == 5
        memory.ingest(files)
        assert embedder.n_embedded == 5


def test_a_memory_without_vectors_says_what_to_do(files: Path) -> None:
    with opened(files, None) as memory:
        memory.ingest(files)
    with opened(files, Synonyms()) as memory:
        with pytest.raises(StoreError, match=r"3 sources \(.*a\.txt first\) have no vectors of synonyms; ingest them"):
            memory.context("Which hue?")
        assert len(memory.ingest(files).unchanged) == 3
        assert memory.context("Which hue?").passages
    with opened(files, None) as memory:
        assert memory.context("Which hue?").passages is not None, "and it is read without an embedder as before"


def test_what_is_forgotten_is_not_found_and_leaves_with_vacuum(files: Path) -> None:
    with opened(files, Synonyms()) as memory:
        memory.ingest(files)
        memory.forget(files / "a.txt")
        assert "mayor" not in memory.context("Which hue have the cars?", budget=100).to_text()
        (path,) = vectors_in(memory.directory)
        before = sum(file.stat().st_size for file in path.rglob("*.lance"))
        memory.vacuum()
        assert sum(file.stat().st_size for file in path.rglob("*.lance")) < before
        assert memory.verify() == []


def test_damaged_vectors_are_told_and_made_anew(files: Path) -> None:
    with opened(files, Synonyms()) as memory:
        memory.ingest(files)
    path = vectors_of(files.parent / "memory", Synonyms.id)
    data = max((path / "data").iterdir(), key=lambda file: file.stat().st_size)
    data.write_bytes(bytes(data.stat().st_size))
    with opened(files, None) as memory:
        assert memory.verify() == [f"{path}: is not as it was written"]
    assert repair(files.parent / "memory").done[-1].startswith(f"{path}: removed (damaged)")
    with opened(files, Synonyms()) as memory:
        memory.ingest(files)
        assert memory.verify() == []
        assert "mayor" in memory.context("Which hue have the cars?", budget=100).to_text()


def test_ranks_are_fused() -> None:
    a, b, c, d = (NodeId(1, i) for i in range(4))
    equal = (1.0, 1.0)
    assert fused([[a, b, c], [c, d]], equal, shift=60) == [c, a, b, d]
    assert fused([[a, b], [b, a]], equal) == [a, b], "the first order decides"
    assert fused([[a, b], []], equal) == [a, b]
    assert fused([[a, b], [c]], (1.0, 0.5), shift=0) == [a, b, c], "1, 1/2 and a half of 1"
