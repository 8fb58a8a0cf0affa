"""Writes TIFF and BigTIFF byte by byte (TIFF 6.0, section 2), so that tests can make what no library would write."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SHORT, LONG, RATIONAL, ASCII, LONG8 = 3, 4, 5, 2, 16
_DTYPES = {SHORT: "<u2", LONG: "<u4", LONG8: "<u8"}
Value = int | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class TiffDirectory:
    """One page: pixels (height, width, bands), uncompressed, in tiles of ``tile`` pixels or in one strip.

    ``declared`` is a size (width, height) to claim instead of that of the pixels: all tiles are then the first one.
    """

    pixels: npt.NDArray[np.unsignedinteger]
    tile: int | None = None
    tags: Mapping[int, Value] = field(default_factory=dict)
    declared: tuple[int, int] | None = None


def tiff_bytes(pages: Sequence[TiffDirectory], *, big: bool = False, loop_to: int | None = None) -> bytes:
    """A whole file; with ``loop_to``, the last directory names that one (from 0) as the next."""
    out = bytearray(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    word = "Q" if big else "I"
    link, starts = (8 if big else 4), []
    for page in pages:
        entries = _entries(out, page, big=big)
        out += bytes(-len(out) % 16)
        struct.pack_into(f"<{word}", out, link, len(out))
        starts.append(len(out))
        link = _append_directory(out, entries, big=big)
    if loop_to is not None:
        struct.pack_into(f"<{word}", out, link, starts[loop_to])
    return bytes(out)


def _entries(out: bytearray, page: TiffDirectory, *, big: bool) -> dict[int, tuple[int, Value]]:
    height, width, bands = page.pixels.shape
    if page.declared is not None:
        width, height = page.declared
    bits = page.pixels.dtype.itemsize * 8
    entries: dict[int, tuple[int, Value]] = {
        256: (LONG, width), 257: (LONG, height), 258: (SHORT, (bits,) * bands), 259: (SHORT, 1),
        262: (SHORT, 2 if bands >= 3 else 1), 277: (SHORT, bands),
    }  # fmt: skip
    offsets, lengths = _write_pixels(out, page)
    if page.tile is None:
        entries |= {273: (LONG8 if big else LONG, offsets), 278: (LONG, height), 279: (LONG, lengths)}
    else:
        entries |= {322: (LONG, page.tile), 323: (LONG, page.tile)}
        entries |= {324: (LONG8 if big else LONG, offsets), 325: (LONG, lengths)}
    for tag, value in page.tags.items():
        entries[tag] = (_type_of(value), value)
    return entries


def _type_of(value: Value) -> int:
    if isinstance(value, str):
        return ASCII
    return RATIONAL if isinstance(value, tuple) and isinstance(value[0], float) else LONG


def _write_pixels(out: bytearray, page: TiffDirectory) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if page.tile is None:
        data = page.pixels.tobytes()
        out += data
        return (len(out) - len(data),), (len(data),)
    side, (height, width, _) = page.tile, page.pixels.shape
    padded = np.pad(page.pixels, ((0, -height % side), (0, -width % side), (0, 0)))
    offsets, lengths = [], []
    for y in range(0, height, side):
        for x in range(0, width, side):
            data = padded[y : y + side, x : x + side].tobytes()
            offsets.append(len(out))
            lengths.append(len(data))
            out += data
    if page.declared is not None:
        n = -(-page.declared[0] // side) * -(-page.declared[1] // side)
        return (offsets[0],) * n, (lengths[0],) * n
    return tuple(offsets), tuple(lengths)


def _append_directory(out: bytearray, entries: Mapping[int, tuple[int, Value]], *, big: bool) -> int:
    """Append a directory and what does not fit into it; returns where its link to the next one stands."""
    room, entry_bytes = (8, 20) if big else (4, 12)
    start = len(out)
    link = start + (8 if big else 2) + entry_bytes * len(entries)
    head, behind = bytearray(struct.pack("<Q" if big else "<H", len(entries))), bytearray()
    after = link + room
    for tag in sorted(entries):
        kind, value = entries[tag]
        count, data = _packed(kind, value)
        head += struct.pack("<HHQ" if big else "<HHI", tag, kind, count)
        if len(data) <= room:
            head += data.ljust(room, b"\0")
        else:
            head += struct.pack("<Q" if big else "<I", after + len(behind))
            behind += data + bytes(len(data) % 2)
    out += head + bytes(room) + behind
    return link


def _packed(kind: int, value: Value) -> tuple[int, bytes]:
    if isinstance(value, str):
        data = value.encode() + b"\0"
        return len(data), data
    values = value if isinstance(value, tuple) else (value,)
    if kind == RATIONAL:
        return len(values), b"".join(struct.pack("<II", round(v * 1000), 1000) for v in values)
    return len(values), np.array(values, dtype=_DTYPES[kind]).tobytes()
