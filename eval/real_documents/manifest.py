"""Which documents there are: the package, the version, the place in it, and the digest that says it is the same file.

``manifest.json`` is a list of objects with the fields of ``RealDocument``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).with_name("manifest.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealDocument:
    """A document of the set.

    Attributes:
        name: Short and unique; questions refer to it.
        package: The Debian package that holds it.
        version: Of the package, as its control file says.
        path: Inside the package, without a leading slash; compressed if it ends in ``.gz``.
        sha256: Of the uncompressed document.
        n_pages: Pages.
        kind: What sort of document it is, in a few words.
        licence: As the package's copyright file says.
    """

    name: str
    package: str
    version: str
    path: str
    sha256: str
    n_pages: int
    kind: str
    licence: str

    def file(self, directory: Path) -> Path:
        """Where ``fetch`` puts it."""
        return directory / f"{self.name}.pdf"

    def is_fetched(self, directory: Path) -> bool:
        """Whether the very file that the questions were written on lies in ``directory``."""
        file = self.file(directory)
        return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == self.sha256


def load_manifest(file: Path = MANIFEST) -> list[RealDocument]:
    """All documents, in the order of the file."""
    return [RealDocument(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
