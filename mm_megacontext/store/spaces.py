"""Where the gists of other models lie: a memory was made with one model, and may hold the gists of more.

Each space is a memory of its own in a folder of the first, with the same sources in other tokens and gists. So it is
written, checked and read as any memory is, and one that is half written is no whole memory's loss.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mm_megacontext.errors import StoreError
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.store.durable import translated
from mm_megacontext.store.guard import check_files
from mm_megacontext.store.identity import Identity, was_in_use
from mm_megacontext.store.places import MEMORY_FILE, SPACES

_NAME_CHARACTERS = 16


def space_of(path: Path, identity: Identity) -> Path:
    """Where the gists of an identity lie in a memory that was made with another."""
    return path / SPACES / hashlib.sha256(identity.to_json().encode()).hexdigest()[:_NAME_CHARACTERS]


def spaces_in(path: Path) -> list[Path]:
    """The spaces of a memory that are made; those whose making was killed are none yet.

    Raises:
        StoreError: They cannot be looked at, or hold what is no memory's.
    """
    folder = path / SPACES
    check_files(folder)
    with translated(f"cannot read {folder}"):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        return [entry for entry in entries if (entry / MEMORY_FILE).exists() or was_in_use(entry)]


def check_in_step(path: Path, first: list[SourceRecord], space: list[SourceRecord], identity: Identity) -> None:
    """Raise StoreError where a space holds other sources than the memory it belongs to."""
    wanted, held = ({(r.uri, r.content_hash, r.engine) for r in records} for records in (first, space))
    if wanted != held:
        missing = sorted(uri for uri, _, _ in wanted - held)
        example = f", {missing[0]} first" if missing else ""
        raise StoreError(
            f"{path}: the gists of {identity.base} lack {len(missing)} of {len(wanted)} sources{example}, and have "
            f"{len(held - wanted)} that are gone or changed; `mmctx refresh {path} MODEL` brings them up to date"
        )
