"""Where a single file that is asked is taken up."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def memories_of_file(path: str | Path) -> Path:
    """The directory in the user's cache directory below which a file has one memory for each model that read it."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("mm-megacontext")) / "asked" / _name(os.fsencode(Path(path).resolve()))


def memory_for_file(path: str | Path, identity: str) -> Path:
    """The memory that a single asked file is taken up into.

    Args:
        path: The file.
        identity: Names the models that make the memory: another version of them makes another one.
    """
    return memories_of_file(path) / _name(identity.encode())


def _name(what: bytes) -> str:
    return hashlib.sha256(what).hexdigest()[:24]
