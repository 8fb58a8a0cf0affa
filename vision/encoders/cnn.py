"""A small convolutional patch encoder: pixels to one vector per patch, each patch seen with what surrounds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mm_megacontext.digests import digest
from mm_megacontext.tree.nodes import PATCH_PX
from mm_megacontext.vision.encoders.protocol import PatchVectors, TilePixels
from mm_megacontext.weights import load_module, save_module, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCnnConfig:
    """Shape of a PatchCnn.

    Attributes:
        dim: Length of a vector.
        widths: Channels after each of the first three convolutions; each halves the resolution, as the last one does.
        seed: Of the weights it begins with.
    """

    dim: int
    widths: tuple[int, int, int] = (16, 32, 64)
    seed: int = 0


class PatchCnn(nn.Module):
    """Four convolutions of stride 2, each with batch normalisation: the same wherever in a patch something stands."""

    def __init__(self, config: PatchCnnConfig) -> None:
        super().__init__()
        self.config = config
        channels = (3, *config.widths, config.dim)
        with seeded(config.seed):
            stages = [_stage(a, b, 5 if a == 3 else 3) for a, b in pairwise(channels)]
        self.stages = nn.Sequential(*stages)

    def forward(
        self, pixels: Float[Tensor, "tiles 3 height width"]
    ) -> Float[Tensor, "tiles {height}//16 {width}//16 dim"]:
        """Vectors of the patches; pixels are 0 to 255."""
        vectors: Tensor = self.stages(pixels / 127.5 - 1)
        return vectors.permute(0, 2, 3, 1)

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> PatchCnn:
        """Load config.json and model.safetensors."""
        return load_module(
            lambda config: cls(PatchCnnConfig(**{**config, "widths": tuple(config["widths"])})), directory
        )

    def save_pretrained(self, directory: str | Path) -> None:
        """Write config.json and model.safetensors."""
        save_module(self, asdict(self.config), directory)


def _stage(n_in: int, n_out: int, kernel: int) -> nn.Module:
    convolution = nn.Conv2d(n_in, n_out, kernel, stride=2, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.GELU())


class CnnEncoder:
    """Satisfies ``PatchEncoder``.

    Args:
        net: Used in evaluation mode.
    """

    patch_px = PATCH_PX

    def __init__(self, net: PatchCnn) -> None:
        self.net = net.eval()

    @property
    def dim(self) -> int:
        return self.net.config.dim

    @cached_property
    def name(self) -> str:
        """With a digest of all weights."""
        return f"cnn-{self.dim}-{digest([self.net], asdict(self.net.config))}"

    def encode(self, pixels: TilePixels) -> PatchVectors:
        if pixels.shape[1] != 3 or pixels.shape[2] % PATCH_PX or pixels.shape[3] % PATCH_PX:
            raise ValueError(f"pixels must be (tiles, 3, multiple of {PATCH_PX}, same), got {pixels.shape}")
        with torch.inference_mode():
            vectors: PatchVectors = self.net(torch.tensor(pixels).float()).numpy()
        return vectors
