"""What a power cut leaves behind: making files durable before they count, and opening what was half written.

Lance replaces manifests by rename but never calls fsync on a local disk. Files are therefore synced here before and
after each commit, and opening a table falls back to the newest version that can be read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("LANCE_LOG", "error")  # read at import; it warns of things that users cannot change
import lance

from mm_megacontext.errors import CorruptStore, MegaContextError, StoreError

T = TypeVar("T")

_MAX_U64 = 2**64 - 1
_DAMAGED_SUFFIX = ".damaged"


class StoreWarning(UserWarning):
    """The memory was damaged, and what could be saved is in use."""


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what Lance, Arrow and the system raise into a one-line ``StoreError`` that starts with ``doing``."""
    try:
        yield
    except (MegaContextError, NotImplementedError):
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{doing}: {_reason(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Lance's, of no importable type
            raise
        raise StoreError(f"{doing}: {_reason(error)}") from error


def fsync_path(path: Path) -> None:
    """Make the content of a file, or the entries of a directory, survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # directories cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there, and stays there."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    fsync_path(path.parent)


class SyncedDirectory:
    """Remembers which files of a table are known to be durable, and syncs the others.

    Args:
        path: The table's directory. Lance never changes a file once written, except for a version hint that it can do
            without.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._durable: dict[Path, set[str]] = {}

    def sync(self) -> None:
        """Make every new file durable and then the directory that lists it; manifests last.

        So where a manifest is durable, all that it names is.
        """
        entries = [(Path(directory), subdirectories, files) for directory, subdirectories, files in os.walk(self._path)]
        entries.sort(key=lambda entry: (entry[0].name == "_versions", -len(entry[0].parts)))
        for here, subdirectories, files in entries:
            durable = self._durable.get(here)
            for name in files:
                if durable is None or name not in durable:
                    with contextlib.suppress(FileNotFoundError):  # a draft that Lance renamed meanwhile
                        fsync_path(here / name)
            names = {*files, *subdirectories}
            if names != durable:
                fsync_path(here)
            self._durable[here] = names

    def new_files(self, subdirectory: str) -> list[Path]:
        """Files of ``subdirectory`` that came after the last sync."""
        here = self._path / subdirectory
        durable = self._durable.get(here, set())
        return [here / name for name in sorted(os.listdir(here)) if name not in durable] if here.is_dir() else []


def table_versions(path: Path) -> list[int]:
    """Versions of a table that have a manifest, whole or not, newest first."""
    versions = []
    with translated(f"cannot list {path}"):
        for name in os.listdir(path / "_versions"):
            stem, _, suffix = name.partition(".")
            if suffix == "manifest" and stem.isdigit():
                number = int(stem)
                versions.append(_MAX_U64 - number if number > _MAX_U64 // 2 else number)
    return sorted(versions, reverse=True)


def open_newest(path: Path, read: Callable[[lance.LanceDataset], T], **options: Any) -> tuple[lance.LanceDataset, T]:
    """Open the newest version of a table that ``read`` can read.

    Args:
        read: Reads what must be readable for the version to count; its result is returned.
        options: For ``lance.dataset``.

    Raises:
        CorruptStore: No version is readable.
    """
    versions = table_versions(path)
    for version in versions:
        try:
            with translated(f"cannot open version {version} of {path}"):
                dataset = lance.dataset(path, version=version, **options)
                found = read(dataset)
        except StoreError as error:
            newer = [v for v in table_versions(path) if v > versions[0]]
            if newer:  # a writer went on and removed what was listed
                return open_newest(path, read, **options)
            _refuse_unless_damaged(path, version, error)
            continue
        if version != versions[0]:
            _warn(path, versions[0], version)
        return dataset, found
    raise CorruptStore(f"no readable version of {path}: the memory is damaged; ingest its sources into a new one")


def set_aside_damaged(path: Path, whole: int) -> None:
    """Rename the manifests of versions newer than ``whole``, so that the next commit takes their place."""
    damaged = [version for version in table_versions(path) if version > whole]
    for version in damaged:
        manifest = manifest_path(path, version)
        with translated(f"cannot repair {path}"):
            manifest.replace(manifest.with_name(manifest.name + _DAMAGED_SUFFIX))
    if damaged:
        fsync_path(path / "_versions")


def manifest_path(path: Path, version: int) -> Path:
    """The manifest of one version of a table."""
    newest_first = path / "_versions" / f"{_MAX_U64 - version:020d}.manifest"
    return newest_first if newest_first.exists() else path / "_versions" / f"{version}.manifest"


def _refuse_unless_damaged(path: Path, version: int, error: StoreError) -> None:
    """Older versions are no answer to a permission, a full descriptor table or a broken disk."""
    try:
        manifest_path(path, version).read_bytes()
    except FileNotFoundError:
        return
    except OSError as cause:
        raise StoreError(f"cannot read {path}: {cause.strerror or cause}") from error


def _warn(path: Path, newest: int, used: int) -> None:
    warnings.warn(
        f"{path}: version {newest} is damaged (a power cut?), version {used} is in use; "
        "what was written last may have to be ingested again",
        StoreWarning,
        stacklevel=5,
    )


def _reason(error: BaseException) -> str:
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "os error 28" in text:
        return "the disk is full"
    if isinstance(error, PermissionError) or "Permission denied" in text or "os error 13" in text:
        return "permission denied"
    if "Read-only file system" in text or "os error 30" in text:
        return "the file system is read-only"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text.split(", /")[0].split("\n")[0] or type(error).__name__
