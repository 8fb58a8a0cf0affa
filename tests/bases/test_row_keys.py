"""Codes select their row. Oracle: a made table, quoted cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from mm_megacontext.bases.row_keys import is_of_other_row
from mm_megacontext.document import Cell, Document, Line, Page, Region, Table, Word
from mm_megacontext.reading.base import Pointed
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import CONFIG, as_tree, random_base, tokenizer

ROWS = [["Order", "2022", "2023"], ["ORD-1050", "41", "42"], ["ORD-1051", "51", "52"], ["2022", "61", "62"]]


def word(text: str, x: float, y: float) -> Word:
    return Word(text, (x, y, x + 50, y + 9))


def entries() -> list[Entry]:
    """A page with a caption and the table, all of it open."""
    cells = tuple(
        Cell(
            r,
            c,
            (100.0 * c, 50 + 20.0 * r, 100.0 * c + 90, 60 + 20.0 * r),
            (Line((word(text, 100.0 * c, 50 + 20.0 * r),)),),
            "column_header" if r == 0 else "body",
        )
        for r, row in enumerate(ROWS)
        for c, text in enumerate(row)
    )
    caption = Region("text", (0.0, 0.0, 300.0, 9.0), (Line((word("Table", 0.0, 0.0), word("3", 60.0, 0.0))),))
    table = Region("table", (0.0, 50.0, 300.0, 130.0), table=Table(cells, len(ROWS), 3))
    page = Page(1, (612.0, 792.0), (caption, table))
    gister = MeanTextGister(random_base(1).embed_tokens, CONFIG.dim)
    document = Document("rows", "pdf", "pt", 1, "rows", lambda: iter([page]))
    batches = TreeBuilder("pt", tokenizer(), gister).build(document)
    context = WorkingContext.start(as_tree([row for batch in batches for row in batch]), 1000)
    while any(entry.is_expandable for entry in context):
        context = context.expand([entry.id for entry in context if entry.is_expandable])
    return list(context)


def pointed(at: list[Entry], value: str) -> list[Pointed]:
    """The leaves of the only word of the page that is ``value``."""
    for entry in at:
        assert entry.leaves is not None
        boxes = entry.leaves.boxes
        for r, row in enumerate(ROWS):
            if value in row and r:
                on_row = np.abs(boxes[:, 1] - (50 + 20.0 * r)) < 1
                in_column = np.abs(boxes[:, 0] - 100.0 * row.index(value)) < 50
                found = np.flatnonzero(on_row & in_column).tolist()
                if found and entry.node.kind == "table":
                    return [Pointed(entry.id, leaf, 1.0) for leaf in found]
    raise AssertionError(value)


@pytest.mark.parametrize(
    ("question", "value", "refused"),
    [
        ("What is the value of ORD-1050?", "41", False),
        ("What is the value of ord-1050?", "42", False),
        ("What is the value of ORD-1050?", "51", True),
        ("What is the value of ORD-1077?", "51", True),
        ("What is ORD-1051 in 2022?", "51", False),
        ("What is ORD-1051 in 2022?", "41", True),
        ("Which value stands in the row of 2022?", "61", False),
        ("Which value stands in the row of 2022?", "51", True),
        ("In Table 3, what is ORD-1051?", "51", False),
        ("In Table 3, what is the value?", "51", False),
        ("What is the value?", "51", False),
    ],
)
def test_only_the_row_that_a_code_names_is_an_answer(question: str, value: str, refused: bool) -> None:
    own = entries()
    assert is_of_other_row(question, own, pointed(own, value), tokenizer()) is refused


def test_what_is_quoted_from_elsewhere_has_no_row() -> None:
    own = entries()
    caption = next(entry for entry in own if entry.node.kind != "table")
    assert not is_of_other_row("What is ORD-1077?", own, [Pointed(caption.id, 0, 1.0)], tokenizer())
    assert not is_of_other_row("What is ORD-1077?", own, [], tokenizer())
