"""The recipe of the lens, and its data. Oracles: cuts checked against their document, losses by hand."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mm_megacontext.bases.native_files import save_model
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensInputs, LensNet
from mm_megacontext.training import run as loop
from mm_megacontext.training import train_lens as recipe
from mm_megacontext.training.data.corpus import make_document
from mm_megacontext.training.data.lens_data import LensBatch, LensDataConfig, lens_batches, open_some
from mm_megacontext.training.data.pages import PageConfig
from mm_megacontext.training.data.words import Split
from mm_megacontext.training.lookup_model import gist_vectors
from mm_megacontext.training.train_lens import (
    TrainLensConfig,
    lens_loss,
    measure,
    query_logits,
    ranking_loss,
    to_inputs,
    train_lens,
)
from tests.tiny import random_base, random_lens_net, tokenizer
from tests.training import small_runs

DATA = LensDataConfig(pages=(1, 2), n_facts=(4, 8), batch=8, most_nodes=48)
CPU = torch.device("cpu")


@cache
def made(split: Split = "dev") -> tuple[npt.NDArray[np.int64], list[LensBatch]]:
    return lens_batches(tokenizer(), DATA, "test", split, n_batches=4, n_pages=5)


def inputs(n: int = 0) -> tuple[LensInputs, torch.Tensor]:
    tokens, batches = made()
    embedding = random_base().model.tokens.weight.detach()
    prefix = gist_vectors(torch.from_numpy(tokens), embedding)
    return to_inputs(batches[n], prefix, embedding, CPU), torch.from_numpy(batches[n].positive)


def test_cuts_cover_their_document_once() -> None:
    tokens, batches = made()
    for batch in batches:
        for b in range(DATA.batch):
            n = int(batch.valid[b].sum())
            assert 1 <= n <= DATA.most_nodes
            assert batch.valid[b, :n].all()
            ranges = batch.gist_ranges[b, :n]
            np.testing.assert_array_equal(ranges[1:, 0], ranges[:-1, 1])
            assert (ranges[:, 1] > ranges[:, 0]).all()
            assert ranges[-1, 1] <= len(tokens)
            np.testing.assert_allclose(np.exp(batch.features[b, :n, 0]), ranges[:, 1] - ranges[:, 0], rtol=1e-5)
            assert batch.positive[b, :n].any(), "the evidence is always covered by something"
            assert not batch.positive[b, n:].any()
            np.testing.assert_array_equal(batch.features[b, :n, 7] > 0, batch.lods[b, :n] == 0)


@pytest.mark.parametrize("seed", range(5))
def test_opened_cuts(seed: int) -> None:
    own = make_document(tokenizer(), f"open-{seed}", "dev", 6, PageConfig(n_facts=8))
    rng = random.Random(seed)
    for evidence in own.evidence[:10]:
        cut = open_some(own.rows, evidence, 40, rng)
        assert len(cut) <= 40
        covered = [t for row, _ in cut for t in range(*row.t_span)]
        assert covered == list(range(len(own.token_ids)))
        assert all(row.lod == 1 for row, is_open in cut if is_open)


def test_gists_are_those_of_a_store() -> None:
    tokens, batches = made()
    found, _ = inputs()
    embedding = random_base().model.tokens.weight.detach().numpy()
    for b in range(3):
        for i in range(int(batches[0].valid[b].sum())):
            start, stop = batches[0].gist_ranges[b, i]
            mean = embedding[tokens[start:stop]].astype(np.float64).mean(axis=0).astype(np.float16)
            np.testing.assert_allclose(found.gists[b, i].numpy(), mean.astype(np.float32), atol=2e-3)


def test_ranking_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5, 9.0], [3.0, 1.0, 0.0, 0.0]])
    positive = torch.tensor([[True, False, True, False], [True, True, False, False]])
    valid = torch.tensor([[True, True, True, False], [True, True, False, False]])
    e = [math.exp(x) for x in (1.0, 2.0, 0.5)]
    expected = -math.log((e[0] + e[2]) / sum(e))
    assert float(ranking_loss(logits, positive, valid)) == pytest.approx(expected), "the second cut has no choice"


def test_query_logits_are_cosines_of_the_query_vector() -> None:
    net = random_lens_net("base")
    found, _ = inputs()
    with torch.no_grad():
        logits = query_logits(net, found)
        for b in range(3):
            m = int(found.question_valid[b].sum())
            vector = net.query_vector(found.question[b, :m])
            cosine = torch.nn.functional.cosine_similarity(found.gists[b], vector[None], dim=-1)
            torch.testing.assert_close(logits[b], recipe.SCALE * cosine, atol=1e-4, rtol=1e-4)


def test_the_loss_is_finite_and_falls_towards_the_evidence() -> None:
    found, positive = inputs()
    assert torch.isfinite(lens_loss(random_lens_net("base"), found, positive))
    marked = positive.float() * 20 - 10
    assert (
        float(ranking_loss(marked, positive, found.valid)) < 1e-3 < float(ranking_loss(-marked, positive, found.valid))
    )


def test_evaluation_of_a_perfect_and_of_a_silent_lens() -> None:
    found, positive = inputs()

    class Fixed(torch.nn.Module):
        def __init__(self, logits: torch.Tensor) -> None:
            super().__init__()
            self.logits = logits

        def forward(self, _: LensInputs) -> torch.Tensor:
            return self.logits

    perfect: Any = Fixed(positive.float() * 2 - 1)
    assert measure(perfect, [(found, positive)]) == {"top1": 1.0, "precision": 1.0, "recall": 1.0}
    silent: Any = Fixed(torch.full(positive.shape, -1.0))
    result = measure(silent, [(found, positive)])
    assert result["recall"] == 0.0
    json.dumps(result, allow_nan=False)


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    base = random_base()
    save_model(base.model, tmp_path / "base")
    tokenizer().save(tmp_path / "base" / "tokenizer.json")
    return tmp_path / "base"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "data_process", small_runs.here)
    n = torch.get_num_threads()
    yield
    torch.set_num_threads(n)


def config(out: Path, base: Path, **changes: Any) -> TrainLensConfig:
    settings: dict[str, Any] = {"steps": 30, "log_every": 10, "evaluate_every": 10, "learning_rate": 5e-3}
    return small_runs.lens_options(out, base, **{**settings, "save_every": 10, **changes})


def test_a_run_learns_and_writes_a_lens(tmp_path: Path, base_dir: Path) -> None:
    lens = train_lens(config(tmp_path / "lens", base_dir))
    log = [json.loads(line) for line in (tmp_path / "lens" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in log if "dev" in record] == [10, 20, 30]
    losses = [record["train"]["loss"] for record in log if "train" in record]
    assert losses[-1] < losses[0]
    assert set(log[-1]["dev"]) == {"top1", "precision", "recall"}
    loaded = Lens.from_pretrained(random_base().id, tmp_path / "lens")
    assert isinstance(lens.net, LensNet)
    assert isinstance(loaded.net, LensNet)
    for a, b in zip(lens.net.state_dict().values(), loaded.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not lens.net.training
