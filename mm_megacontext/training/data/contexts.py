"""Training batches: random cuts of generated documents with many questions each.

A cut opens the tree the way reading does: down to the evidence of some questions, down to random other blocks, the
rest left as gists. Gist vectors are not in the batch: a gist is given as the range of tokens it stands for, and the
trainer fills in vectors from the current embeddings.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_megacontext.bases.packing import NOWHERE
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, QUESTION, SPECIAL_TOKENS, WordTokenizer
from mm_megacontext.training.data.corpus import Evidence, LookupDocument, make_document
from mm_megacontext.training.data.facts import Question
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.training.data.words import Split, split_of
from mm_megacontext.tree.blocks import LINE_START, ROLE_INDEX
from mm_megacontext.tree.nodes import NodeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextConfig:
    """One stage of the curriculum.

    Attributes:
        pages: Document sizes to draw from.
        n_facts: Facts per page, (least, most).
        length: Entries of a context; batches are padded to it.
        batch: Contexts per batch.
        n_questions: Questions per context.
        question_length: Tokens of a question with its answer; longer ones are left out.
        answer_length: Tokens of an answer with its end; longer ones are left out.
        absent: Share of questions without an answer in the document.
    """

    pages: tuple[int, ...] = (1,)
    n_facts: tuple[int, int] = (3, 6)
    length: int = 192
    batch: int = 16
    n_questions: int = 12
    question_length: int = 28
    answer_length: int = 10
    absent: float = 0.3


@dataclass(slots=True)
class Batch:
    """Arrays of one step; contexts first, questions behind them.

    Shapes with b contexts, n entries, q questions, m tokens: entries (b, n), questions (b, q, m), gist ranges (b, n, 2)
    into the corpus's tokens (0, 0 at leaves), positions (b, ·, 3). Answers of at most a tokens:
    ``answer_at`` (b, q, a) is the question token that must predict it, ``targets`` (b, q, a) the token or -1,
    ``copy_from`` (b, q, a) the entry that it stands in or -1.
    """

    token_ids: npt.NDArray[np.int64]
    roles: npt.NDArray[np.int64]
    line_start: npt.NDArray[np.int64]
    lods: npt.NDArray[np.int64]
    gist_ranges: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    mu: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float32]
    question_ids: npt.NDArray[np.int64]
    question_mu: npt.NDArray[np.float64]
    question_sigma: npt.NDArray[np.float32]
    answer_at: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    copy_from: npt.NDArray[np.int64]


@dataclass(slots=True)
class Cut:
    """A cut under construction: node index → whether it is expanded to its leaves."""

    rows: Sequence[NodeRow]
    entries: dict[int, bool]
    cost: int
    budget: int

    @classmethod
    def start(cls, rows: Sequence[NodeRow], budget: int) -> Cut:
        return cls(rows, {rows[-1].index: False}, 1, budget)

    def open_to(self, block: int) -> bool:
        """Expand down to the leaves of ``block`` if the budget allows the whole way; says whether it is open."""
        node = next(i for i in self.entries if self.rows[i].first <= block <= i)
        path, extra = [], 0
        while node != block:
            path.append(node)
            extra += len(self.rows[node].children) - 1
            node = next(c for c in self.rows[node].children if c >= block)
        if self.entries.get(block):
            return True
        extra += self.rows[block].n_leaves - 1
        if self.cost + extra > self.budget:
            return False
        for index in path:
            del self.entries[index]
            self.entries.update(dict.fromkeys(self.rows[index].children, False))
        self.entries[block] = True
        self.cost += extra
        return True

    def is_open(self, blocks: Sequence[int]) -> bool:
        return all(self.entries.get(block, False) for block in blocks)

    def ordered(self) -> list[tuple[NodeRow, bool]]:
        return [(self.rows[i], self.entries[i]) for i in sorted(self.entries)]


def random_cut(
    document: LookupDocument, asked: Sequence[tuple[Question, Evidence | None]], budget: int, rng: random.Random
) -> Cut:
    """A cut that opens the evidence of most questions, in random order, then random blocks."""
    cut = Cut.start(document.rows, budget)
    blocks = [row.index for row in document.rows if row.lod == 1]
    wanted = [e for _, e in asked if e is not None and rng.random() < 0.85]
    rng.shuffle(wanted)
    for evidence in wanted:
        for block in evidence.blocks:
            cut.open_to(block)
    for block in rng.sample(blocks, min(len(blocks), rng.choice((0, 2, 6, len(blocks))))):
        cut.open_to(block)
    return cut


class ContextMaker:
    """Turns a document and questions into rows of a batch."""

    def __init__(self, tokenizer: WordTokenizer, config: ContextConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config

    def empty(self) -> Batch:
        c = self.config
        shape, questions = (c.batch, c.length), (c.batch, c.n_questions, c.question_length)
        answers = (c.batch, c.n_questions, c.answer_length)
        return Batch(
            token_ids=np.zeros(shape, np.int64),
            roles=np.zeros(shape, np.int64),
            line_start=np.zeros(shape, np.int64),
            lods=np.zeros(shape, np.int64),
            gist_ranges=np.zeros((*shape, 2), np.int64),
            valid=np.zeros(shape, np.bool_),
            mu=np.zeros((*shape, 3), np.float64),
            sigma=np.zeros((*shape, 3), np.float32),
            question_ids=np.zeros(questions, np.int64),
            question_mu=np.zeros((*questions, 3), np.float64),
            question_sigma=np.zeros((*questions, 3), np.float32),
            answer_at=np.zeros(answers, np.int64),
            targets=np.full(answers, -1, np.int64),
            copy_from=np.full(answers, -1, np.int64),
        )

    def fill(self, batch: Batch, b: int, document: LookupDocument, offset: int, rng: random.Random) -> None:
        """Write one context with its questions into row ``b``; ``offset`` is the document's first token."""
        asked = document.questions(rng, self.config.n_questions, self.config.absent)
        cut = random_cut(document, asked, self.config.length, rng)
        shift = float(rng.randrange(10 ** rng.randint(1, 7)))
        place = self._write_entries(batch, b, cut, offset, shift)
        end = shift + document.rows[-1].t_span[1] + 2
        for q, (question, evidence) in enumerate(asked):
            batch.question_mu[b, q, :, 0] = end + np.arange(self.config.question_length)
            batch.question_sigma[b, q] = (0.0, NOWHERE, NOWHERE)
            self._write_question(batch, (b, q), question, evidence, cut, place)

    def _write_entries(self, batch: Batch, b: int, cut: Cut, offset: int, shift: float) -> dict[int, int]:
        """Returns where each open token (by its time) stands in the context."""
        place: dict[int, int] = {}
        at = 0
        for row, is_open in cut.ordered():
            n = row.n_leaves if is_open else 1
            here = slice(at, at + n)
            if is_open:
                batch.token_ids[b, here] = row.token_ids
                batch.roles[b, here] = row.leaf_roles & ~np.uint8(LINE_START)
                batch.line_start[b, here] = row.leaf_roles >= LINE_START
                batch.mu[b, here] = row.leaf_mu
                place.update(zip(range(*row.t_span), range(at, at + n), strict=True))
            else:
                batch.gist_ranges[b, at] = (offset + row.t_span[0], offset + row.t_span[1])
                batch.roles[b, at] = ROLE_INDEX["gist"]
                batch.lods[b, at] = row.lod
                batch.mu[b, at] = row.mu
                batch.sigma[b, at] = row.sigma
            at += n
        batch.valid[b, :at] = True
        batch.mu[b, :at, 0] += shift
        return place

    def _write_question(
        self,
        batch: Batch,
        at: tuple[int, int],
        question: Question,
        evidence: Evidence | None,
        cut: Cut,
        place: dict[int, int],
    ) -> None:
        prompt = [QUESTION, *self.tokenizer.encode(question.text), ANSWER]
        readable = evidence is not None and cut.is_open(evidence.blocks)
        if evidence is not None and not readable and cut.is_open(evidence.value_blocks):
            return  # half of the evidence is open: neither the value nor a refusal is right
        sources: list[int] = []
        answer = [NONE]
        if readable:
            assert question.fact is not None
            assert evidence is not None
            answer = [i for word in question.fact.value for i in self.tokenizer.encode_word(word)]
            sources = [place[t] for t in evidence.positions]
        ids = [*prompt, *answer, END]
        n = len(answer) + 1
        if len(ids) > self.config.question_length or n > self.config.answer_length:
            return
        batch.question_ids[at][: len(ids)] = ids
        batch.answer_at[at][:n] = len(prompt) - 1 + np.arange(n)
        batch.targets[at][:n] = [*answer, END]
        batch.copy_from[at][: len(sources)] = sources
        quoted = slice(len(prompt), len(prompt) + len(sources))
        batch.question_mu[at][quoted] = batch.mu[at[0], sources]
        batch.question_sigma[at][quoted] = 0.0


