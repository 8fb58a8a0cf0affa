"""Where a single file that is asked is taken up."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def memory_for_file(path: str | Path, encoder: str = "") -> Path:
    """The memory in the user's cache directory that a single asked file is taken up into.

    Args:
        path: The file.
        encoder: Name of the encoder of image patches, if it is not that of the default base.
    """
    import platformdirs

    name = hashlib.sha256(os.fsencode(Path(path).resolve()) + encoder.encode()).hexdigest()[:24]
    return Path(platformdirs.user_cache_dir("mm-megacontext")) / "memories" / name
