"""Full disks, read-only directories, damaged manifests. Oracle: the memory before the fault."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.repair import repair
from mm_megacontext.store.store import Store, StoreWarning
from tests.store.store_worker import IDENTITY, source_info, tree_rows


@pytest.fixture(scope="module")
def two_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "memory"
    with Store.create(path, IDENTITY) as store:
        store.add_source(source_info("doc-1", 1), tree_rows(1))
        store.add_source(source_info("doc-2", 2), tree_rows(2))
    return path


@pytest.fixture
def memory(two_sources: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_sources, tmp_path / "memory"))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def uris(path: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Store.open(path)
    assert store.verify() == []
    return [record.uri for record in store.sources()]


def newest_manifest(memory: Path, table: str) -> Path:
    return min((memory / table / "_versions").glob("*.manifest"))  # they count down


def damage(manifest: Path, how: str) -> None:
    content = manifest.read_bytes()
    manifest.write_bytes(
        {
            "empty": b"",
            "ten bytes": content[:10],
            "half": content[: len(content) // 2],
            "one byte short": content[:-1],
            "zeros": bytes(len(content)),
            "other bytes": bytes(i * 151 % 256 for i in range(len(content))),
        }[how]
    )


def check_is_refused_until_repaired(memory: Path) -> list[str]:
    """Nothing is written to a damaged memory. Repairs it; returns what was lost, up to a bracket."""
    before = {file: file.read_bytes() for file in memory.rglob("*") if file.is_file()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        with pytest.raises(CorruptStore, match=r"is not written to; save what is left with: mmctx verify .* --repair"):
            Store.open(memory, mode="w")
    assert {file: file.read_bytes() for file in memory.rglob("*") if file.is_file()} == before
    return [lost.partition(" (")[0] for lost in repair(memory).lost]


HOW = ["empty", "ten bytes", "half", "one byte short", "zeros", "other bytes"]


class TestDamagedManifest:
    @pytest.mark.parametrize("how", HOW)
    @pytest.mark.parametrize(("table", "left"), [("nodes", ["doc-1", "doc-2"]), ("sources", ["doc-1"])])
    def test_the_version_before_is_used(self, memory: Path, table: str, left: list[str], how: str) -> None:
        damage(newest_manifest(memory, table), how)
        with pytest.warns(StoreWarning, match=rf"{table}: version \d+ is damaged or gone, version \d+ is in use"):
            store = Store.open(memory)
        assert [record.uri for record in store.sources()] == left
        assert any("is damaged or gone" in problem for problem in store.verify())
        assert store.search_text("harbour", 5)
        check_is_refused_until_repaired(memory)
        with Store.open(memory, mode="w") as writer:
            writer.add_source(source_info("doc-3", 3), tree_rows(3))
        assert uris(memory) == [*left, "doc-3"]  # and without a warning

    def test_a_source_whose_nodes_are_lost_is_left_out_and_can_be_added_again(self, memory: Path) -> None:
        writer = Store.open(memory, mode="w")
        writer.add_source(source_info("doc-3", 3), tree_rows(3))
        writer.close(optimize=False)
        damage(newest_manifest(memory, "nodes"), "empty")
        with pytest.warns(StoreWarning) as caught:
            store = Store.open(memory)
        assert any("ingest again: doc-3" in str(warning.message) for warning in caught)
        assert [record.uri for record in store.sources()] == ["doc-1", "doc-2"]
        assert "doc-3: some of its nodes are missing" in store.verify()
        assert check_is_refused_until_repaired(memory) == ["doc-3"]
        with Store.open(memory, mode="w") as writer:
            writer.add_source(source_info("doc-3", 3), tree_rows(3))
        assert uris(memory) == ["doc-1", "doc-2", "doc-3"]

    def test_a_replacement_of_the_same_size_is_not_taken_for_what_it_replaced(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as writer:
            writer.add_source(source_info("doc-1", 5), tree_rows(5))
        damage(newest_manifest(memory, "sources"), "empty")
        with pytest.warns(StoreWarning):
            store = Store.open(memory)
        assert [record.uri for record in store.sources()] == ["doc-2"]
        assert {id.source for id, _ in store.search_text("harbour the 1834", 100)} == {2}
        assert check_is_refused_until_repaired(memory) == ["what was written last", "doc-1"]
        with Store.open(memory, mode="w") as writer:
            writer.add_source(source_info("doc-1", 5), tree_rows(5))
        assert uris(memory) == ["doc-2", "doc-1"]

    def test_after_vacuum_there_is_still_a_version_to_fall_back_to(self, memory: Path) -> None:
        with Store.open(memory, mode="w") as writer:
            writer.vacuum()
        for table in ("nodes", "sources"):
            damage(newest_manifest(memory, table), "half")
        with pytest.warns(StoreWarning):
            store = Store.open(memory)
        assert [record.uri for record in store.sources()] == ["doc-1", "doc-2"]
        assert all("damaged" in problem or "as it was written" in problem for problem in store.verify())
        check_is_refused_until_repaired(memory)
        assert uris(memory) == ["doc-1", "doc-2"]

    def test_a_memory_without_any_whole_version_is_told(self, memory: Path) -> None:
        for manifest in (memory / "nodes" / "_versions").glob("*.manifest"):
            damage(manifest, "half")
        modes: tuple[Literal["r", "w"], ...] = ("r", "w")
        for mode in modes:
            with pytest.raises(CorruptStore, match="no readable version"):
                Store.open(memory, mode=mode)

    def test_a_table_that_is_gone_is_told(self, memory: Path) -> None:
        shutil.rmtree(memory / "nodes")
        with pytest.raises(StoreError, match="cannot list"):
            Store.open(memory)


def test_changed_bytes_are_found(memory: Path) -> None:
    for file in (memory / "nodes" / "data").iterdir():
        content = bytearray(file.read_bytes())
        at = content.index(b"harbour")  # in a record or in the text column
        content[at : at + 7] = b"HARBOUR"
        file.write_bytes(content)
    problems = Store.open(memory).verify()
    assert any("does not match its hash" in p or "columns and its record differ" in p for p in problems)


def mounted(what: list[str], at: Path) -> None:
    result = subprocess.run(["mount", *what, str(at)], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"cannot mount here: {result.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    if not shutil.which("mount"):
        pytest.skip("cannot mount here: there is no mount command")
    mounted(["-t", "tmpfs", "-o", "size=2m", "none"], path)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path, leave: int) -> Path:
    free = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - leave)))
    return filler


def refused(action: Callable[[], object]) -> str | None:
    try:
        action()
    except StoreError as error:
        return str(error)
    return None


def test_a_full_disk_changes_nothing(two_sources: Path, small_disk: Path) -> None:
    memory = Path(shutil.copytree(two_sources, small_disk / "memory"))
    outcomes = set()
    for leave in (0, 24_576, 65_536, 81_920, 98_304, 524_288):
        filler = fill(small_disk, leave)
        store = Store.open(memory, mode="w")
        refusal = refused(partial(store.add_source, source_info("doc-1", 9, 8), tree_rows(9, 8)))
        added = refusal is None
        for message in (refusal, refused(store.close)):  # tidying up needs room too
            assert message is None or re.fullmatch(r".*: the disk is full", message)
        assert uris(memory) == (["doc-2", "doc-1"] if added else ["doc-1", "doc-2"])
        assert [record.n_pages for record in Store.open(memory).sources()] == ([3, 8] if added else [3, 3])
        outcomes.add(added)
        filler.unlink()
        shutil.rmtree(memory)
        shutil.copytree(two_sources, memory)
    assert outcomes == {False, True}


def test_a_full_disk_is_no_place_for_a_new_memory(small_disk: Path) -> None:
    filler = fill(small_disk, 0)
    with pytest.raises(StoreError, match="the disk is full"):
        Store.create(small_disk / "memory", IDENTITY)
    filler.unlink()
    with Store.create(small_disk / "memory", IDENTITY) as store:
        store.add_source(source_info("doc-1", 1), tree_rows(1))
    assert uris(small_disk / "memory") == ["doc-1"]


def test_a_read_only_memory_can_be_read(memory: Path, tmp_path: Path) -> None:
    path = tmp_path / "read-only"
    path.mkdir()
    mounted(["--bind", str(memory)], path)
    try:
        mounted(["-o", "remount,ro,bind"], path)
        store = Store.open(path, IDENTITY)
        assert uris(path) == ["doc-1", "doc-2"]
        assert store.search_text("harbour", 3)
        assert store.nodes(store.roots())
        with pytest.raises(StoreError, match=r"cannot write to .*[Rr]ead-only"):
            Store.open(path, mode="w")
        with pytest.raises(StoreError, match="read-only"):
            Store.create(path / "new", IDENTITY)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def nobody() -> Iterator[int]:
    if not hasattr(os, "seteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    yield 65534
    os.seteuid(0)


def test_without_permission_nothing_is_written(two_sources: Path, nobody: int) -> None:
    with tempfile.TemporaryDirectory() as directory:  # those of pytest are closed to others
        os.chmod(directory, 0o755)
        memory = Path(shutil.copytree(two_sources, Path(directory) / "memory"))
        os.seteuid(nobody)
        assert uris(memory) == ["doc-1", "doc-2"]
        with pytest.raises(StoreError, match=r"cannot write to .*[Pp]ermission denied"):
            Store.open(memory, mode="w")
        with pytest.raises(StoreError, match="permission denied"):
            Store.create(memory / "new", IDENTITY)
        os.seteuid(0)
        newest_manifest(memory, "nodes").chmod(0)
        os.seteuid(nobody)
        with pytest.raises(StoreError, match=r"cannot read .*[Pp]ermission denied"):  # and not an older version
            Store.open(memory)
        os.seteuid(0)


@pytest.mark.parametrize("repair", ["vacuum", "add"])
def test_a_damaged_index_is_built_anew(memory: Path, repair: str) -> None:
    expected = Store.open(memory).search_text("harbour", 50)
    for part in (memory / "nodes" / "_indices").rglob("*"):
        if part.is_file():
            part.write_bytes(b"")
    reader = Store.open(memory)
    assert any("vacuum builds it anew" in problem for problem in reader.verify())
    with pytest.raises(StoreError, match="vacuum builds it anew"):
        reader.search_text("harbour", 5)
    with Store.open(memory, mode="w") as store:
        if repair == "vacuum":
            store.vacuum()
        else:
            store.add_source(source_info("doc-3", 3), tree_rows(3))
    found = Store.open(memory).search_text("harbour", 50)
    assert {id for id, _ in found if id.source < 3} == {id for id, _ in expected}
