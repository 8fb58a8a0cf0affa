"""A text reader made of a function of one's own, and how an answer in plain text names its evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mm_megacontext.passages.context import Context
from mm_megacontext.passages.counting import ESTIMATED, estimate_picture, estimate_tokens
from mm_megacontext.reading.base import Citation, Reading
from mm_megacontext.tree.nodes import Modality

ReadFunction = Callable[[Context], str | Reading]
"""Answers the question of a context: in plain text, with ids of passages in brackets as in "1,480 EUR [p2]", or as a
``Reading``. An empty text, or "not found", is none."""

NO_ANSWER = re.compile(r"\s*(not found|none)?\s*[.!]?\s*", re.IGNORECASE)
"""What says that there is no answer, once citations are taken away."""
_CITED = re.compile(r"\s*\[\s*((?:p|g)\d+(?:\s*[,;]\s*(?:p|g)\d+)*)\s*\]")


def parse_plain(text: str, ids: Sequence[str]) -> Reading:
    """An answer in plain text with ids in brackets; ids that were not shown count for nothing.

    Example:
        >>> parse_plain("1,480 EUR [p2, p9].", ["p1", "p2"])
        Reading(text='1,480 EUR.', found=True, pointed=(), confidence=1.0, nodes=(), cited=(Citation(part='p2', quote=''),))
    """  # noqa: E501
    named = [id for group in _CITED.findall(text) for id in re.split(r"\s*[,;]\s*", group)]
    said = _CITED.sub("", text).strip()
    if NO_ANSWER.fullmatch(said):
        return Reading("", False)
    return Reading(said, True, cited=tuple(Citation(id) for id in dict.fromkeys(named) if id in ids))


class FunctionReader:
    """Satisfies ``TextReader``.

    Args:
        function: Answers.
        id: Names it; by default the function's own name.
        modalities: What it looks at.
        count: Counts the tokens of a text; by default they are estimated.
    """

    is_calibrated = False

    def __init__(
        self,
        function: ReadFunction,
        *,
        id: str | None = None,
        modalities: tuple[Modality, ...] = ("text",),
        count: Callable[[str], int] | None = None,
    ) -> None:
        self._function = function
        self.id = id or str(getattr(function, "__qualname__", type(function).__qualname__))
        self.modalities = modalities
        self.budget_unit = ESTIMATED if count is None else "tokens"
        self._count = count or estimate_tokens

    def cost(self, context: Context) -> int:
        """Tokens of the context as Markdown and of its question; pictures are estimated."""
        pictures = [p.image for p in context.passages if p.image is not None and "image" in self.modalities]
        text = f"{context.to_markdown()}\n\n{context.question}"
        return self._count(text) + sum(estimate_picture(*picture.size) for picture in pictures)

    def read(self, context: Context) -> Reading:
        """What the function says."""
        said = self._function(context)
        if isinstance(said, Reading):
            return said
        return parse_plain(said, [part.id for part in context.parts])
