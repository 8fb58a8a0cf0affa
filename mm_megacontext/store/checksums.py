"""Checksums of the files of a memory, taken when they were written.

Lance never changes a file once it is written, so one whose checksum differs is damaged, whatever it holds: a search
index, a list of deleted rows, a bit of a number that still looks like one. They are advice, and no commit waits for
them: a file without one, of a killed writer or an older version, is only checked for what it says.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mm_megacontext.store.durable import translated, write_whole
from mm_megacontext.store.places import CHECKSUM_FILE, HINT_FILE, NODES, SOURCES

_CHUNK_BYTES = 1 << 20
CATALOGUE_PARTS = (SOURCES, f"{NODES}/_versions", f"{NODES}/_deletions")
"""What decides which sources a memory holds, and where their rows are."""


class Checksums:
    """The checksums of one memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path / CHECKSUM_FILE

    def note(self, files: Iterable[Path]) -> None:
        """Take down those of files that were just written."""
        lines = []
        for file in (file for file in files if file.name != HINT_FILE):
            with contextlib.suppress(FileNotFoundError):  # a draft that was renamed meanwhile
                lines.append(self._line(file))
        if lines:
            with translated(f"cannot write to {self._path}"), self._file.open("ab") as stream:
                stream.write(b"".join(lines))

    def renew(self) -> None:
        """Forget those of files that are gone."""
        known = self._known()
        tables = {name.partition("/")[0] for name in known}
        with translated(f"cannot read {self._path}"):
            parts = sorted(tables.intersection(os.listdir(self._path)))
        kept = [known[name] for name, _ in self._files(parts) if name in known]
        with translated(f"cannot write to {self._path}"):
            write_whole(self._file, b"".join(kept))

    def damaged(self, parts: Iterable[str] = (NODES, SOURCES)) -> list[Path]:
        """The files below ``parts`` that are not as they were written, or can be read no more."""
        known = self._known()
        with translated(f"cannot read {self._path}"):
            return [file for name, file in self._files(parts) if name in known and self._line(file) != known[name]]

    def _known(self) -> dict[str, bytes]:
        """Lines by the name of the file; the last of each counts, and what is no line is left out."""
        known = {}
        with translated(f"cannot read {self._path}"), contextlib.suppress(FileNotFoundError):
            for line in self._file.read_bytes().splitlines(keepends=True):
                fields = line.decode("ascii", "replace").rstrip("\n").split(" ", 2)
                if len(fields) == 3 and line.endswith(b"\n"):
                    known[fields[2]] = line
        return known

    def _line(self, file: Path) -> bytes:
        checksum, size = 0, 0
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
        return f"{checksum:08x} {size} {file.relative_to(self._path).as_posix()}\n".encode("ascii", "replace")

    def _files(self, parts: Iterable[str]) -> Iterator[tuple[str, Path]]:
        for part in parts:
            for directory, _, names in os.walk(self._path / part):
                for name in sorted(names):
                    file = Path(directory, name)
                    yield file.relative_to(self._path).as_posix(), file
