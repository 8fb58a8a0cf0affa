"""What a memory directory holds, by name."""

from __future__ import annotations

MEMORY_FILE = "memory.json"
"""Whose gists it holds."""
NODES, SOURCES = "nodes", "sources"
"""The tables."""
UNFINISHED = "unfinished"
"""The journals of sources that are not whole yet."""
SPACES = "spaces"
"""Gists of other models than the first, a memory each."""
VECTORS = "vectors"
"""Of texts by embedders, a table each."""
LOCK_FILE = "write.lock"
CHECKSUM_FILE = "checksums"
ALL = frozenset({MEMORY_FILE, NODES, SOURCES, UNFINISHED, SPACES, VECTORS, LOCK_FILE, CHECKSUM_FILE})
DRAFT = ".tmp"
"""Ends the name of a file that is being written."""
HINT_FILE = "latest_version_hint.json"
"""Of a table: the only file there that is ever written anew."""
