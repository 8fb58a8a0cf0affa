"""A file as it is looked at before anything is opened: its first bytes and the hash of all of them."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.limits import IngestLimits

_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file that is not empty.

    Attributes:
        path: Where it is.
        head: Its first 4096 bytes, or all of them.
        n_bytes: How long it is.
        content_hash: sha256 of its bytes, hexadecimal.
    """

    path: Path
    head: bytes
    n_bytes: int
    content_hash: str

    @property
    def suffix(self) -> str:
        """Of its name, in lower case, with the dot."""
        return self.path.suffix.lower()

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are all there is of it; Deep Zoom images have their tiles in other files."""
        return self.suffix != ".dzi"

    def check_size(self, limits: IngestLimits) -> None:
        """Raises LimitExceeded where it is longer than files may be that are read whole."""
        if self.n_bytes > limits.max_file_bytes:
            raise LimitExceeded(
                f"the file has {self.n_bytes} bytes, more than the limit of {limits.max_file_bytes}: "
                "raise max_file_bytes",
                source=str(self.path),
                code="limit_size",
            )


@dataclass(slots=True)
class UnchangedFiles:
    """Knows of files that their bytes are still those that were ingested; reads them once, and again when they change.

    A memory says which file it was made of, and anybody may have made it: it must not make us open another one.
    """

    _seen: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def check(self, path: str, content_hash: str) -> None:
        """Raises IngestError where the file is gone, or its sha256 is not ``content_hash``."""
        if path not in self._seen or self._seen[path][0] != _state(path):
            state = _state(path)
            self._seen[path] = (state, look_at(path).content_hash)
        if self._seen[path][1] != content_hash:
            raise IngestError(
                "the file has changed since it was ingested: ingest it again", source=path, code="source_changed"
            )


def _state(path: str) -> tuple[int, ...]:
    """What of a file changes when it is written to; nothing if it is not there."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def locate(path: str | Path) -> Path:
    """Where a path leads, in full. Raises IngestError where that is nowhere, or nothing that a memory can name."""
    try:
        found = Path(path).resolve()
        str(found).encode()
    except UnicodeEncodeError as e:
        raise IngestError("its name is not UTF-8: rename it", source=str(path), code="unsupported") from e
    except (OSError, RuntimeError) as e:
        raise IngestError("is a loop of symbolic links", source=str(path), code="not_found") from e
    return found


def names_of(source: str | Path) -> list[str]:
    """What a source that is called so may be known by: that very name, or where a path leads, be nothing there."""
    names = [str(source)]
    with suppress(IngestError, RuntimeError, ValueError):  # no path, or one that leads nowhere
        names.append(str(locate(Path(source).expanduser())))
    return names


def look_at(path: str | Path) -> SourceFile:
    """Read a file's bytes once. Raises IngestError where it is missing, empty or cannot be read."""
    path = Path(path)
    digest = hashlib.sha256()
    head, n_bytes = b"", 0
    try:
        _check_is_file(path)
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                head = head or chunk[:_HEAD_BYTES]
                n_bytes += len(chunk)
                digest.update(chunk)
    except IngestError:
        raise
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise IngestError(f"cannot be read ({reason})", source=str(path), code="not_found") from e
    if not head:
        raise IngestError("the file is empty", source=str(path), code="empty")
    return SourceFile(path, head, n_bytes, digest.hexdigest())


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise IngestError("is a directory: give a file, or ingest the directory", source=str(path), code="not_found")
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "no such file: check the path"
        raise IngestError(what, source=str(path), code="not_found")
