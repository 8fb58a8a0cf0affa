"""The word tokenizer. Oracle: the words themselves."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.bases.tokenizer import ANSWER, END, NONE, PAD, QUESTION, SPECIAL_TOKENS, WordTokenizer
from tests.tiny import tokenizer

ANY_WORD = st.text(st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=20).filter(
    lambda text: text.split() == [text]
)
PLAIN_WORD = st.text("abcdefgXYZ0123456789.,-$%é日", min_size=1, max_size=20)
WORDS = ANY_WORD | PLAIN_WORD


@settings(max_examples=300)
@given(WORDS)
def test_a_word_comes_back(word: str) -> None:
    ids = tokenizer().encode_word(word)
    assert tokenizer().decode(ids) == word
    assert all(0 <= i < tokenizer().vocab_size for i in ids)
    assert not set(ids) & set(range(len(SPECIAL_TOKENS))), "a document cannot spell a special token"


@settings(max_examples=150)
@given(st.lists(WORDS, min_size=1, max_size=6))
def test_a_word_is_encoded_alike_wherever_it_stands(words: list[str]) -> None:
    ids = tokenizer().encode("  ".join(words))
    assert ids == [i for word in words for i in tokenizer().encode_word(word)]
    assert tokenizer().decode(ids) == " ".join(words)


@settings(max_examples=300)
@given(WORDS)
def test_spans_cover_the_word(word: str) -> None:
    spans = tokenizer().word_spans(word)
    assert len(spans) == len(tokenizer().encode_word(word))
    assert spans[0][0] == 0
    assert spans[-1][1] == len(word)
    for (start, stop), (next_start, next_stop) in itertools.pairwise(spans):
        assert start <= next_start <= stop <= next_stop, "no gap; bytes of one character may share it"


@settings(max_examples=150)
@given(WORDS)
def test_only_the_first_token_starts_a_word(word: str) -> None:
    starts = [tokenizer().starts_word(i) for i in tokenizer().encode_word(word)]
    assert starts == [True] + [False] * (len(starts) - 1)


@pytest.mark.parametrize("digits", ["7", "42", "123", "2041", "1234567", "00", "20260131"])
def test_digits_are_taken_two_at_a_time(digits: str) -> None:
    spans = tokenizer().word_spans(digits)
    groups = [digits[start:stop] for start, stop in spans]
    assert groups == [digits[i : i + 2] for i in range(0, len(digits), 2)]


@pytest.mark.parametrize("number", [f"{n:02d}" for n in range(100)])
def test_every_group_of_two_digits_is_one_token(number: str) -> None:
    assert len(tokenizer().encode_word(number)) == 1
    first, second = tokenizer().encode_word("51" + number)
    assert first != second or number == "51"


@pytest.mark.parametrize("special", SPECIAL_TOKENS)
@pytest.mark.parametrize("form", ["{}", "a{}b", "x{}", "{}{}"])
def test_text_that_looks_like_a_special_token_is_text(special: str, form: str) -> None:
    """Documents are data: a page that says "<answer>" must not say ANSWER."""
    word = form.format(special, special)
    ids = tokenizer().encode_word(word)
    assert not set(ids) & {PAD, END, NONE, QUESTION, ANSWER}
    assert tokenizer().decode(ids) == word


def test_special_tokens_are_left_out_of_text() -> None:
    word = tokenizer().encode_word("Rent")
    assert tokenizer().decode([QUESTION, *word, END, PAD]) == "Rent"
    assert tokenizer().decode([]) == ""


def test_no_text_has_no_tokens() -> None:
    assert tokenizer().encode("") == tokenizer().encode(" \n\t ") == []


def test_trained_saved_and_loaded(tmp_path: Path) -> None:
    texts = ["the rent of the house is due monthly 12 34 56 " * 3, "deposit deposit rent"]
    trained = WordTokenizer.train(iter(texts), 320)
    trained.save(tmp_path / "tokenizer.json")
    loaded = WordTokenizer.from_file(tmp_path / "tokenizer.json")
    assert loaded.vocab_size == trained.vocab_size <= 320
    for word in ("rent", "Rent", "unseen-12345", "<end>", "é日"):
        assert loaded.encode_word(word) == trained.encode_word(word)
        assert loaded.decode(loaded.encode_word(word)) == word
    assert len(trained.encode_word("rent")) == 1, "merges were learned"
