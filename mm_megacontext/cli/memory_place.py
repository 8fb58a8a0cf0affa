"""Where a single file that is asked is taken up."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def memory_for_file(path: str | Path, models: str = "") -> Path:
    """The memory in the user's cache directory that a single asked file is taken up into.

    Args:
        path: The file.
        models: Names those that read it, if they are not the default ones.
    """
    import platformdirs

    name = hashlib.sha256(os.fsencode(Path(path).resolve()) + models.encode()).hexdigest()[:24]
    return Path(platformdirs.user_cache_dir("mm-megacontext")) / "memories" / name
