"""Text gisters: what turns the words of a block into its gist, and gists into the gist of their parent.

The mean over all leaves, at every LOD, is the parameter-free baseline that a learned gist has to beat; a learned one
adds a residual to it that begins at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.registry import Registry
from mm_megacontext.tree.parents import Gist, Gister

Embed = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
"""Token ids (n,) to embeddings (n, dim)."""


class TextGister(Gister, Protocol):
    """Makes the gists of text, and of all above it that holds text."""

    @property
    def id(self) -> str:
        """Names the gister together with its parameters; part of the identity of stored gists."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector: the base's."""
        ...

    @property
    def slots(self) -> int:
        """Vectors per gist."""
        ...


class Words(Protocol):
    """What gists of text are made for: a base, as far as they need it."""

    @property
    def id(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def embed_tokens(self, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]: ...


TEXT_GISTERS = Registry[Callable[[Words, int], TextGister]](
    "text gister", group="mm_megacontext.text_gisters", built_in={"mean": f"{__name__}:mean"}
)
"""Called with the base and the number of slots."""


class MeanTextGister:
    """The mean of the embeddings of the leaves: of several slots, each is the mean of one of as many equal runs.

    Args:
        embed: The base's token embedding.
        dim: Length of its vectors.
        slots: Vectors per gist. Of fewer tokens than slots, some speak for more than one slot.
    """

    def __init__(self, embed: Embed, dim: int, slots: int = 1) -> None:
        if slots < 1:
            raise ValueError(f"a gist must have at least one slot, got {slots}")
        self._embed, self.dim, self.slots = embed, dim, slots

    @property
    def id(self) -> str:
        return "mean" if self.slots == 1 else f"mean-of-{self.slots}-runs"

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        """One gist (slots, dim) per block of token ids."""
        if not blocks:
            return []
        embedded = self._embed(np.concatenate(blocks))
        ends = np.cumsum([len(block) for block in blocks])
        return [self._of_runs(embedded[end - len(block) : end]) for block, end in zip(blocks, ends, strict=True)]

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        """The means of equal runs of all leaves below, each slot of a child standing for a run of its own leaves."""
        slots = [len(gist) for gist in gists]
        masses = np.repeat(np.asarray(n_leaves, dtype=np.float64) / slots, slots)
        mean: Gist = (_shares(masses, self.slots) @ np.concatenate(gists)).astype(np.float32)
        return mean

    def _of_runs(self, leaves: npt.NDArray[np.float32]) -> Gist:
        edges = np.arange(self.slots + 1) * len(leaves) // self.slots
        runs = [leaves[start : max(stop, start + 1)] for start, stop in pairwise(edges)]
        return np.stack([run.mean(axis=0, dtype=np.float32) for run in runs])


def mean(words: Words, slots: int) -> TextGister:
    """The default."""
    return MeanTextGister(words.embed_tokens, words.dim, slots)


def _shares(masses: npt.NDArray[np.float64], runs: int) -> npt.NDArray[np.float32]:
    """(runs, parts): how much of each of ``runs`` equal stretches comes from each part, rows summing to 1.

    Example:
        >>> _shares(np.array([1.0, 3.0]), 2).tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    ends = np.cumsum(masses)
    edges = np.linspace(0.0, ends[-1], runs + 1)
    overlap = np.minimum(ends, edges[1:, None]) - np.maximum(ends - masses, edges[:-1, None])
    overlap = overlap.clip(min=0.0)
    shares: npt.NDArray[np.float32] = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
