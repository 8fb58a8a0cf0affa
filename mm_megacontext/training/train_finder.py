"""``mmctx train finder``: what finds marked objects in images: a PatchCnn, a UnionNet for gists, a UnionLensNet.

They are trained together on tiles of random scenes, the base's word embeddings frozen. For every gist of one tile, and
of unions of up to 64 random ones, as nodes up the pyramid hold, the lens says of each kind of object whether it is in
there (binary cross-entropy) and of each kind there is in which gists (softmax over them). Every second scene holds
kinds that differ in one trait only: among ten thousand objects there are always some of those. What shape, colour and
letter a patch belongs to is asked of the net besides. An object that is cut by the edge of a tile counts as there from
a tenth of its area on: what a part tells is for the net to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.union_lens import UnionLensConfig, UnionLensNet
from mm_megacontext.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mm_megacontext.training.data.scenes import (
    COLOURS,
    KINDS,
    MARKS,
    SHAPES,
    TEMPLATES,
    Background,
    Kind,
    Plain,
    Scene,
    Textured,
    Thing,
    scatter,
)
from mm_megacontext.training.schedule import Schedule, write_log
from mm_megacontext.tree.nodes import PATCH_PX, TILE_PX
from mm_megacontext.vision.encoders.cnn import PatchCnn, PatchCnnConfig
from mm_megacontext.vision.gists.gistnet import Cells
from mm_megacontext.vision.gists.union_net import UnionNet, UnionNetConfig
from mm_megacontext.vision.sources.source import Pixels, Rect

SIDE = 1024
"""Pixels on the side of a training scene: 8 x 8 tiles."""
PART = 0.1
"""Share of an object's area in a tile from which it counts as there; what is less counts neither way."""
EMPTY = 0.25
"""Share of the tiles without any object that is trained on: they are soon learned."""
UNIONS = (1, 4, 16, 64)
FAVOUR = 20.0
"""How much more a miss costs than a false alarm: to look once too often is cheap."""
SCALE = 20.0
"""Inverse temperature of the ranking by cosine, which is how the vector index ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFinderConfig:
    """Options of the run.

    Attributes:
        out: Where weights, log and checkpoint go.
        base: Whose word embeddings are used.
        minutes: Length of the run.
        steps: Length in steps; takes the place of ``minutes``.
        resume: Go on from the checkpoint in ``out``.
        scenes: Scenes per step, of 64 tiles each.
        things: Objects per scene.
        unseen_scenes: Scenes of an evaluation.
    """

    out: Path
    base: Path = TINY_DIR
    minutes: float = 30.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    resume: bool = False
    scenes: int = 6
    things: int = 15
    learning_rate: float = 2e-3
    evaluate_every: int = 250
    unseen_scenes: int = 24


class Tiles(NamedTuple):
    """Tiles of some scenes.

    Attributes:
        pixels: (tiles, 128, 128, 3).
        labels: (tiles, kinds) 1 there, 0 not there, -1 hardly there.
        at: (tiles, 8, 8) the kind of object that the middle of a patch lies on, or -1.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int8]
    at: npt.NDArray[np.int64]


def background(rng: np.random.Generator) -> Background:
    """White, of one colour, or textured more or less strongly."""
    if rng.random() < 0.3:
        return Plain((255, 255, 255))
    if rng.random() < 0.2:
        red, green, blue = rng.integers(0, 256, 3).tolist()
        return Plain((red, green, blue))
    return Textured(int(rng.integers(4)), float(rng.choice((2.0, 6.0, 10.0))))


def random_scene(rng: np.random.Generator, n: int) -> Scene:
    """``n`` objects: of random kinds, or in every second scene of kinds that are easily taken for each other."""
    origin = int(rng.integers(1 << 16)) * SIDE  # another square of the texture each time
    kinds = alike(rng, n) if rng.random() < 0.5 else rng.integers(0, len(KINDS), n).tolist()
    things = scatter(rng, (SIDE, SIDE), kinds)
    behind = background(rng)
    return Scene((SIDE, SIDE), things, _Moved(behind, origin))


def alike(rng: np.random.Generator, n: int) -> list[int]:
    """``n`` kinds, each with two traits of one of three: what tells them apart has to be learned."""
    models = [KINDS[i] for i in rng.integers(0, len(KINDS), 3)]
    return [KINDS.index(_changed(rng, models[i])) for i in rng.integers(0, len(models), n)]


def _changed(rng: np.random.Generator, kind: Kind) -> Kind:
    other, trait = KINDS[rng.integers(len(KINDS))], Kind._fields[rng.integers(len(Kind._fields))]
    return kind._replace(**{trait: getattr(other, trait)})


