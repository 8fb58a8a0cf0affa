"""The finder: a base that answers by pointing. It reads images, finds the object asked for, and says where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mm_megacontext.bases.looks import Looks, leaves_of
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.digests import digest
from mm_megacontext.reading.base import BaseTokenizer, Judge, Pointed, Reading
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.union_lens import UnionLensNet
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.nodes import Modality, NodeId
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.encoders.cnn import CnnEncoder, PatchCnn
from mm_megacontext.vision.gists.gistnet import Cells
from mm_megacontext.vision.gists.net_gister import UnionGister
from mm_megacontext.vision.gists.union_net import UnionNet
from mm_megacontext.vision.sources.source import Pixels

FINDER_DIR = TINY_DIR / "finder"
"""The finder inside the package; it knows the objects of ``training.data.scenes``."""


class Finder:
    """Satisfies ``reading.base.Base``; a native base embeds words, a patch encoder and a UnionNet see tiles.

    What it was trained on is all that it finds: see ``training.data.scenes``.

    Args:
        words: Embeds the question.
        encoder: Made the patch vectors of the memory.
        net: Made the gists of the memory; reads expanded tiles.
        lens: The one that leads to them; judges what is read.
    """

    modalities: tuple[Modality, ...] = ("image",)
    gist_slots = 1
    is_calibrated = True  # its lens was trained as a probability of a match

    def __init__(self, words: NativeBase, encoder: PatchEncoder, net: UnionNet, lens: UnionLensNet) -> None:
        self._words, self._encoder, self._net, self._lens = words, encoder, net.eval(), lens.eval()

    @classmethod
    def from_pretrained(cls, directory: Path = FINDER_DIR, words: NativeBase | None = None) -> Finder:
        """Load what ``mmctx train finder`` wrote; by default the one inside the package.

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
        return Lens(self._lens, base=self.id)

    def gister(self) -> UnionGister:
        """Makes the gists of a memory that it can read."""
        return UnionGister(self._net)

    @cached_property
    def id(self) -> str:
        """A digest of all that takes part: words, encoder, gists and lens, as they were when it was asked for."""
        settings = {
            "words": self._words.id,
            "encoder": self.encoder.name,
            "gistnet": asdict(self._net.config),
            "lens": asdict(self._lens.config),
        }
        return f"finder-{digest([self._net, self._lens], settings)}"

    @cached_property
    def gister_id(self) -> str:
        """It reads the gists of its own UnionNet alone."""
        return self.gister().id

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

    def judge(self, question: str) -> Judge:
        """Looks at the tiles that are opened for a question: see ``bases.looks``."""
        return self._looks(question)

    @torch.inference_mode()
    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        """Where the object is: the box of the patches that match best around the best place in open tiles."""
        looks = self._looks(question).at(entries) if question.strip() else []
        if not looks:
            return Reading("", False, (), 0.0)
        best = looks[0]
        logit = self._lens.match(best.union[None, None], self._ask(question))[0, 0]
        confidence = float(torch.sigmoid(logit.double()))
        if confidence < 0.5:
            return Reading("", False, (), confidence)
        places = leaves_of(best, entries)
        pointed = tuple(Pointed(tile, leaf, confidence) for tile, leaf in places)
        return Reading(_where(entries, places), True, pointed, confidence)

    def _looks(self, question: str) -> Looks:
        return Looks(self._codes, self._ask(question)[0, :-1])

    @torch.inference_mode()
    def _ask(self, question: str) -> Tensor:
        words = self.embed_tokens(np.array(self.tokenizer.encode(question), dtype=np.int64))
        return self._lens.ask(torch.from_numpy(words)[None], torch.ones(1, len(words), dtype=torch.bool))

    def _codes(self, pixels: Pixels, exist: npt.NDArray[np.bool_]) -> Tensor:
        """What stands in the patches of (tiles, 128, 128, 3) pixels: (tiles, 8, 8, dim), zeros where not ``exist``."""
        vectors = torch.from_numpy(self.encoder.encode(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
        return self._net.codes(Cells(vectors[:, :, :, None], torch.from_numpy(exist).float(), "patches"))


def _where(entries: Sequence[Entry], places: Sequence[tuple[NodeId, int]]) -> str:
    """The box around patches, in source units."""
    leaves = {entry.id: entry.leaves for entry in entries if entry.leaves is not None}
    boxes = np.stack([leaves[tile].boxes[leaf] for tile, leaf in places])
    edges = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    return "[" + " ".join(f"{edge:.0f}" for edge in edges) + "]"
