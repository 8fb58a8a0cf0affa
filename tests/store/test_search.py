"""Search over a memory. Oracle: which blocks hold the words, and a product with every gist."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_megacontext.store import writer as store_writer
from mm_megacontext.store.store import Store
from mm_megacontext.tree.nodes import Node, NodeId
from tests.store.store_worker import IDENTITY, source_info, tree_rows

TEXTS = [
    "Invoice INV-2041/7 of 3 May, total 1,284.50 EUR",
    "Order ZX-1834 was running late",
    "The runner and the invoices",
    "Łódź, Zürich and naïve CAFÉ",
    "see a_b@example.org or C:\\temp\\x.txt (50 %)",
]
FLOAT16_TOLERANCE = 2e-3
"""Of a cosine whose parts were rounded to float16."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "memory"
    with Store.create(path, IDENTITY) as store:
        store.add_source(source_info("filler", 1, 6), tree_rows(1, 6))
        store.add_source(source_info("texts", 2, 2), tree_rows(2, 2, 4, texts=TEXTS))
    return path


def found(store: Store, query: str, k: int = 5) -> list[str]:
    return [node.text for node in store.nodes([id for id, _ in store.search_text(query, k)])]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("INV-2041/7", 0),
        ("inv-2041", 0),
        ("what is the total of invoice 2041?", 0),
        ("1,284.50", 0),
        ("ZX-1834", 1),
        ("zx", 1),
        ("RUNNING late", 1),
        ("runner", 2),
        ("invoices", 2),
        ("łódź", 3),
        ("zurich naive cafe", 3),
        ("example", 4),
        ("temp x.txt", 4),
        ("50 %", 4),
    ],
)
def test_words_numbers_and_accents_are_found(memory: Path, query: str, text: int) -> None:
    assert found(Store.open(memory), query)[0] == TEXTS[text]


def test_endings_are_not_cut_and_small_words_not_dropped(memory: Path) -> None:
    store = Store.open(memory)
    assert found(store, "run") == found(store, "zurichs") == found(store, "caf") == []
    assert set(found(store, "and", 50)) == {text for text in TEXTS if "and" in text.split()}


def test_scores_fall_and_are_those_of_blocks_with_the_word(memory: Path) -> None:
    store = Store.open(memory)
    hits = store.search_text("harbour signal", 500)
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0
    texts = {NodeId(r.number, i): n.text for r in store.sources() for i, n in _nodes(store, r.number, r.n_nodes)}
    assert {id for id, _ in hits} == {id for id, text in texts.items() if re.search("harbour|signal", text)}
    assert store.search_text("harbour", 3) == store.search_text("harbour", 500)[:3]


def _nodes(store: Store, number: int, n: int) -> list[tuple[int, Node]]:
    return list(enumerate(store.nodes([NodeId(number, i) for i in range(n)])))


@pytest.mark.parametrize(
    "query",
    [
        *(
            "",
            " ",
            "\n",
            "---",
            '"unclosed',
            "a AND (b OR",
            "NOT",
            '+-&|!(){}[]^"~*?:\\/',
            "*",
            "text:x",
            "%s' OR 1=1 --",
        ),
        *("\x00", "\ud800", "日本語", "🙂", "a" * 5000, "harbour " * 500),
    ],
)
def test_no_query_is_malformed(memory: Path, query: str) -> None:
    assert isinstance(Store.open(memory).search_text(query, 5), list)


@pytest.fixture(scope="module")
def reader(memory: Path) -> Store:
    return Store.open(memory)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(query=st.text(max_size=40), k=st.integers(-1, 3))
def test_no_query_at_all_is_malformed(reader: Store, query: str, k: int) -> None:
    assert len(reader.search_text(query, k)) <= max(k, 0)


def test_rows_are_found_before_and_after_they_are_indexed(memory: Path, tmp_path: Path) -> None:
    path = shutil.copytree(memory, tmp_path / "memory")
    store = Store.open(path, mode="w")
    store.add_source(source_info("late", 5), tree_rows(5, texts=["the word quetzal and INV-9/99"]))
    assert [id for id, _ in store.search_text("quetzal", 5)] == [id for id, _ in store.search_text("INV-9/99", 1)]
    store.close(optimize=False)  # as if killed
    assert found(Store.open(path), "quetzal") == ["the word quetzal and INV-9/99"]
    with Store.open(path, mode="w"):
        pass
    store = Store.open(path)
    assert store._snapshot.nodes_table.stats.index_stats("text_idx")["num_unindexed_rows"] == 0
    assert found(store, "quetzal") == ["the word quetzal and INV-9/99"]
    assert found(store, "ZX-1834", 1) == [TEXTS[1]]