@dataclass(frozen=True, slots=True)
class _Moved:
    """A background seen from somewhere else."""

    behind: Background
    x: int

    @property
    def colour(self) -> tuple[int, int, int] | None:
        return self.behind.colour

    def __call__(self, region: Rect) -> Pixels:
        return self.behind((region[0] + self.x, *region[1:]))


def cut(scenes: Sequence[Scene], rng: np.random.Generator, empty: float = EMPTY) -> Tiles:
    """The tiles of scenes that hold something of an object, and a share ``empty`` of the others."""
    n = SIDE // TILE_PX
    pixels = [s.read((0, 0, SIDE, SIDE)).reshape(n, TILE_PX, n, TILE_PX, 3).swapaxes(1, 2) for s in scenes]
    at = np.concatenate([_kinds_at(s).reshape(n, 8, n, 8).swapaxes(1, 2).reshape(-1, 8, 8) for s in scenes])
    labels = np.zeros((len(scenes), n, n, len(KINDS)), dtype=np.int8)
    for own, scene in zip(labels, scenes, strict=True):
        for thing in scene.things:
            for row, column, share in _shares(thing):
                if share >= PART:
                    own[row, column, thing.kind] = 1
                elif own[row, column, thing.kind] == 0:
                    own[row, column, thing.kind] = -1
    flat = labels.reshape(-1, len(KINDS))
    kept = flat.any(axis=1) | (rng.random(len(flat)) < empty)
    return Tiles(np.concatenate(pixels).reshape(-1, TILE_PX, TILE_PX, 3)[kept], flat[kept], at[kept])


