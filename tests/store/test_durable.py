"""What survives a power cut. Oracle: a disk that keeps only what was synced."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from pathlib import Path

import pytest

from mm_megacontext.errors import MemoryLocked, StoreError
from mm_megacontext.store import durable, versions
from mm_megacontext.store.durable import SyncedDirectory, fsync_path, translated, write_whole
from mm_megacontext.store.store import Store, StoreWarning
from tests.store.store_worker import IDENTITY, source_info, tree_rows


class Disk:
    """Knows what was synced below ``root``, and shows what would be left of it after a power cut.

    The worst a journalling file system does: names are there, in their last place, and what was not synced is empty.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.synced: set[tuple[int, int]] = set()
        self.images: list[Path] = []
        self.promised: list[dict[str, int]] = []
        self._state: dict[str, int] = {}
        for module in (durable, versions):
            monkeypatch.setattr(module, "fsync_path", self._fsync)

    def promise(self, store: Store) -> None:
        """From now on, these sources must not get lost."""
        self._state = {record.uri: record.n_pages for record in store.sources()}
        self._cut_power()

    def _fsync(self, path: Path) -> None:
        assert path.exists()
        if path.is_file():
            self.synced.add(self._version(path))
        if len(self.synced) % 2:
            self._cut_power()

    def _version(self, path: Path) -> tuple[int, int]:
        return path.stat().st_ino, path.stat().st_mtime_ns

    def _cut_power(self) -> None:
        image = self.root.with_name(f"image-{len(self.images)}")
        shutil.copytree(self.root, image)
        for file in self.root.rglob("*"):
            if file.is_file() and self._version(file) not in self.synced:
                (image / file.relative_to(self.root)).write_bytes(b"")
        self.images.append(image)
        self.promised.append(self._state)


def test_after_a_power_cut_at_any_moment_every_source_is_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "memory"
    Store.create(root, IDENTITY).close()
    disk = Disk(root, monkeypatch)
    disk.synced |= {disk._version(file) for file in root.rglob("*") if file.is_file()}
    with Store.open(root, mode="w") as store:
        disk.promise(store)
        for uri, seed, n_pages in (("a", 1, 1), ("b", 2, 2), ("a", 3, 3)):
            store.add_source(source_info(uri, seed, n_pages), tree_rows(seed, n_pages))
            disk.promise(store)
        store.forget("b")
        disk.promise(store)
        store.vacuum()
        disk.promise(store)
    allowed = [{}, {"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 3}, {"a": 3}]
    assert len(disk.images) > 20
    for image, promised in zip(disk.images, disk.promised, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)
            store = Store.open(image)
            found = {record.uri: record.n_pages for record in store.sources()}
            assert all("(a power cut?)" in problem for problem in store.verify())
        # What was promised, or what was being done next.
        assert found in allowed[allowed.index(promised) : allowed.index(promised) + 2], image.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        with Store.open(disk.images[len(disk.images) // 2], mode="w") as store:
            store.add_source(source_info("c", 5), tree_rows(5))
    assert [record.uri for record in Store.open(store.path).sources()][-1] == "c"


def test_files_come_before_the_directories_that_list_them_and_manifests_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_versions/2.manifest", "data/x.lance", "_indices/u/part", "_deletions/d.arrow"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    order: list[str] = []
    monkeypatch.setattr(durable, "fsync_path", lambda path: order.append(str(path.relative_to(tmp_path))))
    directory = SyncedDirectory(tmp_path)
    directory.sync()
    directories = {".", "data", "_indices", "_indices/u", "_deletions", "_versions"}
    files = {"data/x.lance", "_indices/u/part", "_deletions/d.arrow", "_versions/2.manifest"}
    assert sorted(order) == sorted(directories | files)
    assert order[-2:] == ["_versions/2.manifest", "_versions"]
    for name in directories | files - {"."}:
        assert order.index(str(Path(name).parent)) > order.index(name) or name in {".", "_versions"}

    order.clear()
    directory.sync()
    assert order == []
    (tmp_path / "data" / "y.lance").write_bytes(b"y")
    assert directory.new_files("data") == [tmp_path / "data" / "y.lance"]
    assert directory.new_files("missing") == []
    directory.sync()
    assert order == ["data/y.lance", "data"]


def test_fsync_is_the_system_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    (tmp_path / "file").write_bytes(b"x")
    fsync_path(tmp_path / "file")
    fsync_path(tmp_path)
    assert synced == [(tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


class PanicException(BaseException):
    """Named as Lance's."""


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "reading x: the disk is full"),
        (
            ValueError("LanceError(IO): No space left on device (os error 28), /home/a/b.rs:1"),
            "reading x: the disk is full",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "reading x: permission denied"),
        (OSError("LanceError(IO): Read-only file system (os error 30)"), "reading x: the file system is read-only"),
        (ValueError("LanceError(IO): too small, /home/a/b.rs:172:20"), "reading x: LanceError(IO): too small"),
        (RuntimeError("two\nlines"), "reading x: two"),
        (OSError(errno.EIO, "Input/output error"), "reading x: Input/output error"),
        (ValueError(), "reading x: ValueError"),
        (PanicException("index out of bounds"), "reading x: index out of bounds"),
    ],
)
def test_what_others_raise_becomes_one_line(raised: BaseException, message: str) -> None:
    with pytest.raises(StoreError) as caught, translated("reading x"):
        raise raised
    assert str(caught.value) == message
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", [MemoryLocked("x"), KeyboardInterrupt(), KeyError("x")])
def test_what_is_not_the_library_s_passes(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, translated("reading x"):
        raise raised
    assert caught.value is raised
