"""The documented JSON of an answer, key by key."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from mm_megacontext.answer import Answer, Evidence, Usage
from mm_megacontext.reading.trace import Trace

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
        draw=lambda asked: Image.new("RGB", (len(asked.text), 1)),
    )


def test_json_is_what_is_documented() -> None:
    assert answer().to_json() == {
        "answer": "$1,200.00",
        "found": True,
        "evidence": [
            {
                "source": "/a/lease.pdf",
                "page": 3,
                "bbox": [72.0, 90.0, 144.57, 101.25],
                "unit": "pt",
                "text": "$1,200.00",
                "lod": 0,
                "score": 0.9123,
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
        },
        "model": "mmctx-tiny-0123456789ab",
    }


def test_keys_come_in_the_documented_order() -> None:
    data = answer().to_json()
    assert list(data) == ["answer", "found", "evidence", "usage", "model"]
    assert list(data["evidence"][0]) == ["source", "page", "bbox", "unit", "text", "lod", "score"]
    assert list(data["usage"]) == ["budget", "cost", "entries", "leaves", "compression", "steps", "seconds"]


def test_json_is_json() -> None:
    assert json.loads(json.dumps(answer(found=False).to_json(), allow_nan=False))["evidence"] == []


def test_compression_is_leaves_per_embedding() -> None:
    assert USAGE.compression == pytest.approx(75.0)


def test_show_draws_this_answer() -> None:
    assert answer().show().size == (9, 1)
