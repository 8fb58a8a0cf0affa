"""Invented words and their splits."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.training.data.contexts import random_pieces
from mm_megacontext.training.data.facts import CELL_QUESTIONS, KEY_QUESTIONS, LEXICON_SIZE
from mm_megacontext.training.data.pages import FILLER, SENTENCES
from mm_megacontext.training.data.words import BUSINESS_WORDS, Split, invent_lexicon, invent_word, split_of
from tests.tiny import tokenizer

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
TEMPLATE_WORDS = {
    word for text in (*SENTENCES, *KEY_QUESTIONS, *CELL_QUESTIONS) for word in re.findall("[a-z]+", text.lower())
}


def test_no_word_is_in_two_splits() -> None:
    lexicons = {split: set(invent_lexicon(0, split, LEXICON_SIZE[split])) for split in SPLITS}
    assert [len(lexicon) for lexicon in lexicons.values()] == [LEXICON_SIZE[split] for split in SPLITS]
    assert not lexicons["train"] & lexicons["dev"]
    assert not lexicons["train"] & lexicons["test"]
    assert not lexicons["dev"] & lexicons["test"]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_no_everyday_word_is_unseen(split: Split) -> None:
    """Everyday words and words of templates stand in training documents."""
    everyday = {*BUSINESS_WORDS, *FILLER, *TEMPLATE_WORDS}
    assert not everyday & set(invent_lexicon(0, split, LEXICON_SIZE[split]))


def test_no_piece_is_unseen() -> None:
    """Words of random vocabulary pieces stand in training documents too."""
    for seed in range(20):
        assert {split_of(piece) for piece in random_pieces(tokenizer(), random.Random(seed), 400)} == {"train"}


@pytest.mark.parametrize(
    ("word", "split"),
    [("second", "test"), ("brainda", "dev"), ("tramock", "train"), ("gloan", "train"), ("meepo", "train")],
)
def test_the_split_of_a_word_never_changes(word: str, split: Split) -> None:
    """Figures and weights in the package rest on it."""
    assert split_of(word) == split


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9))
def test_letter_case_does_not_count(word: str) -> None:
    assert split_of(word) == split_of(word.upper()) == split_of(word.capitalize())


@pytest.mark.parametrize("split", SPLITS)
def test_invented_words_belong_to_their_split(split: Split) -> None:
    rng = random.Random(3)
    for _ in range(200):
        word = invent_word(rng, split)
        assert split_of(word) == split
        assert word.isascii()
        assert word.islower()
        assert 4 <= len(word) <= 9


def test_the_splits_have_their_share() -> None:
    rng = random.Random(4)
    words = ["".join(rng.choices("abcdefghijklmnop", k=7)) for _ in range(20_000)]
    shares = {split: sum(split_of(word) == split for word in words) / len(words) for split in SPLITS}
    assert shares["test"] == pytest.approx(0.1, abs=0.01)
    assert shares["dev"] == pytest.approx(0.1, abs=0.01)


def test_a_lexicon_depends_on_its_seed_alone() -> None:
    assert invent_lexicon.__wrapped__(7, "dev", 50) == invent_lexicon(7, "dev", 50)
    assert invent_lexicon(7, "dev", 50) != invent_lexicon(8, "dev", 50)
