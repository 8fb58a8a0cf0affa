"""Sources that are written in several tries. Oracle: the rows of a source that was written in one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.errors import IngestError, StoreError
from mm_megacontext.store import writer as store_writer
from mm_megacontext.store.places import UNFINISHED
from mm_megacontext.store.store import SourceInfo, Store
from mm_megacontext.tree.nodes import NodeRow
from tests.images import stored_rows
from tests.store.store_worker import IDENTITY, source_info, tree_rows

PAGES = 60
"""Of the sources here: 421 rows, six fragments of 64 and a rest."""
CHUNK = 64
PRINT = "version 1"


@pytest.fixture(autouse=True)
def _small_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "FRAGMENT_BYTES", 1)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # test_durable.py is about that


def all_rows(seed: int = 1) -> list[NodeRow]:
    return [row for batch in tree_rows(seed, PAGES) for row in batch]


def breaking_off(rows: list[NodeRow], n: int, error: BaseException) -> Iterator[list[NodeRow]]:
    """``rows`` by sevens, with an error before the ``n``-th."""
    for start in range(0, n, 7):
        yield rows[start : min(start + 7, n)]
    raise error


def go_on(store: Store, info: SourceInfo, rows: list[NodeRow]) -> int:
    """Write what is missing of a source; returns how many rows that was."""
    n = store.written(info, PRINT).n_rows
    store.add_source(info, [rows[n:]] if n < len(rows) else [], PRINT)
    return len(rows) - n


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The source written in one go, without a journal."""
    path = tmp_path_factory.mktemp("whole") / "memory"
    with Store.create(path, IDENTITY) as store:
        store.add_source(source_info("big", 1), [all_rows()])
    return stored_rows(path, 1)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "memory"
    with Store.create(path, IDENTITY) as store:
        store.add_source(source_info("other", 9), tree_rows(9))
    return path


def begin(path: Path, n: int, info: SourceInfo | None = None) -> None:
    """An ingest that is interrupted before row ``n``, as by Ctrl-C."""
    with Store.open(path, mode="w") as store, pytest.raises(KeyboardInterrupt):
        store.add_source(info or source_info("big", 1), breaking_off(all_rows(), n, KeyboardInterrupt()), PRINT)


@pytest.mark.parametrize("n", [0, 63, 64, 65, 200, 384, 420, 421])
def test_what_was_safe_is_not_written_again(memory: Path, whole: pa.Table, n: int) -> None:
    begin(memory, n)
    reader = Store.open(memory)
    assert ([record.uri for record in reader.sources()], reader.verify()) == (["other"], [])
    assert reader._snapshot.hidden == frozenset()
    with Store.open(memory, mode="w") as store:
        assert go_on(store, source_info("big", 1), all_rows()) == 421 - n // CHUNK * CHUNK
    store = Store.open(memory)
    assert ([record.uri for record in store.sources()], store.verify()) == (["other", "big"], [])
    assert stored_rows(memory, 2).equals(whole)
    assert list((memory / UNFINISHED).iterdir()) == []


@settings(max_examples=8)
@given(st.lists(st.integers(0, 420), min_size=1, max_size=4).map(sorted))
def test_in_any_number_of_tries(tmp_path_factory: pytest.TempPathFactory, moments: list[int]) -> None:
    path = tmp_path_factory.mktemp("tries") / "memory"
    Store.create(path, IDENTITY).close()
    rows, info = all_rows(), source_info("big", 1)
    for n in moments:
        with Store.open(path, mode="w") as store:
            done = store.written(info, PRINT)
            assert done.n_rows <= n
            tops = replayed(rows[: done.n_rows])
            assert [(top.index, top.first, top.lod) for top in done.tops] == tops
            with pytest.raises(KeyboardInterrupt):
                store.add_source(info, breaking_off(rows[done.n_rows :], n - done.n_rows, KeyboardInterrupt()), PRINT)
    with Store.open(path, mode="w") as store:
        go_on(store, info, rows)
        assert store.verify() == []
        number = store.sources()[0].number
    reference = path.parent / "reference"
    with Store.create(reference, IDENTITY) as store:
        store.add_source(info, [rows])
    assert stored_rows(path, number).equals(stored_rows(reference, 1))


