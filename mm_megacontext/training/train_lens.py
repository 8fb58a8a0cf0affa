"""``mmctx train lens``: train a LensNet on the generator's known evidence, with the base frozen.

The loss ranks the nodes that cover the evidence above all others of the cut (softmax over the cut), calibrates the
sign of the score (binary cross-entropy), and shapes the query vector so that blocks can be found by it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR, load_tokenizer
from mm_megacontext.lens import Lens, LensConfig, LensInputs, LensNet
from mm_megacontext.training.lens_data import LensBatch, LensDataConfig, lens_batches
from mm_megacontext.training.lookup_model import gist_vectors
from mm_megacontext.training.words import Split

BATCHES_PER_CORPUS = 100
SCALE = 8.0
"""Inverse temperature of the query vector's ranking by cosine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLensConfig:
    """Options of the run; ``minutes`` or ``steps``, whichever ends first."""

    out: Path
    base: Path = TINY_DIR
    minutes: float = 10.0
    steps: int | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    learning_rate: float = 1.5e-3
    evaluate_every: int = 500
    data: LensDataConfig = field(default_factory=LensDataConfig)


def _corpus(
    base: Path, config: LensDataConfig, seed: str, split: Split, n_batches: int
) -> tuple[npt.NDArray[np.int64], list[LensBatch]]:
    return lens_batches(load_tokenizer(base), config, seed, split, n_batches=n_batches)


def batches(config: TrainLensConfig) -> Iterator[tuple[npt.NDArray[np.int64], LensBatch]]:
    """Endless training batches, made one corpus ahead in another process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        number = 0
        pending = pool.submit(_corpus, config.base, config.data, f"{config.seed}-0", "train", BATCHES_PER_CORPUS)
        while True:
            tokens, made = pending.result()
            number += 1
            seed = f"{config.seed}-{number}"
            pending = pool.submit(_corpus, config.base, config.data, seed, "train", BATCHES_PER_CORPUS)
            for batch in made:
                yield tokens, batch


def to_inputs(batch: LensBatch, prefix: Tensor, embedding: Tensor) -> LensInputs:
    """A batch as tensors, gists and words embedded by the frozen base."""
    ranges = torch.from_numpy(batch.gist_ranges)
    counts = (ranges[..., 1] - ranges[..., 0]).clamp(min=1)
    gists = (prefix[ranges[..., 1]] - prefix[ranges[..., 0]]) / counts[..., None]
    return LensInputs(
        gists=gists.half().float(),  # as stored
        features=torch.from_numpy(batch.features),
        lods=torch.from_numpy(batch.lods),
        valid=torch.from_numpy(batch.valid),
        question=embedding[torch.from_numpy(batch.question_ids)],
        question_valid=torch.from_numpy(batch.question_valid),
    )


def ranking_loss(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Mean over the cuts of -log of the softmax mass on positive nodes; cuts without a choice do not count."""
    logits = logits.masked_fill(~valid, -1e4)
    mass = torch.logsumexp(logits.masked_fill(~positive, -1e4), 1) - torch.logsumexp(logits, 1)
    has_choice = positive.any(1) & (valid & ~positive).any(1)
    return -(mass * has_choice).sum() / has_choice.sum().clamp(min=1)


def query_logits(net: LensNet, inputs: LensInputs) -> Tensor:
    """(batch, nodes) scaled cosine of the query vector and each gist, as the vector index ranks them."""
    weight = F.softplus(net.word_weight(inputs.question)) * inputs.question_valid[..., None]
    query = (weight * net.match_word(inputs.question)).sum(1) @ net.match_gist.weight
    return SCALE * (F.normalize(inputs.gists, dim=-1) @ F.normalize(query, dim=-1)[..., None]).squeeze(-1)


def lens_loss(net: LensNet, inputs: LensInputs, positive: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and the logits it was taken of."""
    logits = net(inputs)
    calibration = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    calibration = (calibration * inputs.valid).sum() / inputs.valid.sum()
    blocks = inputs.valid & (inputs.lods <= 1)
    vector = ranking_loss(query_logits(net, inputs), positive & blocks, blocks)
    return ranking_loss(logits, positive, inputs.valid) + 2 * calibration + 0.3 * vector, logits


def evaluate(net: LensNet, data: list[tuple[LensInputs, Tensor]]) -> dict[str, float]:
    """On cuts of the dev split: how often a node with evidence is ranked first, and how well the sign tells."""
    top1, precision, recall = [], [], []
    with torch.no_grad():
        for inputs, positive in data:
            logits = net(inputs).masked_fill(~inputs.valid, -1e4)
            has_choice = positive.any(1) & (inputs.valid & ~positive).any(1)
            best = positive.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
            top1.append(best[has_choice].float())
            chosen = (logits > 0) & inputs.valid
            precision.append(positive[chosen].float())
            recall.append(chosen[positive].float())
    return {
        "top1": round(torch.cat(top1).mean().item(), 4),
        "precision": round(torch.cat(precision).mean().item(), 4),
        "recall": round(torch.cat(recall).mean().item(), 4),
    }


def train_lens(config: TrainLensConfig) -> Lens:
    """Run the recipe; writes weights, config and a log of JSON lines to ``config.out``."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    base = NativeBase.from_pretrained(config.base)
    embedding = base.model.tokens.weight.detach()
    net = LensNet(LensConfig(base=base.id, gist_dim=base.dim))
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=0.01)
    tokens, dev_batches = _corpus(config.base, config.data, "dev", "dev", 40)
    prefix = gist_vectors(torch.from_numpy(tokens), embedding)
    dev = [(to_inputs(b, prefix, embedding), torch.from_numpy(b.positive)) for b in dev_batches]
    config.out.mkdir(parents=True, exist_ok=True)
    began, corpus = time.monotonic(), tokens
    with (config.out / "train.jsonl").open("w", encoding="utf-8") as log:
        for step, (tokens, batch) in enumerate(batches(config)):
            progress = (time.monotonic() - began) / (60 * config.minutes)
            if progress >= 1 or (config.steps is not None and step >= config.steps):
                break
            if tokens is not corpus:
                corpus, prefix = tokens, gist_vectors(torch.from_numpy(tokens), embedding)
            loss, _ = lens_loss(net, to_inputs(batch, prefix, embedding), torch.from_numpy(batch.positive))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min(1.0, (step + 1) / 100) * (1 - progress)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % config.evaluate_every == 0:
                record = {"step": step, "seconds": round(time.monotonic() - began, 1), "loss": round(loss.item(), 4)}
                log.write(json.dumps({**record, "dev": evaluate(net, dev)}) + "\n")
                log.flush()
        log.write(json.dumps({"step": step, "dev": evaluate(net, dev), "base": base.id, "seed": config.seed}) + "\n")
    lens = Lens(net)
    lens.save_pretrained(config.out)
    return lens
