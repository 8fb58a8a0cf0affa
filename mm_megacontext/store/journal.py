"""What has been written of a source that is not whole yet, so that a killed ingest goes on instead of starting again.

A large source is written fragment by fragment into a directory of its own, ``unfinished/KEY``, beside the tables: no
reader and no cleaning of the tables looks there. Each fragment is synced to disk and then noted in the journal, a line
of JSON, synced too. When the source is whole its files are linked into the table, which makes them ordinary fragments,
and after the commit the directory goes. A crash at any moment leaves either a journal whose noted fragments are all
there, or nothing that counts.

No state of the walk is noted. Rows are in post-order, so the roots of the subtrees that are finished follow from the
rows: the last row is one, the row before the first of its subtree is the one before, and so on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lance.file import LanceFileReader
from lance.fragment import FragmentMetadata

from mm_megacontext.errors import StoreError
from mm_megacontext.store.catalogue import SourceInfo
from mm_megacontext.store.durable import decoding, fsync_path, translated, write_whole
from mm_megacontext.store.guard import is_own
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import NODE_COLUMNS, decode_nodes
from mm_megacontext.store.table import write_fragments
from mm_megacontext.tree.nodes import Node, NodeRow, Written

_JOURNAL, _DATA = "journal.jsonl", "data"
_NEVER = -1
_MOST_SOURCES = 2**31


@dataclass(frozen=True, slots=True)
class _Key:
    """What a journal is of.

    Attributes:
        stamp: Size and time of the last change of the file, in nanoseconds; None if the uri names no file.
    """

    uri: str
    content_hash: str
    fingerprint: str
    stamp: tuple[int, int] | None

    @classmethod
    def of(cls, info: SourceInfo, fingerprint: str) -> _Key:
        return cls(info.uri, info.content_hash, fingerprint, _stamp(info.uri))


class Journal:
    """Fragments of one source that are safe on disk.

    Attributes:
        number: The source number in its rows; meaningless before it ``is_begun``.
    """

    def __init__(self, path: Path, key: _Key) -> None:
        self.number = _NEVER
        self._path, self._key = path, key
        self._fragments: list[FragmentMetadata] = []

    @classmethod
    def load(cls, path: Path) -> Journal | None:
        """The journal in a directory, as far as it and its fragments are whole; None if nothing of it is."""
        lines = _lines(path / _JOURNAL)
        try:
            head = next(lines)
            stamp = head.pop("stamp")
            number = int(head.pop("number"))
            journal = cls(path, _Key(**head, stamp=None if stamp is None else (stamp[0], stamp[1])))
        except (StopIteration, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None
        if not 0 < number < _MOST_SOURCES:
            return None
        journal.number = number
        for line in lines:
            try:
                fragment = FragmentMetadata.from_json(json.dumps(line))
                # A journal may be anybody's: what it names is linked into the tables, what it does not name is removed.
                is_ours = is_own(fragment) and len(fragment.files) == 1 and fragment.deletion_file is None
            except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
                break
            if not is_ours:
                break
            if not all(_is_whole(path / _DATA / file.path, file.file_size_bytes) for file in fragment.files):
                break
            journal._fragments.append(fragment)
        return journal

    @property
    def key(self) -> _Key:
        return self._key

    @property
    def is_begun(self) -> bool:
        """Whether it is on disk."""
        return self.number != _NEVER

    def written(self, shape: GistShape) -> Written:
        """The rows that are safe. Raises StoreError."""
        starts = np.cumsum([0, *(fragment.physical_rows for fragment in self._fragments)])
        tops: list[NodeRow] = []
        index = int(starts[-1]) - 1
        with translated(f"cannot read {self._path}"), decoding(str(self._path)):
            while index >= 0:
                at = int(np.searchsorted(starts, index, "right")) - 1
                top = self._read(self._fragments[at], index - int(starts[at]), shape)
                if top.id.index != index or not 0 <= top.first.index <= index:
                    raise ValueError(f"row {index} is that of node {top.id.index}, which begins at {top.first.index}")
                tops.append(_row(top))
                index = top.first.index - 1
        return Written(int(starts[-1]), tuple(reversed(tops)))

    def begin(self, number: int) -> None:
        """Put the journal on disk, in place of what is there; its rows will have this source number."""
        with translated(f"cannot write to {self._path}"):
            self.remove()
            (self._path / _DATA).mkdir(parents=True)
            for directory in (self._path, self._path.parent, self._path.parent.parent):
                fsync_path(directory)
            self.number = number
            self._note(self._head())

    def add(self, table: pa.Table) -> None:
        """Write the next rows; when this returns they are safe."""
        with translated(f"cannot write to {self._path}"):
            for fragment in write_fragments(table, self._path, is_new=True):
                for file in fragment.files:
                    fsync_path(self._path / _DATA / file.path)
                fsync_path(self._path / _DATA)
                self._note(fragment.to_json())
                self._fragments.append(fragment)

    def hand_over(self, table_path: Path) -> list[FragmentMetadata]:
        """Make the files those of a table too; returns the fragments to commit there."""
        with translated(f"cannot write to {table_path}"):
            (table_path / _DATA).mkdir(exist_ok=True)
            for fragment in self._fragments:
                for file in fragment.files:
                    _link(self._path / _DATA / file.path, table_path / _DATA / file.path)
        return list(self._fragments)

    def tidy(self) -> None:
        """Drop what was being written when the last writer was killed."""
        noted = {file.path for fragment in self._fragments for file in fragment.files}
        with translated(f"cannot write to {self._path}"):
            entries = [self._head(), *(fragment.to_json() for fragment in self._fragments)]
            write_whole(self._path / _JOURNAL, b"".join(map(_line, entries)))
            for file in (self._path / _DATA).iterdir():
                if file.name not in noted:
                    file.unlink()

    def remove(self) -> None:
        """Remove it from disk. Raises StoreError."""
        _remove(self._path)
        self.number, self._fragments = _NEVER, []

    def _head(self) -> dict[str, Any]:
        return {"number": self.number, **asdict(self._key)}

    def _note(self, entry: dict[str, Any]) -> None:
        with (self._path / _JOURNAL).open("ab") as file:
            file.write(_line(entry))
            file.flush()
            os.fsync(file.fileno())
        fsync_path(self._path)

    def _read(self, fragment: FragmentMetadata, row: int, shape: GistShape) -> Node:
        (file,) = fragment.files
        reader = LanceFileReader(str(self._path / _DATA / file.path), columns=NODE_COLUMNS)
        return decode_nodes([self.number], reader.take_rows([row]).to_table(), shape)[0]


@dataclass(frozen=True, slots=True)
class Journals:
    """All journals of a memory; only its writer may touch them."""

    path: Path

    def find(self, info: SourceInfo, fingerprint: str, numbers: Collection[int]) -> Journal:
        """The journal of a source, not begun if there is none; one of another version of it is removed.

        So is one whose number is among ``numbers``, those of sources that are whole: after a power cut the catalogue
        may have forgotten that it was given out.
        """
        key = _Key.of(info, fingerprint)
        path = self.path / hashlib.sha256(info.uri.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        found = Journal.load(path) if path.exists() else None
        if found is not None and found.key == key and found.number not in numbers:
            found.tidy()
            return found
        _remove(path)
        return Journal(path, key)

    def remove_stale(self, whole: Collection[tuple[str, str]]) -> None:
        """Remove journals that nobody will go on with.

        Those of sources that are whole, given by uri and content hash; of files that have changed or are gone; and what
        is no journal.
        """
        for path in self._paths():
            journal = Journal.load(path)
            is_of_use = (
                journal is not None
                and (journal.key.uri, journal.key.content_hash) not in whole
                and journal.key.stamp == _stamp(journal.key.uri)
            )
            if not is_of_use:
                _remove(path)

    @property
    def are_there(self) -> bool:
        """Whether there is any."""
        return bool(self._paths())

    def remove_all(self) -> None:
        """Remove all of them."""
        for path in self._paths():
            _remove(path)

    def _paths(self) -> list[Path]:
        with translated(f"cannot read {self.path}"):
            return sorted(self.path.iterdir()) if self.path.is_dir() else []


def _stamp(uri: str) -> tuple[int, int] | None:
    if uri.startswith(("//", "\\\\")):
        return None  # of another computer, which nobody asks because a memory says so
    with contextlib.suppress(OSError, ValueError):  # most likely there is no such file
        state = os.stat(uri)
        return state.st_size, state.st_mtime_ns
    return None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a journal up to the first that is not whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    for line in content.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(entry, dict):
            return
        yield entry


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _is_whole(path: Path, size: int | None) -> bool:
    return path.is_file() and path.stat().st_size == size


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links; one of a killed try is replaced."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        fsync_path(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        with translated(f"cannot remove {path}"):
            shutil.rmtree(path)
            fsync_path(path.parent)


def _row(node: Node) -> NodeRow:
    """A stored node as a row without leaves."""
    return NodeRow(
        index=node.id.index,
        first=node.first.index,
        children=tuple(child.index for child in node.children),
        lod=node.lod,
        modality=node.modality,
        kind=node.kind,
        page=node.page,
        last_page=node.last_page,
        bbox=node.bbox,
        t_span=node.t_span,
        n_leaves=node.n_leaves,
        mu=node.mu,
        sigma=node.sigma,
        gist=node.gist,
        child_slots=node.child_slots,
        text=node.text,
        pixels=node.pixels,
        links=tuple(link.index for link in node.links),
        token_ids=np.zeros(0, dtype=np.int32),
        leaf_mu=np.zeros((0, 3), dtype=np.float64),
        leaf_boxes=np.zeros((0, 4), dtype=np.float32),
        leaf_roles=np.zeros(0, dtype=np.uint8),
    )
