"""Generated documents as trees with questions: what recipes train on, without a store.

A document goes through the same cutting and tree building as an ingested file, so training never sees a format that
reading does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.document import Box, Document, Page, Region, Word
from mm_megacontext.training.data.facts import Fact, Question, Vocabulary, ask, ask_absent
from mm_megacontext.training.data.pages import GeneratedPage, PageConfig, PageWriter
from mm_megacontext.training.data.words import Split
from mm_megacontext.tree.blocks import Block
from mm_megacontext.tree.build import TreeBuilder
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.tree.parents import Gist, Gister


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Where a document states a fact.

    Attributes:
        positions: Times of the value's tokens; without figures in a document, time is the token's index.
        value_blocks: Node indexes of the blocks that hold the value.
        blocks: Those and the ones that hold its key or headers.
    """

    positions: tuple[int, ...]
    value_blocks: tuple[int, ...]
    blocks: tuple[int, ...]


class StatedWord(NamedTuple):
    """A word that a fact is stated with; of its value, or of its key or headers."""

    page: int
    box: Box
    is_value: bool


@dataclass(frozen=True, slots=True, eq=False)
class WrittenDocument:
    """The pages of a generated document, before anything is cut into blocks."""

    name: str
    pages: list[GeneratedPage]
    vocabulary: Vocabulary = field(repr=False)

    @property
    def facts(self) -> list[Fact]:
        return [fact for page in self.pages for fact in page.facts]

    def draw(self, rng: random.Random, n: int, absent: float) -> list[tuple[Question, int | None]]:
        """See ``draw_questions``."""
        return draw_questions(self.facts, self.vocabulary, rng, n, absent)

    def stated(self, fact: int) -> list[StatedWord]:
        """The words that state the fact of that number, in reading order."""
        for page in self.pages:
            if fact < len(page.facts):
                return list(_stated(page, fact))
            fact -= len(page.facts)
        raise IndexError(f"there are {len(self.facts)} facts")


def _stated(page: GeneratedPage, fact: int) -> Iterator[StatedWord]:
    for region in page.page.regions:
        for word in _words(region):
            is_value = page.value_words.get(id(word)) == fact
            if is_value or fact in page.key_words.get(id(word), ()):
                yield StatedWord(page.page.number, word.bbox, is_value)


def _words(region: Region) -> Iterator[Word]:
    cells = () if region.table is None else region.table.cells
    for line in (*region.lines, *(line for cell in cells for line in cell.lines)):
        yield from line.words


def draw_questions(
    facts: list[Fact], vocabulary: Vocabulary, rng: random.Random, n: int, absent: float
) -> list[tuple[Question, int | None]]:
    """``n`` different questions with the numbers of their facts, a share ``absent`` of them without an answer."""
    n_absent = sum(rng.random() < absent for _ in range(n))
    chosen = rng.sample(range(len(facts)), min(n - n_absent, len(facts)))
    asked: list[tuple[Question, int | None]] = [(ask(facts[i], rng), i) for i in chosen]
    asked += [(ask_absent(facts, vocabulary), None) for _ in range(n - len(asked))]
    rng.shuffle(asked)
    return asked


@dataclass(frozen=True, slots=True, eq=False)
class LookupDocument:
    """A generated document: its tree, its facts, and where it states them."""

    rows: list[NodeRow]
    token_ids: npt.NDArray[np.int64]
    facts: list[Fact]
    evidence: list[Evidence]
    vocabulary: Vocabulary = field(repr=False)

    def questions(self, rng: random.Random, n: int, absent: float) -> list[tuple[Question, Evidence | None]]:
        """See ``draw_questions``; with the evidence in the place of the facts' numbers."""
        drawn = draw_questions(self.facts, self.vocabulary, rng, n, absent)
        return [(question, None if i is None else self.evidence[i]) for question, i in drawn]


class NoGists:
    """Stands for a GistNet where gists are computed later, from the current embeddings."""

    _empty = np.zeros((1, 1), dtype=np.float32)

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        return [self._empty] * len(blocks)

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        return self._empty


