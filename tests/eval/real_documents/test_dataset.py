"""The committed questions against their own rules, and samples of a set that is made here."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext.eval.real_documents import (
    KINDS,
    Question,
    RealDocument,
    load_manifest,
    load_questions,
    load_samples,
)
from mm_megacontext.eval.real_documents.check import find_problems
from mm_megacontext.eval.real_documents.dataset import GoldNotFound, MissingDocument, split_of
from mm_megacontext.eval.real_documents.page_words import PageWord, find_phrase, fold
from tests.layout.pdf_writer import PdfPage, pdf_bytes

pytest.importorskip("pymupdf", reason="finds the gold words")

NAME = "made"
WITHIN = 2.0
"""Points by which an engine's box of a word may differ from where it was written: side bearings."""


@pytest.fixture
def document(tmp_path: Path) -> RealDocument:
    first, second = PdfPage(), PdfPage()
    first.text(72, 100, "Nothing of interest")
    second.text(72, 200, "Rent")
    second.text(200, 200, "950 euros")
    second.text(72, 220, "Deposit")
    content = pdf_bytes([first, second])
    (tmp_path / f"{NAME}.pdf").write_bytes(content)
    return RealDocument(
        name=NAME,
        package="a-package",
        version="1.0-1",
        path="usr/share/doc/made.pdf",
        sha256=hashlib.sha256(content).hexdigest(),
        n_pages=2,
        kind="form",
        licence="none",
    )


@pytest.fixture
def question() -> Question:
    return Question(
        id="made-01",
        document=NAME,
        kind="key-value",
        question="What is the rent?",
        answers=("950 euros",),
        gold_page=2,
        gold_text="Rent 950 euros",
        split=split_of(NAME),
    )


def test_committed_questions_keep_their_promises() -> None:
    questions, documents = load_questions(), load_manifest()
    assert len({q.id for q in questions}) == len(questions) >= 150
    assert {q.document for q in questions} == {d.name for d in documents}
    assert len(documents) >= 15
    assert {q.kind for q in questions} == set(KINDS)
    assert min(Counter(q.kind for q in questions).values()) >= 10
    assert sum(q.is_absent for q in questions) >= 30
    assert len(list(groupby(questions, key=lambda q: q.document))) == len(documents), "a document's are together"
    by_split = Counter(q.split for q in questions)
    assert min(by_split.values()) >= 0.4 * len(questions)
    pages = {d.name: d.n_pages for d in documents}
    assert all(q.gold_page is None or 1 <= q.gold_page <= pages[q.document] for q in questions)
    assert all(q.gold_text == fold(q.gold_text) for q in questions)


def test_committed_manifest_names_every_file_once() -> None:
    documents = load_manifest()
    assert len({d.name for d in documents}) == len({d.sha256 for d in documents}) == len(documents)
    assert all(len(d.sha256) == 64 and d.licence and not d.path.startswith("/") for d in documents)


def test_sample_has_the_boxes_of_the_gold_words(tmp_path: Path, document: RealDocument, question: Question) -> None:
    (sample,) = load_samples(tmp_path, questions=[question], documents=[document])
    assert sample.path == tmp_path / "made.pdf"
    assert sample.references == ("950 euros",)
    assert [box[0] for box in sample.gold_boxes[:2]] == pytest.approx([72, 200], abs=WITHIN)
    assert len(sample.gold_boxes) == 3
    assert all(box[1] < 200 < box[3] for box in sample.gold_boxes), "the baseline is at 200 points"
    (place,) = sample.places
    assert place.page == 2
    assert place.answer_boxes == place.boxes[1:]


def test_answer_that_the_text_does_not_say_is_the_whole_text(
    tmp_path: Path, document: RealDocument, question: Question
) -> None:
    yes = replace(question, kind="yes/no", answers=("yes",), gold_text="950 euros")
    (sample,) = load_samples(tmp_path, questions=[yes], documents=[document])
    assert sample.places[0].answer_boxes == sample.places[0].boxes
    assert len(sample.gold_boxes) == 2


