"""Gold words open or not, in memories that are made here and read with a random base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Box
from mm_megacontext.eval.real_documents.dataset import Place
from mm_megacontext.eval.real_documents.gold import (
    blocks_on_page,
    covered_words,
    is_open,
    is_quoted,
    page_boxes,
    sharp_blocks,
)
from mm_megacontext.memory import MegaContext
from mm_megacontext.reading.working_context import WorkingContext
from tests.layout.pdf_writer import PdfPage, pdf_bytes
from tests.tiny import random_base, random_lens

ROW: tuple[Box, ...] = ((72.0, 191.0, 110.0, 203.0), (200.0, 191.0, 222.0, 203.0))
"""About the words of ``Deposit: 1900`` as they are written below, on page 2."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pages = [PdfPage(), PdfPage()]
    pages[0].text(72, 100, "A page without any answer")
    pages[1].text(72, 200, "Deposit:")
    pages[1].text(200, 200, "1900")
    file = tmp_path / "lease.pdf"
    file.write_bytes(pdf_bytes(pages))
    return file


def test_gold_is_open_exactly_when_its_block_is_expanded(tmp_path: Path, path: Path) -> None:
    base = random_base()
    with MegaContext.open(tmp_path / "memory", base=base, lens=random_lens(base.id)) as memory:
        memory.ingest(path)
        (source,) = memory.sources
        tree = memory._tree_of(None)
        blocks = blocks_on_page(tree, source.number, 2)
        assert " ".join(node.text for node, _ in blocks).split() == ["Deposit:", "1900"]
        stored = page_boxes(blocks, source.number, 2)
        assert covered_words(ROW, stored).all()

        context = WorkingContext.start(tree, 512)
        while True:
            is_read = is_open(ROW, page_boxes(sharp_blocks(context), source.number, 2), stored)
            expanded = {entry.node.id for entry in context if entry.is_expanded}
            assert is_read == ({node.id for node, _ in blocks} <= expanded)
            below = [entry.id for entry in context if entry.is_expandable]
            if not below:
                break
            context = context.expand(below[:1])
        assert is_read
        assert not is_open(ROW, page_boxes(sharp_blocks(context), source.number, 1), stored), "another page"


def test_half_of_the_words_must_be_in_the_memory() -> None:
    row, nothing = np.array(ROW, dtype=np.float32), np.zeros((0, 4), dtype=np.float32)
    assert is_open(ROW, row, row)
    assert not is_open(ROW, row[:1], row)
    assert is_open(ROW, row[:1], row[:1]), "the other one is punctuation that nobody could read"
    assert not is_open((*ROW, (300.0, 191.0, 310.0, 203.0)), row[:1], row[:1])
    assert not is_open(ROW, nothing, nothing)


def test_evidence_counts_on_the_gold_words_only() -> None:
    def evidence(page: int, box: Box) -> Evidence:
        return Evidence(source="uri", page=page, bbox=box, unit="pt", text="x", lod=0, score=1.0)

    places = [Place(page=2, boxes=ROW, answer_boxes=ROW[1:])]
    assert is_quoted(places, [evidence(1, ROW[1]), evidence(2, ROW[1])], "uri")
    assert not is_quoted(places, [evidence(1, ROW[1]), evidence(2, (200, 300, 250, 312))], "uri")
    assert not is_quoted(places, [evidence(2, ROW[1])], "another")
    assert not is_quoted(places, [], "uri")


_coordinate = st.integers(0, 40)
_box = st.tuples(_coordinate, _coordinate, st.integers(1, 20), st.integers(1, 20)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(st.lists(_box, min_size=1, max_size=5), st.lists(_box, max_size=5))
def test_covered_words_against_one_pair_at_a_time(words: list[Box], boxes: list[Box]) -> None:
    def is_on(word: Box, box: Box) -> bool:
        common = min(word[3], box[3]) - max(word[1], box[1])
        is_same_line = common > 0 and common >= min(word[3] - word[1], box[3] - box[1]) / 2
        return is_same_line and box[0] <= (word[0] + word[2]) / 2 <= box[2]

    found = covered_words(words, np.array(boxes, dtype=np.float32).reshape(-1, 4))
    assert found.tolist() == [any(is_on(word, box) for box in boxes) for word in words]
