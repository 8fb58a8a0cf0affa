"""Generated documents as trees: the evidence says the value."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mm_megacontext.training.data.corpus import LookupDocument, make_document
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.tree.text_gists import MeanTextGister
from tests.tiny import random_base, tokenizer
from tests.tree.test_build import assert_is_tree


def document(seed: int, n_pages: int = 3) -> LookupDocument:
    return make_document(tokenizer(), f"seed-{seed}", "dev", n_pages, PageConfig(n_facts=10))


@pytest.mark.parametrize("seed", range(8))
def test_evidence_decodes_to_the_value(seed: int) -> None:
    own = document(seed)
    assert len(own.facts) == len(own.evidence) > 5
    for fact, evidence in zip(own.facts, own.evidence, strict=True):
        assert tokenizer().decode(own.token_ids[list(evidence.positions)].tolist()) == " ".join(fact.value)
        assert [int(i) for i in own.token_ids[list(evidence.positions)]] == tokenizer().encode(" ".join(fact.value))


@pytest.mark.parametrize("seed", range(8))
def test_evidence_blocks_hold_value_and_key(seed: int) -> None:
    own = document(seed)
    for fact, evidence in zip(own.facts, own.evidence, strict=True):
        for position in evidence.positions:
            assert any(own.rows[b].t_span[0] <= position < own.rows[b].t_span[1] for b in evidence.value_blocks)
        assert set(evidence.value_blocks) <= set(evidence.blocks)
        assert all(own.rows[b].lod == 1 for b in evidence.blocks)
        text = " ".join(own.rows[b].text for b in evidence.blocks)
        assert all(word in text for word in (*fact.key, *fact.column, *fact.value))


def test_time_is_the_index_of_a_token() -> None:
    own = document(1)
    for row in own.rows:
        if row.lod == 1:
            np.testing.assert_array_equal(own.token_ids[row.t_span[0] : row.t_span[1]], row.token_ids)
    assert own.rows[-1].t_span == (0, len(own.token_ids))


def test_rows_are_those_of_ingest() -> None:
    """A tree with gists where a gister is given, with none where gists are made later."""
    base = random_base()
    gister = MeanTextGister(base.embed_tokens, base.dim)
    own = make_document(tokenizer(), "x", "dev", 2, PageConfig(n_facts=10), gister=gister)
    for row in own.rows:
        mean = base.embed_tokens(own.token_ids[row.t_span[0] : row.t_span[1]]).mean(axis=0)
        np.testing.assert_allclose(row.gist[0], mean, atol=6e-3)
    bare = make_document(tokenizer(), "x", "dev", 2, PageConfig(n_facts=10))
    assert [(r.index, r.first, r.children, r.text) for r in bare.rows] == [
        (r.index, r.first, r.children, r.text) for r in own.rows
    ]
    assert {row.last_page for row in own.rows[-1:]} == {2}


@pytest.mark.parametrize("seed", range(3))
def test_generated_documents_are_trees(seed: int) -> None:
    rows = make_document(tokenizer(), f"{seed}", "dev", 40, PageConfig(n_facts=3), gister=_Three()).rows
    assert_is_tree(rows)


class _Three(MeanTextGister):
    """The embedding that the tree's oracle knows."""

    def __init__(self) -> None:
        from tests.tree.test_build import embed

        super().__init__(embed, 3)


def test_questions_with_and_without_an_answer() -> None:
    own = document(2)
    asked = own.questions(random.Random(0), 8, 0.0)
    assert len(asked) == 8
    assert len({question.fact for question, _ in asked}) == 8, "different ones"
    for question, evidence in asked:
        assert question.fact is not None
        assert evidence is own.evidence[own.facts.index(question.fact)]
    assert all(pair[0].fact is None and pair[1] is None for pair in own.questions(random.Random(0), 8, 1.0))
    many = own.questions(random.Random(0), 500, 0.0)
    assert len(many) == 500
    assert sum(evidence is not None for _, evidence in many) == len(own.facts), "the rest has no answer"


def test_a_document_depends_on_its_seed_alone() -> None:
    assert [row.text for row in document(5).rows] == [row.text for row in document(5).rows]
    assert [row.text for row in document(5).rows] != [row.text for row in document(6).rows]
