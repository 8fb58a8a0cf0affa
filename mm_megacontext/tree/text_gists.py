"""GistNet for text: mean pooling of token embeddings, and of gists weighted by their leaves.

The mean over all leaves, at every LOD, is the parameter-free baseline that a learned gist has to beat; a learned one
adds a residual to it that begins at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from mm_megacontext.tree.build import Gist

Embed = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
"""Token ids (n,) to embeddings (n, dim)."""


class MeanGistNet:
    """One slot per node: the mean of the embeddings of its leaves.

    Args:
        embed: The base's token embedding.
    """

    id = "mean"
    slots = 1

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        """One gist (1, dim) per block of token ids."""
        if not blocks:
            return []
        embedded = self._embed(np.concatenate(blocks))
        starts = np.cumsum([0, *(len(b) for b in blocks[:-1])])
        sums = np.add.reduceat(embedded, starts, axis=0)
        return [row[None] / np.float32(len(b)) for row, b in zip(sums, blocks, strict=True)]

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        """The mean over all leaves below, from the means of the children."""
        weights = np.asarray(n_leaves, dtype=np.float32)
        mean: Gist = np.tensordot(weights / weights.sum(), np.stack(gists), axes=1).astype(np.float32)
        return mean
