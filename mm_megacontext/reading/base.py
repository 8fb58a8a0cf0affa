"""What a base is: the model that reads a working context and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

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
class Reading:
    """What a base made of a working context.

    Attributes:
        text: The answer; empty if it found none.
        found: Whether the context holds the answer, as the base sees it.
        pointed: The leaves the answer was read from, in the order of its tokens.
        confidence: Probability of the answer, all of its tokens together.
    """

    text: str
    found: bool
    pointed: tuple[Pointed, ...]
    confidence: float


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


class Base(Protocol):
    """A model that reads embeddings with positions.

    Attributes:
        id: Names all weights and settings; gists made for another id cannot be read.
        dim: Size of an embedding.
        gist_slots: Vectors per gist of what it reads.
        modalities: What it reads; gists of anything else are left out of what it sees.
        encoder: Makes embeddings of image patches.
    """

    @property
    def modalities(self) -> tuple[Modality, ...]: ...

    @property
    def encoder(self) -> PatchEncoder: ...

    @property
    def id(self) -> str: ...

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