def replayed(rows: list[NodeRow]) -> list[tuple[int, int, int]]:
    tops: list[NodeRow] = []
    for row in rows:
        del tops[len(tops) - len(row.children) :]
        tops.append(row)
    return [(top.index, top.first, top.lod) for top in tops]


def test_other_sources_may_come_in_between(memory: Path, whole: pa.Table) -> None:
    begin(memory, 300)
    with Store.open(memory, mode="w") as store:
        assert store.add_source(source_info("between", 5), tree_rows(5)).number == 3  # 2 is taken
        assert store.forget("other")
    with Store.open(memory, mode="w") as store:
        assert go_on(store, source_info("big", 1), all_rows()) == 421 - 256
    store = Store.open(memory)
    assert {record.uri: record.number for record in store.sources()} == {"big": 2, "between": 3}
    assert store.verify() == []
    assert stored_rows(memory, 2).equals(whole)


def journal_of(memory: Path) -> Path:
    (path,) = (memory / UNFINISHED).iterdir()
    return path


def cut_last_line(path: Path) -> None:
    journal = path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])


def add_half_a_line(path: Path) -> None:
    with (path / "journal.jsonl").open("ab") as file:
        file.write(b'{"id": 0, "files": [')


def shorten_third_file(path: Path) -> None:
    name = (path / "journal.jsonl").read_text().splitlines()[3].split('"path": "')[1].split('"')[0]
    (path / "data" / name).write_bytes(b"half")


def lose_first_file(path: Path) -> None:
    name = (path / "journal.jsonl").read_text().splitlines()[1].split('"path": "')[1].split('"')[0]
    (path / "data" / name).unlink()


def empty_journal(path: Path) -> None:
    (path / "journal.jsonl").write_bytes(b"")


def put_nonsense_third(path: Path) -> None:
    noted = (path / "journal.jsonl").read_text().splitlines()
    (path / "journal.jsonl").write_text("\n".join([*noted[:3], "[1]", *noted[4:], ""]))


def leave_a_file_unnoted(path: Path) -> None:
    (path / "data" / "stray.lance").write_bytes(b"half a fragment")


@pytest.mark.parametrize(
    ("damage", "n_left"),
    [
        (cut_last_line, 3 * CHUNK),
        (add_half_a_line, 4 * CHUNK),
        (shorten_third_file, 2 * CHUNK),
        (lose_first_file, 0),
        (empty_journal, 0),
        (put_nonsense_third, 2 * CHUNK),
        (shutil.rmtree, 0),
        (leave_a_file_unnoted, 4 * CHUNK),
    ],
)
def test_a_damaged_journal_counts_as_far_as_it_is_whole(
    memory: Path, whole: pa.Table, damage: Callable[[Path], object], n_left: int
) -> None:
    begin(memory, 300)
    damage(journal_of(memory))
    with Store.open(memory, mode="w") as store:
        info = source_info("big", 1)
        assert store.written(info, PRINT).n_rows == n_left
        rows = all_rows()
        with pytest.raises(KeyboardInterrupt):  # and once more: what is added to a repaired journal counts
            store.add_source(info, breaking_off(rows[n_left:], 320 - n_left, KeyboardInterrupt()), PRINT)
        assert store.written(info, PRINT).n_rows == 320
        go_on(store, info, rows)
        assert store.verify() == []
        number = store.sources()[-1].number
    assert stored_rows(memory, number).equals(whole)


