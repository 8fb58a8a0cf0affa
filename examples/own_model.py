"""A model of one's own, part by part: a base that reads, a lens, a text gister; found by name and asked a question.

Usage: python examples/own_model.py [FILE] [QUESTION]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mm_megacontext import MegaContext
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer
from mm_megacontext.models import MODELS, Model
from mm_megacontext.reading.base import Pointed, Reading
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensInputs
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.tree.build import Gist
from mm_megacontext.tree.nodes import Modality
from mm_megacontext.vision.encoders import create_encoder

NOTES = "The boiler was serviced in May. The key of the cellar hangs behind the blue door. Bins are emptied on Mondays."


class MostWords:
    """A base: answers with the open block that shares most words with the question, and points at all of it."""

    id = "most-words-1"
    dim = 64
    gist_slots = 1
    modalities: tuple[Modality, ...] = ("text",)
    is_calibrated = False  # a share of words is no probability

    def __init__(self) -> None:
        self.tokenizer = load_tokenizer(TINY_DIR)
        self.encoder = create_encoder("dct", self.dim)
        self._table = np.random.default_rng(0).standard_normal((self.tokenizer.vocab_size, self.dim), np.float32)

    def embed_tokens(self, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        embedded: npt.NDArray[np.float32] = self._table[token_ids]
        return embedded

    def prompt_cost(self, question: str) -> int:
        return len(self.tokenizer.encode(question))

    def read(self, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        asked = set(question.lower().split())
        shared = [(len(asked & set(e.node.text.lower().split())), e) for e in entries if e.leaves is not None]
        n, best = max(shared, key=lambda pair: pair[0], default=(0, None))
        if best is None or best.leaves is None or n == 0:
            return Reading("", False, (), 0.0)
        pointed = tuple(Pointed(best.id, leaf, 1.0) for leaf in range(len(best.leaves)))
        return Reading(best.node.text, True, pointed, n / len(asked))


@dataclass(frozen=True)
class AlikeConfig:
    base: str
    gist_dim: int


class Alike:
    """A lens: a node is worth a closer look if its gist points where the question does."""

    def __init__(self, config: AlikeConfig) -> None:
        self.config = config

    def __call__(self, inputs: LensInputs) -> Tensor:
        asked = (inputs.question * inputs.question_valid[..., None]).sum(1)
        return 8 * torch.cosine_similarity(inputs.gists, asked[:, None], dim=-1)  # (batch, nodes)

    def query_vector(self, question: Tensor) -> Tensor:
        return question.mean(dim=0)


class Loudest:
    """A text gister: of each number, the one that is farthest from zero speaks for all."""

    id = "loudest"
    slots = 1

    def __init__(self, base: MostWords) -> None:
        self._base, self.dim = base, base.dim

    def of_tokens(self, blocks: Sequence[npt.NDArray[np.int64]]) -> list[Gist]:
        return [self._loudest(self._base.embed_tokens(block))[None] for block in blocks]

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        return self._loudest(np.stack(gists))

    def _loudest(self, vectors: Gist) -> Gist:
        chosen = np.abs(vectors).argmax(axis=0)[None]
        loudest: Gist = np.take_along_axis(vectors, chosen, axis=0)[0]
        return loudest


def most_words() -> Model:
    """The bundle; as an entry point of ``mm_megacontext.models`` it would be known to ``mmctx --model`` as well."""
    base = MostWords()
    return Model.of(base, Lens(Alike(AlikeConfig(base.id, base.dim))), text_gister=Loudest(base))


MODELS.register("most-words", most_words)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="any document; some notes are made up if there is none")
    parser.add_argument("question", nargs="?", default="Where is the key of the cellar?")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        file = args.file or Path(scratch) / "notes.txt"
        if args.file is None:
            file.write_text(NOTES, encoding="utf-8")
        with MegaContext.open(Path(scratch) / "memory", model="most-words") as memory:
            memory.ingest(file)
            print(memory)
            print(memory.ask(args.question))


if __name__ == "__main__":
    main()
