"""What a question gives: the answer, its evidence in source coordinates, and what it cost."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from mm_megacontext.document import Box, Unit, union
from mm_megacontext.errors import IngestError
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Passage
from mm_megacontext.reading.trace import Trace
from mm_megacontext.reading.why_not import Reason, explain

if TYPE_CHECKING:
    from PIL import Image

_SHOWN = 3
"""Pieces of evidence that the ``repr`` of an answer names."""


Basis = Literal["leaves", "words", "passage", "node"]
"""What evidence rests on: leaves that the answer was copied from; words of it found in a passage that was cited; a
passage as a whole; a node that was read as a gist."""


@dataclass(frozen=True, slots=True, repr=False)
class Evidence:
    """Words, or a place in an image, that the answer was read from.

    Attributes:
        source: Uri.
        page: From 1.
        bbox: (x0, y0, x1, y1) in ``unit``, origin top-left.
        text: The quoted words; empty for patches of an image and for nodes.
        lod: Level of detail it was read at: 0 for leaves, 1 or more for a node that was read as a gist.
        score: Higher is stronger, in [0, 1].
        basis: What it rests on.
    """

    source: str
    page: int
    bbox: Box
    unit: Unit
    text: str
    lod: int
    score: float
    basis: Basis = "leaves"

    @classmethod
    def of_passages(cls, passages: Sequence[Passage]) -> Evidence:
        """All of some passages that stand together on a page."""
        first, text = passages[0], "\n".join(passage.text for passage in passages)
        return cls(
            *(first.source, first.page, union([passage.bbox for passage in passages]), first.unit, text),
            *(max(passage.lod for passage in passages), max(passage.score for passage in passages), "passage"),
        )

    def __repr__(self) -> str:
        quoted = f"{self.text!r} in " if self.text else ""
        return f"<Evidence: {quoted}{self.place}, score {self.score:.2f}>"

    @property
    def place(self) -> str:
        """File, page and box, for people."""
        box = " ".join(f"{edge:.1f}" for edge in self.bbox)
        return f"{PurePath(self.source).name}, page {self.page}, [{box}] {self.unit}"

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "page": self.page,
            "bbox": [round(edge, 2) for edge in self.bbox],
            "unit": self.unit,
            "text": self.text,
            "lod": self.lod,
            "score": round(self.score, 4),
            "basis": self.basis,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost.

    Attributes:
        budget: What may stand before the model when it starts to answer, in ``unit``.
        cost: What stood there: the working context and the question.
        entries: Entries of the working context.
        leaves: Leaves they stand for.
        steps: Rounds of refocusing.
        seconds: From the question to the answer.
        unit: "embeddings", or what the budget of a text reader counts, as "tokens".
    """

    budget: int
    cost: int
    entries: int
    leaves: int
    steps: int
    seconds: float
    unit: str = "embeddings"

    @property
    def compression(self) -> float:
        """Leaves in scope for each embedding or token used."""
        return self.leaves / self.cost

    def to_json(self) -> dict[str, Any]:
        return {
            "budget": self.budget,
            "cost": self.cost,
            "entries": self.entries,
            "leaves": self.leaves,
            "compression": round(self.compression, 3),
            "steps": self.steps,
            "seconds": round(self.seconds, 4),
            "unit": self.unit,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer; where the reader finds none, ``found`` is false and ``text`` is "not found".

    Attributes:
        evidence: Strongest first. An answer without any is not ``grounded``: nothing says that the memory holds it.
        trace: Every step of the reading.
        model: Id of the reader that answered.
        context: What stood before the reader, as passages.
        reason: Why nothing was found; None if something was.
        candidates: The places that fit the question best, the best first, whatever the reader made of them.
    """

    question: str
    text: str
    found: bool
    evidence: tuple[Evidence, ...]
    usage: Usage
    trace: Trace
    model: str
    context: Context = field(repr=False)
    reason: Reason | None
    candidates: tuple[Evidence, ...]
    draw: Callable[[Answer], Image.Image] = field(compare=False)

    @property
    def grounded(self) -> bool:
        """Whether there is evidence for it."""
        return bool(self.evidence)

    @property
    def explanation(self) -> str:
        """Why nothing was found, for people; empty if something was."""
        return "" if self.reason is None else explain(self.reason, self.model)

    def __repr__(self) -> str:
        places = "; ".join(evidence.place for evidence in self.evidence[:_SHOWN])
        more = len(self.evidence) - _SHOWN
        where = f" from {places}{f' and {more} more' if more > 0 else ''}" if places else ""
        cost = f"read {self.usage.cost} of {self.usage.budget} allowed, for {self.usage.leaves} leaves"
        return f"<Answer {self.text!r}{where}; {cost}>"

    def _repr_png_(self) -> bytes | None:
        """``show`` for notebooks; None where the source cannot be rendered any more."""
        try:
            picture = self.show()
        except IngestError:
            return None
        file = BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    def _repr_html_(self) -> str:
        """For notebooks: the answer, its evidence, and what ``show`` draws."""
        items = "".join(
            f"<li>{escape(f'{one.place}: {one.text}' if one.text else one.place)}</li>" for one in self.evidence
        )
        png = self._repr_png_()
        picture = (
            "<p>The source cannot be shown any more.</p>"
            if png is None
            else f'<img alt="where it stands" src="data:image/png;base64,{b64encode(png).decode()}">'
        )
        return f"<p><b>{escape(self.text)}</b></p><ul>{items}</ul>{picture}"

    def show(self) -> Image.Image:
        """The page of the strongest evidence, shaded by how sharply it was read; the first page if there is none.

        An image is shown as an overview with the zoom path to the evidence, and the evidence at full size.

        Raises:
            IngestError: The source file is gone or cannot be rendered any more.
        """
        return self.draw(self)

    def to_json(self) -> dict[str, Any]:
        """The documented JSON of ``mmctx ask``."""
        return {
            "answer": self.text,
            "found": self.found,
            "grounded": self.grounded,
            "evidence": [e.to_json() for e in self.evidence],
            "reason": self.reason,
            "explanation": self.explanation,
            "candidates": [e.to_json() for e in self.candidates],
            "usage": self.usage.to_json(),
            "model": self.model,
        }
