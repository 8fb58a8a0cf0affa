"""Training batches. Oracles: the corpus's own tokens, and the cut that reading would make."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from mm_megacontext.bases.packing import NOWHERE
from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, QUESTION
from mm_megacontext.training.data import contexts
from mm_megacontext.training.data.contexts import (
    Batch,
    ContextConfig,
    ContextMaker,
    CorpusBatches,
    Cut,
    corpus_batches,
    random_cut,
    random_pieces,
)
from mm_megacontext.training.data.corpus import make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.tree.blocks import LINE_START, ROLE_INDEX
from tests.tiny import tokenizer

CONFIG = ContextConfig(pages=(1, 2), n_facts=(3, 8), length=160, batch=4, n_questions=8)


@cache
def corpus(seed: str = "a") -> CorpusBatches:
    return corpus_batches(tokenizer(), CONFIG, seed, "dev", n_batches=4, n_pages=5)


BATCHES = corpus().batches
ROWS = [(batch, b) for batch in BATCHES for b in range(CONFIG.batch)]


@pytest.mark.parametrize(("batch", "b"), ROWS)
def test_a_context_is_a_cut_of_one_document(batch: Batch, b: int) -> None:
    """Its entries, gists by the range they stand for, spell the document's tokens without gap or repetition."""
    n = int(batch.valid[b].sum())
    assert 0 < n <= CONFIG.length
    assert batch.valid[b, :n].all(), "padding is behind"
    is_gist = batch.lods[b, :n] > 0
    gists = batch.gist_ranges[b, :n]
    assert (gists[~is_gist] == 0).all()
    assert (gists[is_gist, 1] > gists[is_gist, 0]).all()
    lengths = np.where(is_gist, gists[:, 1] - gists[:, 0], 1)
    ends = np.cumsum(lengths)
    if is_gist.any():
        first = int(np.argmax(is_gist))
        offset = int(gists[first, 0]) - int(ends[first] - lengths[first])
    else:
        text = corpus().tokens
        offset = next(i for i in range(len(text)) if (text[i : i + n] == batch.token_ids[b, :n]).all())
    starts = offset + ends - lengths
    np.testing.assert_array_equal(gists[is_gist, 0], starts[is_gist])
    np.testing.assert_array_equal(batch.token_ids[b, :n][~is_gist], corpus().tokens[starts[~is_gist]])
    t = batch.mu[b, :n, 0]
    shift = t[0] - (lengths[0] - 1) / 2
    np.testing.assert_allclose(t - shift, starts - offset + (lengths - 1) / 2, atol=1e-6)
    assert 0 <= shift < 1e7
    np.testing.assert_allclose(batch.sigma[b, :n, 0], np.sqrt((lengths**2 - 1) / 12), rtol=1e-5)


@pytest.mark.parametrize(("batch", "b"), ROWS)
def test_roles_of_leaves_and_gists(batch: Batch, b: int) -> None:
    valid = batch.valid[b]
    is_gist = batch.lods[b] > 0
    assert (batch.roles[b][is_gist] == ROLE_INDEX["gist"]).all()
    assert (batch.roles[b][valid & ~is_gist] < ROLE_INDEX["gist"]).all()
    assert (batch.roles[b] < LINE_START).all(), "the bit is apart"
    assert set(np.unique(batch.line_start[b])) <= {0, 1}


@pytest.mark.parametrize(("batch", "b"), ROWS)
def test_answers_are_asked_for_where_they_can_be_read(batch: Batch, b: int) -> None:
    end = batch.question_mu[b, 0, 0, 0]
    assert end > batch.mu[b][batch.valid[b], 0].max() + 1
    for q in range(CONFIG.n_questions):
        ids, targets = batch.question_ids[b, q], batch.targets[b, q]
        at, source = batch.answer_at[b, q], batch.copy_from[b, q]
        t, places = end + np.arange(CONFIG.question_length), batch.question_mu[b, q]
        n = int((targets >= 0).sum())
        if not n:
            assert (source == -1).all()
            np.testing.assert_array_equal(places[:, 0], t)
            continue
        assert (targets[:n] >= 0).all()
        assert ids[0] == QUESTION
        assert ids[at[0]] == ANSWER
        np.testing.assert_array_equal(at[:n], at[0] + np.arange(n))
        np.testing.assert_array_equal(ids[at[:n] + 1], targets[:n], "each is predicted by the one before it")
        assert targets[n - 1] == END
        assert source[n - 1] == -1
        own = at[1:n]  # where the answer's tokens stand themselves
        np.testing.assert_array_equal(np.delete(places[:, 0], own), np.delete(t, own))
        assert (np.delete(batch.question_sigma[b, q], own, axis=0) == (0, NOWHERE, NOWHERE)).all()
        if targets[0] == NONE:
            assert n == 2
            assert (source == -1).all()
            assert places[own, 0] == t[own]
        else:
            entries = source[: n - 1]
            assert (entries >= 0).all()
            assert (batch.lods[b, entries] == 0).all(), "only leaves are copied"
            np.testing.assert_array_equal(batch.token_ids[b, entries], targets[: n - 1])
            np.testing.assert_array_equal(places[own], batch.mu[b, entries], "a quotation stands where its leaf does")
            assert (batch.question_sigma[b, q, own] == 0).all()


