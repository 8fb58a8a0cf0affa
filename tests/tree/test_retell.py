"""A tree told again. Oracles: the rows that were stored, for the same tokens; the words and their boxes, for others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from mm_megacontext.document import Document, Line, Page, Region, Word
from mm_megacontext.errors import IngestError
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.rows import decode_rows, encode_rows
from mm_megacontext.training.data.corpus import make_document
from mm_megacontext.training.data.pages import PAGE_HEIGHT, PAGE_WIDTH, PageConfig
from mm_megacontext.tree.blocks import Tokenizer
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.tree.retell import Retelling
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import tokenizer

DIM = 3
SIZES = np.array([[PAGE_WIDTH, PAGE_HEIGHT]] * 9, dtype=np.float64)


class Letters:
    """A token for each letter, and one before each word."""

    def encode_word(self, word: str) -> tuple[int, ...]:
        return (0, *map(ord, word))

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]:
        return ((0, 0), *((i, i + 1) for i in range(len(word))))


def _embed(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.stack([np.sin(ids * factor) for factor in (1.0, 0.3, 0.1)], axis=1).astype(np.float32)


GISTER = MeanTextGister(_embed, DIM)


def _told(rows: list[NodeRow], before: Tokenizer, after: Tokenizer) -> list[NodeRow]:
    retelling = Retelling("a.pdf", "pt", SIZES, before, after, GISTER, None, None)
    stored = decode_rows(1, encode_rows(1, rows, GistShape(DIM, 1, 1)), GistShape(DIM, 1, 1))
    return [row for part in retelling.rows(lambda: stored) for row in part]


def _rows(document: Document, tokens: Tokenizer) -> list[NodeRow]:
    return [row for part in TreeBuilder("pt", tokens, GISTER).build(document) for row in part]


def _page(*texts: str) -> Document:
    def words(text: str, y: float) -> Iterator[Word]:
        x = 70.0
        for part in text.split():
            yield Word(part, (x, y, x + 6 * len(part), y + 10))
            x += 6 * (len(part) + 1)

    lines = tuple(Line(tuple(words(text, 100.0 + 14 * i))) for i, text in enumerate(texts))
    page = Page(1, (PAGE_WIDTH, PAGE_HEIGHT), (Region("text", (70.0, 100.0, 500.0, 200.0), lines),))
    return Document("a.pdf", "pdf", "pt", 1, "", lambda: iter([page]))


def test_in_the_same_tokens_every_row_is_what_it_was() -> None:
    document = make_document(tokenizer(), "retold", "test", 3, PageConfig(), gister=GISTER)
    shape = GistShape(DIM, 1, 1)
    told = _told(list(document.rows), tokenizer(), tokenizer())
    assert encode_rows(1, told, shape) == encode_rows(1, document.rows, shape)


def test_in_other_tokens_words_and_their_places_stay() -> None:
    texts = ("Quenzel fee: 12.40 EUR", "to be paid on the 3rd of May, incomprehensibilities included")
    wanted, told = (_rows(_page(*texts), Letters()), _told(_rows(_page(*texts), tokenizer()), tokenizer(), Letters()))
    for name in ("token_ids", "leaf_roles", "leaf_boxes"):
        is_, wants = (np.concatenate([getattr(row, name) for row in rows if row.lod == 1]) for rows in (told, wanted))
        np.testing.assert_allclose(is_, wants, atol=1e-3)
    blocks = [row for row in told if row.lod == 1]
    assert [row.t_span[1] for row in blocks[:-1]] == [row.t_span[0] for row in blocks[1:]], "no gap, no overlap"
    for row in blocks:
        np.testing.assert_allclose(row.mu, row.leaf_mu.mean(axis=0))
        np.testing.assert_allclose(row.gist, GISTER.of_tokens([row.token_ids.astype(np.int64)])[0], atol=1e-3)


def test_a_word_that_blocks_share_is_told_once() -> None:
    word = "\u3042\u3044\u3046\u3048\u304a" * 30
    rows = _rows(_page(f"{word} end"), tokenizer())
    assert sum(row.lod == 1 for row in rows) > 2
    told = _told(rows, tokenizer(), Letters())
    text = "".join(chr(token) for row in told for token in row.token_ids if token)
    assert text == f"{word}end"


def test_leaves_that_are_not_those_of_the_words_are_refused() -> None:
    rows = _rows(_page("Quenzel fee"), tokenizer())
    with pytest.raises(IngestError, match="page 1: the words of a block are not those of its leaves"):
        _told(rows, Letters(), tokenizer())