def write_pages(vocabulary: Vocabulary, n_pages: int, config: PageConfig) -> list[GeneratedPage]:
    """The pages of one document; no key is stated twice in it."""
    writer = PageWriter(vocabulary, config)
    return [writer.write(number) for number in range(1, n_pages + 1)]


def as_document(pages: Sequence[GeneratedPage], uri: str) -> Document:
    """Generated pages as a reader would give them."""

    def open_pages() -> Iterator[Page]:
        return iter([generated.page for generated in pages])

    return Document(uri, "pdf", "pt", len(pages), uri, open_pages)


def make_document(
    tokenizer: WordTokenizer,
    seed: str,
    split: Split,
    n_pages: int,
    config: PageConfig,
    pieces: list[str] | None = None,
    gister: Gister | None = None,
    n_words: int | None = None,
) -> LookupDocument:
    """A document of ``n_pages`` pages and its tree; the same seed gives the same document.

    Args:
        gister: Makes the gists of its rows; without one they have none.
        n_words: Size of its lexicon, by default that of the split. A large collection needs a large one, lest every
            key stands in many of its documents.
    """
    return cut_document(write_document(seed, split, n_pages, config, pieces, n_words), tokenizer, gister)


def write_document(
    seed: str,
    split: Split,
    n_pages: int,
    config: PageConfig,
    pieces: list[str] | None = None,
    n_words: int | None = None,
) -> WrittenDocument:
    """``make_document`` without the tree, which needs a tokenizer."""
    vocabulary = Vocabulary.of_split(random.Random(seed), split, pieces, n_words)
    return WrittenDocument(seed, write_pages(vocabulary, n_pages, config), vocabulary)


def cut_document(written: WrittenDocument, tokenizer: WordTokenizer, gister: Gister | None = None) -> LookupDocument:
    """The tree of a written document, and where in it the facts stand."""
    tracker = _EvidenceTracker(tokenizer, written.pages)
    builder = TreeBuilder("pt", tokenizer, gister or NoGists(), on_block=tracker)
    rows = [row for batch in builder.build(as_document(written.pages, written.name)) for row in batch]
    token_ids = np.concatenate([row.token_ids for row in rows if row.lod == 1]).astype(np.int64)
    return LookupDocument(rows, token_ids, written.facts, tracker.evidence(), written.vocabulary)


class _EvidenceTracker:
    """Notes, block by block, which tokens state which fact."""

    def __init__(self, tokenizer: WordTokenizer, pages: Sequence[GeneratedPage]) -> None:
        self._pages = pages
        self._first_fact = np.cumsum([0, *(len(p.facts) for p in pages)])
        facts = [f for p in pages for f in p.facts]
        self._n_answer = [sum(len(tokenizer.encode_word(w)) for w in f.value) for f in facts]
        self._positions: list[list[int]] = [[] for _ in facts]
        self._value_blocks: list[set[int]] = [set() for _ in facts]
        self._key_blocks: list[set[int]] = [set() for _ in facts]
        self._tokenizer = tokenizer

    def __call__(self, row: NodeRow, block: Block) -> None:
        page = self._pages[row.page - 1]
        offset = int(self._first_fact[row.page - 1])
        value_word = [page.value_words.get(id(w)) for w in block.words]
        for k, word_index in enumerate(block.word_of_token.tolist()):
            fact = value_word[word_index]
            if fact is not None:
                self._positions[offset + fact].append(row.t_span[0] + k)
                self._value_blocks[offset + fact].add(row.index)
        for word in block.words:
            for fact in page.key_words.get(id(word), ()):
                self._key_blocks[offset + fact].add(row.index)

    def evidence(self) -> list[Evidence]:
        """Evidence of each fact; punctuation that follows a value is not part of it."""
        return [
            Evidence(tuple(positions[:n]), tuple(sorted(values)), tuple(sorted(values | keys)))
            for positions, n, values, keys in zip(
                self._positions, self._n_answer, self._value_blocks, self._key_blocks, strict=True
            )
        ]
