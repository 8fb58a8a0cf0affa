"""What a question tells apart from its answer. Oracle: what a person would not look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.bases.beside import View, Views
from mm_megacontext.document import Cell, CellRole, Document, Line, Page, Region, Table, Word
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import NodeId
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import as_tree, tokenizer


def _embed(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.ones((len(ids), 3), dtype=np.float32)


def _line(text: str, x: float, y: float) -> Line:
    words = []
    for part in text.split():
        words.append(Word(part, (x, y, x + 6 * len(part), y + 10)))
        x += 6 * (len(part) + 1)
    return Line(tuple(words))


def _table(rows: Sequence[Sequence[str]]) -> Region:
    cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            role: CellRole = "body" if r and c else "row_header" if r else "column_header"
            line = _line(text, 70.0 + 130 * c, 100.0 + 14 * r)
            cells.append(Cell(r, c, line.bbox, (line,), role))
    return Region("table", (0.0, 0.0, 600.0, 800.0), table=Table(tuple(cells), len(rows), len(rows[0])))


def _entries(region: Region) -> list[Entry]:
    page = Page(1, (612.0, 792.0), (region,))
    document = Document("a.pdf", "pdf", "pt", 1, "", lambda: iter([page]))
    batches = TreeBuilder("pt", tokenizer(), MeanTextGister(_embed, 3)).build(document)
    rows = [row for batch in batches for row in batch]
    tree = as_tree(rows)
    blocks = [row.index for row in rows if row.lod == 1]
    nodes = tree.nodes([NodeId(1, index) for index in blocks])
    return [Entry(node, leaves) for node, leaves in zip(nodes, tree.leaves([n.id for n in nodes]), strict=True)]


def _views(region: Region, question: str) -> tuple[list[str], list[View]]:
    """What each view leaves to read."""
    entries = _entries(region)
    views = Views(tokenizer().decode, tokenizer().starts_word).of(entries, question)
    texts = []
    for view in views:
        left = [
            token
            for entry in entries
            if entry.leaves is not None
            for leaf, token in enumerate(entry.leaves.token_ids.tolist())
            if (entry.id, leaf) not in view.unread
        ]
        texts.append(tokenizer().decode(left))
    return texts, views


ORDERS = [["Order", "City", "Amount"], *([f"ORD-10{i:02}", f"Town{i}", f"{i}37.0{i}"] for i in range(1, 9))]


def test_a_code_names_its_row() -> None:
    texts, views = _views(_table(ORDERS), "What is the Amount of ORD-1007?")
    assert texts == ["Order Amount ORD-1007 737.07", "Order City Amount ORD-1007 Town7 737.07"]
    assert all(view.is_sure for view in views), "another row can only mislead"


def test_the_row_stands_below_its_header() -> None:
    region = _table(ORDERS)
    _, (view, *_) = _views(region, "What is the Amount of ORD-1007?")
    assert len(set(view.lifted.values())) == 1
    (lifted,) = set(view.lifted.values())
    assert lifted * 16 > 5 * 14, "six rows are between, less one line, in patches of 16 points"


def test_words_name_row_and_column() -> None:
    rows = [
        ["Plant", "2023 Output", "2023 Scrap", "2024 Scrap"],
        ["Arden", "510", "12", "9"],
        ["Belmont", "4", "7", "5"],
    ]
    texts, _ = _views(_table(rows), "What is the scrap of Arden in 2024?")
    assert texts == [
        "Plant 2024 Scrap Arden 9",
        "Plant 2023 Output 2023 Scrap 2024 Scrap Arden 510 12 9",
        "Plant 2023 Output 2023 Scrap 2024 Scrap Arden 510 12 9 Belmont 4 7 5",
    ]


def test_a_question_that_names_no_row_reads_all() -> None:
    texts, views = _views(_table(ORDERS), "What is the deposit?")
    assert views == [View()]
    assert texts[0].startswith("Order City Amount ORD-1001")


def test_options_that_are_not_ticked_are_not_read() -> None:
    lines = (
        _line("Status: \u2610 single \u2612 married \u2610 widowed", 70, 100),
        _line("Pets: \u2610 dog \u2610 cat", 70, 114),
    )
    texts, _ = _views(Region("text", (70.0, 100.0, 400.0, 124.0), lines), "What is the status?")
    assert texts == ["Status: married Pets: \u2610 dog \u2610 cat"]
