"""What a memory may not make us do: it is a directory that anybody may have sent.

Nothing outside of it is read, written or deleted on its word. A memory that we wrote holds plain files and directories
only, and its tables name their files by bare names; whatever else is there was put there by others and is refused
before it is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import lance
from lance.fragment import FragmentMetadata

from mm_megacontext.errors import CorruptStore
from mm_megacontext.store.durable import translated
from mm_megacontext.store.places import LOCK_FILE, NODES, SOURCES

_TABLE_PARTS = {"data", "_versions", "_transactions", "_deletions", "_indices"}
"""What Lance makes in a table of ours; branches, tags and logs of other kinds would be read without being asked for."""


class ForeignFiles(CorruptStore):
    """A memory holds or names files that are not its own."""


def check_files(path: Path) -> None:
    """Raise ForeignFiles where a memory holds a link, a device, a pipe, or what is no part of a table.

    ``path`` itself may be a link: that is the user's word.
    """
    tables = {os.path.join(path, table) for table in (NODES, SOURCES)}
    with translated(f"cannot read {path}"):
        for entry in _entries(path) if path.is_dir() else ():
            is_directory = entry.is_dir(follow_symlinks=False)
            if not is_directory and not entry.is_file(follow_symlinks=False):
                what = "a symbolic link" if entry.is_symlink() else "no regular file"
                raise ForeignFiles(f"{entry.path!r} is {what}, and a memory has only files of its own; remove it")
            if is_directory and os.path.dirname(entry.path) in tables and entry.name not in _TABLE_PARTS:
                raise ForeignFiles(f"{entry.path!r} belongs to no memory; remove it")
        lock = path / LOCK_FILE
        if lock.exists() and lock.stat().st_size:
            raise ForeignFiles(f"{str(lock)!r} is no lock of a memory: it is not empty; remove it")


def check_table(path: Path, dataset: lance.LanceDataset) -> None:
    """Raise ForeignFiles where a version of a table names files that are not its own.

    Opening a version reads its manifest alone, so this comes before anything that the manifest names.
    """
    if bases := dataset.base_paths():
        places = ", ".join(repr(base.path) for base in bases.values())
        raise ForeignFiles(f"{path} would read files elsewhere ({places}): it was made by others and is not opened")
    for fragment in dataset.get_fragments():
        if not is_own(fragment.metadata):
            raise ForeignFiles(f"{path} names files that are not its own: it was made by others and is not opened")


def is_own(fragment: FragmentMetadata) -> bool:
    """Whether all files of a fragment lie where those of its table do."""
    rows = fragment.row_id_meta
    return (
        all(is_bare(file.path) and file.base_id is None for file in fragment.files)
        and (fragment.deletion_file is None or fragment.deletion_file.base_id is None)
        and (rows is None or rows.json().startswith('{"Inline"'))
        and not fragment.overlays
    )


def is_bare(name: str) -> bool:
    """Whether ``name`` is that of a file and says no directory."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\:\0")


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    """All that is below a directory; links are not followed."""
    pending = [os.fspath(path)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry
