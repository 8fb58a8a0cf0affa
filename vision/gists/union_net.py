"""UnionNet: gists that say what is there, however much else is there too.

A cell (patch) becomes a code of non-negative numbers; the gist of cells, of tiles and of everything above is, number by
number, the largest. So a gist is the union of what lies below it, as in a Bloom filter (Bloom 1970): a code that is in
it may be there, one that is not in it is not. A mean forgets one small thing among many; a union does not until it is
full.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mm_megacontext.vision.gists.gistnet import Cells, GistModule, MaxNet
from mm_megacontext.weights import load_module, save_module, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionNetConfig:
    """Shape of a UnionNet.

    Attributes:
        dim: Length of the vectors: the base's.
        width: Inside.
        n_layers: Convolutions over the cells, each adding what the eight neighbours say.
        seed: Of the weights it begins with.
    """

    dim: int
    width: int = 96
    n_layers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.dim, self.width, self.n_layers) < 1:
            raise ValueError(f"all sizes must be at least 1, got {self}")


class UnionNet(GistModule):
    """Codes of patches, each made with its neighbours in view, and their union; one slot."""

    def __init__(self, config: UnionNetConfig) -> None:
        super().__init__(slots=1)
        self.config = config
        with seeded(config.seed):
            self.into = nn.Linear(config.dim, config.width)
            self.layers = nn.ModuleList(_Neighbours(config.width) for _ in range(config.n_layers))
            self.out = nn.Sequential(
                nn.Linear(config.width, 4 * config.width), nn.GELU(), nn.Linear(4 * config.width, config.dim)
            )
        self.union = MaxNet()

    def codes(self, cells: Cells) -> Float[Tensor, "batch rows columns dim"]:
        """What stands in each patch; zeros where there is none."""
        return self._codes_of(self.features(cells), cells)

    def _codes_of(
        self, features: Float[Tensor, "batch rows columns width"], cells: Cells
    ) -> Float[Tensor, "batch rows columns dim"]:
        return F.relu(self.out(features)) * cells.exist[..., None]

    def features(self, cells: Cells) -> Float[Tensor, "batch rows columns width"]:
        """What codes are made of; zeros where there is no patch."""
        exist = cells.exist[:, None].to(cells.vectors.dtype)  # (batch, 1, rows, columns)
        x = self.into(cells.cleared()[:, :, :, 0]).permute(0, 3, 1, 2) * exist
        for layer in self.layers:
            x = (x + layer(x)) * exist
        return F.gelu(x).permute(0, 2, 3, 1)

    def forward(self, cells: Cells) -> Float[Tensor, "batch slots dim"]:
        """One gist per grid."""
        if cells.level == "patches":
            return self.gists_of(self.features(cells), cells)
        gists: Tensor = self.union(cells)
        return gists

    def gists_of(
        self, features: Float[Tensor, "batch rows columns width"], cells: Cells
    ) -> Float[Tensor, "batch slots dim"]:
        """``forward`` of patches whose ``features`` are known."""
        gists: Tensor = self.union(cells._replace(vectors=self._codes_of(features, cells)[:, :, :, None]))
        return gists

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> UnionNet:
        """Load config.json and model.safetensors."""
        return load_module(lambda config: cls(UnionNetConfig(**config)), directory)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json and model.safetensors."""
        save_module(self, asdict(self.config), directory)


class _Neighbours(nn.Module):
    """What a cell makes of itself and the eight around it: (batch, width, rows, columns), the same out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.mix(F.gelu(self.look(x)))
        return added
