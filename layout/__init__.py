"""Files as documents: pages of regions of lines of words, with boxes, in reading order."""

from __future__ import annotations

from mm_megacontext.layout.document import Box as Box
from mm_megacontext.layout.document import Cell as Cell
from mm_megacontext.layout.document import Document as Document
from mm_megacontext.layout.document import Line as Line
from mm_megacontext.layout.document import Page as Page
from mm_megacontext.layout.document import Region as Region
from mm_megacontext.layout.document import Table as Table
from mm_megacontext.layout.document import Word as Word
from mm_megacontext.layout.reader import read as read
