"""The finder: a base that answers by pointing. It reads images, finds the object asked for, and says where it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mm_megacontext.bases.base import BaseTokenizer, Pointed, Reading
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.packing import encode_leaves
from mm_megacontext.lens import Lens
from mm_megacontext.tree import TILE_PATCHES, Leaves, Modality
from mm_megacontext.union_lens import UnionLensNet
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.encoders.cnn import CnnEncoder, PatchCnn
from mm_megacontext.vision.gistnet import Cells
from mm_megacontext.vision.net_gister import NetGister
from mm_megacontext.vision.union_net import UnionNet
from mm_megacontext.working_context import Entry

NEAR = 0.5
"""Patches that match at least this well beside the best one belong to what was found."""


class Finder:
    """Satisfies ``bases.base.Base``; a native base embeds words, a patch encoder and a UnionNet see tiles.

    What it was trained on is all that it finds: see ``training.scenes``.

    Args:
        words: Embeds the question.
        encoder: Made the patch vectors of the memory.
        net: Made the gists of the memory; reads expanded tiles.
        lens: The one that leads to them; judges what is read.
    """

    modalities: tuple[Modality, ...] = ("image",)
    gist_slots = 1

    def __init__(self, words: NativeBase, encoder: PatchEncoder, net: UnionNet, lens: UnionLensNet) -> None:
        self._words, self._encoder, self._net, self._lens = words, encoder, net.eval(), lens.eval()

    @classmethod
    def from_pretrained(cls, directory: Path, words: NativeBase | None = None) -> Finder:
        """Load what ``mmctx train finder`` wrote.

        Raises:
            FileNotFoundError: The directory does not hold it.
            IncompatibleGists: It was trained with another base.
            ValueError: Its lens is of another kind.
        """
        words = words or NativeBase.from_pretrained()
        lens = Lens.from_pretrained(words.id, directory / "lens").net
        if not isinstance(lens, UnionLensNet):
            raise ValueError(f"{directory} holds a {type(lens).__name__}; a finder needs a UnionLensNet")
        encoder = CnnEncoder(PatchCnn.from_pretrained(directory / "encoder"))
        return cls(words, encoder, UnionNet.from_pretrained(directory / "gistnet"), lens)

    def lens(self) -> Lens:
        """The lens that leads to what it reads."""
        return Lens(self._lens)

    def gister(self) -> NetGister:
        """Makes the gists of a memory that it can read."""
        return NetGister(self._net)

    @property
    def id(self) -> str:
        """That of the base whose words it knows."""
        return self._words.id

    @property
    def dim(self) -> int:
        return self._words.dim

    @property
    def encoder(self) -> PatchEncoder:
        return self._encoder

    @property
    def tokenizer(self) -> BaseTokenizer:
        return self._words.tokenizer

    def embed_tokens(self, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._words.embed_tokens(token_ids)

    def prompt_cost(self, question: str) -> int:
        """Tokens of the question."""
        return len(self.tokenizer.encode(question))

    @torch.inference_mode()
    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Where the object is: the box of the patches that match best, of all tiles that are expanded."""
        tiles = [(entry, entry.leaves) for entry in entries if entry.leaves is not None and _is_image(entry.leaves)]
        if not tiles or not question.strip():
            return Reading("", False, (), 0.0)
        codes = self._codes([leaves for _, leaves in tiles])
        asked = self._ask(question)
        logits = self._lens.match(codes.amax((1, 2))[None], asked)[0]
        best = int(logits.argmax())
        entry, leaves = tiles[best]
        confidence = float(torch.sigmoid(logits[best].double()))
        pointed = _pointed(entry, leaves, (codes[best] @ asked[0, :-1]).double(), confidence)
        return Reading(_where(leaves, pointed), confidence >= 0.5, pointed, confidence)

    def _ask(self, question: str) -> Tensor:
        words = self.embed_tokens(np.array(self.tokenizer.encode(question), dtype=np.int64))
        return self._lens.ask(torch.from_numpy(words)[None], torch.ones(1, len(words), dtype=torch.bool))

    def _codes(self, tiles: Sequence[Leaves]) -> Tensor:
        """(tiles, 8, 8, dim); zeros beyond the edge of an image."""
        vectors = torch.zeros(len(tiles), TILE_PATCHES, TILE_PATCHES, 1, self.dim)
        weights = torch.zeros(vectors.shape[:3])
        first = 0
        encoded = torch.from_numpy(encode_leaves(self.encoder, tiles))
        for i, leaves in enumerate(tiles):
            rows, columns = _shape(leaves)
            own = encoded[first : first + len(leaves)]
            vectors[i, :rows, :columns, 0] = own.reshape(rows, columns, -1)
            weights[i, :rows, :columns] = 1
            first += len(leaves)
        return self._net.codes(Cells(vectors, weights, "patches"))


def _is_image(leaves: Leaves) -> bool:
    return leaves.pixels is not None


def _shape(leaves: Leaves) -> tuple[int, int]:
    """Rows and columns of the patches of a tile, which come row by row."""
    columns = int((leaves.mu[:, 2] == leaves.mu[0, 2]).sum())
    return len(leaves) // columns, columns


def _pointed(entry: Entry, leaves: Leaves, matches: Tensor, confidence: float) -> tuple[Pointed, ...]:
    """Patches that match well, best first; ``matches`` is (8, 8)."""
    rows, columns = _shape(leaves)
    real = matches[:rows, :columns].reshape(-1)
    bar = NEAR * real.max() if real.max() > 0 else real.max()
    chosen = torch.argsort(real, descending=True)[: int((real >= bar).sum())]
    return tuple(Pointed(entry.id, leaf, confidence) for leaf in chosen.tolist())


def _where(leaves: Leaves, pointed: Sequence[Pointed]) -> str:
    """The box of the patches, in source units."""
    boxes = leaves.boxes[[p.leaf for p in pointed]]
    edges = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    return "[" + " ".join(f"{edge:.0f}" for edge in edges) + "]"
