"""Whose gists a memory holds, how large they are, and ``memory.json``, which says so.

The catalogue has a copy to rebuild it from.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from mm_megacontext.errors import CorruptStore, StoreError
from mm_megacontext.store.durable import write_whole
from mm_megacontext.store.places import MEMORY_FILE, NODES, SOURCES
from mm_megacontext.store.versions import hinted_version, table_versions
from mm_megacontext.tree.nodes import Modality

FORMAT = 2
"""Of the memory directory; a later one cannot be opened. 1 had no uniform nodes and listed the patches of every tile: a
memory of format 1 can be read, and becomes one of this format when it is opened for writing."""
READABLE_FORMATS = (1, FORMAT)
_NEWBORN = {NODES: 2, SOURCES: 1}
"""The last version of each table that making a memory commits: its columns, and the index of its text."""
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class GistShape:
    """How large gists are.

    Attributes:
        dim: Numbers in a vector.
        text_slots: Vectors per gist of text, and of what holds text.
        image_slots: Vectors per gist of images alone.
    """

    dim: int
    text_slots: int
    image_slots: int

    def __post_init__(self) -> None:
        if min(self.dim, self.text_slots, self.image_slots) < 1:
            raise ValueError(f"a gist needs at least one slot of one dimension, got {self}")

    @property
    def slots(self) -> int:
        """Vectors that there must be room for."""
        return max(self.text_slots, self.image_slots)

    @property
    def width(self) -> int:
        """Numbers that there must be room for."""
        return self.dim * self.slots

    def slots_of(self, modality: Modality) -> int:
        """Vectors of a gist."""
        return self.image_slots if modality == "image" else self.text_slots

    def __str__(self) -> str:
        if self.text_slots == self.image_slots:
            return f"{self.text_slots} × {self.dim}"
        return f"{self.text_slots} × {self.dim}, of images {self.image_slots} × {self.dim}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose gists a memory holds; they mean nothing to another base or gister.

    Attributes:
        base: Id of the base model.
        gistnet: Id of what made the gists of text.
        encoder: Id of the vision encoder.
        dim: Dimensions of a gist vector.
        slots: Vectors per gist of text.
        image_gistnet: Id of what made the gists of images; empty for the same.
        image_slots: Vectors per gist of images; 0 for as many as of text.
    """

    base: str
    gistnet: str
    encoder: str
    dim: int
    slots: int
    image_gistnet: str = ""
    image_slots: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_gistnet", self.image_gistnet or self.gistnet)
        object.__setattr__(self, "image_slots", self.image_slots or self.slots)
        _ = self.shape  # refuses sizes that cannot be

    @property
    def shape(self) -> GistShape:
        return GistShape(self.dim, self.slots, self.image_slots)

    def differences(self, other: Identity) -> list[str]:
        """What is not the same, one text each, ours first.

        Example:
            >>> Identity("a", "mean", "dct", 8, 1).differences(Identity("b", "mean", "dct", 8, 1))
            ['base a, not b']
        """
        pairs = {f.name.replace("_", " "): (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return [f"{name} {ours}, not {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs]

    def __str__(self) -> str:
        of_images = "" if self.image_gistnet == self.gistnet else f", of images {self.image_gistnet}"
        return f"base {self.base}, gistnet {self.gistnet}{of_images}, encoder {self.encoder}, {self.shape}"

    def to_json(self) -> str:
        """As one line, for ``from_json``."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, content: str) -> Identity:
        """The identity in a JSON object. Raises ValueError where it is none."""
        return cls._of(_object(content))

    @classmethod
    def _of(cls, content: dict[str, object]) -> Identity:
        kinds = {field.name: int if field.type == "int" else str for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if not needed <= set(content) <= set(kinds):
            raise ValueError(f"must hold {', '.join(kinds)}, holds {', '.join(content) or 'nothing'}")
        if not all(type(value) is kinds[name] for name, value in content.items()):
            raise ValueError("a name is no text or a size is no whole number")
        return cls(**content)  # type: ignore[arg-type]  # just checked


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
