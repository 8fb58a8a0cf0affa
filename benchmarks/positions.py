"""What two-dimensional Gaussian positions are worth: the same model trained with less of them, on the lookup task.

Models begin with the same random weights and see the same batches for as many steps: with positions on t alone, with t,
x and y but no spread, and with all of it; of the last, one whose questions stand nowhere, and one that has them stand
at the corner of the page. Each is asked about generated documents of the dev split, read in three ways: whole pages
leaf by leaf; mixed contexts, sharp at the evidence and gists elsewhere; and the same contexts without the gists, which
says what gists, and so their spread, can be worth here at most. Choosing what to read is not measured. When copying
sets in differs from run to run, so all of it is done with several seeds.

Usage: python benchmarks/positions.py [--steps 600] [--questions 400] [--seeds 0 1 2] [--jobs 2] [--models DIR]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from bench import record

from mm_megacontext.bases.native import NativeModel
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer, save_model
from mm_megacontext.eval.lookup import LookupConfig, Tally
from mm_megacontext.eval.metrics import wilson_interval
from mm_megacontext.eval.systems import Asked, System, answers, full
from mm_megacontext.eval.task import Prediction
from mm_megacontext.models import Model
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensConfig, LensNet
from mm_megacontext.reading.working_context import Entry, WorkingContext
from mm_megacontext.training.data.contexts import ContextConfig
from mm_megacontext.training.train_base import Stage, TrainBaseConfig, train_base

NAME = "positions"
BUDGET, N_FACTS = 256, 6
CURRICULUM = (
    Stage(until=0.4, context=ContextConfig(pages=(1,), n_facts=(2, 5), length=128, batch=16, n_questions=6)),
    Stage(until=1.0, context=ContextConfig(pages=(1, 2, 4), n_facts=(3, 8), length=192, batch=12, n_questions=10)),
)
"""A shorter version of the recipe of ``mmctx-tiny``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """A model; ``gain`` of 0 takes the spread out of positions, and its gradient is 0 there, so it stays so.

    Attributes:
        nowhere: See ``NativeConfig.nowhere``.
    """

    name: str
    pairs: tuple[int, int, int]
    gain: float
    nowhere: float = 1e3

    @property
    def slug(self) -> str:
        return self.name.replace(", ", "-").replace(" ", "-")