@pytest.mark.parametrize("indexed", [False, True])
def test_what_is_no_source_is_never_found(memory: Path, tmp_path: Path, indexed: bool) -> None:
    path = shutil.copytree(memory, tmp_path / "memory")
    rows = [dataclasses.replace(row, text=row.text and "quetzal harbour") for b in tree_rows(5) for row in b]
    store = Store.open(path, mode="w")
    assert store._writer is not None
    fragments, _ = store._writer._write_rows([rows], None)
    store._writer._append(fragments, len(rows))  # killed before the catalogue knew
    if indexed:
        store._writer._index()
    store._writer.close()
    reader = Store.open(path)
    assert reader._snapshot.hidden == {3}
    assert reader.search_text("quetzal", 50) == []
    assert {id.source for id, _ in reader.search_text("harbour", 50)} == {1, 2}
    assert {id.source for id, _ in reader.search_vectors(rows[0].gist[0].astype(np.float32), 500)} == {1, 2}
    assert reader.counts()[1] == 36 + 8
    assert reader.verify() == []
    with Store.open(path, mode="w") as store:
        assert store._current.hidden == frozenset()
        assert store._current.nodes_table.count_rows() == sum(r.n_nodes for r in store.sources())
        assert store.add_source(source_info("late", 5), tree_rows(5)).number == 3


@pytest.mark.parametrize("with_index", [False, True])
def test_vectors_are_ranked_by_cosine_over_text_blocks(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_index: bool
) -> None:
    path = shutil.copytree(memory, tmp_path / "memory")
    if with_index:
        monkeypatch.setattr(store_writer, "VECTOR_INDEX_ROWS", 10)
        with Store.open(path, mode="w") as store:
            store.add_source(source_info("more", 4, 40), tree_rows(4, 40))
    store = Store.open(path)
    names = {index.name for index in store._snapshot.nodes_table.describe_indices()}
    assert ("gist_idx" in names) == with_index
    blocks = [
        node
        for record in store.sources()
        for _, node in _nodes(store, record.number, record.n_nodes)
        if node.lod == 1 and node.modality == "text"
    ]
    gists = np.stack([node.gist[0] for node in blocks]).astype(np.float32)
    vector = np.random.default_rng(0).standard_normal(16).astype(np.float32) * 1e6
    cosines = gists @ vector / np.linalg.norm(gists, axis=1) / np.linalg.norm(vector)
    expected = sorted(zip(cosines, [node.id for node in blocks], strict=True), reverse=True)[:10]
    hits = store.search_vectors(vector, 10)
    np.testing.assert_allclose([score for _, score in hits], [c for c, _ in expected], atol=FLOAT16_TOLERANCE)
    assert {id for id, _ in hits[:5]} <= {id for _, id in expected}


def test_vectors_that_cannot_be_compared_are_refused(memory: Path) -> None:
    store = Store.open(memory)
    with pytest.raises(ValueError, match="16 dimensions, the vector has 4"):
        store.search_vectors(np.ones(4, np.float32), 5)
    with pytest.raises(ValueError, match="not finite"):
        store.search_vectors(np.full(16, np.nan, np.float32), 5)
    assert store.search_vectors(np.zeros(16, np.float32), 5) == []


def test_tiles_are_found_by_their_gists_and_blocks_are_not_among_them(memory: Path) -> None:
    store = Store.open(memory)
    tiles = [
        node
        for record in store.sources()
        for _, node in _nodes(store, record.number, record.n_nodes)
        if node.lod == 1 and node.modality == "image"
    ]
    vector = tiles[3].gist[0].astype(np.float32)
    hits = store.search_vectors(vector, 100, modality="image")
    assert hits[0][0] == tiles[3].id
    assert sorted(id for id, _ in hits) == sorted(node.id for node in tiles)
