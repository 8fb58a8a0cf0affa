"""From the vectors of a backbone to those of the base: a matrix, random and orthogonal until it is trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mm_megacontext.weights import load_module, save_module

_GRID = 2.0**20
"""Weights are rounded to multiples of 1 / this, so that machines whose linear algebra rounds otherwise get the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionConfig:
    """Shape of a projection.

    Attributes:
        in_dim: Length of the backbone's vectors.
        out_dim: Length of the base's embeddings.
        seed: Of the random matrix it begins with.
    """

    in_dim: int
    out_dim: int
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.in_dim, self.out_dim) < 1:
            raise ValueError(f"in_dim and out_dim must be at least 1, got {self.in_dim} and {self.out_dim}")


class Projection(nn.Module):
    """A linear map without bias; nothing of a vector is cut off.

    It begins as a random matrix with orthonormal rows or columns, from the QR decomposition of a Gaussian one
    (uniformly distributed: Mezzadri 2007). To more dimensions it keeps all lengths and angles. To fewer it is an
    orthogonal projection times sqrt(in / out), which keeps them in expectation (Johnson and Lindenstrauss 1984).
    The weights are parameters: train them with the base, then save them.

    Example:
        >>> Projection(ProjectionConfig(in_dim=384, out_dim=192))(torch.zeros(2, 8, 8, 384)).shape
        torch.Size([2, 8, 8, 192])
    """

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.from_numpy(_orthogonal(config.in_dim, config.out_dim, config.seed)))

    def forward(self, vectors: Float[Tensor, "*batch in_dim"]) -> Float[Tensor, "*batch out_dim"]:
        """Project the last axis."""
        return vectors @ self.weight

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> Projection:
        """Load config.json and model.safetensors."""
        return load_module(lambda config: cls(ProjectionConfig(**config)), directory)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json and model.safetensors."""
        save_module(self, asdict(self.config), directory)


def _orthogonal(n_in: int, n_out: int, seed: int) -> npt.NDArray[np.float32]:
    """(n_in, n_out), orthonormal rows if it is wide, orthonormal columns times sqrt(n_in / n_out) if it is tall."""
    tall = np.random.default_rng(seed).standard_normal((max(n_in, n_out), min(n_in, n_out)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))  # without it, signs are those of the algorithm
    matrix = q * math.sqrt(n_in / n_out) if n_in > n_out else q.T if n_in < n_out else q
    return np.asarray(np.rint(matrix * _GRID) / _GRID, dtype=np.float32)
