"""What a text embedder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""(texts, dim) float32, each of length 1."""


@runtime_checkable
class TextEmbedder(Protocol):
    """Makes vectors of texts; two that mean the same have a large product."""

    @property
    def id(self) -> str:
        """Names the embedder together with its weights: vectors of another id mean something else."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what is searched."""
        ...

    def embed_question(self, text: str) -> Vectors:
        """The vector of what is asked, (1, dim)."""
        ...
