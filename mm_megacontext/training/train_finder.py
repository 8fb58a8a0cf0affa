"""``mmctx train finder``: what finds marked objects in images: a PatchCnn, a UnionNet for gists, a UnionLensNet.

They are trained together on tiles of random scenes, the base's word embeddings frozen. For every gist of one tile, and
of unions of up to 64 random ones, as nodes up the pyramid hold, the lens says of each kind of object whether it is in
there (binary cross-entropy) and of each kind there is in which gists (softmax over them). What shape, colour and letter
a patch belongs to is asked of the net besides. What a part of an object tells is for the net to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.union_lens import UnionLensConfig, UnionLensNet
from mm_megacontext.training.data.marked_tiles import EMPTY, MarkedTiles, cut, random_scene
from mm_megacontext.training.data.scenes import COLOURS, KINDS, MARKS, SHAPES, TEMPLATES, Kind
from mm_megacontext.training.run import TrainOptions, run
from mm_megacontext.vision.encoders.cnn import PatchCnn, PatchCnnConfig
from mm_megacontext.vision.gists.gistnet import Cells
from mm_megacontext.vision.gists.union_net import UnionNet, UnionNetConfig
from mm_megacontext.vision.sources.source import Pixels

UNIONS = (1, 4, 16, 64)
FAVOUR = 20.0
"""How much more a miss costs than a false alarm: to look once too often is cheap."""
SCALE = 20.0
"""Inverse temperature of the ranking by cosine, which is how the vector index ranks."""
BATCHES_PER_PART = 4
TRAINING, UNSEEN = 0, 1
"""Behind the seed, what scenes are drawn for; their number follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFinderConfig(TrainOptions):
    """Options of the run.

    Attributes:
        base: Whose word embeddings are used.
        scenes: Scenes per step, of 64 tiles each.
        things: Objects per scene.
        unseen_scenes: Scenes of an evaluation.
    """

    base: Path = TINY_DIR
    minutes: float = 30.0
    clip_norm: float = 5.0
    scenes: int = 6
    things: int = 15
    unseen_scenes: int = 24


def _tiles(rng: np.random.Generator, scenes: int, things: int, empty: float = EMPTY) -> MarkedTiles:
    return cut([random_scene(rng, things) for _ in range(scenes)], rng, empty)


def _part(seed: tuple[int, ...], scenes: int, things: int) -> list[MarkedTiles]:
    rng = np.random.default_rng(seed)
    return [_tiles(rng, scenes, things) for _ in range(BATCHES_PER_PART)]


N_TRAITS = (len(SHAPES), len(COLOURS), len(MARKS))
TRAITS = torch.tensor([(SHAPES.index(k.shape), list(COLOURS).index(k.colour), MARKS.index(k.mark)) for k in KINDS])
"""(kinds, 3): number of the shape, of the colour and of the letter."""


class Questions:
    """Embedded questions for all kinds of objects."""

    def __init__(self, base: NativeBase) -> None:
        self._embedded = [[self._embed(base, kind.question(t)) for kind in KINDS] for t in TEMPLATES]

    def _embed(self, base: NativeBase, question: str) -> Tensor:
        ids = np.array(base.tokenizer.encode(question), dtype=np.int64)
        return torch.from_numpy(base.embed_tokens(ids))

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(kinds, tokens, dim) and which of them are valid (kinds, tokens); wordings at random."""
        chosen = [self._embedded[w][k] for k, w in enumerate(rng.integers(0, len(TEMPLATES), len(KINDS)))]
        lengths = torch.tensor([len(words) for words in chosen])
        padded = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        return padded, torch.arange(padded.shape[1]) < lengths[:, None]


def unions(gists: Tensor, labels: Tensor, rng: np.random.Generator) -> list[tuple[Tensor, Tensor]]:
    """Per size: gists (sets, dim) and labels (sets, kinds) of random unions; what is hardly there may be there."""
    found = []
    for size in [size for size in UNIONS if size <= len(gists)]:
        order = torch.from_numpy(rng.permutation(len(gists)))
        sets = order[: len(gists) // size * size].reshape(-1, size)
        there = labels[sets]  # (sets, size, kinds)
        union = torch.where((there == 1).any(1), 1, torch.where((there == -1).any(1), -1, 0))
        found.append((gists[sets].amax(1), union))
    return found


def finder_loss(lens: UnionLensNet, asked: Tensor, sets: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Whether a kind is there, and where; of single tiles also which kind is there, by cosine as the index ranks.

    ``asked`` is (kinds, dim + 1).
    """
    total = asked.new_zeros(())
    for gists, labels in sets:
        logits = lens.match(gists, asked).T
        total = total + _there_loss(logits, labels)
        if len(gists) > 1:
            total = total + 0.5 * _where_loss(logits, labels)
    gists, labels = sets[0]
    cosine = SCALE * cosines(gists, asked)
    where, what = _where_loss(cosine, labels), _where_loss(cosine.T, labels.T)
    return total / len(sets) + where + 0.5 * what


def cosines(gists: Tensor, asked: Tensor) -> Tensor:
    """(sets, kinds) of gists and the codes that are asked for, as the vector index ranks them."""
    return F.normalize(gists, dim=-1) @ F.normalize(asked[:, :-1], dim=-1).T


def _there_loss(logits: Tensor, labels: Tensor) -> Tensor:
    weight = torch.where(labels == 1, FAVOUR, torch.where(labels == 0, 1.0, 0.0))
    each = F.binary_cross_entropy_with_logits(logits, (labels == 1).float(), reduction="none")
    return (each * weight).sum() / weight.sum()


