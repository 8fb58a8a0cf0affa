"""Questions with their answers and where these stand, and samples: a question with the file and the boxes on its page.

``questions.jsonl`` holds one object a line, with the fields of ``Question``. All questions to a document are in one
split: ``dev`` where the SHA-256 of the document's name is even, else ``test``. Choose on dev, report on test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

from mm_megacontext.document import Box
from mm_megacontext.errors import MegaContextError
from mm_megacontext.eval.real_documents.manifest import RealDocument, load_manifest
from mm_megacontext.eval.real_documents.page_words import PageWord, find_phrase, fold, open_pages

QUESTIONS = Path(__file__).with_name("questions.jsonl")

Kind = Literal[
    "key-value",
    "table cell",
    "sentence",
    "definition",
    "caption",
    "which page",
    "yes/no",
    "count",
    "absent",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Split = Literal["dev", "test"]


class GoldNotFound(MegaContextError, ValueError):
    """A gold text does not stand on its page."""


class MissingDocument(MegaContextError, FileNotFoundError):
    """A document of the set is not where it is looked for, or is another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of one document.

    Attributes:
        id: Unique.
        document: Name in the manifest.
        kind: What is asked for; ``absent`` if the document does not say it, nor does any other of the set.
        question: As a user would ask; in the language of the document.
        answers: Accepted ones, the best first; empty if absent. A page is given by its number from 1, and also by the
            number printed on it where that is another one.
        gold_page: The page that says it, from 1; None if absent.
        gold_text: What says it, word for word as on the page, with white space folded and characters in NFKC
            (ligatures resolved); a hyphen at the end of a line stays. Of a table, the row. Empty if absent.
        split: ``dev`` or ``test``.
    """

    id: str
    document: str
    kind: Kind
    question: str
    answers: tuple[str, ...]
    gold_page: int | None
    gold_text: str
    split: Split

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"question {self.id}: unknown kind {self.kind!r}; there are {', '.join(KINDS)}")
        is_told = bool(self.answers) and bool(self.gold_text) and self.gold_page is not None
        is_silent = not self.answers and not self.gold_text and self.gold_page is None
        if not (is_silent if self.is_absent else is_told):
            raise ValueError(f"question {self.id}: answers, gold page and gold text belong to all kinds but absent")
        if self.split != split_of(self.document):
            raise ValueError(f"question {self.id}: {self.document} belongs to {split_of(self.document)}")

    @property
    def is_absent(self) -> bool:
        return self.kind == "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a gold text stands; boxes are in points from the top-left corner of the page.

    Attributes:
        page: From 1.
        boxes: Of its words.
        answer_boxes: Of those of its words that an accepted answer is made of, letter case aside; of all of them where
            the answer is not in the text, as "no" is not.
    """

    page: int
    boxes: tuple[Box, ...]
    answer_boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A question, the file it is asked of, and where the answer stands.

    Attributes:
        path: The document.
        places: The gold text on the gold page, then on every other page that has it too, for documents repeat
            themselves; only the gold page if the question is which page it is. None if absent.
    """

    question: Question
    path: Path
    places: tuple[Place, ...]

    @property
    def references(self) -> tuple[str, ...]:
        """Accepted answers."""
        return self.question.answers

    @property
    def gold_boxes(self) -> tuple[Box, ...]:
        """Of the words on the gold page; empty if absent."""
        return self.places[0].boxes if self.places else ()


def split_of(document: str) -> Split:
    """Where the questions to a document belong.

    Example:
        >>> split_of("velvet"), split_of("hmmer")
        ('dev', 'test')
    """
    return "test" if hashlib.sha256(document.encode()).digest()[-1] % 2 else "dev"


def load_questions(file: Path = QUESTIONS) -> list[Question]:
    """All questions, in the order of the file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Question(**{**row, "answers": tuple(row["answers"])}) for row in map(json.loads, lines)]


def load_samples(
    directory: Path,
    *,
    split: Split | None = None,
    questions: Sequence[Question] | None = None,
    documents: Sequence[RealDocument] | None = None,
) -> list[Sample]:
    """Questions with their files and gold boxes.

    Args:
        directory: Where ``fetch`` put the documents.
        split: Only this half, or None for both.
        questions, documents: Another set than the one of this package.

    Raises:
        MissingDocument: A document is not in ``directory``, or is not the file the questions were written on.
        MissingExtra: There is no PyMuPDF, which finds the gold words.
        GoldNotFound: A gold text does not stand on its page.
    """
    by_name = {document.name: document for document in (load_manifest() if documents is None else documents)}
    chosen = [q for q in (load_questions() if questions is None else questions) if split in (None, q.split)]
    samples: list[Sample] = []
    for name, group in groupby(chosen, key=lambda question: question.document):
        if not by_name[name].is_fetched(directory):
            raise MissingDocument(
                f"{by_name[name].file(directory)} is missing or not the file the questions were written on; run "
                f"`python -m mm_megacontext.eval.real_documents.fetch {directory}`"
            )
        samples += _samples_of(by_name[name].file(directory), list(group))
    return samples


def _samples_of(path: Path, questions: Sequence[Question]) -> list[Sample]:
    with open_pages(path) as pages:
        words = {number: pages.words(number) for number in range(1, len(pages) + 1)}
    text = {number: " ".join(word.text for word in found) for number, found in words.items()}
    return [Sample(question=q, path=path, places=tuple(_places(q, words, text, path))) for q in questions]


def _places(
    question: Question, words: Mapping[int, Sequence[PageWord]], text: Mapping[int, str], path: Path
) -> Iterator[Place]:
    gold = question.gold_page
    if gold is None:
        return
    if question.gold_text not in text.get(gold, ""):
        raise GoldNotFound(
            f"page {gold} of {path.name} does not hold {question.gold_text!r}, question {question.id}; "
            "correct gold_page or gold_text"
        )
    others = [] if question.kind == "which page" else [n for n in text if n != gold and question.gold_text in text[n]]
    for number in [gold, *others]:
        found = find_phrase(words[number], question.gold_text)
        yield Place(
            page=number,
            boxes=tuple(word.box for word in found),
            answer_boxes=tuple(word.box for word in _answer_words(found, question.answers)),
        )


def _answer_words(words: Sequence[PageWord], answers: Sequence[str]) -> Sequence[PageWord]:
    lower = [PageWord(word.text.casefold(), word.box) for word in words]
    return next((found for a in answers if (found := find_phrase(lower, fold(a).casefold()))), words)
