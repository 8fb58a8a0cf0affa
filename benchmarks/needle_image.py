"""One small marked object in a plane of up to 100 gigapixels: whether focus zooms in on it, and what that costs.

A scene holds needles, each of a kind of its own, and distractors of the other kinds, most of which differ from some
needle in one of shape, colour and letter. It is taken up once; then every needle is asked for. Right is an answer whose
box has its centre inside the needle. All systems look at tiles with the same trained net and have the same budget.

- focus: the lens and the vector index over tiles; no index: the lens alone, from the root down;
- oracle: opens what covers the needle; random: opens anything; grid: as many tiles as fit, evenly spread;
- window: the whole plane shrunk to what fits the budget, 512 pixels square at 1024.

Usage: python benchmarks/needle_image.py [--finder DIR] [--scenes textured:1 … sparse:100000] [--needles 100]
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from bench import record
from bench.child import peak_rss_mib
from bench.images import take_up

from mm_megacontext.bases.finder import FINDER_DIR, Finder
from mm_megacontext.eval.metrics import wilson_interval
from mm_megacontext.reading.allocator import FocusConfig, focus
from mm_megacontext.reading.hints import HintConfig
from mm_megacontext.reading.runtime import ReadingConfig, Runtime
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.training.data.scenes import (
    COLOURS,
    KINDS,
    MARKS,
    SHAPES,
    Kind,
    Plain,
    Scene,
    Textured,
    Thing,
    scatter,
)
from mm_megacontext.tree.collection import CollectionTree
from mm_megacontext.tree.nodes import TILE_PX, Leaves, Node, NodeId, PatchGrid, PixelRef
from mm_megacontext.vision.gists.tile_gister import TileGister
from mm_megacontext.vision.quadtree.build import read_leaf_pixels

NAME = "needle_image"
DISTRACTORS = 10_000
MPX_PER_OBJECT = 0.1
"""A scene too small for all objects holds fewer: one in so many megapixels."""
STEPS = 40
TARGETS = {"textured 1000": 0.95, "sparse 100000": 0.90}


@dataclass(frozen=True, slots=True)
class Canvas:
    """A scene and the needles in it."""

    name: str
    megapixels: float
    scene: Scene
    needles: tuple[Thing, ...]


def canvas(name: str, n_needles: int, seed: int) -> Canvas:
    """``textured:N`` or ``sparse:N``, N in megapixels."""
    style, _, size = name.partition(":")
    megapixels = float(size)
    side = round(math.sqrt(megapixels * 1e6))
    rng = np.random.default_rng((seed, round(megapixels), style == "sparse"))
    n_objects = min(n_needles + DISTRACTORS, max(2, int(megapixels / MPX_PER_OBJECT)))
    n_needles = min(n_needles, max(1, n_objects // 4))
    wanted = rng.choice(len(KINDS), n_needles, replace=False)
    others = _distractors(rng, wanted.tolist(), n_objects - n_needles)
    things = scatter(rng, (side, side), [*wanted.tolist(), *others])
    behind = Textured(seed) if style == "textured" else Plain((255, 255, 255))
    return Canvas(f"{style} {size}", megapixels, Scene((side, side), things, behind), tuple(things[:n_needles]))


def _distractors(rng: np.random.Generator, needles: Sequence[int], n: int) -> list[int]:
    """Kinds that are no needle's: every other one differs from a needle in one thing only."""
    free = sorted(set(range(len(KINDS))) - set(needles))
    near = [k for needle in needles for k in _near(KINDS[needle]) if k not in set(needles)] or free
    return [int(rng.choice(near if i % 2 else free)) for i in range(n)]


def _near(kind: Kind) -> list[int]:
    options = {"shape": SHAPES, "colour": tuple(COLOURS), "mark": tuple(MARKS)}
    changed = [kind._replace(**{what: other}) for what, others in options.items() for other in others]
    return [KINDS.index(other) for other in changed if other != kind]


@dataclass(slots=True)
class ScenePixels:
    """Reads tiles of a scene, and counts them."""

    scene: Scene
    n_read: int = 0

    def with_pixels(self, tiles: Sequence[Node], leaves: Sequence[Leaves]) -> list[Leaves]:
        self.n_read += len(tiles)
        return [
            replace(own, pixels=read_leaf_pixels(self.scene, tile.pixels))
            for tile, own in zip(tiles, leaves, strict=True)
            if tile.pixels is not None
        ]


