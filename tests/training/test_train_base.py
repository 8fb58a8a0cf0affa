"""The recipe of the base, on a model and a curriculum so small that it takes seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_config import NativeConfig
from mm_megacontext.bases.native_files import save_model
from mm_megacontext.bases.tokenizer import WordTokenizer
from mm_megacontext.training import run as loop
from mm_megacontext.training.data.contexts import Batch, corpus_batches
from mm_megacontext.training.lookup_model import gist_vectors
from mm_megacontext.training.run import run
from mm_megacontext.training.train_base import CURRICULUM, BaseRecipe, Stage, TrainBaseConfig, train_base
from tests.tiny import CONFIG, random_model, tokenizer
from tests.training import small_runs
from tests.training.small_runs import CONTEXT, MODEL, SHORTER


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "data_process", small_runs.here)
    n = torch.get_num_threads()
    yield
    torch.set_num_threads(n)


def config(out: Path, **changes: Any) -> TrainBaseConfig:
    settings: dict[str, Any] = {
        "steps": 60,
        "log_every": 25,
        "learning_rate": 2e-2,
        "evaluate_every": 30,
        "save_every": 30,
        "batches_per_corpus": 6,
        "curriculum": (Stage(until=1.0, context=CONTEXT),),
    }
    out.mkdir(parents=True, exist_ok=True)
    return small_runs.base_options(out, out, **{**settings, **changes})


def log_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_learns_and_writes_a_base(tmp_path: Path) -> None:
    model = train_base(config(tmp_path))
    log = log_of(tmp_path)
    train = [record["train"]["answer"] for record in log if "train" in record]
    dev = [record["dev"][0]["answer"] for record in log if "dev" in record]
    assert [record["step"] for record in log if "train" in record] == [25, 30, 50, 60]
    assert train[-1] < train[0]
    assert dev[-1] < 8, "less than ln(4096) = 8.3, what guessing costs"
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.safetensors",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "train.jsonl",
    }
    base = NativeBase.from_pretrained(tmp_path)
    assert base.model.config == MODEL
    for a, b in zip(model.state_dict().values(), base.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert base.tokenizer.encode("Rent 1,234") == tokenizer().encode("Rent 1,234")


def other_tokenizer(directory: Path) -> Path:
    """As many tokens as the package's, which stand for other letters."""
    saved = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = saved["model"]["vocab"]
    first, second = "\u0120a", "\u0120b"  # at the start of a word
    vocabulary.update({first: vocabulary[second], second: vocabulary[first]})
    (directory / "tokenizer.json").write_text(json.dumps(saved), encoding="utf-8")
    return directory


def test_given_weights_and_their_tokenizer_are_begun_with(tmp_path: Path) -> None:
    given = tmp_path / "given"
    save_model(random_model(5), given)
    tokenizer().save(given / "tokenizer.json")
    its = WordTokenizer.from_file(other_tokenizer(given) / "tokenizer.json")
    assert its.encode("a") != tokenizer().encode("a")
    recipe = BaseRecipe(config(tmp_path / "out", init=given))
    for a, b in zip(random_model(5).state_dict().values(), recipe.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert recipe.model.config == CONFIG
    saved = WordTokenizer.from_file(tmp_path / "out" / "tokenizer.json")
    assert saved.encode("a") == its.encode("a")
    expected = corpus_batches(its, CONTEXT, "0-3", "train", n_batches=6, n_pages=3)
    np.testing.assert_array_equal(recipe.part(3, 0.5)()[0].tokens, expected.tokens)


def test_a_resumed_run_keeps_the_model_that_it_began_with(tmp_path: Path) -> None:
    """Its options need not be given once more."""
    given = tmp_path / "given"
    save_model(random_model(5), given)
    tokenizer().save(given / "tokenizer.json")
    other_tokenizer(given)
    train_base(config(tmp_path / "out", init=given, steps=1))
    model = train_base(config(tmp_path / "out", steps=2, resume=True))
    assert model.config == CONFIG
    saved = WordTokenizer.from_file(tmp_path / "out" / "tokenizer.json")
    assert saved.encode("a") != tokenizer().encode("a")


def test_a_schedule_can_begin_later(tmp_path: Path) -> None:
    run(BaseRecipe, config(tmp_path, steps=2, init_progress=0.4, log_every=1))
    assert [record["progress"] for record in log_of(tmp_path) if "train" in record] == [0.7, 1.0]


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    save_model(random_model(5), tmp_path / "given")
    WordTokenizer(Tokenizer(models.BPE({"a": 0, "b": 1}, []))).save(tmp_path / "given" / "tokenizer.json")
    with pytest.raises(ValueError, match="the tokenizer has 2 tokens, the model has 4096 embeddings"):
        BaseRecipe(config(tmp_path / "out", init=tmp_path / "given"))


def test_the_curriculum_covers_the_run() -> None:
    ends = [stage.until for stage in CURRICULUM]
    assert ends == sorted(ends)
    assert ends[-1] == 1.0
    with_answer = CURRICULUM[-1].context
    assert max(with_answer.pages) > 32, "deep trees are met"


def test_a_part_is_a_corpus_of_the_stage_that_is_due(tmp_path: Path) -> None:
    stages = (Stage(until=0.4, context=SHORTER), Stage(until=1.0, context=CONTEXT))
    recipe = BaseRecipe(config(tmp_path, seed=3, curriculum=stages))
    for number, progress, context in ((0, 0.0, SHORTER), (1, 0.39, SHORTER), (2, 0.4, CONTEXT), (3, 1.0, CONTEXT)):
        found = recipe.part(number, progress)()
        expected = corpus_batches(tokenizer(), context, f"3-{number}", "train", n_batches=6, n_pages=3)
        assert [batch.number for batch in found] == list(range(6))
        for batch, own in zip(found, expected.batches, strict=True):
            np.testing.assert_array_equal(batch.tokens, expected.tokens)
            for name in Batch.__slots__:
                np.testing.assert_array_equal(getattr(batch.contexts, name), getattr(own, name))


def test_gists_of_a_corpus_are_made_of_the_words_at_its_beginning(tmp_path: Path) -> None:
    recipe = BaseRecipe(config(tmp_path))
    batches, rng = recipe.part(0, 0.0)(), np.random.default_rng(0)
    recipe.loss(batches[0], rng)
    before = recipe.model.tokens.weight.detach().clone()
    with torch.no_grad():
        recipe.model.tokens.weight.mul_(2)
    recipe.loss(batches[1], rng)
    assert torch.equal(recipe.net.gist_words, before)
    assert torch.equal(recipe._prefix, gist_vectors(torch.from_numpy(batches[0].tokens), before))
    recipe.loss(recipe.part(1, 0.5)()[0], rng)
    assert torch.equal(recipe.net.gist_words, 2 * before)


def test_the_package_trains_a_model_of_its_own_size() -> None:
    assert TrainBaseConfig(out=Path("runs")).model == NativeConfig()
