"""A GistModule as a visual gister: batching, and masks for tiles and parents that are not whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mm_megacontext.digests import digest
from mm_megacontext.vision.gists.gistnet import GRID_SIDE, Cells, GistModule, Level
from mm_megacontext.vision.gists.tile_gister import Cell, Gist

BATCH_TILES = 256
"""Tiles pooled together: 13 MB of patch vectors of 200 dimensions."""

Z_ORDER: dict[int, tuple[Cell, ...]] = {1: ((0, 0),), 4: ((0, 0), (0, 1), (1, 0), (1, 1))}
"""Places of children that need not be told: of one, and of all four."""


class NetGister:
    """Satisfies ``VisualGister``.

    Args:
        net: Makes gists; used in evaluation mode.
        device: Where it runs.
    """

    def __init__(self, net: GistModule, device: str = "cpu") -> None:
        self.net = net.to(device).eval()
        self.device = torch.device(device)

    @property
    def id(self) -> str:
        """The module's class and a digest of its shape and of all weights as they are now."""
        shape = {"module": repr(self.net), "slots": self.net.slots, "config": repr(getattr(self.net, "config", None))}
        return f"{type(self.net).__name__.lower()}-{digest([self.net], shape)}"

    @property
    def slots(self) -> int:
        """Vectors per gist."""
        return self.net.slots

    def of_patches(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        """One gist per tile; each tile is (rows, columns, dim), at most 8 x 8."""
        gists: list[Gist] = []
        for first in range(0, len(tiles), BATCH_TILES):
            gists += self._of_batch(tiles[first : first + BATCH_TILES])
        return gists

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        """The gist of a parent from those of its one to four children.

        Two or three children can stand in more than one way. If ``cells`` does not tell, their places count as unknown:
        see ``Cells.unplaced``.
        """
        places = Z_ORDER.get(len(gists)) if cells is None else cells
        if places is None:
            vectors, weights = np.stack(gists)[None, None], np.asarray(n_leaves)[None, None]
        else:
            side = GRID_SIDE["gists"]
            vectors, weights = np.zeros((1, side, side, *gists[0].shape)), np.zeros((1, side, side))
            for (row, column), gist, n in zip(places, gists, n_leaves, strict=True):
                vectors[0, row, column], weights[0, row, column] = gist, n
        (made,) = self._run(vectors, weights, "gists", are_placed=places is not None)
        return made

    def _of_batch(self, tiles: Sequence[npt.NDArray[np.float32]]) -> list[Gist]:
        side = GRID_SIDE["patches"]
        vectors = np.zeros((len(tiles), side, side, 1, tiles[0].shape[-1]), dtype=np.float32)
        weights = np.zeros((len(tiles), side, side))
        for i, tile in enumerate(tiles):
            rows, columns, _ = tile.shape
            vectors[i, :rows, :columns, 0], weights[i, :rows, :columns] = tile, 1.0
        return self._run(vectors, weights, "patches")

    def _run(
        self, vectors: npt.NDArray[Any], weights: npt.NDArray[Any], level: Level, *, are_placed: bool = True
    ) -> list[Gist]:
        cells = Cells(
            vectors=torch.from_numpy(vectors).to(self.device, torch.float32),
            weights=torch.from_numpy(weights).to(self.device, torch.float32),
            level=level,
            unplaced=None if are_placed else torch.ones(len(vectors), dtype=torch.bool, device=self.device),
        )
        with torch.inference_mode():
            made: npt.NDArray[np.float32] = self.net(cells).float().cpu().numpy()
        return list(made)


class UnionGister(NetGister):
    """For modules whose parents are the largest of their children, as UnionNet's are: without calling the module."""

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int], cells: Sequence[Cell] | None = None) -> Gist:
        """The largest of each number; where the children stand changes nothing."""
        largest: Gist = np.max(np.stack(gists), axis=0)
        return largest