class TestLeftovers:
    def test_another_version_or_builder_starts_again(self, memory: Path) -> None:
        for info, fingerprint in ((source_info("big", 2), PRINT), (source_info("big", 1), "version 2")):
            begin(memory, 300)
            with Store.open(memory, mode="w") as store:
                assert store.written(info, fingerprint).n_rows == 0
            assert not list((memory / UNFINISHED).iterdir())

    def test_a_changed_file_is_noticed_by_the_next_writer(self, memory: Path, tmp_path: Path) -> None:
        file = tmp_path / "big.tif"
        for change in (lambda: file.write_bytes(b"longer than before"), file.unlink):
            file.write_bytes(b"before")
            begin(memory, 300, source_info(str(file), 1))
            Store.open(memory, mode="w").close()
            assert len(list((memory / UNFINISHED).iterdir())) == 1
            change()
            Store.open(memory, mode="w").close()
            assert not list((memory / UNFINISHED).iterdir())

    def test_one_whose_number_was_given_to_another_source(self, memory: Path) -> None:
        """As after a power cut that cost the catalogue its last version."""
        begin(memory, 300)
        journal = journal_of(memory) / "journal.jsonl"
        journal.write_text(journal.read_text().replace('{"number": 2', '{"number": 1'))
        with Store.open(memory, mode="w") as store:
            assert store.written(source_info("big", 1), PRINT).n_rows == 0
            assert go_on(store, source_info("big", 1), all_rows()) == 421
            assert store.verify() == []

    def test_vacuum_removes_them(self, memory: Path) -> None:
        begin(memory, 300)
        with Store.open(memory, mode="w") as store:
            store.vacuum()
        assert not list((memory / UNFINISHED).iterdir())

    def test_rows_that_cannot_be_made_leave_nothing(self, memory: Path) -> None:
        size = Store.open(memory).size_bytes()
        with Store.open(memory, mode="w") as store:
            failing = breaking_off(all_rows(), 300, IngestError("damaged", source="big"))
            with pytest.raises(IngestError):
                store.add_source(source_info("big", 1), failing, PRINT)
            assert not list((memory / UNFINISHED).iterdir())
            assert [record.uri for record in store.sources()] == ["other"]
        assert Store.open(memory).size_bytes() < size + 50_000  # the number was used up, which the catalogue notes

    def test_a_full_disk_keeps_what_was_written(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            failing = breaking_off(all_rows(), 300, StoreError("the disk is full"))
            with pytest.raises(StoreError):
                store.add_source(source_info("big", 1), failing, PRINT)
            assert go_on(store, source_info("big", 1), all_rows()) == 421 - 256
            assert store.verify() == []

    def test_a_small_source_needs_no_journal(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as store:
            store.add_source(source_info("small", 3), tree_rows(3), PRINT)
        assert not (memory / UNFINISHED).exists()

    def test_what_was_committed_before_the_journal_went(self, memory: Path, tmp_path: Path) -> None:
        """As if the writer was killed right before it removed the journal of a source that is whole."""
        begin(memory, 300)
        kept = shutil.copytree(journal_of(memory), tmp_path / "kept")
        with Store.open(memory, mode="w") as store:
            go_on(store, source_info("big", 1), all_rows())
        shutil.copytree(kept, memory / UNFINISHED / kept.name)
        Store.open(memory, mode="w").close()
        assert not list((memory / UNFINISHED).iterdir())
        assert Store.open(memory).verify() == []


def test_rows_before_the_first_missing_one_are_refused(memory: Path) -> None:
    begin(memory, 300)
    with Store.open(memory, mode="w") as store, pytest.raises(ValueError, match="expected node 256, got 0"):
        store.add_source(source_info("big", 1), [all_rows()], PRINT)


def test_a_kill_between_any_two_steps_of_the_commit(
    memory: Path, whole: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fragments are linked, or appended, or in the catalogue; the process ends there, and another one goes on."""
    for step in ("_write_rows", "_append", "_commit_catalogue", "_refresh"):
        path = Path(shutil.copytree(memory, memory.with_name(step)))
        begin(path, 300)
        store = Store.open(path, mode="w")
        writer = store._writer
        assert writer is not None
        original = getattr(writer, step)

        monkeypatch.setattr(writer, step, partial(_then_die, original))
        monkeypatch.setattr(writer, "_undone_on_error", _no_undoing)
        rows, info = all_rows(), source_info("big", 1)
        with pytest.raises(_Killed):
            go_on(store, info, rows)
        writer.close()
        with Store.open(path, mode="w") as store:
            if store.find("big") is None:
                go_on(store, info, rows)
            assert store.verify() == []
        assert [record.uri for record in Store.open(path).sources()] == ["other", "big"]
        assert stored_rows(path, 2).equals(whole)
        assert not list((path / UNFINISHED).iterdir())


class _Killed(BaseException):
    pass


def _then_die(step: Callable[..., object], *args: object) -> object:
    step(*args)
    raise _Killed


def _no_undoing(*_: object) -> object:
    return contextlib.nullcontext()
