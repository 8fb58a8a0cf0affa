"""What a system is asked with, and a task from elsewhere. Oracles: the generator's own evidence, boxes by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mm_megacontext.errors import IngestError
from mm_megacontext.eval.lookup import LookupTask
from mm_megacontext.eval.metrics import METRICS, exact_match
from mm_megacontext.eval.systems import SYSTEMS, Asked, answers, expanded, oracle
from mm_megacontext.eval.task import TASKS, EvidenceBox, Files, Prediction, Sample, Task, TaskOptions
from mm_megacontext.models import Model
from mm_megacontext.training.data.corpus import cut_document
from tests.tiny import random_base, random_lens, tokenizer


@pytest.fixture(scope="module")
def model() -> Model:
    base = random_base()
    return Model.of(base, random_lens(base.id))


@pytest.mark.parametrize("pages", [1, 3])
def test_boxes_lead_to_the_blocks_that_state_the_answer(model: Model, pages: int) -> None:
    """Which those are the generator notes while blocks are cut."""
    seen = 0

    def compared(asked: Asked) -> Prediction:
        nonlocal seen
        found = [id.index for id in asked.evidence()]
        document = cut_document(asked.sample.documents.written, tokenizer())  # type: ignore[attr-defined]
        facts = [" ".join(fact.value) for fact in document.facts]
        if asked.sample.is_answerable:
            seen += 1
            assert tuple(found) == document.evidence[facts.index(asked.sample.references[0])].blocks
        else:
            assert found == []
        return Prediction("", found=False)

    samples = LookupTask(pages=pages).samples(TaskOptions(n=30, seed=4))
    assert len(list(answers(samples, {"compared": compared}, model, 512))) == 38
    assert seen == 30


@dataclass(frozen=True)
class Letters:
    """A task as another distribution would bring it: files, and questions about them."""

    path: Path

    def samples(self, options: TaskOptions) -> Iterator[Sample]:
        documents = Files("letters", (self.path,))
        sample = Sample(
            id="1",
            documents=documents,
            question="Which number?",
            references=("4711",),
            evidence=(EvidenceBox(1, (0.0, 0.0, 612.0, 792.0)),),
        )
        yield sample
        yield replace(sample, id="2")
        yield replace(sample, id="3", documents=Files("again", (self.path, self.path.with_name("other.txt"))))


def first_words(asked: Asked) -> Prediction:
    """A system from elsewhere, without a model: says the last word of the first block."""
    (entry, *_) = expanded(asked, asked.blocks)
    return Prediction(entry.node.text.split()[-1], found=True)


def test_tasks_systems_and_metrics_of_others(model: Model, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("The number is 4711\n", encoding="utf-8")
    (tmp_path / "other.txt").write_text("Nothing here\n", encoding="utf-8")
    TASKS.register("letters", lambda: Letters(tmp_path / "letter.txt"))
    SYSTEMS.register("first_words", first_words)
    METRICS.register("last_digit", lambda prediction, sample: float(prediction.text[-1] == sample.references[0][-1]))
    try:
        task: Task = TASKS.get("letters")()
        systems = {name: SYSTEMS.get(name) for name in ("first_words", "full", "oracle")}
        found = list(answers(task.samples(TaskOptions()), systems, model, 100))
        assert [sample.id for sample, _ in found] == ["1", "2", "3"]
        for sample, outcome in found:
            assert list(outcome) == list(systems)
            for name in ("exact_match", "last_digit"):
                assert METRICS.get(name)(outcome["first_words"], sample) == 1
    finally:
        for registry, name in ((TASKS, "letters"), (SYSTEMS, "first_words"), (METRICS, "last_digit")):
            registry.unregister(name)


def test_a_file_that_cannot_be_read_ends_the_measurement(model: Model, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="letter"):
        list(answers(Letters(tmp_path / "letter.txt").samples(TaskOptions()), {"oracle": oracle}, model, 100))


def test_what_is_quoted_stands_where_the_evidence_is(tmp_path: Path) -> None:
    """With the model of the package: the words that it answers with, in points of the page."""
    samples = [s for s in LookupTask().samples(TaskOptions(split="dev", n=8)) if s.is_answerable]
    n = 0
    for sample, outcome in answers(samples, {"oracle": oracle, "focus": SYSTEMS.get("focus")}, packaged(), 512):
        for prediction in outcome.values():
            if exact_match(prediction, sample) == 1:
                n += 1
                answer = [e for e in sample.evidence if e.states == "answer"]
                assert prediction.evidence
                for place in prediction.evidence:
                    assert any(place.page == e.page and is_within(place.box, e.box) for e in answer)
    assert n > 8, "most are answered"


def packaged() -> Model:
    from mm_megacontext.models import open_model

    return open_model("mmctx-tiny")


def is_within(inner: tuple[float, ...], outer: tuple[float, ...], slack: float = 0.01) -> bool:
    """Boxes of leaves are float32."""
    return (
        inner[0] >= outer[0] - slack
        and inner[1] >= outer[1] - slack
        and inner[2] <= outer[2] + slack
        and inner[3] <= outer[3] + slack
    )


def test_draws_of_a_sample_do_not_hang_on_those_before(model: Model) -> None:
    def drawing(asked: Asked) -> Prediction:
        return Prediction(str(asked.rng.random()), found=True)

    samples = list(LookupTask().samples(TaskOptions(n=6)))
    runs = [
        [(s.id, outcome["drawing"].text) for s, outcome in answers(chosen, {"drawing": drawing}, model, 100, seed)]
        for chosen, seed in ((samples, 0), (samples[3:], 0), (samples, 1))
    ]
    assert runs[0][3:] == runs[1]
    assert len({text for run in (runs[0], runs[2]) for _, text in run}) == 2 * len(samples)
    assert random.Random("0-drawing-" + samples[0].id).random() == float(runs[0][0][1])
