"""What a question opened of a memory, as a reader of text sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mm_megacontext.passages import rendering
from mm_megacontext.passages.parts import Gap, Passage


@dataclass(frozen=True, kw_only=True)
class Context:
    """What of a memory stands before a reader for one question.

    Attributes:
        question: What was asked.
        parts: Passages and gaps in reading order; together they cover all that the question was asked of.
    """

    question: str
    parts: tuple[Passage | Gap, ...]

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """What is shown, in reading order."""
        return tuple(part for part in self.parts if isinstance(part, Passage))

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """What is not shown, in reading order."""
        return tuple(part for part in self.parts if isinstance(part, Gap))

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of all passages: what may be cited."""
        return tuple(passage.id for passage in self.passages)

    def best(self, n: int) -> list[Passage]:
        """The passages that fit the question best, the best first; such as fit it in no way are left out."""
        return sorted((p for p in self.passages if p.score > 0), key=lambda passage: -passage.score)[:n]

    def best_stretches(self, n: int) -> list[tuple[Passage, ...]]:
        """The stretches of pages that fit the question best, the best first: passages with nothing left out between."""
        stretches: list[list[Passage]] = []
        before: Passage | Gap | None = None
        for part in self.parts:
            if isinstance(part, Passage):
                if not (isinstance(before, Passage) and (before.source, before.page) == (part.source, part.page)):
                    stretches.append([])
                stretches[-1].append(part)
            before = part
        scored = [(max(passage.score for passage in stretch), tuple(stretch)) for stretch in stretches]
        fitting = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        return [stretch for _, stretch in fitting[:n]]

    def to_text(self) -> str:
        """As plain text: see ``rendering.to_text``."""
        return rendering.to_text(self.parts)

    def to_markdown(self) -> str:
        """As Markdown, with tables: see ``rendering.to_markdown``."""
        return rendering.to_markdown(self.parts)

    def to_messages(
        self, *, images: bool = True, line_of: Callable[[Gap], str] = rendering.gap_line
    ) -> list[dict[str, Any]]:
        """As messages of an OpenAI-compatible chat: see ``rendering.to_messages``."""
        return rendering.to_messages(self.question, self.parts, images=images, line_of=line_of)

    def to_json(self, *, words: bool = False, images: bool = False) -> dict[str, Any]:
        """The documented JSON of ``mmctx context``; arguments as for ``Passage.to_json``."""
        return {
            "question": self.question,
            "passages": [passage.to_json(words=words, images=images) for passage in self.passages],
            "gaps": [gap.to_json() for gap in self.gaps],
        }
