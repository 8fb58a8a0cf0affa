"""The documented JSON of an answer, key by key."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from mm_megacontext.answer import Answer, Evidence, Usage
from mm_megacontext.errors import IngestError
from mm_megacontext.reading.trace import Trace
from mm_megacontext.reading.why_not import REASONS, explain
from tests.passages.made import context, passage

CONTEXT = context(passage("p1", "Rent $1,200.00", score=0.75))
EVIDENCE = Evidence("/a/lease.pdf", 3, (72.004, 90.0, 144.5678, 101.25), "pt", "$1,200.00", 0, 0.912345)
USAGE = Usage(budget=512, cost=400, entries=120, leaves=30_000, steps=4, seconds=0.123456)


def answer(*, found: bool = True) -> Answer:
    return Answer(
        question="What is the rent?",
        text="$1,200.00" if found else "not found",
        found=found,
        evidence=(EVIDENCE,) if found else (),
        usage=USAGE,
        trace=Trace(),
        model="mmctx-tiny-0123456789ab",
        context=CONTEXT,
        reason=None if found else "not_in_document",
        candidates=tuple(map(Evidence.of_passages, CONTEXT.best_stretches(3))),
        draw=lambda asked: Image.new("RGB", (len(asked.text), 1)),
    )


def test_json_is_what_is_documented() -> None:
    assert answer().to_json() == {
        "answer": "$1,200.00",
        "found": True,
        "grounded": True,
        "evidence": [
            {
                "source": "/a/lease.pdf",
                "page": 3,
                "bbox": [72.0, 90.0, 144.57, 101.25],
                "unit": "pt",
                "text": "$1,200.00",
                "lod": 0,
                "score": 0.9123,
                "basis": "leaves",
            }
        ],
        "reason": None,
        "explanation": "",
        "candidates": [
            {
                "source": "/d/a.pdf",
                "page": 1,
                "bbox": [0.0, 0.0, 84.0, 10.0],
                "unit": "pt",
                "text": "Rent $1,200.00",
                "lod": 0,
                "score": 0.75,
                "basis": "passage",
            }
        ],
        "usage": {
            "budget": 512,
            "cost": 400,
            "entries": 120,
            "leaves": 30_000,
            "compression": 75.0,
            "steps": 4,
            "seconds": 0.1235,
            "unit": "embeddings",
        },
        "model": "mmctx-tiny-0123456789ab",
    }


def test_keys_come_in_the_documented_order() -> None:
    data = answer().to_json()
    assert list(data) == [
        "answer", "found", "grounded", "evidence", "reason", "explanation", "candidates", "usage", "model"
    ]  # fmt: skip
    assert list(data["evidence"][0]) == ["source", "page", "bbox", "unit", "text", "lod", "score", "basis"]
    assert list(data["usage"]) == ["budget", "cost", "entries", "leaves", "compression", "steps", "seconds", "unit"]


def test_what_was_not_found_says_why() -> None:
    lost = answer(found=False)
    assert (lost.reason, lost.grounded) == ("not_in_document", False)
    assert lost.explanation == "mmctx-tiny-0123456789ab has read all of it and finds no answer there"
    for reason in REASONS:
        assert "{" not in explain(reason, "m")


def test_json_is_json() -> None:
    assert json.loads(json.dumps(answer(found=False).to_json(), allow_nan=False))["evidence"] == []


def test_compression_is_leaves_per_embedding() -> None:
    assert USAGE.compression == pytest.approx(75.0)


def test_show_draws_this_answer() -> None:
    assert answer().show().size == (9, 1)


def test_people_read_what_was_answered_and_where_it_stands() -> None:
    place = "lease.pdf, page 3, [72.0 90.0 144.6 101.2] pt"
    assert repr(EVIDENCE) == f"<Evidence: '$1,200.00' in {place}, score 0.91>"
    assert repr(replace(EVIDENCE, text="")) == f"<Evidence: {place}, score 0.91>"
    cost = "read 400 of 512 allowed, for 30000 leaves"
    assert repr(answer()) == f"<Answer '$1,200.00' from {place}; {cost}>"
    assert repr(answer(found=False)) == f"<Answer 'not found'; {cost}>"
    many = replace(answer(), evidence=(EVIDENCE,) * 5)
    assert repr(many).count("lease.pdf") == 3
    assert " and 2 more; read" in repr(many)


def test_notebooks_show_the_picture() -> None:
    png = answer()._repr_png_()
    assert png is not None
    with Image.open(BytesIO(png)) as shown:
        assert shown.size == (len("$1,200.00"), 1)
    assert "data:image/png;base64,iVBOR" in answer()._repr_html_()


def test_notebooks_are_given_no_markup_of_a_document() -> None:
    nasty = replace(EVIDENCE, text="<img src=x onerror=alert(1)>", source="/a/<b>.pdf")
    shown = replace(answer(), text="<script>alert(1)</script>", evidence=(nasty,))._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "&lt;b&gt;.pdf, page 3" in shown
    for markup in ("<script", "<img src=x", "<b>.pdf"):
        assert markup not in shown


def test_a_notebook_says_so_where_the_source_is_gone() -> None:
    def gone(_: Answer) -> Image.Image:
        raise IngestError("no such file", source="lease.pdf", code="not_found")

    lost = replace(answer(), draw=gone)
    assert lost._repr_png_() is None
    assert "cannot be shown any more" in lost._repr_html_()
    assert "<li>lease.pdf, page 3" in lost._repr_html_()
