"""Every file of a memory missing, cut, zeroed, with a bit flipped. Oracle: the memory before.

``benchmarks/damaged_memory.py`` does the same with real files, all operations and many more bits.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.identity import was_in_use
from mm_megacontext.store.repair import repair
from mm_megacontext.store.store import MEMORY_FILE, Store, StoreWarning
from mm_megacontext.store.versions import table_versions
from mm_megacontext.tree.nodes import NodeId
from tests.store.store_worker import IDENTITY, WORDS, source_info, tree_rows

WAYS = ("missing", "truncated", "zeroed", "bit-flipped")
LEFT = {"doc-1", "doc-2", "doc-4", "doc-5"}


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written to in three sessions; one source was replaced, one forgotten."""
    path = tmp_path_factory.mktemp("damaged") / "memory"
    with Store.create(path, IDENTITY) as store:
        for i in (1, 2, 3):
            store.add_source(source_info(f"doc-{i}", i, 1), tree_rows(i, 1))
    with Store.open(path, mode="w") as store:
        store.add_source(source_info("doc-4", 4, 1), tree_rows(4, 1))
        store.add_source(source_info("doc-2", 6, 2), tree_rows(6, 2))
        store.forget("doc-3")
    with Store.open(path, mode="w") as store:
        store.add_source(source_info("doc-5", 5, 1), tree_rows(5, 1))
    return path


def files_of(memory: Path) -> list[Path]:
    """Files by their place, the same in every run: names are drawn by Lance, times are in order of writing."""
    files = (file for file in memory.rglob("*") if file.is_file())
    return [file.relative_to(memory) for file in sorted(files, key=lambda file: (file.parent, file.stat().st_mtime_ns))]


