"""From pointed-at leaves to quotations. Oracle: a page written by hand, whose words and boxes are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mm_megacontext.answer import Evidence
from mm_megacontext.document import Box, Document, Line, Page, Region, Word
from mm_megacontext.evidence import collect_evidence
from mm_megacontext.reading.base import Pointed
from mm_megacontext.reading.working_context import WorkingContext
from mm_megacontext.store.catalogue import SourceRecord
from mm_megacontext.training.data.corpus import NoGists
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import Leaves, NodeId
from tests.images import TexturedSource, image_rows
from tests.tiny import as_tree, tokenizer

LINES = ("Tenant Marvolo Quenzel-12", "Rent $1,234.50", "Deposit none")
TALL = 10.0


def line(text: str, y: float) -> Line:
    x, words = 10.0, []
    for word in text.split():
        words.append(Word(word, (x, y, x + 6.0 * len(word), y + TALL)))
        x += 6.0 * len(word) + 4
    return Line(tuple(words))


PAGE_LINES = [line(text, 20.0 * (i + 1)) for i, text in enumerate(LINES)]
WORD_BOXES: dict[str, Box] = {word.text: word.bbox for own in PAGE_LINES for word in own.words}
BLOCK = NodeId(1, 0)


def context() -> WorkingContext:
    """One block of three lines on page 1, and another one on page 2; the first one is read leaf by leaf."""
    pages = [Page(n, (200.0, 100.0), (Region("text", (0, 0, 200, 100), tuple(PAGE_LINES)),)) for n in (1, 2)]
    document = Document("lease.pdf", "pdf", "pt", 2, "hash", lambda: iter(pages))
    rows = [row for batch in TreeBuilder("pt", tokenizer(), NoGists()).build(document) for row in batch]
    assert rows[0].n_leaves <= 32
    start = WorkingContext.start(as_tree(rows), 200)
    while any(entry.is_expandable for entry in start):
        start = start.expand([entry.id for entry in start if entry.is_expandable])
    return start


def record() -> SourceRecord:
    return SourceRecord(
        number=1,
        uri="/docs/lease.pdf",
        kind="pdf",
        unit="pt",
        n_pages=2,
        content_hash="hash",
        page_sizes=np.array([[200.0, 100.0]] * 2),
        problems=(),
        engine="",
        n_nodes=5,
        n_leaves=60,
        t_length=60,
        gist=np.zeros((1, 1), np.float16),
        mu=np.zeros(3),
        sigma=np.zeros(3),
        bytes=0,
        row_start=0,
    )


CONTEXT = context()
LEAVES: Any = CONTEXT.by_id[BLOCK].leaves


def leaf(word: str, part: int = 0) -> int:
    """Index of token ``part`` of a word in the first block."""
    before = 0
    for text in (w.text for own in PAGE_LINES for w in own.words):
        if text == word:
            return before + part
        before += len(tokenizer().encode_word(text))
    raise AssertionError(word)


def collect(*pointed: Pointed, scores: float = 1.0) -> tuple[Evidence, ...]:
    return collect_evidence(pointed, CONTEXT, np.full(len(CONTEXT), scores), tokenizer(), {1: record()})


def quoted(words: str) -> Box:
    boxes = [WORD_BOXES[word] for word in words.split()]
    return (min(b[0] for b in boxes), boxes[0][1], max(b[2] for b in boxes), boxes[0][3])


def test_the_page_is_as_the_tests_think() -> None:
    assert isinstance(LEAVES, Leaves)
    assert tokenizer().decode(LEAVES.token_ids.tolist()) == " ".join(LINES)


@pytest.mark.parametrize("word", ["Marvolo", "Quenzel-12", "$1,234.50", "Deposit", "none"])
def test_one_token_quotes_its_whole_word(word: str) -> None:
    for part in range(len(tokenizer().encode_word(word))):
        (evidence,) = collect(Pointed(BLOCK, leaf(word, part), 0.8))
        assert evidence.text == word
        assert evidence.bbox == pytest.approx(quoted(word), abs=1e-4)
        assert (evidence.source, evidence.page, evidence.unit, evidence.lod) == ("/docs/lease.pdf", 1, "pt", 0)
        assert evidence.score == pytest.approx(0.8)


def test_words_that_follow_on_one_line_are_one_quotation() -> None:
    (evidence,) = collect(Pointed(BLOCK, leaf("Marvolo"), 0.9), Pointed(BLOCK, leaf("Quenzel-12", 1), 0.5))
    assert evidence.text == "Marvolo Quenzel-12"
    assert evidence.bbox == pytest.approx(quoted("Marvolo Quenzel-12"), abs=1e-4)
    assert evidence.score == pytest.approx(0.7)


def test_tokens_of_one_word_are_one_quotation() -> None:
    (evidence,) = collect(*(Pointed(BLOCK, leaf("$1,234.50", part), 0.6) for part in range(3)))
    assert evidence.text == "$1,234.50"
    assert evidence.score == pytest.approx(0.6)


def test_words_of_two_lines_are_two_quotations() -> None:
    found = collect(Pointed(BLOCK, leaf("$1,234.50"), 0.4), Pointed(BLOCK, leaf("Deposit"), 0.9))
    assert [evidence.text for evidence in found] == ["Deposit", "$1,234.50"], "the strongest first"


def test_words_that_do_not_follow_are_two_quotations() -> None:
    found = collect(Pointed(BLOCK, leaf("Tenant"), 0.9), Pointed(BLOCK, leaf("Quenzel-12"), 0.8))
    assert [evidence.text for evidence in found] == ["Tenant", "Quenzel-12"]


def test_two_blocks_are_two_quotations_with_their_pages() -> None:
    other = next(entry.id for entry in CONTEXT if entry.node.page == 2)
    found = collect(Pointed(BLOCK, leaf("none"), 0.9), Pointed(other, leaf("Tenant"), 0.8))
    assert [(evidence.text, evidence.page) for evidence in found] == [("none", 1), ("Tenant", 2)]


@pytest.mark.parametrize(("lens", "share"), [(1.0, 1.0), (0.0, 0.5), (-1.0, 0.0), (2.5, 1.0)])
def test_the_lens_weighs_in(lens: float, share: float) -> None:
    (evidence,) = collect(Pointed(BLOCK, leaf("Rent"), 0.8), scores=lens)
    assert evidence.score == pytest.approx(0.8 * share)


def test_nothing_pointed_at_is_no_evidence() -> None:
    assert collect() == ()


def test_patches_of_one_tile_are_one_place_without_text() -> None:
    """Oracle: patches are 16 pixels on a side, row by row."""
    tree = as_tree(image_rows(TexturedSource(300, 200)))
    start = WorkingContext.start(tree, 400)
    while any(entry.is_expandable for entry in start):
        start = start.expand([entry.id for entry in start if entry.is_expandable])
    first, second = [entry for entry in start if entry.node.bbox[1] == 0.0][:2]
    image = replace(record(), kind="image", unit="px", uri="/docs/map.tif")
    pointed = [Pointed(first.id, 9, 0.9), Pointed(second.id, 0, 0.2), Pointed(first.id, 18, 0.5)]
    found = collect_evidence(pointed, start, np.ones(len(start)), tokenizer(), {1: image})
    assert [e.bbox for e in found] == [(16.0, 16.0, 48.0, 48.0), (128.0, 0.0, 144.0, 16.0)]
    assert [(e.text, e.unit, e.lod) for e in found] == [("", "px", 0)] * 2
    assert [e.score for e in found] == pytest.approx([0.7, 0.2])
