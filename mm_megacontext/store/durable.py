"""Making files durable before they count, and turning what others raise into errors of a store.

Lance replaces manifests by rename but never calls fsync on a local disk. Files are therefore synced here before and
after each commit.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from mm_megacontext.errors import CorruptStore, MegaContextError, StoreError
from mm_megacontext.store.places import DRAFT


class StoreWarning(UserWarning):
    """The memory was damaged, and what could be saved is in use."""


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what Lance, Arrow and the system raise into a one-line ``StoreError`` that starts with ``doing``."""
    try:
        yield
    except MegaContextError:
        raise
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        raise StoreError(f"{doing}: {_reason(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Lance's, of no importable type
            raise
        raise StoreError(f"{doing}: {_reason(error)}") from error


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn whatever stored content raises while it is decoded into a ``CorruptStore`` that names ``what``.

    It may have been changed in any way, so it may fail in any way.
    """
    try:
        yield
    except MegaContextError:
        raise
    except Exception as error:
        raise CorruptStore(f"{what} is damaged ({_reason(error)}); `mmctx verify` says where") from error


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
    draft = path.with_name(path.name + DRAFT)
    draft.unlink(missing_ok=True)
    with draft.open("xb") as file:  # never into something that stands there: it might be a link
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

    def sync(self) -> list[Path]:
        """Make every new file durable and then the directory that lists it; manifests last, and then the hint.

        So where a manifest is durable, all that it names is. Returns the new files.
        """
        new = []
        entries = [(Path(directory), subdirectories, files) for directory, subdirectories, files in os.walk(self._path)]
        entries.sort(key=lambda entry: (entry[0].name == "_versions", -len(entry[0].parts)))
        for here, subdirectories, files in entries:
            durable = self._durable.get(here)
            for name in sorted(files):  # numbers come before the hint, which tells that they are there
                if durable is None or name not in durable:
                    with contextlib.suppress(FileNotFoundError):  # a draft that Lance renamed meanwhile
                        fsync_path(here / name)
                        new.append(here / name)
            names = {*files, *subdirectories}
            if names != durable:
                fsync_path(here)
            self._durable[here] = names
        return new

    def new_files(self, subdirectory: str) -> list[Path]:
        """Files of ``subdirectory`` that came after the last sync."""
        here = self._path / subdirectory
        durable = self._durable.get(here, set())
        return [here / name for name in sorted(os.listdir(here)) if name not in durable] if here.is_dir() else []


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