@dataclass(slots=True)
class CorpusBatches:
    """``tokens`` of all documents of a small corpus, one behind the other, and batches drawn from it."""

    tokens: npt.NDArray[np.int64]
    batches: list[Batch]


def corpus_batches(
    tokenizer: WordTokenizer,
    config: ContextConfig,
    seed: str,
    split: Split,
    *,
    n_batches: int,
    n_pages: int = 96,
) -> CorpusBatches:
    """A small corpus of new documents, and batches drawn from it; the same seed gives the same batches."""
    rng = random.Random(seed)
    pieces = random_pieces(tokenizer, rng, 400) if split == "train" else []
    documents: list[LookupDocument] = []
    while sum(d.rows[-1].last_page for d in documents) < n_pages:
        page_config = PageConfig(n_facts=rng.randint(*config.n_facts), filler=rng.choice((0.0, 0.25, 0.6)))
        size = rng.choice(config.pages)
        documents.append(make_document(tokenizer, f"{seed}-{len(documents)}", split, size, page_config, pieces))
    offsets = np.cumsum([0, *(len(d.token_ids) for d in documents)])
    weights = [d.rows[-1].last_page ** 0.5 for d in documents]
    maker = ContextMaker(tokenizer, config)

    batches = [maker.empty() for _ in range(n_batches)]
    for batch in batches:
        for b, i in enumerate(rng.choices(range(len(documents)), weights, k=config.batch)):
            maker.fill(batch, b, documents[i], int(offsets[i]), rng)
    return CorpusBatches(np.concatenate([d.token_ids for d in documents]), batches)


def random_pieces(tokenizer: WordTokenizer, rng: random.Random, n: int) -> list[str]:
    """Words made of one to three random vocabulary entries, so that no token stays unknown to the base."""
    words: list[str] = []
    while len(words) < n:
        ids = rng.choices(range(len(SPECIAL_TOKENS), tokenizer.vocab_size), k=rng.choice((1, 1, 2, 3)))
        word = "".join(tokenizer.decode([i]) for i in ids)
        if word.isalpha() and split_of(word) == "train":
            words.append(word)
    return words
