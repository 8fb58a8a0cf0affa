"""What is measured: a task yields samples, a system answers each within a budget, a metric scores the answers.

Systems are in ``systems``, metrics in ``metrics``, and ``answers`` brings them together. All three are found by name
and may come from other distributions: entry points ``mm_megacontext.tasks``, ``.systems`` and ``.metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mm_megacontext.document import Box
from mm_megacontext.errors import IngestError
from mm_megacontext.memory import MegaContext
from mm_megacontext.models import Model
from mm_megacontext.registry import Registry

Split = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class EvidenceBox:
    """A place in what is asked about.

    Attributes:
        page: From 1; 1 in an image.
        box: In the units of its file, as everywhere: points of a page, pixels of an image; y runs down.
        document: Which of the sample's documents, from 0.
        states: The answer itself, or what shows that it is the answer: its key, its headers.
    """

    page: int
    box: Box
    document: int = 0
    states: Literal["answer", "support"] = "answer"


class Documents(Protocol):
    """What questions are asked about: files, or what a task makes itself."""

    @property
    def name(self) -> str:
        """Tells them from others of the same task."""
        ...

    def take_up(self, directory: Path, model: Model) -> None:
        """Make a memory of them in ``directory``, as ``model`` reads it."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """Documents and images as they lie on the disk; they are ingested like anyone's."""

    name: str
    paths: tuple[Path, ...]

    def take_up(self, directory: Path, model: Model) -> None:
        """See ``Documents``. Raises IngestError for a file that cannot be read."""
        with MegaContext.open(directory, model) as memory:
            for path in self.paths:
                for failure in memory.ingest(path).failed:
                    raise IngestError(failure.message, source=failure.uri, code=failure.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question.

    Attributes:
        id: Tells it from the other samples of its task.
        documents: What it is asked about. Samples about the same stand together, and share this very object.
        references: All answers that are right; none if the documents do not hold one.
        evidence: Where they do.
        answer_type: Of the task's own kinds, for figures of each.
    """

    id: str
    documents: Documents
    question: str
    references: tuple[str, ...]
    evidence: tuple[EvidenceBox, ...] = ()
    answer_type: str = "text"

    @property
    def is_answerable(self) -> bool:
        return bool(self.references)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system answered.

    Attributes:
        text: Empty if it found nothing.
        found: False is the answer "not found".
        evidence: Where it read that, in the order of the answer.
        confidence: Probability of the answer, as the system sees it; 1 if it has no opinion.
    """

    text: str
    found: bool
    evidence: tuple[EvidenceBox, ...] = ()
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What to take of a task.

    Attributes:
        n: At most so many samples with an answer; those without one come with them in the task's own proportion.
        seed: Of what the task draws.
    """

    split: Split = "dev"
    n: int = 500
    seed: int = 0


class Task(Protocol):
    """Yields samples; the same options give the same ones, whatever reads them."""

    def samples(self, options: TaskOptions) -> Iterator[Sample]: ...


TASKS = Registry[Callable[[], Task]](
    "task", group="mm_megacontext.tasks", built_in={"lookup": "mm_megacontext.eval.lookup:LookupTask"}
)
"""Called without arguments: a task as it is reported, sizes and all."""