def _where_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the kinds that are somewhere of -log of the softmax mass on gists that hold them."""
    seen = logits.masked_fill(labels == -1, -1e4)
    mass = torch.logsumexp(seen.masked_fill(labels != 1, -1e4), 0) - torch.logsumexp(seen, 0)
    is_there = (labels == 1).any(0) & (labels == 0).any(0)
    return -(mass * is_there).sum() / is_there.sum().clamp(min=1)


def traits_loss(logits: Tensor, kinds: Tensor) -> Tensor:
    """Cross-entropy of (n, traits) logits for the shape, the colour and the letter of (n,) kinds, summed."""
    true = TRAITS.to(logits.device)[kinds.to(logits.device)]
    losses = [F.cross_entropy(own, true[:, i]) for i, own in enumerate(logits.split(N_TRAITS, dim=1))]
    return torch.stack(losses).sum()


class FinderRecipe:
    """See ``training.run.Recipe``."""

    batches_per_part = BATCHES_PER_PART

    def __init__(self, config: TrainFinderConfig) -> None:
        self.config = config
        base = NativeBase.from_pretrained(config.base)
        self.questions = Questions(base)
        self.cnn = PatchCnn(PatchCnnConfig(dim=base.dim, seed=config.seed))
        self.gister = UnionNet(UnionNetConfig(dim=base.dim, seed=config.seed))
        self.lens = UnionLensNet(UnionLensConfig(base=base.id, gist_dim=base.dim))
        self._seen = torch.nn.Linear(self.gister.config.width, sum(N_TRAITS))
        self._named = torch.nn.Linear(base.dim, sum(N_TRAITS))
        parts = (self.cnn, self.gister, self.lens, self._seen, self._named)
        self.net = torch.nn.ModuleList(parts).to(config.device)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=config.learning_rate, weight_decay=0.01)

    def part(self, number: int, progress: float) -> Callable[[], list[MarkedTiles]]:
        """Tiles of new scenes; all of them are of one kind."""
        return partial(_part, (self.config.seed, TRAINING, number), self.config.scenes, self.config.things)

    def loss(self, batch: MarkedTiles, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """What the lens makes of the gists, and the traits that patches and words tell."""
        words, valid = self._asked(rng)
        labels, on = self._on_device(batch)
        cells = self.cells(batch.pixels)
        features = self.gister.features(cells)
        gists = self.gister.gists_of(features, cells)[:, 0]
        finding = finder_loss(self.lens, self.lens.ask(words, valid), unions(gists, labels, rng))
        seeing = traits_loss(self._seen(features[on >= 0]), on[on >= 0])
        naming = traits_loss(self._named(self.lens.mean_word(words, valid)), torch.arange(len(KINDS)))
        return finding + seeing + naming, {"finding": finding, "seeing": seeing, "naming": naming}

    def evaluate(self) -> dict[str, float]:
        """Of the kinds in unseen scenes: how often the tile ranked first among all of them holds one."""
        rng = np.random.default_rng((self.config.seed, UNSEEN, 0))
        tiles = _tiles(rng, self.config.unseen_scenes, self.config.things, empty=1.0)
        asked = self.lens.ask(*self._asked(rng))
        labels, on = self._on_device(tiles)
        cells = self.cells(tiles.pixels)
        features = self.gister.features(cells)
        gists = self.gister.gists_of(features, cells)[:, 0]
        seen = self._seen(features[on >= 0]).split(N_TRAITS, dim=1)
        there = (labels == 1).any(0)
        logits = self.lens.match(gists, asked).T
        ranking = gists @ asked[:, :-1].T
        return {
            "top1": round(_first_holds(ranking, labels)[there].mean().item(), 4),
            "top1_cosine": round(_first_holds(cosines(gists, asked), labels)[there].mean().item(), 4),
            "recall": round((logits[labels == 1] > 0).float().mean().item(), 4),
            "alarms": round((logits[labels == 0] > 0).float().mean().item(), 6),
            **{
                name: round((own.argmax(1) == TRAITS.to(on.device)[on[on >= 0], i]).float().mean().item(), 4)
                for i, (name, own) in enumerate(zip(Kind._fields, seen, strict=True))
            },
            "kinds": int(there.sum()),
        }

    def save(self) -> None:
        """Write the weights: ``OUT/encoder``, ``OUT/gistnet`` and ``OUT/lens``."""
        self.cnn.save_pretrained(self.config.out / "encoder")
        self.gister.save_pretrained(self.config.out / "gistnet")
        Lens(self.lens).save_pretrained(self.config.out / "lens")

    def cells(self, pixels: Pixels) -> Cells:
        """Encoded patches of whole tiles."""
        vectors = self.cnn(torch.from_numpy(pixels).to(self.config.device).permute(0, 3, 1, 2).float())
        return Cells(vectors[:, :, :, None], torch.ones(vectors.shape[:3], device=vectors.device), "patches")

    def _asked(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        words, valid = self.questions.draw(rng)
        return words.to(self.config.device), valid.to(self.config.device)

    def _on_device(self, tiles: MarkedTiles) -> tuple[Tensor, Tensor]:
        labels, at = torch.from_numpy(tiles.labels), torch.from_numpy(tiles.at)
        return labels.to(self.config.device), at.to(self.config.device)


def _first_holds(logits: Tensor, labels: Tensor) -> Tensor:
    best = logits.masked_fill(labels == -1, -1e4).argmax(0, keepdim=True)
    return (labels.gather(0, best)[0] == 1).float()


def train_finder(config: TrainFinderConfig) -> None:
    """Run the recipe; writes ``OUT/encoder``, ``OUT/gistnet``, ``OUT/lens``, a log of JSON lines and a checkpoint."""
    run(FinderRecipe, config)
