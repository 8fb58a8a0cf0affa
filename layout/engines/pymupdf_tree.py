"""How many pages a PDF has, whatever it says: a file that names too few would hide the rest from every reader."""

from __future__ import annotations

import re
from typing import Any

_REFERENCE = re.compile(r"(\d+) \d+ R")
_MAX_DEPTH = 64  # of the tree of pages; deeper ones are made to overwhelm readers


def reveal_pages(pdf: Any) -> int:
    """The number of pages of a PDF that is open in PyMuPDF; pages beyond the one that it states can be read afterwards.

    The tree of pages is walked. Where it has more leaves than it says, the counts of the open document, not of the
    file, are put right; where it says too many, nothing is touched: MuPDF reports the missing pages as broken.
    """
    stated = int(pdf.page_count)
    try:
        kind, root = pdf.xref_get_key(pdf.pdf_catalog(), "Pages")
    except Exception:  # as below; what the catalogue hides is not looked for
        return stated
    match = _REFERENCE.fullmatch(root) if kind == "xref" else None
    if match is None:
        return stated
    counts: dict[int, int] = {}
    if _count(pdf, int(match[1]), counts, {int(match[1])}, 0) > stated:
        for node, count in counts.items():
            pdf.xref_set_key(node, "Count", str(count))
    return int(pdf.page_count)


def _count(pdf: Any, node: int, counts: dict[int, int], seen: set[int], depth: int) -> int:
    """Pages below a node of the tree, each counted once; fills in ``counts`` of inner nodes."""
    kids = _kids(pdf, node)
    if kids is None:
        return 1
    counts[node] = 0
    for kid in kids if depth < _MAX_DEPTH else []:
        if kid not in seen:
            seen.add(kid)
            counts[node] += _count(pdf, kid, counts, seen, depth + 1)
    return counts[node]


def _kids(pdf: Any, node: int) -> list[int] | None:
    """What hangs on an inner node; None for a page, and for what is too broken to be told from one."""
    try:
        kind, value = pdf.xref_get_key(node, "Kids")
        if kind == "xref":
            match = _REFERENCE.fullmatch(value)
            value = pdf.xref_object(int(match[1]), compressed=True) if match else ""
    except Exception:  # MuPDF's errors have no class in common with those of its binding
        return None
    if kind not in ("xref", "array"):
        return None
    n_objects = pdf.xref_length()
    return [number for found in _REFERENCE.finditer(value) if 0 < (number := int(found[1])) < n_objects]