def damage(file: Path, way: str, seed: int) -> None:
    content = bytearray(file.read_bytes())
    if way == "missing":
        file.unlink()
        return
    if way == "bit-flipped" and content:
        rng = random.Random(seed)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    changed = {"truncated": content[: len(content) // 2], "zeroed": bytearray(len(content))}
    file.write_bytes(changed.get(way, content))


def everything(memory: Path) -> dict[str, str]:
    """A digest of each source as it is read, and of what searches find."""
    store = Store.open(memory)
    read = {}
    for source in store.sources():
        nodes = store.nodes([NodeId(source.number, index) for index in range(source.n_nodes)])
        leaves = store.leaves([node.id for node in nodes if node.lod == 1])
        rows = [(n.text, n.bbox, n.page, n.children, n.t_span, n.gist.tobytes(), n.mu.tobytes()) for n in nodes]
        held = [(each.mu.tobytes(), each.boxes.tobytes(), each.token_ids.tobytes()) for each in leaves]
        facts = (source.number, source.kind, source.content_hash, source.page_sizes.tobytes(), source.gist.tobytes())
        read[source.uri] = hashlib.sha256(repr((facts, rows, held)).encode()).hexdigest()
    found = [store.search_text(word, 50) for word in WORDS]
    return read | {"search": hashlib.sha256(repr(found).encode()).hexdigest()}


def read_into(read: dict[str, str], memory: Path) -> None:
    read.update(everything(memory))


def outcome(action: Callable[[], object]) -> str:
    """Which of "fine", "warned" or "error"; any other exception fails the test."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StoreWarning)
        try:
            action()
        except StoreError:
            return "error"
    return "warned" if caught else "fine"


def add_one(memory: Path) -> None:
    with Store.open(memory, mode="w") as store:
        store.add_source(source_info("doc-9", 9, 1), tree_rows(9, 1))


def vacuum(memory: Path) -> None:
    with Store.open(memory, mode="w") as store:
        store.vacuum()


def there(memory: Path) -> set[str]:
    return {source.uri for source in Store.open(memory).sources()}


def verifies(memory: Path) -> None:
    if problems := Store.open(memory).verify():
        raise StoreError(problems[0])


@pytest.mark.parametrize("way", WAYS)
def test_no_damage_loses_a_source_in_silence_and_verify_finds_it(whole: Path, tmp_path: Path, way: str) -> None:
    before = everything(whole)
    assert set(before) - {"search"} == LEFT
    names = files_of(whole)[WAYS.index(way) :: len(WAYS)]
    n_changed, unfound, lost = 0, [], []
    for seed, name in enumerate(names):
        memory = Path(shutil.copytree(whole, tmp_path / "copy"))
        damage(memory / name, way, seed)
        read: dict[str, str] = {}
        opening = outcome(partial(read_into, read, memory))
        if opening != "fine" or read != before:
            n_changed += 1
            if outcome(partial(verifies, memory)) != "error":
                unfound.append(name)
        if opening == "fine" and not set(read) >= LEFT:
            lost.append((name, "open"))
        for change in (add_one, vacuum):
            copy = Path(shutil.copytree(memory, tmp_path / "changed"))
            if outcome(partial(change, copy)) != "error" and not there(copy) >= LEFT:
                lost.append((name, change.__name__))
            shutil.rmtree(copy)
        shutil.rmtree(memory)
    assert n_changed > 0
    assert unfound == []
    assert lost == []


@pytest.mark.parametrize("way", WAYS)
def test_what_is_repaired_is_whole_and_names_what_is_lost(whole: Path, tmp_path: Path, way: str) -> None:
    before = everything(whole)
    names = files_of(whole)[WAYS.index(way) + 1 :: 2 * len(WAYS)]
    repaired = 0
    for seed, name in enumerate(names):
        memory = Path(shutil.copytree(whole, tmp_path / "copy"))
        damage(memory / name, way, seed)
        try:
            repairs = repair(memory)
        except StoreError:
            shutil.rmtree(memory)
            continue
        repaired += 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Store.open(memory).verify() == [], name
            after = everything(memory)
            assert all(after[uri] == before[uri] for uri in set(after) - {"search"}), name
            gone = LEFT - set(after)
            assert not gone or repairs.lost, name
            add_one(memory)
        assert there(memory) == (LEFT - gone) | {"doc-9"}
        shutil.rmtree(memory)
    assert repaired > len(names) // 2


@pytest.mark.parametrize("content", [None, b"", b"{", b"[" * 100_000, b'{"format": 2}', "dim", "base"])
def test_the_file_that_makes_it_a_memory_is_rebuilt(whole: Path, tmp_path: Path, content: bytes | str | None) -> None:
    memory = Path(shutil.copytree(whole, tmp_path / "memory"))
    file = memory / MEMORY_FILE
    right = file.read_bytes()
    if content is None:
        file.unlink()
    elif isinstance(content, str):
        file.write_bytes(
            right.replace({"dim": b"16", "base": b"tiny"}[content], {"dim": b"32", "base": b"tinz"}[content])
        )
    else:
        file.write_bytes(content)
    files = {path: path.read_bytes() for path in memory.rglob("*") if path.is_file()}
    assert Store.exists(memory)
    refusals: list[Callable[[], Store]] = [
        lambda: Store.open(memory),
        lambda: Store.open(memory, mode="w"),
        lambda: Store.create(memory, IDENTITY),
    ]
    for refused in refusals:
        with pytest.raises(CorruptStore, match=r"damaged"):
            refused()
    assert {path: path.read_bytes() for path in memory.rglob("*") if path.is_file()} == files
    assert repair(memory).lost == []
    assert file.read_bytes() == right
    assert everything(memory) == everything(whole)


def test_a_memory_that_is_not_born_yet_was_not_in_use(tmp_path: Path) -> None:
    Store.create(tmp_path / "memory", IDENTITY).close()
    assert not was_in_use(tmp_path / "memory")
    assert not was_in_use(tmp_path / "missing")
    with Store.open(tmp_path / "memory", mode="w") as store:
        store.add_source(source_info("a", 1), tree_rows(1))
        store.forget("a")
    assert was_in_use(tmp_path / "memory")
    with pytest.raises(StoreError, match="is not a memory"):
        repair(tmp_path / "missing")


def test_a_newest_version_that_is_gone_is_told(whole: Path, tmp_path: Path) -> None:
    for table in ("sources", "nodes"):
        memory = Path(shutil.copytree(whole, tmp_path / table))
        newest = table_versions(memory / table)[0]
        min((memory / table / "_versions").glob("*.manifest")).unlink()
        with pytest.warns(StoreWarning, match=rf"{table}: version {newest} is damaged or gone, version {newest - 1}"):
            store = Store.open(memory)
        assert any(f"version {newest} is damaged or gone" in problem for problem in store.verify())


def test_a_memory_of_an_older_version_without_checksums_and_copy_still_opens(whole: Path, tmp_path: Path) -> None:
    memory = Path(shutil.copytree(whole, tmp_path / "memory"))
    (memory / "checksums").unlink()
    assert Store.open(memory).verify() == []
    add_one(memory)
    assert Store.open(memory).verify() == []
    assert (memory / "checksums").exists()