def test_there_are_answers_and_refusals() -> None:
    first = np.concatenate([batch.targets[..., 0].ravel() for batch in BATCHES])
    assert (first == NONE).sum() > 5
    assert ((first >= 0) & (first != NONE)).sum() > 20


def test_batches_depend_on_the_seed_alone() -> None:
    again = corpus_batches(tokenizer(), CONFIG, "a", "dev", n_batches=4, n_pages=5)
    np.testing.assert_array_equal(again.tokens, corpus().tokens)
    for a, b in zip(again.batches, BATCHES, strict=True):
        for name in Batch.__slots__:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    other = corpus_batches(tokenizer(), CONFIG, "b", "dev", n_batches=1, n_pages=5)
    assert len(other.tokens) != len(again.tokens) or (other.tokens != again.tokens).any()


@pytest.mark.parametrize("budget", [1, 20, 64, 200, 2000])
@pytest.mark.parametrize("seed", range(4))
def test_cuts_keep_their_budget(seed: int, budget: int) -> None:
    own = make_document(tokenizer(), f"cut-{seed}", "dev", 3, PageConfig(n_facts=8))
    rng = random.Random(seed)
    cut = random_cut(own, own.questions(rng, 10, 0.2), budget, rng)
    rows = cut.ordered()
    assert cut.cost == sum(row.n_leaves if is_open else 1 for row, is_open in rows) <= budget
    assert all(row.lod == 1 for row, is_open in rows if is_open)
    covered = [i for row, _ in rows for i in range(*row.t_span)]
    assert covered == list(range(own.rows[-1].n_leaves))


def test_opening_is_whole_or_not_at_all() -> None:
    own = make_document(tokenizer(), "open", "dev", 3, PageConfig(n_facts=8))
    blocks = [row.index for row in own.rows if row.lod == 1]
    cut = Cut.start(own.rows, 60)
    for block in blocks:
        before = dict(cut.entries), cut.cost
        if cut.open_to(block):
            assert cut.is_open([block])
            assert cut.open_to(block), "again is harmless"
        else:
            assert (cut.entries, cut.cost) == before
    assert any(cut.is_open([block]) for block in blocks)
    assert not cut.is_open(blocks)


def test_too_long_questions_and_answers_are_left_out() -> None:
    short = ContextConfig(pages=(1,), n_facts=(6, 8), batch=2, n_questions=8, question_length=9, answer_length=3)
    for batch in corpus_batches(tokenizer(), short, "short", "dev", n_batches=2, n_pages=2).batches:
        assert batch.question_ids.shape[-1] == 9
        assert ((batch.targets >= 0).sum(-1) <= 3).all()


@pytest.mark.parametrize("opened", ["nothing", "the value alone", "value and key"])
def test_half_open_evidence_is_neither_answered_nor_refused(opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_document(tokenizer(), "half", "dev", 3, PageConfig(n_facts=20))
    config = ContextConfig(
        length=400, batch=1, n_questions=len(own.facts), question_length=60, answer_length=30, absent=0
    )
    apart = [i for i, e in enumerate(own.evidence) if e.blocks != e.value_blocks]
    assert apart, "a table longer than a block has its headers elsewhere"
    fact = apart[0]
    cut = Cut.start(own.rows, 400)
    evidence = own.evidence[fact]
    for block in {"nothing": (), "the value alone": evidence.value_blocks, "value and key": evidence.blocks}[opened]:
        assert cut.open_to(block)
    monkeypatch.setattr(contexts, "random_cut", lambda *_: cut)
    maker = ContextMaker(tokenizer(), config)
    batch = maker.empty()
    maker.fill(batch, 0, own, 0, random.Random(1))
    asked = own.questions(random.Random(1), config.n_questions, 0.0)
    q = next(i for i, (question, _) in enumerate(asked) if question.fact is own.facts[fact])
    targets = [int(i) for i in batch.targets[0, q] if i >= 0]
    value = tokenizer().encode(" ".join(own.facts[fact].value))
    expected = {"nothing": [NONE, END], "the value alone": [], "value and key": [*value, END]}
    assert targets == expected[opened]


def test_pieces_are_words_of_the_vocabulary() -> None:
    pieces = random_pieces(tokenizer(), random.Random(0), 200)
    assert len(pieces) == 200
    assert all(piece.isalpha() for piece in pieces)
