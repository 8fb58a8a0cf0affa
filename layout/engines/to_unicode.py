"""ToUnicode maps of PDF fonts (PDF 32000-1, 9.10.3): which text each code of a font stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_TOKEN = re.compile(rb"<([0-9A-Fa-f\s]*)>|(\[)|(\])|(beginbfchar|beginbfrange|endbfchar|endbfrange)")
_MOST_CODES = 1 << 17
_PER_BLOCK = 100  # entries; more are not allowed in one block


class Code(NamedTuple):
    """A character code, and of how many bytes it is."""

    value: int
    n_bytes: int


def read_map(data: bytes) -> dict[Code, str]:
    r"""The text of each code; what is no entry is passed over.

    >>> read_map(b"1 beginbfchar <03> <0041> endbfchar 1 beginbfrange <0005> <0006> <0062> endbfrange")
    {Code(value=3, n_bytes=1): 'A', Code(value=5, n_bytes=2): 'b', Code(value=6, n_bytes=2): 'c'}
    """
    found: dict[Code, str] = {}
    tokens = _TOKEN.finditer(data)
    for token in tokens:
        if token[4] == b"beginbfchar":
            _read_characters(tokens, found)
        elif token[4] == b"beginbfrange":
            _read_ranges(tokens, found)
    return found


def write_map(texts: Mapping[Code, str]) -> bytes:
    """A map that says so."""
    sizes = sorted({code.n_bytes for code in texts})
    spaces = " ".join(f"<{'00' * n}> <{'FF' * n}>" for n in sizes)
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Corrected def /CMapType 2 def",
        f"{len(sizes)} begincodespacerange {spaces} endcodespacerange",
    ]
    entries = [
        f"<{code.value:0{2 * code.n_bytes}X}> <{text.encode('utf-16-be', 'ignore').hex().upper()}>"
        for code, text in texts.items()
    ]
    for start in range(0, len(entries), _PER_BLOCK):
        block = entries[start : start + _PER_BLOCK]
        lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
    return "\n".join([*lines, "endcmap end end"]).encode()


def _read_characters(tokens: Iterator[re.Match[bytes]], found: dict[Code, str]) -> None:
    code: Code | None = None
    for token in tokens:
        if token[4] is not None or len(found) >= _MOST_CODES:
            return
        if token[1] is None:
            continue
        if code is None:
            code = _code(token[1])
        else:
            found[code] = _text(token[1])
            code = None


def _read_ranges(tokens: Iterator[re.Match[bytes]], found: dict[Code, str]) -> None:
    ends: list[Code] = []
    for token in tokens:
        if token[4] is not None or len(found) >= _MOST_CODES:
            return
        if len(ends) < 2:
            if token[1] is not None:
                ends.append(_code(token[1]))
            continue
        first, last = ends
        ends = []
        codes = (Code(value, first.n_bytes) for value in range(first.value, min(last.value, first.value + 0xFFFF) + 1))
        if token[2] is not None:
            listed = iter(tokens)
            for item in listed:
                if item[1] is None:
                    break
                code = next(codes, None)
                if code is not None:
                    found[code] = _text(item[1])
        elif token[1] is not None:
            start = _text(token[1])
            for n, code in enumerate(codes):
                found[code] = start[:-1] + chr((ord(start[-1]) + n) % 0x110000) if start else ""


def _code(digits: bytes) -> Code:
    plain = b"".join(digits.split())
    return Code(int(plain or b"0", 16), max(1, (len(plain) + 1) // 2))


def _text(digits: bytes) -> str:
    plain = b"".join(digits.split())
    raw = bytes.fromhex((plain + b"0" * (len(plain) % 2)).decode())
    return raw.rjust(2, b"\0").decode("utf-16-be", errors="ignore")
