"""The versions of a table: which there are, which can be read, and whether the newest was ever another one.

Each version has a manifest. After it, Lance writes a hint that names its number; so a hint above the newest manifest
tells of one that was committed and is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lance

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.durable import fsync_path, translated
from mm_megacontext.store.guard import ForeignFiles, check_table
from mm_megacontext.store.places import HINT_FILE

T = TypeVar("T")

_MAX_U64 = 2**64 - 1
_DAMAGED_SUFFIX = ".damaged"
_HINT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Fallback:
    """That an older version of a table is in use.

    Attributes:
        newest: The version that should have been.
        used: The one that is.
        was_committed: Whether the newest had been whole and durable; a power cut can explain it otherwise.
    """

    path: Path
    newest: int
    used: int
    was_committed: bool

    def __str__(self) -> str:
        why = "" if self.was_committed else " (a power cut?)"
        return (
            f"{self.path}: version {self.newest} is damaged or gone{why}, version {self.used} is in use; "
            "what was written last may have to be ingested again"
        )


def table_versions(path: Path) -> list[int]:
    """Versions of a table that have a manifest, whole or not, newest first."""
    versions = []
    with translated(f"cannot list {path}"):
        for name in os.listdir(path / "_versions"):
            stem, _, suffix = name.partition(".")
            if suffix == "manifest" and stem.isascii() and stem.isdigit() and int(stem) <= _MAX_U64:
                number = int(stem)
                versions.append(_MAX_U64 - number if number > _MAX_U64 // 2 else number)
    return sorted(versions, reverse=True)


def hinted_version(path: Path) -> int:
    """The version that the hint names; 0 where there is none or it cannot be read, which is no damage."""
    try:
        with (path / "_versions" / HINT_FILE).open("rb") as file:
            version = json.loads(file.read(_HINT_BYTES))["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
    return version if type(version) is int else 0


def open_version(path: Path, version: int, **options: Any) -> lance.LanceDataset:
    """One version of a table; ``options`` are those of ``lance.dataset``.

    Raises:
        StoreError: Its manifest cannot be read.
        ForeignFiles: It names files of others.
    """
    with translated(f"cannot open version {version} of {path}"):
        dataset = lance.dataset(path, version=version, **options)
    check_table(path, dataset)
    return dataset


def open_newest(
    path: Path, read: Callable[[lance.LanceDataset], T], **options: Any
) -> tuple[lance.LanceDataset, T, Fallback | None]:
    """Open the newest version of a table that ``read`` can read.

    Args:
        read: Reads what must be readable for the version to count; its result is returned.
        options: For ``lance.dataset``.

    Raises:
        CorruptStore: No version is readable.
    """
    hinted = hinted_version(path)  # before the versions are listed: a writer writes it after them
    versions = table_versions(path)
    newest = max([hinted, *versions])
    was_committed = hinted == newest
    for version in versions:
        try:
            dataset = open_version(path, version, **options)
            was_committed |= version == newest
            with translated(f"cannot read version {version} of {path}"):
                found = read(dataset)
        except ForeignFiles:
            raise
        except StoreError as error:
            newer = [v for v in table_versions(path) if v > versions[0]]
            if newer:  # a writer went on and removed what was listed
                return open_newest(path, read, **options)
            _refuse_unless_damaged(path, version, error)
            continue
        return dataset, found, Fallback(path, newest, version, was_committed) if version != newest else None
    raise CorruptStore(f"no readable version of {path}: the memory is damaged; ingest its sources into a new one")


def set_aside(path: Path, versions: list[int]) -> None:
    """Rename the manifests of these versions, so that the next commit takes their place; the hint goes first."""
    with translated(f"cannot repair {path}"):
        (path / "_versions" / HINT_FILE).unlink(missing_ok=True)
        for version in versions:
            manifest = manifest_path(path, version)
            manifest.replace(manifest.with_name(manifest.name + _DAMAGED_SUFFIX))
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
