"""What is asked for and what comes back: the schema of an answer, and answers read by it or as plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from mm_megacontext.errors import ReaderFailed
from mm_megacontext.reading.base import Citation, Reading
from mm_megacontext.reading.function_reader import parse_plain

_THOUGHT = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)


def answer_schema(ids: Sequence[str]) -> dict[str, Any]:
    """The ``response_format`` of an answer whose citations are an enum of the ids that were shown.

    Args:
        ids: At least one.
    """
    citation = {
        "type": "object",
        "properties": {"passage": {"type": "string", "enum": list(ids)}, "quote": {"type": "string"}},
        "required": ["passage", "quote"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {
            "found": {"type": "boolean"},
            "answer": {"type": "string"},
            "citations": {"type": "array", "items": citation},
        },
        "required": ["found", "answer", "citations"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def read_reply(text: str, ids: Sequence[str]) -> Reading:
    """An answer as JSON, or in plain text with ids in brackets; ids that were not shown count for nothing.

    Args:
        text: What the model said; thoughts and a fence around JSON are taken off.
        ids: What may be cited.

    Raises:
        ReaderFailed: It begins as JSON and is none, or not of the schema.
    """
    said = _THOUGHT.sub("", text).strip()
    fenced = _FENCE.fullmatch(said)
    said = fenced[1].strip() if fenced else said
    return _of_json(said, ids) if said.startswith("{") else parse_plain(said, ids)


def _of_json(said: str, ids: Sequence[str]) -> Reading:
    try:
        told = json.loads(said)
        answer, cited = str(told["answer"] or "").strip(), told.get("citations") or []
        citations = [_citation(one) for one in cited]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ReaderFailed(
            f"the model's answer is no JSON of the schema ({said[:60]!r}…); ask with structured='plain'",
            code="bad_reply",
        ) from e
    if told.get("found") is False or not answer:
        return Reading("", False)
    plain = parse_plain(answer, ids)  # models that write [p1] into the text all the same
    if not plain.found:
        return plain
    known = [citation for citation in citations if citation.part in ids]
    others = [citation for citation in plain.cited if citation.part not in {one.part for one in known}]
    return Reading(plain.text, True, cited=(*known, *others))


def _citation(one: Any) -> Citation:
    if isinstance(one, str):
        return Citation(one.strip("[] "))
    return Citation(str(one["passage"]).strip("[] "), str(one.get("quote") or ""))
