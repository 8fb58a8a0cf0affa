"""Streams of a PDF that is open in pikepdf, read with a limit: a small one may unpack to any size."""

from __future__ import annotations

import zlib
from typing import Any

import pikepdf

_MOST_BYTES = 8 << 20
_MOST_PACKED = 1 << 16  # of streams that are packed in a way that has no limit while it is undone: a thousandfold


def read_stream(stream: Any, most: int = _MOST_BYTES) -> bytes | None:
    """What a stream holds; None where it is none, cannot be read, or is larger than ``most`` bytes."""
    if not isinstance(stream, pikepdf.Stream):
        return None
    try:
        if stream.get("/Filter") == "/FlateDecode" and "/DecodeParms" not in stream:
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(stream.read_raw_bytes(), most)
            return None if unpacking.unconsumed_tail else data
        if "/Filter" in stream and int(stream.get("/Length", 0)) > _MOST_PACKED:
            return None
        data = stream.read_bytes()
    except (pikepdf.PdfError, zlib.error, ValueError, RuntimeError):
        return None
    return data if len(data) <= most else None