VARIANTS = (
    Variant("t only, no spread", (12, 0, 0), 0.0),
    Variant("t, x, y, no spread", (4, 4, 4), 0.0),
    Variant("t, x, y with spread, questions at the corner", (4, 4, 4), 1.0, nowhere=0.0),
    Variant("t, x, y with spread", (4, 4, 4), 1.0),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How a document of so many pages is read."""

    name: str
    pages: int
    read: System


def mixed(asked: Asked) -> list[Entry]:
    """Sharp at the evidence, then at whatever fits, the rest as gists."""
    context, evidence = WorkingContext.start(asked.tree, asked.capacity), asked.evidence()
    while True:
        fitting = [entry for entry in context if entry.is_expandable and entry.expansion_cost <= context.slack]
        if not fitting:
            return list(context.entries)
        wanted = [e for e in fitting if any(e.node.covers(id) for id in evidence)]
        context = context.expand([(wanted or [asked.rng.choice(fitting)])[0].id])


def with_gists(asked: Asked) -> Prediction:
    return asked.read(mixed(asked))


def without_gists(asked: Asked) -> Prediction:
    return asked.read([entry for entry in mixed(asked) if entry.leaves is not None])


WAYS = (
    Way("leaves, 1 page", 1, full),
    *(Way(f"mixed, {n} pages", n, with_gists) for n in (6, 40)),
    *(Way(f"mixed without gists, {n} pages", n, without_gists) for n in (6, 40)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One training with its questions."""

    variant: Variant
    seed: int
    steps: int
    questions: int
    threads: int
    out: Path

    def rows(self) -> list[dict[str, Any]]:
        """One per way of reading. What is trained already is not trained again."""
        torch.set_num_threads(self.threads)
        if not (self.out / "model.safetensors").exists():
            train(self)
        log = read_log(self.out)
        seconds = round(log[-1]["seconds"])
        print(f"{self.variant.name}, seed {self.seed}: trained in {seconds} s", file=sys.stderr)
        common = {"positions": self.variant.name, "seed": self.seed, "sets_in": sets_in(log), "train_s": seconds}
        return [{**common, **row} for row in measure(self)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=600, metavar="N", help="of training (default %(default)s)")
    parser.add_argument("--questions", type=int, default=400, metavar="N", help="with an answer (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at a time (default %(default)s)")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="keep the models here; those that are there are taken"
    )
    record.add_arguments(parser, NAME)
    args = parser.parse_args()
    load, threads = record.load(), max(1, len(os.sched_getaffinity(0)) // args.jobs)
    with tempfile.TemporaryDirectory(prefix="mmctx-bench-") as temporary:
        models = args.models or Path(temporary)
        runs = [
            Run(variant, seed, args.steps, args.questions, threads, models / f"{seed}-{variant.slug}")
            for seed in args.seeds
            for variant in VARIANTS
        ]
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            rows = [row for found in pool.map(Run.rows, runs) for row in found]
    notes = {"steps": args.steps, "budget": BUDGET, "split": "dev", "threads": threads, "means": means(rows)}
    print(record.render_table(notes["means"]))
    record.Record(name=NAME, seed=args.seeds[0], rows=rows, notes=notes).publish(args.out, load)


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of all seeds: mean of each figure, and the least and most of them."""
    found = []
    for variant in VARIANTS:
        for way in WAYS:
            of = [row for row in rows if (row["positions"], row["context"]) == (variant.name, way.name)]
            figures = {name: [row[name] for row in of] for name in ("all", "cells", "others", "absent")}
            found.append(
                {
                    "positions": variant.name,
                    "context": way.name,
                    **{name: round(fmean(values), 4) for name, values in figures.items()},
                    "from": min(figures["all"]),
                    "to": max(figures["all"]),
                }
            )
    return found


def read_log(directory: Path) -> list[dict[str, Any]]:
    with (directory / "train.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def sets_in(log: Sequence[dict[str, Any]]) -> int | None:
    """The first step in the log at which a third of the questions with an answer were answered."""
    return next((line["step"] for line in log if "train" in line and line["train"]["right"] >= 1 / 3), None)


def train(run: Run) -> None:
    """The recipe from random weights that are the same for all variants."""
    config = NativeConfig(name=NAME, rotary_pairs=run.variant.pairs, nowhere=run.variant.nowhere)
    torch.manual_seed(run.seed)
    model = NativeModel(config)
    torch.nn.init.constant_(model.sigma_gain, run.variant.gain)
    save_model(model, run.out / "init")
    load_tokenizer(TINY_DIR).save(run.out / "init" / "tokenizer.json")
    train_base(
        TrainBaseConfig(
            out=run.out,
            init=run.out / "init",
            steps=run.steps,
            seed=run.seed,
            optimizer="muon",
            model=config,
            curriculum=CURRICULUM,
            evaluate_every=None,
            save_every=run.steps,
            threads=run.threads,
        )
    )


def measure(run: Run) -> list[dict[str, Any]]:
    """One row per way of reading."""
    reader = NativeBase.from_pretrained(run.out)
    lens = Lens(LensNet(LensConfig(base=reader.id, gist_dim=reader.dim)))  # never asked
    model, rows = Model.of(reader, lens), []
    for way in WAYS:
        config = LookupConfig(split="dev", n=run.questions, n_facts=N_FACTS, seed=run.seed)
        tallies = {"cell": Tally(), "other": Tally()}
        for sample, outcome in answers(config.samples(way.pages), {way.name: way.read}, model, BUDGET, run.seed):
            tallies["cell" if sample.answer_type == "cell" else "other"].add(sample, outcome[way.name])
        rows.append(row_of(way, *tallies.values()))
    return rows


def row_of(way: Way, cell: Tally, other: Tally) -> dict[str, Any]:
    return {
        "context": way.name,
        "pages": way.pages,
        **_share("all", cell.right + other.right, cell.n + other.n),
        **_share("cells", cell.right, cell.n),
        **_share("others", other.right, other.n),
        **_share("absent", cell.refused_absent + other.refused_absent, cell.n_absent + other.n_absent),
    }


def _share(name: str, right: int, n: int) -> dict[str, Any]:
    low, high = wilson_interval(right, n)
    return {f"n_{name}": n, name: round(right / max(n, 1), 4), f"ci95_{name}": _interval((low, high))}


def _interval(bounds: Sequence[float]) -> str:
    return " – ".join(f"{bound:.3f}" for bound in bounds)


if __name__ == "__main__":
    main()
