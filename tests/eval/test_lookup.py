"""``mmctx eval lookup`` with a base that knows nothing: its form, its counts and its budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import save_model
from mm_megacontext.eval import lookup
from mm_megacontext.eval.lookup import LookupConfig, Tally, run_lookup
from mm_megacontext.eval.systems import SYSTEMS
from mm_megacontext.reading.base import Reading
from mm_megacontext.reading.working_context import Entry
from mm_megacontext.training.data.facts import Fact, Question
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
    expected = [(1, name) for name in SYSTEMS] + [(2, name) for name in SYSTEMS if name != "full"]
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
    texts = [lookup._document(config(weights, seed=s), random_base(), 1, 0).rows[0].text for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_an_unknown_system_is_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match="unknown system 'rag'; there are focus"):
        config(weights, systems=("focus", "rag"))


CELL = Question("?", Fact("cell", ("Row",), ("12", "kg"), ("Column",)), "cell")
FORM = Question("?", Fact("form", ("Key",), ("7",)), "form")
ABSENT = Question("?", None, "absent")


def test_tally_counts() -> None:
    tally = Tally()
    assert tally.add(CELL, "12 kg", found=True)
    assert not tally.add(CELL, "12", found=True)
    assert tally.add(FORM, "7", found=True)
    assert not tally.add(FORM, "7", found=False), "what is refused is not right"
    assert tally.add(ABSENT, "", found=False)
    assert not tally.add(ABSENT, "9", found=True)
    row = tally.row()
    assert (row["n"], row["exact_match"], row["n_cells"], row["exact_match_cells"]) == (4, 0.5, 2, 0.5)
    assert (row["n_absent"], row["not_found_recall"], row["not_found_precision"]) == (2, 0.5, 0.5)


def test_an_empty_tally_is_no_error() -> None:
    row = Tally().row()
    assert row["exact_match"] == 0
    assert row["ci95"] == [0.0, 1.0]