@dataclass(slots=True)
class Nodes:
    """A tree that counts the nodes that are read."""

    store: Store
    seen: set[NodeId] = field(default_factory=set)

    def roots(self) -> list[NodeId]:
        raise NotImplementedError("a collection stands above it")

    def nodes(self, ids: Sequence[NodeId]) -> list[Node]:
        self.seen.update(ids)
        return self.store.nodes(ids)

    def leaves(self, ids: Sequence[NodeId]) -> list[Leaves]:
        return self.store.leaves(ids)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a system found: a box in pixels, or None; and what it took."""

    box: tuple[float, float, float, float] | None
    steps: int = 0
    nodes: int = 0
    tiles: int = 0


class Bench:
    """A canvas taken up in a memory, and the systems that search it."""

    def __init__(self, finder: Finder, canvas: Canvas, store: Store, budget: int, seed: int) -> None:
        self.finder, self.lens, self.canvas = finder, finder.lens(), canvas
        self.store, self.budget = store, budget
        self.rng = np.random.default_rng((seed, 7))
        self.records = store.sources()
        self._shrunk: list[Entry] | None = None

    def systems(self) -> dict[str, Callable[[Thing, str], Looked]]:
        return {
            "focus": lambda needle, question: self.focus(question, HintConfig()),
            "no index": lambda needle, question: self.focus(question, HintConfig(n_text=0, n_tiles=0)),
            "oracle": self.oracle,
            "random": self.random,
            "grid": self.grid,
            "window": lambda needle, question: self.window(question),
        }

    def focus(self, question: str, hints: HintConfig) -> Looked:
        config = ReadingConfig(hints=hints, focus=FocusConfig(max_steps=STEPS, actions_per_step=32))
        runtime = Runtime(self.finder, self.lens, config)
        pixels, nodes = ScenePixels(self.canvas.scene), Nodes(self.store)
        tree = CollectionTree(nodes, self.records, pixels)
        capacity = self.budget - self.finder.prompt_cost(question)
        read = runtime.read(tree, self.store, question, capacity)
        box = self._box(read.focused.context.entries, question)
        return Looked(box, read.steps, len(nodes.seen), pixels.n_read)

    def oracle(self, needle: Thing, question: str) -> Looked:
        x, y, w, h = needle.box
        return self._guided(question, lambda e: _overlap(e.node.bbox, (x, y, x + w, y + h)))

    def random(self, needle: Thing, question: str) -> Looked:
        marks: dict[NodeId, float] = {}
        return self._guided(question, lambda e: marks.setdefault(e.node.id, float(self.rng.random())))

    def _guided(self, question: str, worth: Callable[[Entry], float]) -> Looked:
        """Scores that do not come from a lens."""
        pixels, nodes = ScenePixels(self.canvas.scene), Nodes(self.store)
        tree = CollectionTree(nodes, self.records, pixels)
        start = WorkingContext.start(tree, self.budget - self.finder.prompt_cost(question))
        focused = focus(start, lambda context: [worth(e) for e in context], FocusConfig(max_steps=STEPS))
        return Looked(self._box(focused.context.entries, question), focused.steps, len(nodes.seen), pixels.n_read)

    def grid(self, needle: Thing, question: str) -> Looked:
        side = math.isqrt((self.budget - self.finder.prompt_cost(question)) // 64)
        width, height = self.canvas.scene.size
        at = [(2 * i + 1) / (2 * side) for i in range(side)]
        corners = [(int(x * width) // TILE_PX * TILE_PX, int(y * height) // TILE_PX * TILE_PX) for y in at for x in at]
        entries = [tile_entry(self.canvas.scene, i, x, y, 0) for i, (x, y) in enumerate(corners)]
        return Looked(self._box(entries, question), tiles=len(entries))

    def window(self, question: str) -> Looked:
        """The plane in as many patches as the budget has room for."""
        if self._shrunk is None:
            scene, room = self.canvas.scene, math.isqrt(self.budget // 64) * TILE_PX
            level = max(0, math.ceil(math.log2(max(scene.size) / room)))
            corners = [(x, y) for y in range(0, room, TILE_PX) for x in range(0, room, TILE_PX)]
            inside = [c for c in corners if max(c) << level < min(scene.size)]
            self._shrunk = [tile_entry(scene, i, x, y, level) for i, (x, y) in enumerate(inside)]
        return Looked(self._box(self._shrunk, question), tiles=len(self._shrunk))

    def _box(self, entries: Sequence[Entry], question: str) -> tuple[float, float, float, float] | None:
        reading = self.finder.read(entries, question, 1)
        if not reading.pointed:
            return None
        leaves = {entry.id: entry.leaves for entry in entries if entry.leaves is not None}
        boxes = np.stack([leaves[p.node].boxes[p.leaf] for p in reading.pointed]).astype(np.float64)
        return (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())


def tile_entry(scene: Scene, index: int, x: int, y: int, level: int) -> Entry:
    """A tile of a level, expanded, as no tree holds it."""
    width, height = (-(-side // (1 << level)) for side in scene.size)
    grid = PatchGrid(*(x, y, min(TILE_PX, width - x), min(TILE_PX, height - y), level), *scene.size, 1.0, 0)
    id = NodeId(1, index)
    moments = grid.moments()
    boxes = grid.boxes()
    ref = PixelRef(1, level, grid.x, grid.y, grid.width, grid.height)
    node = Node(
        id=id, first=id, last=id, children=(), lod=1, modality="image", kind="tile", page=1, last_page=1,
        bbox=(*boxes[0, :2].tolist(), *boxes[-1, 2:].tolist()), t_span=(0, 1), n_leaves=len(grid), mu=moments.mean,
        sigma=np.sqrt(moments.variance), gist=np.zeros((1, 1), np.float16), pixels=ref,
    )  # fmt: skip
    none = np.zeros(0)
    leaves = Leaves(grid.mu(), boxes, none.astype(np.int64), none.astype(np.uint8), read_leaf_pixels(scene, ref))
    return Entry(node, leaves)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Area that two boxes share, as a share of ``b``; -1 if they do not touch."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height / ((b[2] - b[0]) * (b[3] - b[1])) if width > 0 and height > 0 else -1.0


def is_inside(box: Sequence[float] | None, needle: Thing) -> bool:
    """Whether the middle of a box lies in the needle."""
    if box is None:
        return False
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return needle.x <= x < needle.x + needle.size and needle.y <= y < needle.y + needle.size


def measure(finder: Finder, name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per system."""
    made = canvas(name, args.needles, args.seed)
    gister = finder.gister()
    tiles = TileGister(finder.encoder, gister)
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as scratch:
        identity = Identity(base=finder.id, gistnet=gister.id, encoder=finder.encoder.name, dim=finder.dim, slots=1)
        store = Store.create(Path(scratch) / "memory", identity)
        begun = time.perf_counter()
        take_up(store, made.scene, tiles, "scene")
        store.close()
        store = Store.open(Path(scratch) / "memory", identity)
        ingest_s = time.perf_counter() - begun
        bench = Bench(finder, made, store, args.budget, args.seed)
        for system, look in bench.systems().items():
            begun = time.perf_counter()
            looked = [look(needle, KINDS[needle.kind].question()) for needle in made.needles]
            seconds = (time.perf_counter() - begun) / len(looked)
            right = sum(is_inside(one.box, needle) for one, needle in zip(looked, made.needles, strict=True))
            low, high = wilson_interval(right, len(looked))
            yield {
                "scene": made.name,
                "system": system,
                "n": len(looked),
                "success": round(right / len(looked), 4),
                "ci95": f"{low:.3f} – {high:.3f}",
                "steps": median(one.steps for one in looked),
                "most_steps": max(one.steps for one in looked),
                "nodes_read": round(mean(one.nodes for one in looked), 1),
                "tiles_read": round(mean(one.tiles for one in looked), 1),
                "ask_s": round(seconds, 3),
                "objects": len(made.scene.things),
                "nodes": store.sources()[0].n_nodes,
                "tiles_encoded": tiles.n_encoded,
                "ingest_s": round(ingest_s, 1),
                "peak_rss_mib": round(peak_rss_mib(), 1),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    scenes = ["textured:1", "textured:10", "textured:100", "textured:1000", "sparse:10000", "sparse:100000"]
    parser.add_argument(
        "--finder", type=Path, metavar="DIR", help="what `mmctx train finder` wrote (default: the one in the package)"
    )
    parser.add_argument("--scenes", nargs="+", default=scenes, metavar="STYLE:MPX", help="default: %(default)s")
    parser.add_argument("--needles", type=int, default=100, metavar="N", help="per scene, if it has room (default 100)")
    parser.add_argument("--budget", type=int, default=1024, metavar="N", help="default %(default)s")
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    torch.set_num_threads(1)
    load = record.load()
    finder = Finder.from_pretrained(args.finder or FINDER_DIR)
    rows: list[dict[str, Any]] = []
    for name in args.scenes:
        for row in measure(finder, name, args):
            print(row, flush=True)
            rows.append(row)
    targets = [
        record.Target(name=f"success, {scene} Mpx", value=row["success"], at_least=TARGETS[scene])
        for row in rows
        if (scene := row["scene"]) in TARGETS and row["system"] == "focus"
    ]
    notes = {
        "budget": args.budget,
        "most_steps": STEPS,
        "finder": args.finder.name if args.finder else "package",
    }
    record.Record(name=NAME, seed=args.seed, rows=rows, targets=targets, notes=notes).publish(args.out, load)


if __name__ == "__main__":
    main()
