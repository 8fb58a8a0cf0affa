"""Gists of an image with a backbone of timm and a gist network of one's own; offline, with random weights.

Usage: python examples/own_encoder.py [IMAGE] [--encoder NAME] [--checkpoint PATH]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.vision.encoders import PatchEncoder, create_encoder
from mm_megacontext.vision.gists.gistnet import Cells, GistModule
from mm_megacontext.vision.gists.net_gister import NetGister
from mm_megacontext.vision.gists.registry import create_gister
from mm_megacontext.vision.gists.tile_gister import TileGister, VisualGister
from mm_megacontext.vision.quadtree.build import build_image_nodes
from mm_megacontext.vision.sources.frame import IMAGE_FRAME
from mm_megacontext.vision.sources.source import ArraySource

DIM = 192


class Strongest(GistModule):
    """The longest vector speaks for its grid."""

    def forward(self, cells: Cells) -> torch.Tensor:
        vectors = cells.cleared().flatten(1, 3)  # (batch, cells, dim)
        longest = vectors.norm(dim=-1).argmax(dim=1)
        return vectors[torch.arange(len(vectors)), longest][:, None].expand(-1, self.slots, -1)


def made_up_picture() -> npt.NDArray[np.uint8]:
    """Waves, and a red square in them."""
    y, x = np.mgrid[0:500, 0:700]
    waves = 128 + 60 * np.sin(x / 23) + 40 * np.cos((x + y) / 17)
    picture = np.repeat(waves[:, :, None], 3, axis=2)
    picture[200:260, 420:480] = (220, 30, 30)
    return picture.astype(np.uint8)


def tree(pixels: npt.NDArray[np.uint8], encoder: PatchEncoder, gister: VisualGister) -> list[NodeRow]:
    """The rows of an image's quad-tree; the root is the last."""
    tiles = TileGister(encoder, gister)
    return list(build_image_nodes(ArraySource(pixels), tiles, page=1, frame=IMAGE_FRAME, t=0, index_start=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("image", nargs="?", type=Path, help="any image; one is made up if there is none")
    parser.add_argument("--encoder", default="timm:vit_tiny_patch16_224", metavar="NAME")
    parser.add_argument("--checkpoint", type=Path, metavar="PATH", help="weights of the encoder; random without")
    args = parser.parse_args()
    pixels = made_up_picture() if args.image is None else np.asarray(Image.open(args.image).convert("RGB"))

    gisters = [
        create_gister("mean", DIM),
        create_gister("max", DIM),
        create_gister("gistnet", DIM),
        NetGister(Strongest()),
    ]
    encoder = create_encoder(args.encoder, DIM, pretrained=args.checkpoint or False)
    for gister in gisters:
        *_, root = rows = tree(pixels, encoder, gister)
        norm = float(np.linalg.norm(root.gist.astype(np.float32)))
        print(f"{gister.id}: {len(rows)} nodes over {root.n_leaves} patches, root gist of norm {norm:.3f}")


if __name__ == "__main__":
    main()
