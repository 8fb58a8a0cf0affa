"""A memory that others made. Oracle: what the system, Python's audit hooks and the files outside say was touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from mm_megacontext.errors import StoreError
from mm_megacontext.store.guard import ForeignFiles, is_bare
from mm_megacontext.store.journal import Journal
from mm_megacontext.store.repair import repair
from mm_megacontext.store.store import Store
from tests.store.store_worker import IDENTITY, source_info, tree_rows

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


ROOT = Path(__file__).parents[2]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Files of the user, beside the memory."""
    directory = tmp_path / "user"
    directory.mkdir()
    for name in ("thesis.txt", "photo.png", "x.lance"):
        (directory / name).write_text(f"precious {name}")
    return directory


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "memory"
    with Store.create(path, IDENTITY) as store:
        for i in (1, 2):
            store.add_source(source_info(f"doc-{i}", i), tree_rows(i))
    return path


def content(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


def all_operations(memory: Path) -> None:
    """Everything that can be done to a memory; only StoreErrors may come of it."""

    def write() -> None:
        with Store.open(memory, mode="w") as store:
            store.written(source_info("big", 7), "f")
            store.add_source(source_info("big", 7), tree_rows(7), "f")
            store.vacuum()

    def read() -> None:
        store = Store.open(memory)
        store.verify()
        store.search_text("harbour", 5)
        store.leaves([hit for hit, _ in store.search_text("harbour", 5)])

    def remake() -> None:
        Store.create(memory, IDENTITY).close()

    for operation in (read, write, remake, lambda: repair(memory), lambda: Store.open(memory).size_bytes()):
        try:
            operation()
        except StoreError:
            continue


def link(at: str) -> Callable[[Path, Path], None]:
    def make(memory: Path, outside: Path) -> None:
        place = memory / at
        target = outside if "." not in place.name else outside / "thesis.txt"
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(exist_ok=True, parents=True)
        place.symlink_to(target)

    return make


def journal(path: str) -> Callable[[Path, Path], None]:
    """An unfinished source whose fragment names ``path``; its directory holds a file that is not named."""

    def make(memory: Path, outside: Path) -> None:
        name = hashlib.sha256(b"big").hexdigest()[:32]
        data = memory / "unfinished" / name / "data"
        data.mkdir(parents=True)
        (data / "left").touch()
        key = {"uri": "big", "content_hash": source_info("big", 7).content_hash, "fingerprint": "f", "stamp": None}
        file = path.format(outside=outside, up="../" * 4 + "user")
        size = (outside / "x.lance").stat().st_size
        part = lance.dataset(memory / "nodes").get_fragments()[0].metadata.to_json()
        part["files"][0] |= {"path": file, "file_size_bytes": size}
        lines = [{"number": 9} | key, part]
        (data.parent / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return make


def nested(memory: Path, outside: Path) -> None:
    for file in (memory / "memory.json", memory / "unfinished" / "a" / "journal.jsonl"):
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text("[" * 100_000 + "\n")


def pipe(memory: Path, outside: Path) -> None:
    (memory / "memory.json").unlink()
    os.mkfifo(memory / "memory.json")


def hard_lock(memory: Path, outside: Path) -> None:
    (memory / "write.lock").unlink()
    os.link(outside / "thesis.txt", memory / "write.lock")


def hard_draft(memory: Path, outside: Path) -> None:
    os.link(outside / "thesis.txt", memory / "memory.json.tmp")
    (memory / "memory.json").unlink()


HOSTILE = {
    "linked nodes": link("nodes/data"),
    "linked table": link("sources"),
    "linked journals": link("unfinished"),
    "linked journal": link("unfinished/a"),
    "linked draft": link("memory.json.tmp"),
    "linked memory.json": link("memory.json"),
    "linked lock": link("write.lock"),
    "linked checksums": link("checksums"),
    "lock with two names": hard_lock,
    "draft with two names": hard_draft,
    "a pipe": pipe,
    "absolute path": journal("{outside}/x.lance"),
    "path upwards": journal("{up}/x.lance"),
    "nested deep": nested,
}


@pytest.mark.parametrize("how", HOSTILE)
def test_nothing_outside_is_read_written_or_deleted(memory: Path, outside: Path, how: str) -> None:
    HOSTILE[how](memory, outside)
    before = content(outside)
    touched = audited(memory, outside)
    assert content(outside) == before
    assert touched == []


def audited(memory: Path, outside: Path) -> list[str]:
    """All operations in a process whose audit hook notes what of ``outside`` is touched, and every socket."""
    code = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from tests.store.test_stranger import all_operations\n"
        "memory, outside, seen = Path(sys.argv[1]), sys.argv[2], []\n"
        "def hook(event, args):\n"
        "    if event.startswith('socket.') and event != 'socket.__new__' or any(\n"
        "        isinstance(a, (str, bytes)) and outside in os.fsdecode(a) for a in args) and event != 'compile':\n"
        "        seen.append(event)\n"
        "sys.addaudithook(hook)\n"
        "all_operations(memory)\n"
        "print('|'.join(seen))\n"
    )
    command = [sys.executable, "-c", code, str(memory), str(outside)]
    trace = memory.with_name("trace")
    if shutil.which("strace"):  # also sees what Lance does, which asks no hook
        command = ["strace", "-f", "-qq", "-e", "trace=%file,connect", "-o", str(trace), *command]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = trace.read_text().splitlines() if trace.exists() else []
    return [*filter(None, done.stdout.strip().split("|")), *(line for line in lines if is_touch(line, str(outside)))]


def is_touch(line: str, outside: str) -> bool:
    """Whether a system call opens or changes what is outside, or connects; the command line itself names it, too."""
    return "connect(" in line or (f'"{outside}/' in line and "execve(" not in line)


@pytest.mark.parametrize("place", ["s3://bucket/data", "{outside}", "https://example.org/data"])
def test_tables_that_read_elsewhere_are_not_opened(memory: Path, outside: Path, place: str) -> None:
    base = lance.DatasetBasePath(place.format(outside=outside), name="elsewhere")
    lance.dataset(memory / "nodes").add_bases([base])
    with pytest.raises(ForeignFiles, match="would read files elsewhere"):
        Store.open(memory)
    before = content(outside)
    assert audited(memory, outside) == []
    assert content(outside) == before


@pytest.mark.filterwarnings("ignore::mm_megacontext.store.store.StoreWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"page_sizes": None},
        {"page_sizes": [1.0]},
        {"row_start": -1},
        {"row_start": 2**62},
        {"row_start": 2**63 - 1},
        {"kind": "bogus"},
        {"unit": None},
        {"uri": "doc-1"},
        {"n_nodes": -5},
        {"n_nodes": 2**31 - 1},
        {"n_pages": None},
        {"number": 77},
        {"problems": ["x", "y"]},
        {"problem_pages": None},
        {"gist": None},
        {"mu": None},
        {"content_hash": None},
        {"t_length": None},
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_a_catalogue_that_says_what_cannot_be_is_an_error(memory: Path, changes: dict[str, Any]) -> None:
    table = lance.dataset(memory / "sources").to_table()
    rows = [row | changes if row["uri"] == "doc-2" else row for row in table.to_pylist()]
    lance.write_dataset(pa.Table.from_pylist(rows, schema=table.schema), memory / "sources", mode="overwrite")
    with pytest.raises(StoreError):
        verified(memory)
    all_operations(memory)


def verified(memory: Path) -> None:
    """Opened, or at least found by ``verify``."""
    if problems := Store.open(memory).verify():
        raise StoreError(problems[0])


@pytest.mark.parametrize("first", ["{", "[]", "[" * 99_999, "3", '{"number": 1e400, "stamp": null}', '{"number": "x"}'])
def test_a_journal_of_anything_is_none(tmp_path: Path, first: str) -> None:
    (tmp_path / "journal.jsonl").write_text(first + "\n")
    assert Journal.load(tmp_path) is None


def test_only_bare_names_are_names_of_files() -> None:
    assert all(map(is_bare, ["a.lance", "0101.lance", "a b"]))
    assert not any(map(is_bare, ["", ".", "..", "/etc/passwd", "../x", "a/b", "a\\b", "C:x", "a\0"]))
