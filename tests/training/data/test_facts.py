"""Facts, keys and questions."""

from __future__ import annotations

import random

import pytest

from mm_megacontext.training.data.facts import CELL_QUESTIONS, KEY_QUESTIONS, Fact, Vocabulary, ask, ask_absent
from mm_megacontext.training.data.words import BUSINESS_WORDS, split_of

CELL = Fact("cell", ("Marvolo",), ("12",), ("Quenzel",))
KEYED = Fact("form", ("Trabond", "Lipe"), ("7",))


def small_vocabulary(seed: int, size: int = 30) -> Vocabulary:
    """So few words that they meet again and again."""
    return Vocabulary(random.Random(seed), tuple(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(size)))


@pytest.mark.parametrize("seed", range(5))
def test_no_key_is_given_twice(seed: int) -> None:
    vocabulary = small_vocabulary(seed)
    names = [" ".join(vocabulary.fresh(n)).lower() for n in random.Random(seed).choices((1, 2, 3), (1, 8, 8), k=120)]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(set(name.split())) == len(name.split()), "no word twice in one key"


def test_columns_of_a_table_differ() -> None:
    vocabulary = small_vocabulary(0, size=400)
    seen: list[tuple[str, ...]] = []
    for _ in range(40):
        columns = vocabulary.columns(4)
        assert len({" ".join(c).lower() for c in columns}) == 4
        seen += columns
    assert len(set(seen)) < len(seen), "headers come again in other tables"


def test_values_are_words() -> None:
    vocabulary = small_vocabulary(1, size=400)
    values = [vocabulary.value() for _ in range(500)]
    assert {len(value) for value in values} == {1, 2, 3}
    assert all(word.split() == [word] for value in values for word in value)
    assert any("$" in v[0] for v in values)
    assert any(v[0].count("-") == 2 for v in values)


def test_unseen_splits_hold_unseen_words_alone() -> None:
    vocabulary = Vocabulary.of_split(random.Random(0), "test")
    words = [vocabulary.word() for _ in range(300)]
    assert {split_of(word) for word in words} == {"test"}
    assert not {word.lower() for word in words} & set(BUSINESS_WORDS)


def test_training_holds_everyday_words_and_pieces() -> None:
    vocabulary = Vocabulary.of_split(random.Random(0), "train", ["xqzpiece"])
    words = {vocabulary.word().lower() for _ in range(500)}
    assert words & set(BUSINESS_WORDS)
    assert "xqzpiece" in words


def test_questions_name_what_they_ask_for() -> None:
    texts = {ask(CELL, random.Random(seed)).text for seed in range(100)}
    assert len(texts) == len(CELL_QUESTIONS)
    assert all("Marvolo" in text and "Quenzel" in text for text in texts)
    texts = {ask(KEYED, random.Random(seed)).text for seed in range(150)}
    assert len(texts) == len(KEY_QUESTIONS)
    assert all("Trabond Lipe" in text for text in texts)
    question = ask(KEYED, random.Random(0))
    assert (question.fact, question.kind) == (KEYED, "form")


@pytest.mark.parametrize("seed", range(30))
def test_what_is_absent_is_not_stated(seed: int) -> None:
    """However few words there are: near misses must not hit."""
    vocabulary = small_vocabulary(seed, size=14)
    facts = [Fact("form", vocabulary.fresh(2), ("1",)) for _ in range(20)]
    row, column = vocabulary.fresh(2), vocabulary.fresh(1)
    facts.append(Fact("cell", row, ("2",), column))
    stated = {" ".join(fact.key).lower() for fact in facts if fact.kind != "cell"}
    keys = {t.format(key=key).lower() for t in KEY_QUESTIONS for key in stated}
    cells = {t.format(row=" ".join(row), column=" ".join(column)).lower() for t in CELL_QUESTIONS}
    for _ in range(6):
        question = ask_absent(facts, vocabulary)
        assert (question.fact, question.kind) == (None, "absent")
        assert question.text.lower() not in keys | cells