def test_text_that_stands_on_more_pages_has_more_places(
    tmp_path: Path, document: RealDocument, question: Question
) -> None:
    pages = [PdfPage(), PdfPage(), PdfPage()]
    for y, page in enumerate(pages[1:]):
        page.text(72, 200 + y, "RENT 950 euros")
    content = pdf_bytes(pages)
    (tmp_path / "made.pdf").write_bytes(content)
    document = replace(document, sha256=hashlib.sha256(content).hexdigest())
    asked = replace(question, gold_page=3, gold_text="RENT 950 euros")
    (sample,) = load_samples(tmp_path, questions=[asked], documents=[document])
    assert [place.page for place in sample.places] == [3, 2]
    which = replace(asked, kind="which page", answers=("3",))
    (sample,) = load_samples(tmp_path, questions=[which], documents=[document])
    assert [place.page for place in sample.places] == [3]


def test_gold_text_that_is_not_there_is_told(tmp_path: Path, document: RealDocument, question: Question) -> None:
    with pytest.raises(GoldNotFound, match=r"page 1 of made\.pdf does not hold 'Rent 950 euros', question made-01"):
        load_samples(tmp_path, questions=[replace(question, gold_page=1)], documents=[document])


def test_only_one_split(tmp_path: Path, document: RealDocument, question: Question) -> None:
    splits = [load_samples(tmp_path, split=s, questions=[question], documents=[document]) for s in ("dev", "test")]
    assert sorted(map(len, splits)) == [0, 1]


def test_absent_question_has_no_boxes(tmp_path: Path, document: RealDocument, question: Question) -> None:
    absent = replace(question, kind="absent", answers=(), gold_page=None, gold_text="")
    (sample,) = load_samples(tmp_path, questions=[absent], documents=[document])
    assert sample.gold_boxes == ()


def test_missing_and_changed_documents_are_told(tmp_path: Path, document: RealDocument, question: Question) -> None:
    (tmp_path / "made.pdf").write_bytes(pdf_bytes([PdfPage()]))
    with pytest.raises(MissingDocument, match=r"not the file the questions were written on; run `python -m"):
        load_samples(tmp_path, questions=[question], documents=[document])
    (tmp_path / "made.pdf").unlink()
    with pytest.raises(MissingDocument):
        load_samples(tmp_path, questions=[question], documents=[document])


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": ()},
        {"gold_page": None},
        {"gold_text": ""},
        {"kind": "absent"},
        {"kind": "guess"},
        {"split": "dev" if split_of(NAME) == "test" else "test"},
    ],
)
def test_question_that_contradicts_itself_is_refused(question: Question, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="made-01"):
        replace(question, **changes)


def test_check_finds_every_kind_of_problem(tmp_path: Path, document: RealDocument, question: Question) -> None:
    assert find_problems(tmp_path, [question], [document]) == []
    wrong_page = replace(question, id="made-02", gold_page=1)
    no_page = replace(question, id="made-03", gold_page=9)
    stranger = replace(question, id="made-04", document="other", split=split_of("other"))
    problems = find_problems(tmp_path, [question, question, wrong_page, no_page, stranger], [document])
    assert [problem.partition(":")[0] for problem in problems] == ["made-01", "made-04", "made-02", "made-03"]
    unasked = replace(document, name="unasked")
    assert find_problems(tmp_path, [question], [document, unasked]) == ["unasked: nothing is asked of it"]


def test_phrase_may_begin_and_end_inside_words() -> None:
    words = [PageWord(text, (i, 0.0, i + 1, 1.0)) for i, text in enumerate(["(see", "Table", "2.1),", "see", "Table"])]
    assert find_phrase(words, "see  Table\n2.1") == tuple(words[:3])
    assert find_phrase(words, "able 2") == tuple(words[1:3])
    assert find_phrase(words, "Table 3") == find_phrase(words, "") == ()
