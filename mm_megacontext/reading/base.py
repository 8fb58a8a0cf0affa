"""What readers are: models that answer from a working context.

An **embedding reader** (``Base``) reads vectors with positions and makes the gists of its own memories. A **text
reader** (``TextReader``) reads the same cut rendered as passages, so it reads the memory of any base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mm_megacontext.passages.context import Context
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import Modality, NodeId
from mm_megacontext.vision.encoders import PatchEncoder


class BaseTokenizer(Protocol):
    """Tokens of a base; words are encoded one by one, so that each token belongs to one word's box."""

    def encode_word(self, word: str) -> tuple[int, ...]: ...

    def word_spans(self, word: str) -> tuple[tuple[int, int], ...]: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def starts_word(self, token_id: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Pointed:
    """A leaf that an answer token was read from, and how much of the token's probability came from there."""

    node: NodeId
    leaf: int
    mass: float


@dataclass(frozen=True, slots=True)
class Citation:
    """A part of a context that an answer names as its evidence.

    Attributes:
        part: Id of a passage, or of a gap whose line alone was read.
        quote: Words of it that hold the answer, as the reader repeats them; may be empty, and need not be there.
    """

    part: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader made of a working context.

    Attributes:
        text: The answer; empty if it found none.
        found: Whether the context holds the answer, as the reader sees it.
        pointed: The leaves the answer was read from, in the order of its tokens; of an embedding reader.
        confidence: Probability of the answer, all of its tokens together; as good as the reader's ``is_calibrated``.
        nodes: Entries that the answer was read from as gists; of an embedding reader.
        cited: Parts of the context that the answer names; of a text reader.
    """

    text: str
    found: bool
    pointed: tuple[Pointed, ...] = ()
    confidence: float = 1.0
    nodes: tuple[NodeId, ...] = ()
    cited: tuple[Citation, ...] = ()


Judge = Callable[[Sequence[Entry]], npt.NDArray[np.float64]]
"""Says of each entry of a working context what it is worth to a question: for an expanded one, how much it deserves to
stay; in [-1, 1], NaN for no opinion."""


@runtime_checkable
class Judging(Protocol):
    """A base that has an opinion of what it has before it, beyond what gists tell a lens."""

    def judge(self, question: str) -> Judge:
        """A judge for one question; it may remember what it has seen."""
        ...


@runtime_checkable
class ReadsOwnGists(Protocol):
    """A base that was trained on the gists of one gister and can read no others."""

    @property
    def gister_id(self) -> str:
        """Id of the gister of what it reads: of the visual one if it reads images."""
        ...


@runtime_checkable
class TakesEncoders(Protocol):
    """A base that can be given another encoder of image patches."""

    def with_encoder(self, encoder: PatchEncoder) -> Base:
        """The same weights with that encoder. Raises IncompatibleGists if its vectors have another length."""
        ...


class Reader(Protocol):
    """What every reader says of itself.

    Attributes:
        id: Names it, with all that its answers depend on as far as that is known.
        modalities: What it reads; of anything else it sees nothing.
        is_calibrated: Whether its confidence is a probability that was trained or measured to be one. Only then may a
            sure answer end the reading early.
    """

    @property
    def id(self) -> str: ...

    @property
    def modalities(self) -> tuple[Modality, ...]: ...

    @property
    def is_calibrated(self) -> bool: ...


@runtime_checkable
class TextReader(Reader, Protocol):
    """A model that reads passages: a chat server, a language model of transformers, a function of one's own.

    Attributes:
        budget_unit: What its budget counts, in the plural: "tokens" of its own, or "estimated tokens" where its
            tokenizer is not known.
    """

    @property
    def budget_unit(self) -> str: ...

    def cost(self, context: Context) -> int:
        """What the context, its question and all that the reader says around them take of the budget."""
        ...

    def read(self, context: Context) -> Reading:
        """Answer the question of the context from its parts alone, naming those that hold the answer.

        Raises:
            ReaderFailed: The model cannot be reached, or says nothing that can be used.
        """
        ...


class Base(Reader, Protocol):
    """A model that reads embeddings with positions; its budget counts these.

    Attributes:
        id: Names all weights and settings; gists made for another id cannot be read.
        dim: Size of an embedding.
        gist_slots: Vectors per gist of what it reads.
        encoder: Makes embeddings of image patches.
    """

    @property
    def encoder(self) -> PatchEncoder: ...

    @property
    def dim(self) -> int: ...

    @property
    def gist_slots(self) -> int: ...

    @property
    def tokenizer(self) -> BaseTokenizer: ...

    def embed_tokens(self, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(n,) ids to (n, dim) embeddings."""
        ...

    def prompt_cost(self, question: str) -> int:
        """Embeddings that the question and what delimits it put before the model."""
        ...

    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Answer from the entries of a working context alone; the question stands behind ``t_end`` on the timeline."""
        ...