def _kinds_at(scene: Scene) -> npt.NDArray[np.int64]:
    """(rows, columns) of all patches of a scene."""
    at = np.full((SIDE // PATCH_PX, SIDE // PATCH_PX), -1, dtype=np.int64)
    for thing in scene.things:
        rows, columns = (
            slice(-(-(low - PATCH_PX // 2) // PATCH_PX), (low + thing.size - PATCH_PX // 2 - 1) // PATCH_PX + 1)
            for low in (thing.y, thing.x)
        )
        at[rows, columns] = thing.kind
    return at


def _shares(thing: Thing) -> Iterator[tuple[int, int, float]]:
    """Tiles (row, column) that an object touches, and the share of its square in each."""
    for row in range(thing.y // TILE_PX, (thing.y + thing.size - 1) // TILE_PX + 1):
        for column in range(thing.x // TILE_PX, (thing.x + thing.size - 1) // TILE_PX + 1):
            height = min(thing.y + thing.size, (row + 1) * TILE_PX) - max(thing.y, row * TILE_PX)
            width = min(thing.x + thing.size, (column + 1) * TILE_PX) - max(thing.x, column * TILE_PX)
            yield row, column, height * width / thing.size**2


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
        logits = (gists @ asked[:, :-1].T) - asked[:, -1] + lens.fullness(gists.mean(-1, keepdim=True))
        total = total + _there_loss(logits, labels)
        if len(gists) > 1:
            total = total + 0.5 * _where_loss(logits, labels)
    gists, labels = sets[0]
    cosine = F.normalize(gists, dim=-1) @ F.normalize(asked[:, :-1], dim=-1).T
    where, what = _where_loss(SCALE * cosine, labels), _where_loss(SCALE * cosine.T, labels.T)
    return total / len(sets) + where + 0.5 * what


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


class FinderTrainer:
    """The state of a run."""

    def __init__(self, config: TrainFinderConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        base = NativeBase.from_pretrained(config.base)
        self.questions = Questions(base)
        self.cnn = PatchCnn(PatchCnnConfig(dim=base.dim, seed=config.seed))
        self.net = UnionNet(UnionNetConfig(dim=base.dim, seed=config.seed))
        self.lens = UnionLensNet(UnionLensConfig(base=base.id, gist_dim=base.dim))
        self.seen = torch.nn.Linear(self.net.config.width, sum(N_TRAITS))
        self.named = torch.nn.Linear(base.dim, sum(N_TRAITS))
        self.both = torch.nn.ModuleList((self.cnn, self.net, self.lens, self.seen, self.named)).to(config.device)
        self.optimizer = torch.optim.AdamW(self.both.parameters(), lr=config.learning_rate, weight_decay=0.01)
        self.rng = np.random.default_rng(config.seed)

    def cells(self, pixels: Pixels) -> Cells:
        """Encoded patches of whole tiles."""
        vectors = self.cnn(torch.from_numpy(pixels).to(self.config.device).permute(0, 3, 1, 2).float())
        return Cells(vectors[:, :, :, None], torch.ones(vectors.shape[:3], device=vectors.device), "patches")

    def step(self, rate: float) -> float:
        """One update; returns the loss."""
        config = self.config
        tiles = cut([random_scene(self.rng, config.things) for _ in range(config.scenes)], self.rng)
        words, valid = self.questions.draw(self.rng)
        words, valid = words.to(config.device), valid.to(config.device)
        labels = torch.from_numpy(tiles.labels).to(config.device)
        features = self.net.features(self.cells(tiles.pixels))
        gists = F.relu(self.net.out(features)).amax((1, 2))
        loss = finder_loss(self.lens, self.lens.ask(words, valid), unions(gists, labels, self.rng))
        on = torch.from_numpy(tiles.at).to(config.device)
        loss = loss + traits_loss(self.seen(features[on >= 0]), on[on >= 0])
        loss = loss + traits_loss(self.named(self.lens.mean_word(words, valid)), torch.arange(len(KINDS)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.both.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Of the kinds in unseen scenes: how often the tile ranked first among all of them holds one."""
        self.both.eval()
        rng = np.random.default_rng((self.config.seed, 1))
        tiles = cut([random_scene(rng, self.config.things) for _ in range(self.config.unseen_scenes)], rng, empty=1.0)
        words, valid = self.questions.draw(rng)
        asked = self.lens.ask(words.to(self.config.device), valid.to(self.config.device))
        cells = self.cells(tiles.pixels)
        gists = self.net(cells)[:, 0]
        on = torch.from_numpy(tiles.at).to(self.config.device)
        seen = self.seen(self.net.features(cells)[on >= 0]).split(N_TRAITS, dim=1)
        labels = torch.from_numpy(tiles.labels).to(self.config.device)
        logits = gists @ asked[:, :-1].T
        cosine = F.normalize(gists, dim=-1) @ F.normalize(asked[:, :-1], dim=-1).T
        there = (labels == 1).any(0)
        self.both.train()
        whole = logits - asked[:, -1] + self.lens.fullness(gists.mean(-1, keepdim=True))
        return {
            "top1": round(_first_holds(logits, labels)[there].mean().item(), 4),
            "top1_cosine": round(_first_holds(cosine, labels)[there].mean().item(), 4),
            "recall": round((whole[labels == 1] > 0).float().mean().item(), 4),
            "alarms": round((whole[labels == 0] > 0).float().mean().item(), 6),
            **{
                name: round((own.argmax(1) == TRAITS.to(on.device)[on[on >= 0], i]).float().mean().item(), 4)
                for i, (name, own) in enumerate(zip(Kind._fields, seen, strict=True))
            },
            "kinds": int(there.sum()),
        }

    def save(self) -> None:
        """Write the weights: ``OUT/encoder``, ``OUT/gistnet`` and ``OUT/lens``."""
        self.cnn.save_pretrained(self.config.out / "encoder")
        self.net.save_pretrained(self.config.out / "gistnet")
        Lens(self.lens).save_pretrained(self.config.out / "lens")
        self.both.train()


def _first_holds(logits: Tensor, labels: Tensor) -> Tensor:
    best = logits.masked_fill(labels == -1, -1e4).argmax(0, keepdim=True)
    return (labels.gather(0, best)[0] == 1).float()


def train_finder(config: TrainFinderConfig) -> None:
    """Train and write ``OUT/encoder``, ``OUT/gistnet``, ``OUT/lens``, a log and a checkpoint.

    Raises:
        FileNotFoundError: ``resume`` and there is no checkpoint.
    """
    torch.set_num_threads(config.threads)
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = FinderTrainer(config)
    schedule = Schedule(config.minutes, config.steps)
    if config.resume:
        checkpoint = read_checkpoint(config.out)
        checkpoint.restore(trainer.both, trainer.optimizer)
        schedule = Schedule(config.minutes, config.steps, checkpoint.progress, checkpoint.step)
        trainer.rng = np.random.default_rng((config.seed, checkpoint.step))
    with (config.out / "train.jsonl").open("a" if config.resume else "w", encoding="utf-8") as log:
        while schedule.progress < 1:
            loss = trainer.step(schedule.rate(config.learning_rate))
            schedule.step += 1
            if schedule.step % config.evaluate_every == 0 or schedule.progress >= 1:
                write_log(log, schedule, loss=round(loss, 4), dev=trainer.evaluate())
                state = Checkpoint.of(trainer.both, trainer.optimizer, schedule.step, min(schedule.progress, 1.0))
                write_checkpoint(state, config.out)
                trainer.save()
