"""A backbone of another library as a patch encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mm_megacontext.digests import digest
from mm_megacontext.errors import UnsupportedModel
from mm_megacontext.tree.nodes import PATCH_PX, TILE_PATCHES
from mm_megacontext.vision.encoders.grid import resample_grid
from mm_megacontext.vision.encoders.preprocess import Preprocess, unit_pixels
from mm_megacontext.vision.encoders.projection import Projection, ProjectionConfig
from mm_megacontext.vision.encoders.protocol import PatchVectors, TilePixels

TILE_PX = TILE_PATCHES * PATCH_PX
"""Pixels on the side of a tile."""

BATCH_TILES = 64
"""Tiles that go through a backbone together; of more, memory would grow with the caller's batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A backbone as its library made it.

    Attributes:
        spec: Library and model; part of the encoder's name, so it holds no path of this machine.
        module: Its weights.
        feature_map: Normalised images (batch, 3, input_px, input_px) to features (batch, rows, columns, dim).
        input_px: Side of the images it is given.
        preprocess: How they are resized and normalised.
    """

    spec: str
    module: nn.Module
    feature_map: Callable[[Tensor], Tensor]
    input_px: int
    preprocess: Preprocess


class TowerEncoder(nn.Module):
    """Patch vectors from a backbone: preprocess, backbone, resample to 8 x 8, project.

    Satisfies ``PatchEncoder``. It is made in evaluation mode. Each tile is seen alone: nothing of its neighbours gets
    into its vectors.

    Args:
        tower: The backbone.
        dim: Length of the vectors of ``encode``.
        projection: Takes the backbone's vectors to ``dim``; by default none where ``dim`` is their length, else the
            random orthogonal one of ``seed``.
        seed: See ``projection``.
        device: Where it runs.

    Attributes:
        native_grid: (rows, columns) of the backbone's own features of a tile.
        native_dim: Their length.

    Raises:
        UnsupportedModel: The backbone gives something else than a map of features.
        ValueError: ``projection`` does not lead from ``native_dim`` to ``dim``.
    """

    patch_px = PATCH_PX

    def __init__(
        self, tower: Tower, dim: int, *, projection: Projection | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        super().__init__()
        self.tower = tower
        self.backbone = tower.module
        self.dim = dim
        self.device = torch.device(device)
        self.to(self.device).eval()
        self.native_grid, self.native_dim = self._probe()
        self.projection = _fitting(projection, self.native_dim, dim, seed)
        self.to(self.device).eval()

    @property
    def name(self) -> str:
        """The spec, what tiles are resized to, ``dim``, and a digest of all weights as they are now."""
        parts = [self.backbone] if self.projection is None else [self.backbone, self.projection]
        weights = digest(parts, {"input_px": self.tower.input_px, **self.tower.preprocess.to_json()})
        return f"{self.tower.spec}-{self.tower.input_px}px-{self.dim}d-{weights}"

    def forward(self, pixels: Float[Tensor, "tiles 3 128 128"]) -> Float[Tensor, "tiles 8 8 dim"]:
        """The same as ``encode`` on tensors, sRGB from 0 to 1; differentiable."""
        vectors = resample_grid(self.native(pixels))
        return vectors if self.projection is None else self.projection(vectors)

    def native(self, pixels: Float[Tensor, "tiles 3 128 128"]) -> Float[Tensor, "tiles rows columns native_dim"]:
        """The same as ``features`` on tensors, sRGB from 0 to 1; differentiable."""
        return self.tower.feature_map(self.tower.preprocess(pixels, self.tower.input_px))

    def features(self, pixels: TilePixels) -> npt.NDArray[np.float32]:
        """What the backbone itself makes of whole tiles: (tiles, *native_grid, native_dim)."""
        return self._run(self.native, pixels, (*self.native_grid, self.native_dim))

    def encode(self, pixels: TilePixels) -> PatchVectors:
        """One vector per patch of whole tiles: (tiles, 8, 8, dim).

        Raises:
            ValueError: The tiles are not (n, 3, 128, 128).
            RuntimeError: It is in training mode, where a tile's vectors may depend on chance and on other tiles.
        """
        return self._run(self, pixels, (TILE_PATCHES, TILE_PATCHES, self.dim))

    def _run(self, function: Callable[[Tensor], Tensor], pixels: TilePixels, shape: tuple[int, ...]) -> PatchVectors:
        if pixels.shape[1:] != (3, TILE_PX, TILE_PX):
            raise ValueError(f"pixels must be whole tiles (n, 3, {TILE_PX}, {TILE_PX}), got {pixels.shape}")
        if self.training:
            raise RuntimeError(f"{self.tower.spec} is in training mode; call eval() before encoding tiles")
        vectors = np.empty((len(pixels), *shape), dtype=np.float32)
        with torch.inference_mode():
            for first in range(0, len(pixels), BATCH_TILES):
                batch = unit_pixels(pixels[first : first + BATCH_TILES], self.device)
                vectors[first : first + BATCH_TILES] = function(batch).float().cpu().numpy()
        return vectors

    def _probe(self) -> tuple[tuple[int, int], int]:
        """Grid and length of the features, seen on one tile."""
        with torch.inference_mode():
            found = self.native(torch.zeros(1, 3, TILE_PX, TILE_PX, device=self.device))
        if found.dim() != 4:
            raise UnsupportedModel(f"{self.tower.spec} gives no map of features but {tuple(found.shape)}")
        _, rows, columns, dim = found.shape
        return (rows, columns), dim


def _fitting(projection: Projection | None, native_dim: int, dim: int, seed: int) -> Projection | None:
    if projection is None:
        return None if native_dim == dim else Projection(ProjectionConfig(in_dim=native_dim, out_dim=dim, seed=seed))
    leads = (projection.config.in_dim, projection.config.out_dim)
    if leads != (native_dim, dim):
        raise ValueError(
            f"the projection leads from {leads[0]} to {leads[1]} dimensions, needed is {native_dim} to {dim}"
        )
    return projection


def choose_side(spec: str, unit: int, wanted: int | None = None) -> int:
    """Side of the images that a backbone gets: ``wanted``, or the multiple of ``unit`` nearest to that of a tile.

    Raises:
        ValueError: ``wanted`` is no multiple of ``unit``.

    Example:
        >>> choose_side("", 14), choose_side("", 32), choose_side("", 300), choose_side("", 14, 224)
        (126, 128, 300, 224)
    """
    if wanted is None:
        return max(1, round(TILE_PX / unit)) * unit
    if wanted % unit:
        raise ValueError(f"{spec} takes multiples of {unit} pixels, input_px is {wanted}")
    return wanted


def why_not(module: nn.Module, feature_map: Callable[[Tensor], Tensor], side: int) -> Exception | None:
    """What a backbone in evaluation mode says against images of that side; None if they go through."""
    module.eval()
    try:
        with torch.inference_mode():
            feature_map(torch.zeros(1, 3, side, side))
    except (AssertionError, RuntimeError, ValueError) as error:  # libraries check shapes in all three ways
        return error
    return None


def drop_prefix(tokens: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]) -> Float[Tensor, "batch r c dim"]:
    """Tokens as a map, row by row; what comes before the patches (class and register tokens) is left out.

    Raises:
        UnsupportedModel: There are fewer tokens than cells.
    """
    rows, columns = grid
    n_prefix = tokens.shape[1] - rows * columns
    if n_prefix < 0:
        raise UnsupportedModel(f"{tokens.shape[1]} tokens are no map of {rows} x {columns}")
    return tokens[:, n_prefix:].reshape(len(tokens), rows, columns, -1)
