"""Whose gists a memory holds, and ``memory.json``, which says so; the catalogue has a copy to rebuild it from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.durable import write_whole
from mm_megacontext.store.places import MEMORY_FILE, NODES, SOURCES
from mm_megacontext.store.versions import hinted_version, table_versions

FORMAT = 2
"""Of the memory directory; a later one cannot be opened. 1 had no uniform nodes and listed the patches of every tile: a
memory of format 1 can be read, and becomes one of this format when it is opened for writing."""
READABLE_FORMATS = (1, FORMAT)
_NEWBORN = {NODES: 2, SOURCES: 1}
"""The last version of each table that making a memory commits: its columns, and the index of its text."""
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose gists a memory holds; they mean nothing to another base or gistnet.

    Attributes:
        base: Id of the base model.
        gistnet: Id of the network that made the gists.
        encoder: Id of the vision encoder.
        dim: Dimensions of a gist vector.
        slots: Vectors per gist.
    """

    base: str
    gistnet: str
    encoder: str
    dim: int
    slots: int

    def __post_init__(self) -> None:
        if self.dim < 1 or self.slots < 1:
            raise ValueError(f"a gist needs at least one slot of one dimension, got {self.slots} of {self.dim}")

    def __str__(self) -> str:
        return f"base {self.base}, gistnet {self.gistnet}, encoder {self.encoder}, {self.slots} × {self.dim}"

    def to_json(self) -> str:
        """As one line, for ``from_json``."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, content: str) -> Identity:
        """The identity in a JSON object. Raises ValueError where it is none."""
        return cls._of(_object(content))

    @classmethod
    def _of(cls, fields: dict[str, object]) -> Identity:
        names, sizes = ("base", "gistnet", "encoder"), ("dim", "slots")
        if set(fields) != {*names, *sizes}:
            raise ValueError(f"must hold {', '.join((*names, *sizes))}, holds {', '.join(fields) or 'nothing'}")
        if not all(isinstance(fields[name], str) for name in names) or not all(type(fields[n]) is int for n in sizes):
            raise ValueError("a name is no text or a size is no whole number")
        return cls(**fields)  # type: ignore[arg-type]  # just checked


def write_identity(path: Path, identity: Identity) -> None:
    """Write ``memory.json`` of the memory in ``path``."""
    content = json.dumps({"format": FORMAT, **asdict(identity)}, indent=2) + "\n"
    write_whole(path / MEMORY_FILE, content.encode())


def read_identity(path: Path) -> tuple[Identity, int]:
    """Whose gists the memory in ``path`` holds, and its format.

    Raises:
        StoreError: There is no memory, or ``memory.json`` cannot be read.
        CorruptStore: It is gone from a memory that was in use, or damaged.
    """
    file = path / MEMORY_FILE
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        if was_in_use(path):
            raise CorruptStore(f"{path} is a damaged memory: it has no {MEMORY_FILE}; {_remedy(path)}") from None
        raise StoreError(f"{path} is not a memory (no {MEMORY_FILE} in it); ingest something into it first") from None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}") from error
    try:
        fields = _object(content.decode("utf-8"))
        found = fields.pop("format", None)
        if type(found) is not int:
            raise ValueError("it names no format")
        if found not in READABLE_FORMATS:
            raise StoreError(f"{path} has format {found}, this version reads {FORMAT}; upgrade mm-megacontext")
        return Identity._of(fields), found
    except ValueError as error:
        raise CorruptStore(f"{file} is damaged ({error}); {_remedy(path)}") from error


def was_in_use(path: Path) -> bool:
    """Whether the tables in ``path`` were ever written to after they were made, so that they may hold sources.

    Told by the numbers of their versions: of a memory whose making was killed they are those of ``_NEWBORN`` or less.
    """
    for table, newborn in _NEWBORN.items():
        if (path / table / "_versions").is_dir():
            newest = max([hinted_version(path / table), *table_versions(path / table)])
            if newest > newborn:
                return True
    return False


def _remedy(path: Path) -> str:
    return f"rebuild it with: mmctx verify {path} --repair"


def _object(content: str) -> dict[str, object]:
    """A JSON object; whatever else it is, also nested too deep to be read, is a ValueError."""
    try:
        fields = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    return fields
