"""Contexts made by hand: words of six points each on lines of twelve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_megacontext.document import Box, union
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Collapsed, Gap, Passage
from mm_megacontext.passages.words import PassageWord
from mm_megacontext.tree.nodes import NodeId

WIDTH, HEIGHT, LINE = 6.0, 10.0, 12.0


def word_box(column: int, row: int, text: str) -> Box:
    """Of a word that begins ``column`` letters from the left."""
    x, y = WIDTH * column, LINE * row
    return (x, y, x + WIDTH * len(text), y + HEIGHT)


def words_at(lines: Sequence[str], role: str = "text") -> list[PassageWord]:
    """Words as they stand in lines of a typewriter; two spaces or more begin a segment."""
    out: list[PassageWord] = []
    for row, line in enumerate(lines):
        column = 0
        while column < len(line):
            text = line[column:].split(" ", 1)[0]
            if text:
                starts = column == 0 or line[max(column - 2, 0) : column] == "  "
                out.append(PassageWord(text, word_box(column, row, text), role, starts))
            column += len(text) + 1
    return out


def passage(
    id: str,
    text: str = "",
    *,
    kind: str = "text",
    headings: tuple[str, ...] = (),
    words: Sequence[PassageWord] | None = None,
    **others: Any,
) -> Passage:
    """A passage of page 1 of a.pdf; its words are those of ``text``, in lines, or ``words``."""
    own = words_at(text.split("\n")) if words is None else list(words)
    defaults: dict[str, Any] = {"source": "/d/a.pdf", "page": 1, "unit": "pt", "score": 0.5, "nodes": (NodeId(1, 0),)}
    bbox = union([word.bbox for word in own]) if own else (0.0, 0.0, 1.0, 1.0)
    return Passage(
        **{"id": id, "bbox": bbox, "kind": kind, "headings": headings, "find_words": lambda: own, **defaults, **others}
    )


def collapsed(heading: str = "", **others: Any) -> Collapsed:
    """A part of page 2 and 3 of a.pdf that is not shown."""
    defaults: dict[str, Any] = {
        "source": "/d/a.pdf", "page": 2, "last_page": 3, "bbox": (0.0, 0.0, 9.0, 9.0), "unit": "pt", "kind": "text",
        "heading": heading, "lod": 2, "n_leaves": 70, "is_image": False, "node": NodeId(1, 9),
    }  # fmt: skip
    return Collapsed(**{**defaults, **others})


def gap(id: str, *headings: str) -> Gap:
    """One node for each heading, or one without."""
    return Gap(id=id, nodes=tuple(map(collapsed, headings or ("",))))


def context(*parts: Passage | Gap, question: str = "What is the rent?") -> Context:
    return Context(question=question, parts=parts)
