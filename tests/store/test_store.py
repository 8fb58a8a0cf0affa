"""The memory as its users see it. Oracle: the rows that were written."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from mm_megacontext.errors import CorruptStore, IncompatibleGists, MemoryLocked, NodeNotFound, StoreError
from mm_megacontext.store.store import FORMAT, MEMORY_FILE, Identity, Store
from mm_megacontext.tree.nodes import NodeId, NodeRow, PixelRef
from tests.images import SparseArraySource, image_rows
from tests.store.store_worker import IDENTITY, parent_row, source_info, tree_rows


@pytest.fixture(scope="module")
def three_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "memory"
    with Store.create(path, IDENTITY) as store:
        for seed in (1, 2, 3):
            store.add_source(source_info(f"doc-{seed}", seed), tree_rows(seed))
    return path


@pytest.fixture
def memory(three_sources: Path, tmp_path: Path) -> Path:
    """A memory of three sources, to be changed; the test also shows that memories can be moved."""
    return Path(shutil.copytree(three_sources, tmp_path / "memory"))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # test_durable.py is about that


def all_rows(seed: int, n_pages: int = 3) -> list[NodeRow]:
    return [row for batch in tree_rows(seed, n_pages) for row in batch]


def uris(store: Store) -> list[str]:
    return [record.uri for record in store.sources()]


def files(path: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in path.rglob("*")}


class TestReading:
    def test_nodes_and_leaves_are_those_written(self, memory: Path) -> None:
        store = Store.open(memory, IDENTITY)
        for record in store.sources():
            rows = all_rows(record.number)
            ids = [NodeId(record.number, row.index) for row in rows]
            for row, node in zip(rows, store.nodes(ids), strict=True):
                assert (node.id.index, node.first.index, node.text, node.kind) == (
                    (row.index, row.first, row.text, row.kind)
                )
                assert [child.index for child in node.children] == list(row.children)
                np.testing.assert_array_equal(node.gist, row.gist)
                np.testing.assert_array_equal(node.mu, row.mu)
            blocks = [row for row in rows if row.lod == 1]
            for row, leaves in zip(blocks, store.leaves([NodeId(record.number, b.index) for b in blocks]), strict=True):
                np.testing.assert_array_equal(leaves.mu, row.leaf_mu)
                np.testing.assert_array_equal(leaves.token_ids, row.token_ids)

    def test_ids_are_answered_in_the_order_asked_and_as_often(self, memory: Path) -> None:
        store = Store.open(memory)
        ids = [NodeId(3, 5), NodeId(1, 0), NodeId(3, 5), NodeId(2, 21)]
        assert [node.id for node in store.nodes(ids)] == ids
        assert [node.id for node in store.nodes(ids)] == ids  # now from the cache
        blocks = [NodeId(2, 1), NodeId(1, 0), NodeId(2, 1)]
        assert [len(leaves) for leaves in store.leaves(blocks)] == [node.n_leaves for node in store.nodes(blocks)]
        assert store.nodes([]) == []
        assert store.leaves([]) == []

    @pytest.mark.parametrize("id", [NodeId(9, 0), NodeId(1, 22), NodeId(1, -1), NodeId(0, 0)])
    def test_unknown_ids_are_refused(self, memory: Path, id: NodeId) -> None:
        store = Store.open(memory)
        for read in (store.nodes, store.leaves):
            with pytest.raises(NodeNotFound, match=f"no node {id.source}:{id.index}"):
                read([NodeId(1, 0), id])

    def test_nodes_above_blocks_have_no_leaves_of_their_own(self, memory: Path) -> None:
        with pytest.raises(NodeNotFound, match="above LOD 1"):
            Store.open(memory).leaves([NodeId(1, 21)])

    def test_records_say_what_the_roots_are(self, memory: Path) -> None:
        store = Store.open(memory)
        assert store.roots() == [record.root_id for record in store.sources()]
        for record, root in zip(store.sources(), store.nodes(store.roots()), strict=True):
            assert (record.number, record.root, record.n_nodes) == (root.id.source, root.id.index, 22)
            assert (record.n_leaves, record.t_length) == (root.n_leaves, root.t_span[1])
            assert (record.kind, record.unit, record.n_pages, record.engine) == ("pdf", "pt", 3, "test")
            np.testing.assert_array_equal(record.gist, root.gist, strict=True)
            np.testing.assert_array_equal(record.page_sizes, [[612.0, 792.0]] * 3)
            assert record.bytes > 1000
        assert store.counts() == {1: 54, 2: 9, 3: 3}
        assert store.size_bytes() > sum(record.bytes for record in store.sources())

    def test_reading_writes_nothing(self, memory: Path) -> None:
        before = files(memory)
        store = Store.open(memory)
        store.nodes(store.roots())
        store.search_text("harbour", 5)
        store.search_vectors(np.ones(16, np.float32), 5)
        store.close()
        assert store.verify() == []
        assert files(memory) == before
        with pytest.raises(StoreError, match='open it with mode="w"'):
            store.forget("doc-1")


class TestWriting:
    def test_an_unchanged_source_is_not_written_again(self, memory: Path) -> None:
        before = files(memory)

        def untouched() -> Iterator[list[NodeRow]]:
            pytest.fail("read again")
            yield []

        with Store.open(memory, mode="w") as store:
            record = store.add_source(source_info("doc-2", 2), untouched())
            assert record.number == 2
        after = files(memory)
        del before[str(memory / "write.lock")], after[str(memory / "write.lock")]
        assert after == before

    def test_a_changed_source_replaces_the_old_one(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            record = store.add_source(source_info("doc-2", 8, 5), tree_rows(8, 5))
            assert record.number == 4
            assert uris(store) == ["doc-1", "doc-3", "doc-2"]
            with pytest.raises(NodeNotFound, match="source 2 is not in this memory"):
                store.nodes([NodeId(2, 0)])
        store = Store.open(memory)
        assert [record.n_pages for record in store.sources()] == [3, 3, 5]
        assert store.verify() == []

    def test_numbers_are_never_given_out_twice(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            assert store.forget("doc-3")
            assert not store.forget("doc-3")
            store.vacuum()
        with Store.open(memory, mode="w") as store:
            assert store.add_source(source_info("doc-3", 3), tree_rows(3)).number == 4
        assert Store.open(memory).verify() == []

    def test_everything_can_be_forgotten(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            for uri in uris(store):
                store.forget(uri)
            size = store.size_bytes()
            store.vacuum()
            assert store.size_bytes() < size / 2
            assert (store.roots(), store.counts(), store.search_text("harbour", 5)) == ([], {}, [])
            assert store.search_vectors(np.ones(16, np.float32), 5) == []
            assert store.add_source(source_info("new", 1), tree_rows(1)).number == 4
        assert uris(Store.open(memory)) == ["new"]

    def test_vacuum_keeps_what_is_there(self, memory: Path) -> None:
        reader = Store.open(memory)
        with Store.open(memory, mode="w") as store:
            store.forget("doc-2")
            expected = [node.text for node in store.nodes([NodeId(3, i) for i in range(22)])]
            store.vacuum()
            assert [node.text for node in store.nodes([NodeId(3, i) for i in range(22)])] == expected
        # What this reader had open is gone; it goes on with what is there.
        assert [node.text for node in reader.nodes([NodeId(3, i) for i in range(22)])] == expected
        reader.refresh()
        assert reader.verify() == []
        assert uris(reader) == ["doc-1", "doc-3"]

    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_a_source_whose_reading_fails_leaves_nothing(self, memory: Path, after: int) -> None:
        def failing() -> Iterator[list[NodeRow]]:
            for i, batch in enumerate(tree_rows(9)):
                if i == after:
                    raise KeyboardInterrupt
                yield batch

        size = Store.open(memory).size_bytes()
        with Store.open(memory, mode="w") as store:
            with pytest.raises(KeyboardInterrupt):
                store.add_source(source_info("doc-2", 9), failing())
            assert uris(store) == ["doc-1", "doc-2", "doc-3"]
            assert store.size_bytes() == size
            assert store.add_source(source_info("doc-2", 9), tree_rows(9)).number == 4
        assert Store.open(memory).verify() == []

    def test_rows_that_are_no_tree_are_refused(self, memory: Path) -> None:
        rows = all_rows(5)
        with Store.open(memory, mode="w") as store:
            for wrong, message in (
                ([rows[1:]], "expected node 0, got 1"),
                ([rows[:8]], "must stand above all others"),
                ([], "without nodes"),
                (
                    [[dataclasses.replace(rows[0], gist=np.zeros((1, 8), np.float16))]],
                    "holds gists of 1 × 16, got one of 1 × 8",
                ),
            ):
                with pytest.raises(ValueError, match=message):
                    store.add_source(source_info("doc-2", 5), wrong)
            with pytest.raises(ValueError, match="needs a uri"):
                store.add_source(source_info("", 5), [rows])
        assert uris(Store.open(memory)) == ["doc-1", "doc-2", "doc-3"]

    def test_pages_may_be_told_while_they_are_read(self, memory: Path) -> None:
        sizes: list[tuple[float, float]] = []
        problems: list[tuple[int, str]] = []

        def reading() -> Iterator[list[NodeRow]]:
            for batch in tree_rows(6):
                sizes.append((10.0, 20.0))
                yield batch
            problems.append((2, "no text"))

        info = dataclasses.replace(source_info("later", 6), page_sizes=sizes, problems=problems)
        with Store.open(memory, mode="w") as store:
            record = store.add_source(info, reading())
        assert record.page_sizes.tolist() == [[10.0, 20.0]] * 4
        assert record.problems == ((2, "no text"),)

    def test_many_small_sources_are_gathered_in_few_files(self, tmp_path: Path) -> None:
        with Store.create(tmp_path / "memory", IDENTITY) as store:
            for i in range(20):
                store.add_source(source_info(f"{i}", i, 1), tree_rows(i, 1, 2))
        assert len(list((tmp_path / "memory" / "nodes" / "data").iterdir())) <= 20 + 1
        store = Store.open(tmp_path / "memory")
        assert len(store._snapshot.nodes_table.get_fragments()) == 1
        assert store.verify() == []
        assert uris(store) == [f"{i}" for i in range(20)]

    def test_several_slots(self, tmp_path: Path) -> None:
        identity = dataclasses.replace(IDENTITY, slots=3, image_slots=3)
        rows = [row for batch in tree_rows(1, identity=identity) for row in batch]
        with Store.create(tmp_path / "memory", identity) as store:
            store.add_source(source_info("a", 1), [rows])
        store = Store.open(tmp_path / "memory", identity)
        assert store.verify() == []
        np.testing.assert_array_equal(store.nodes([NodeId(1, 4)])[0].gist, rows[4].gist)
        (best, score), *_ = store.search_vectors(rows[4].gist.astype(np.float32).sum(axis=0), 3)
        assert best == NodeId(1, 4)
        assert 0 < score <= 1


class TestOpening:
    def test_another_identity_is_refused_by_both_names(self, memory: Path) -> None:
        other = Identity(base="huge", gistnet="learned", encoder="none", dim=16, slots=1)
        with pytest.raises(IncompatibleGists, match=r"base tiny, gistnet mean.*base huge, gistnet learned.*refresh"):
            Store.open(memory, other)
        assert Store.open(memory).identity == IDENTITY

    def test_what_is_no_memory_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
            assert not Store.exists(path)
            modes: tuple[Literal["r", "w"], ...] = ("r", "w")
            for mode in modes:
                with pytest.raises(StoreError, match="is not a memory"):
                    Store.open(path, mode=mode)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]

    def test_a_memory_is_not_made_over_something_else(self, memory: Path) -> None:
        with pytest.raises(StoreError, match="is a memory already"):
            Store.create(memory, IDENTITY)
        with pytest.raises(StoreError, match="holds other things"):
            Store.create(memory.parent, IDENTITY)
        (memory.parent / "file").write_text("x")
        with pytest.raises(StoreError, match="cannot create"):
            Store.create(memory.parent / "file", IDENTITY)

    def test_what_a_killed_create_left_is_in_nobodys_way(self, tmp_path: Path) -> None:
        Store.create(tmp_path / "memory", IDENTITY).close()
        (tmp_path / "memory" / MEMORY_FILE).rename(tmp_path / "memory" / (MEMORY_FILE + ".tmp"))
        (tmp_path / "barely" / "sources").mkdir(parents=True)
        (tmp_path / "barely" / "write.lock").touch()
        for path in (tmp_path / "memory", tmp_path / "barely"):
            assert not Store.exists(path)
            assert Store.foreign(path) == []
            with Store.create(path, IDENTITY) as store:
                assert store.sources() == []
                store.add_source(source_info("doc-1", 1), tree_rows(1))
            assert [record.uri for record in Store.open(path).sources()] == ["doc-1"]

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "base": 1}'])
    def test_a_damaged_memory_file_is_told(self, memory: Path, content: str) -> None:
        (memory / MEMORY_FILE).write_text(content)
        with pytest.raises(CorruptStore, match="damaged"):
            Store.open(memory)

    def test_a_later_format_is_refused(self, memory: Path) -> None:
        fields = json.loads((memory / MEMORY_FILE).read_text())
        (memory / MEMORY_FILE).write_text(json.dumps(fields | {"format": FORMAT + 1}))
        with pytest.raises(StoreError, match=f"format {FORMAT + 1}, this version reads {FORMAT}; upgrade"):
            Store.open(memory)

    def test_a_memory_of_format_1_is_read_and_becomes_one_of_this_format(self, memory: Path) -> None:
        """As it was before: patches of tiles were listed, which all of these sources do."""
        fields = json.loads((memory / MEMORY_FILE).read_text())
        (memory / MEMORY_FILE).write_text(json.dumps(fields | {"format": 1}))
        assert Store.open(memory, IDENTITY).verify() == []
        assert json.loads((memory / MEMORY_FILE).read_text())["format"] == 1
        Store.open(memory, mode="w").close()
        assert json.loads((memory / MEMORY_FILE).read_text()) == fields
        assert Store.open(memory, IDENTITY).verify() == []


class TestOthersAtTheSameTime:
    def test_there_is_one_writer(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            with pytest.raises(MemoryLocked, match="open for writing elsewhere"):
                Store.open(memory, mode="w")
            assert uris(Store.open(memory)) == uris(store)
        Store.open(memory, mode="w").close()

    def test_a_reader_sees_one_moment_until_it_refreshes(self, memory: Path) -> None:
        reader = Store.open(memory)
        with Store.open(memory, mode="w") as store:
            store.add_source(source_info("doc-1", 7), tree_rows(7))
            store.forget("doc-2")
            assert uris(reader) == ["doc-1", "doc-2", "doc-3"]
            assert reader.verify() == []
            reader.refresh()
            assert uris(reader) == ["doc-3", "doc-1"]
            with pytest.raises(NodeNotFound):
                reader.nodes([NodeId(2, 0)])

    def test_readers_see_whole_sources_while_they_are_written(self, memory: Path) -> None:
        done = threading.Event()
        failures: list[BaseException] = []

        def write() -> None:
            try:
                with Store.open(memory, mode="w") as store:
                    for i in range(12):
                        store.add_source(source_info(f"doc-{i % 4}", 10 + i), tree_rows(10 + i))
                        if i % 3 == 2:
                            store.forget("doc-3")
            except BaseException as failure:
                failures.append(failure)
            finally:
                done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        while not done.is_set():
            store = Store.open(memory)  # a warning would be an error
            assert store.verify() == []
            assert {"doc-1", "doc-2"} <= set(uris(store))
            assert len(set(uris(store))) == len(uris(store))
            numbers = {record.number for record in store.sources()}
            assert {id.source for id, _ in store.search_text("harbour lamp", 200)} <= numbers
            seen.add(tuple(sorted(numbers)))
        writer.join()
        assert not failures
        assert len(seen) > 1
        assert Store.open(memory).verify() == []


class TestVerify:
    """Rows that were written wrong on purpose are found."""

    def problems(self, tmp_path: Path, rows: list[NodeRow]) -> list[str]:
        with Store.create(tmp_path / "memory", IDENTITY) as store:
            store.add_source(source_info("wrong", 1), [rows])
        return Store.open(tmp_path / "memory").verify()

    @pytest.mark.parametrize(
        ("index", "change", "message"),
        [
            (6, {"children": (0, 1, 2, 3, 4)}, "not the subtrees before it"),
            (6, {"children": (0, 1, 2, 3, 5, 4)}, "not the subtrees before it"),
            (6, {"children": ()}, "not its children"),
            (6, {"first": 1}, "not the subtrees before it"),
            (6, {"n_leaves": 7}, "counts 7 leaves"),
            (6, {"mu": np.array([1.0, 2.0, 3.0])}, "mu or sigma"),
            (6, {"sigma": np.array([1.0, 2.0, 3.0])}, "mu or sigma"),
            (6, {"t_span": (0, 3)}, "time does not cover"),
            (21, {"lod": 2}, "no higher LOD"),
            (0, {"gist": np.full((1, 16), np.nan, np.float16)}, "gist is not finite"),
            (0, {"links": (22,)}, "links to a node that is not there"),
            (0, {"mu": np.array([1.0, 2.0, 3.0])}, "mu or sigma"),
            (0, {"t_span": (5, 6)}, "outside its time"),
        ],
    )
    def test_wrong_nodes_are_found(self, tmp_path: Path, index: int, change: dict[str, object], message: str) -> None:
        rows = all_rows(1)
        rows[index] = dataclasses.replace(rows[index], **change)  # type: ignore[arg-type]
        problems = self.problems(tmp_path, rows)
        assert any(message in problem and f"node {index} " in problem for problem in problems), problems

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({}, None),
            ({"n_leaves": 95}, "counts 95 leaves, its pixels are 96 patches"),
            ({"mu": np.array([0.0, 6.0, 4.5])}, "mu or sigma"),
            ({"sigma": np.array([0.0, 3.0, 2.0])}, "mu or sigma"),
            ({"pixels": None}, "neither children nor pixels"),
            ({"kind": "tile_group"}, "not its children"),
            ({"pixels": PixelRef(1, 0, 0, 0, 193, 128)}, "its pixels are 104 patches"),
        ],
    )
    def test_a_node_of_one_colour_covers_its_pixels(
        self, tmp_path: Path, change: dict[str, object], message: str | None
    ) -> None:
        """The only node of an image of 192 x 128 pixels: 12 x 8 patches with centres from 0.5 to 11.5 and 7.5."""
        (row,) = image_rows(SparseArraySource(np.zeros((128, 192, 3), np.uint8)))
        row = dataclasses.replace(row, gist=np.zeros((1, 16), np.float16), **change)  # type: ignore[arg-type]
        problems = self.problems(tmp_path, [row])
        assert problems == [] if message is None else message in problems[0]

    def test_leaves_that_no_root_covers_are_found(self, tmp_path: Path) -> None:
        rows = all_rows(1)
        pages = [rows[13], rows[20]]
        rows[21] = dataclasses.replace(parent_row(21, pages, "document"), first=0)
        assert any("not the subtrees before it" in problem for problem in self.problems(tmp_path, rows))

    def test_there_is_an_end_to_problems(self, tmp_path: Path) -> None:
        rows = [dataclasses.replace(row, mu=row.mu + 5) for row in all_rows(1, 8)]
        problems = self.problems(tmp_path, rows)
        assert len(problems) == 21
        assert problems[-1].endswith("more problems")
