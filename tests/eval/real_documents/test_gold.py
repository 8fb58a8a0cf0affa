"""Gold words open or not, in memories that are made here and read with a random base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Box
from mm_megacontext.eval.real_documents.dataset import Question, Sample, split_of
from mm_megacontext.eval.real_documents.gold import (
    blocks_on_page,
    covered_words,
    is_open,
    is_quoted,
    kept_words,
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


def sample_of(path: Path, boxes: tuple[Box, ...] = ROW, page: int = 2) -> Sample:
    question = Question(
        id="lease-01",
        document="lease",
        kind="key-value",
        question="How much is the deposit?",
        answers=("1900",),
        gold_page=page,
        gold_text="Deposit: 1900",
        split=split_of("lease"),
    )
    return Sample(question=question, path=path, gold_boxes=boxes)


def test_gold_is_open_exactly_when_its_block_is_expanded(tmp_path: Path, path: Path) -> None:
    base = random_base()
    with MegaContext.open(tmp_path / "memory", base=base, lens=random_lens(base.id)) as memory:
        memory.ingest(path)
        (source,) = memory.sources
        tree = memory._tree_of(None)
        sample = sample_of(path)
        stored = blocks_on_page(tree, source.number, 2)
        assert " ".join(node.text for node, _ in stored).split() == ["Deposit:", "1900"]
        kept = kept_words(sample, page_boxes(stored, source.number, 2))
        assert kept.all()

        context = WorkingContext.start(tree, 512)
        while True:
            is_read = is_open(sample, page_boxes(sharp_blocks(context), source.number, 2), kept)
            expanded = {entry.node.id for entry in context if entry.is_expanded}
            assert is_read == ({node.id for node, _ in stored} <= expanded)
            below = [entry.id for entry in context if entry.is_expandable]
            if not below:
                break
            context = context.expand(below[:1])
        assert is_read
        assert not is_open(sample_of(path, page=1), page_boxes(sharp_blocks(context), source.number, 1), kept)


def test_half_of_the_words_must_be_in_the_memory(path: Path) -> None:
    sample = sample_of(path)
    row = np.array(ROW, dtype=np.float32)
    assert is_open(sample, row, np.array([True, True]))
    assert not is_open(sample, row[:1], np.array([True, True]))
    assert is_open(sample, row[:1], np.array([True, False])), "the other one is punctuation that nobody could read"
    lost = sample_of(path, (*ROW, (300.0, 191.0, 310.0, 203.0)))
    assert not is_open(lost, row[:1], np.array([True, False, False]))
    assert not is_open(sample, row, np.array([False, False]))


def test_evidence_counts_on_the_gold_words_only(path: Path) -> None:
    def evidence(page: int, box: Box) -> Evidence:
        return Evidence(source="uri", page=page, bbox=box, unit="pt", text="x", lod=0, score=1.0)

    sample = sample_of(path)
    assert is_quoted(sample, [evidence(1, ROW[1]), evidence(2, ROW[1])], "uri")
    assert not is_quoted(sample, [evidence(1, ROW[1]), evidence(2, (200, 300, 250, 312))], "uri")
    assert not is_quoted(sample, [evidence(2, ROW[1])], "another")
    assert not is_quoted(sample, [], "uri")


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
