"""``mmctx eval lookup`` with a base that knows nothing: its form, its counts and its budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import save_model
from mm_megacontext.errors import UnknownName
from mm_megacontext.eval.lookup import LOOKUP_SYSTEMS, LookupConfig, LookupTask, Tally, run_lookup
from mm_megacontext.eval.systems import SYSTEMS
from mm_megacontext.eval.task import TASKS, Files, Prediction, Sample, TaskOptions
from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.training.data.corpus import _words as words_of
from tests.tiny import random_base, random_lens, tokenizer

N, BUDGET = 4, 160


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights")
    base = random_base()
    save_model(base.model, path / "base")
    tokenizer().save(path / "base" / "tokenizer.json")
    random_lens(base.id).save_pretrained(path / "lens")
    return path


def config(weights: Path, **changes: Any) -> LookupConfig:
    settings: dict[str, Any] = {"n": N, "pages": (1, 2), "budget": BUDGET, "split": "test"}
    return LookupConfig(**{**settings, "base": weights / "base", "lens": weights / "lens", **changes})


def test_every_system_at_every_length(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented JSON, and no baseline that reads more than it may."""
    costs: list[tuple[int, int]] = []
    original = NativeBase.read

    def recorded(self: NativeBase, entries: Sequence[Entry], question: str, t_end: float) -> Reading:
        costs.append((sum(entry.cost for entry in entries), self.prompt_cost(question)))
        assert [entry.node.order for entry in entries] == sorted(entry.node.order for entry in entries)
        assert all(entry.node.t_span[1] <= t_end for entry in entries)
        return original(self, entries, question, t_end)

    monkeypatch.setattr(NativeBase, "read", recorded)
    progress: list[str] = []
    result = run_lookup(config(weights), progress.append)
    assert list(result) == ["rows", "seed", "split", "model", "versions"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    expected = [(1, name) for name in LOOKUP_SYSTEMS] + [(2, name) for name in LOOKUP_SYSTEMS if name != "full"]
    assert [(row["pages"], row["system"]) for row in result["rows"]] == expected
    for row in result["rows"]:
        assert (row["n"], row["n_absent"]) == (N, 1)
        assert row["budget"] == (None if row["system"] == "full" else BUDGET)
        assert 0 <= row["ci95"][0] <= row["exact_match"] <= row["ci95"][1] <= 1
        assert row["n_cells"] <= row["n"]
        assert ("differences" in row) == (row["system"] == "bm25")
    assert result["model"] == random_base().id
    assert result["versions"]["torch"]
    n_systems = len(expected)
    n_second_looks = len(costs) - n_systems * (N + 1)
    assert 0 <= n_second_looks <= 2 * (N + 1), "focus reads once or twice, the others once"
    assert len(progress) == 2 * (N + 1)
    too_much = [(cost, prompt) for cost, prompt in costs if cost + prompt > BUDGET]
    assert len(too_much) <= N + 1, "none but the system that reads all of one page"


@pytest.mark.parametrize("systems", [("focus",), ("bm25",), ("oracle", "truncation")])
def test_some_systems_alone(weights: Path, systems: tuple[str, ...]) -> None:
    """A random base is wrong nearly always, which must not matter."""
    rows = run_lookup(config(weights, systems=systems, pages=(1,), n=3))["rows"]
    assert [row["system"] for row in rows] == list(systems)


def test_the_seed_decides(weights: Path) -> None:
    runs = [run_lookup(config(weights, systems=("oracle", "random"), pages=(1,), n=3, seed=s)) for s in (1, 1)]
    assert runs[0]["rows"] == runs[1]["rows"]
    asked = [list(config(weights, seed=s).samples(1)) for s in (1, 1, 2)]
    questions = [[(sample.id, sample.question, sample.references, sample.evidence) for sample in one] for one in asked]
    assert questions[0] == questions[1] != questions[2]


def test_an_unknown_system_is_refused(weights: Path) -> None:
    assert sorted(LOOKUP_SYSTEMS) == SYSTEMS.names()
    with pytest.raises(UnknownName, match="no system is named 'rag'; known: bm25, focus"):
        config(weights, systems=("focus", "rag"))


def test_a_document_is_asked_about_what_it_states() -> None:
    task = TASKS.get("lookup")()
    assert task == LookupTask(pages=1, n_facts=16)
    samples = list(task.samples(TaskOptions(n=20, seed=3)))
    with_answer = [sample for sample in samples if sample.is_answerable]
    assert (len(with_answer), len(samples)) == (20, 25)
    assert len({sample.id for sample in samples}) == 25
    assert len({id(sample.documents) for sample in samples}) == 3, "a page is asked for 8 of its facts"
    for sample in samples:
        pages = sample.documents.written.pages  # type: ignore[attr-defined]
        words = {(page.page.number, w.bbox): w.text for page in pages for r in page.page.regions for w in words_of(r)}
        stated = [words[e.page, e.box] for e in sample.evidence if e.states == "answer"]
        assert " ".join(stated).rstrip(".,") == "".join(sample.references).rstrip(".,")
        assert any(e.states == "support" for e in sample.evidence) == sample.is_answerable


def sample(answer_type: str, *references: str) -> Sample:
    return Sample(id="", documents=Files("", ()), question="?", references=references, answer_type=answer_type)


CELL, FORM, ABSENT = sample("cell", "12 kg"), sample("form", "7"), sample("absent")


def test_tally_counts() -> None:
    tally, nothing = Tally(), Prediction("", found=False)
    assert tally.add(CELL, Prediction("12 kg", found=True))
    assert not tally.add(CELL, Prediction("12", found=True))
    assert tally.add(FORM, Prediction("7", found=True))
    assert not tally.add(FORM, Prediction("7", found=False)), "what is refused is not right"
    assert tally.add(ABSENT, nothing)
    assert not tally.add(ABSENT, Prediction("9", found=True))
    row = tally.row()
    assert (row["n"], row["exact_match"], row["n_cells"], row["exact_match_cells"]) == (4, 0.5, 2, 0.5)
    assert (row["n_absent"], row["not_found_recall"], row["not_found_precision"]) == (2, 0.5, 0.5)


def test_an_empty_tally_is_no_error() -> None:
    row = Tally().row()
    assert row["exact_match"] == 0
    assert row["ci95"] == [0.0, 1.0]
