"""Files as documents: pages of regions of lines of words, with boxes, in reading order.

The names below are loaded when they are first used: the process that reads a PDF needs few of them, and starts often.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm_megacontext.document import Box as Box
    from mm_megacontext.document import Cell as Cell
    from mm_megacontext.document import Document as Document
    from mm_megacontext.document import Line as Line
    from mm_megacontext.document import Page as Page
    from mm_megacontext.document import Region as Region
    from mm_megacontext.document import Table as Table
    from mm_megacontext.document import Word as Word
    from mm_megacontext.layout.reader import read as read

_OF_DOCUMENT = ("Box", "Cell", "Document", "Line", "Page", "Region", "Table", "Word")
_HOME = {**dict.fromkeys(_OF_DOCUMENT, "mm_megacontext.document"), "read": "mm_megacontext.layout.reader"}

__all__ = ["Box", "Cell", "Document", "Line", "Page", "Region", "Table", "Word", "read"]


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
