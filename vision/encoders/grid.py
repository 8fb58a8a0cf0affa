"""From a backbone's own grid of features to the grid of patches."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from mm_megacontext.tree.nodes import TILE_PATCHES


def resample_grid(
    features: Float[Tensor, "tiles rows columns dim"], side: int = TILE_PATCHES
) -> Float[Tensor, "tiles {side} {side} dim"]:
    """Each cell of the new grid is the mean, weighted by area, of the cells it overlaps; both grids fill the tile.

    So the mean over the tile stays what it was, a grid of the same size stays as it is, and a coarser one of which
    ``side`` is a multiple is repeated.

    Example:
        >>> resample_grid(torch.tensor([[[[0.0], [3.0]]]]), 3)[0, 0, :, 0].tolist()
        [0.0, 1.5, 3.0]
    """
    _, rows, columns, _ = features.shape
    if rows != side:
        features = torch.einsum("ir,trcd->ticd", _overlap(rows, side).to(features), features)
    if columns != side:
        features = torch.einsum("jc,ticd->tijd", _overlap(columns, side).to(features), features)
    return features


@lru_cache(maxsize=32)
def _overlap(n: int, side: int) -> Float[Tensor, "{side} {n}"]:
    """Share of each of ``n`` equal parts of a line in each of ``side`` equal parts; rows add up to 1."""
    # In units of 1 / (n * side) everything is whole, so shares are exact up to the last division.
    new, old = torch.arange(side)[:, None], torch.arange(n)[None, :]
    shared = torch.minimum((new + 1) * n, (old + 1) * side) - torch.maximum(new * n, old * side)
    return shared.clamp(min=0).double() / n
