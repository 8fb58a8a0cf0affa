"""Regions of pages as entries that are read leaf by leaf."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Cell, CellRole, Document, Line, Page, Region, Table, Word
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import NodeId
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import as_tree, tokenizer


def _embed(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.ones((len(ids), 3), dtype=np.float32)


def line(text: str, x: float, y: float) -> Line:
    words = []
    for part in text.split():
        words.append(Word(part, (x, y, x + 6 * len(part), y + 10)))
        x += 6 * (len(part) + 1)
    return Line(tuple(words))


def table(rows: Sequence[Sequence[str]]) -> Region:
    cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            role: CellRole = "body" if r and c else "row_header" if r else "column_header"
            own = line(text, 70.0 + 130 * c, 100.0 + 14 * r)
            cells.append(Cell(r, c, own.bbox, (own,), role))
    return Region("table", (0.0, 0.0, 600.0, 800.0), table=Table(tuple(cells), len(rows), len(rows[0])))


def entries_of_region(region: Region) -> list[Entry]:
    page = Page(1, (612.0, 792.0), (region,))
    document = Document("a.pdf", "pdf", "pt", 1, "", lambda: iter([page]))
    batches = TreeBuilder("pt", tokenizer(), MeanTextGister(_embed, 3)).build(document)
    rows = [row for batch in batches for row in batch]
    tree = as_tree(rows)
    blocks = [row.index for row in rows if row.lod == 1]
    nodes = tree.nodes([NodeId(1, index) for index in blocks])
    return [Entry(node, leaves) for node, leaves in zip(nodes, tree.leaves([n.id for n in nodes]), strict=True)]
