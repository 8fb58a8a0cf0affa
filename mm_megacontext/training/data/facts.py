"""Facts and questions: what a generated document holds and what is asked about it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from mm_megacontext.training.data.words import BUSINESS_WORDS, Split, invent_lexicon

FactKind = Literal["form", "form_above", "sentence", "cell"]

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
LEXICON_SIZE = {"train": 30_000, "dev": 4_000, "test": 4_000}

KEY_QUESTIONS = (
    "What is the {key}?",
    "What is {key}?",
    "{key}?",
    "{key}",
    "What does the document give as {key}?",
    "Find the {key}.",
    "Which value is stated for {key}?",
    "Please look up the {key}.",
    "How much is the {key}?",
    "Who or what is the {key}?",
    "Who is the {key}?",
    "When is the {key}?",
    "How high is the {key}?",
    "What's the {key}?",
    "Tell me the {key}.",
    "{key}:",
)
CELL_QUESTIONS = (
    "What is the {column} of {row}?",
    "What is the {column} for {row}?",
    "{column} of {row}?",
    "What is the {row} {column}?",
    "Which {column} does {row} have?",
    "In the row {row}, what is the {column}?",
    "Find the {column} of {row}.",
    "How much is the {column} of {row}?",
    "{row} {column}?",
    "What {column} is given for {row}?",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that the document states for a key, or for a row and a column.

    Attributes:
        words: Words of the value, in reading order; identity marks them on the page.
        key: Words of the key; for a cell those of the row.
        column: Words of the column header of a cell.
    """

    kind: FactKind
    key: tuple[str, ...]
    value: tuple[str, ...]
    column: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its fact, or with None when the document does not hold the answer."""

    text: str
    fact: Fact | None
    kind: Literal["form", "form_above", "sentence", "cell", "absent"]


@dataclass(slots=True)
class Vocabulary:
    """Draws keys and values; remembers the keys of one document so that no key is stated twice.

    Args:
        everyday: Share of key words that are everyday form words instead of invented ones (training only).
        pieces: Words made of random vocabulary pieces, so that every token is met in training.
    """

    rng: random.Random
    lexicon: tuple[str, ...]
    everyday: float = 0.0
    pieces: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    headers: list[tuple[str, ...]] = field(default_factory=list)

    @classmethod
    def of_split(
        cls, rng: random.Random, split: Split, pieces: list[str] | None = None, n_words: int | None = None
    ) -> Vocabulary:
        """Test and dev documents hold only words that no training document holds; ``n_words`` of them, or as usual."""
        lexicon = invent_lexicon(0, split, n_words or LEXICON_SIZE[split])
        return cls(rng, lexicon, everyday=0.25 if split == "train" else 0.0, pieces=pieces or [])

    def word(self) -> str:
        draw = self.rng.random()
        if draw < self.everyday:
            word = self.rng.choice(BUSINESS_WORDS)
        elif self.pieces and draw < self.everyday + 0.15:
            word = self.rng.choice(self.pieces)
        else:
            word = self.rng.choice(self.lexicon)
        style = self.rng.random()
        return word.capitalize() if style < 0.6 else word if style < 0.95 else word.upper()

    def fresh(self, n_words: int) -> tuple[str, ...]:
        """Words of a key that this document has not stated yet."""
        while True:
            words = tuple(self.word() for _ in range(n_words))
            name = " ".join(words).lower()
            if name not in self.used and len({w.lower() for w in words}) == n_words:
                self.used.add(name)
                return words

    def key(self, longest: int = 3) -> tuple[str, ...]:
        return self.fresh(min(longest, self.rng.choice((1, 1, 2, 2, 2, 3))))

    def columns(self, n: int) -> list[tuple[str, ...]]:
        """Different column headers of one table; other tables may have the same ones."""
        headers: dict[str, tuple[str, ...]] = {}
        while len(headers) < n:
            reuse = self.headers and self.rng.random() < 0.4
            header = self.rng.choice(self.headers) if reuse else self.fresh(1)
            headers[" ".join(header).lower()] = header
        self.headers = [*self.headers[-20:], *headers.values()]
        return list(headers.values())

    def value(self) -> tuple[str, ...]:
        """Words of a value: names, numbers, money, dates, codes."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.40:
            return tuple(self.word() for _ in range(rng.choice((1, 1, 2))))
        if kind < 0.55:
            return (f"{rng.randrange(1, 10 ** rng.randint(1, 5))}",)
        if kind < 0.70:
            return self._money()
        if kind < 0.80:
            return self._date()
        if kind < 0.88:
            unit = rng.choice(("kg", "mm", "EUR", "days", "%", "km", "m"))
            return (f"{rng.randrange(1, 1000)}", unit)
        letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXZ") for _ in range(rng.randint(1, 3)))
        return (f"{letters}-{rng.randrange(10, 10000)}",)

    def _money(self) -> tuple[str, ...]:
        amount = f"{self.rng.randrange(1, 10 ** self.rng.randint(3, 6)):,}"
        amount += self.rng.choice(("", ".00", ".50", f".{self.rng.randrange(100):02d}"))
        style = self.rng.random()
        if style < 0.35:
            return (amount, self.rng.choice(("EUR", "USD", "GBP", "CHF")))
        return (("$" if style < 0.55 else "") + amount,)

    def _date(self) -> tuple[str, ...]:
        year, month, day = self.rng.randrange(1980, 2031), self.rng.randrange(12), self.rng.randrange(1, 29)
        style = self.rng.random()
        if style < 0.5:
            return (f"{year}-{month + 1:02d}-{day:02d}",)
        if style < 0.75:
            return (f"{day}", MONTHS[month], f"{year}")
        return (MONTHS[month], f"{day},", f"{year}") if style < 0.9 else (f"{day:02d}/{month + 1:02d}/{year}",)


def ask(fact: Fact, rng: random.Random) -> Question:
    """A question about a stated fact."""
    key = " ".join(fact.key)
    if fact.kind == "cell":
        text = rng.choice(CELL_QUESTIONS).format(row=key, column=" ".join(fact.column))
    else:
        text = rng.choice(KEY_QUESTIONS).format(key=key)
    return Question(text, fact, fact.kind)


def ask_absent(facts: list[Fact], vocabulary: Vocabulary) -> Question:
    """A question whose answer the document does not hold, as close to its facts as chance makes it."""
    rng = vocabulary.rng
    cells = [f for f in facts if f.kind == "cell"]
    choice = rng.random()
    if cells and choice < 0.35:
        cell = rng.choice(cells)
        row, column = (
            (vocabulary.fresh(len(cell.key)), cell.column) if rng.random() < 0.5 else (cell.key, vocabulary.fresh(1))
        )
        text = rng.choice(CELL_QUESTIONS).format(row=" ".join(row), column=" ".join(column))
        return Question(text, None, "absent")
    key = vocabulary.fresh(rng.choice((1, 2, 2, 3)))
    known = [f for f in facts if f.kind != "cell" and len(f.key) > 1]
    if known and choice < 0.7:
        near = rng.choice(known).key
        position = rng.randrange(len(near))
        key = near
        while " ".join(key).lower() in vocabulary.used:
            key = (*near[:position], *vocabulary.fresh(1), *near[position + 1 :])
    return Question(rng.choice(KEY_QUESTIONS).format(key=" ".join(key)), None, "absent")
