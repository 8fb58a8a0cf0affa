"""The gists of another model. Oracle: a memory that the other model made of the same files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mm_megacontext.errors import IncompatibleGists, StoreError
from mm_megacontext.ingest_report import ProgressEvent
from mm_megacontext.memory import MegaContext
from mm_megacontext.models import Model, open_model
from mm_megacontext.store.repair import repair
from mm_megacontext.store.rows import encode_rows
from mm_megacontext.store.spaces import space_of
from mm_megacontext.store.store import Store
from tests.tiny import random_base, random_lens

TABLE = "# Orders\n\n| Order | City |\n|---|---|\n| ORD-1001 | Turin |\n| ORD-1002 | Ghent |\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "notes.txt").write_text("The key of the cellar hangs behind the blue door.\n\n" * 9)
    (folder / "orders.md").write_text(TABLE)
    noise = np.random.default_rng(0).integers(0, 255, (150, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    return folder


@pytest.fixture
def memory(files: Path, tmp_path: Path) -> Iterator[MegaContext]:
    with MegaContext.open(tmp_path / "memory") as memory:
        assert not memory.ingest(files).failed
        yield memory


def other_model() -> Model:
    base = random_base(3)
    return Model.of(base, random_lens(base.id))


def rows(store: Store) -> dict[str, list[dict[str, object]]]:
    """By source, all that is stored of a node but the number of its source."""
    found = {}
    for record in store.sources():
        parts = [row for part in store.rows_of(record.number) for row in part]
        found[record.uri] = encode_rows(0, parts, store.identity.shape).to_pylist()
    return found


@pytest.mark.parametrize("name", ["other", "finder"])
def test_what_is_told_again_is_what_the_other_model_would_have_made(
    memory: MegaContext, files: Path, tmp_path: Path, name: str
) -> None:
    model = other_model() if name == "other" else open_model(name)
    report = memory.refresh(model)
    assert len(report.ingested) == 3
    assert not report.failed
    with MegaContext.open(tmp_path / "fresh", model) as fresh:
        fresh.ingest(files)
    assert memory.directory != fresh.directory
    with Store.open(space_of(memory.directory, model.identity)) as told, Store.open(tmp_path / "fresh") as made:
        assert rows(told) == rows(made)


def test_a_memory_is_opened_with_either_model(memory: MegaContext, files: Path) -> None:
    model, question = other_model(), "Where does the key of the cellar hang?"
    with pytest.raises(IncompatibleGists, match="add these gists to it: mmctx refresh"):
        MegaContext.open(memory.directory, model)
    memory.refresh(model)
    assert memory.ask("What is the city of ORD-1002?").text == "Ghent"
    with MegaContext.open(memory.directory, model) as added:
        assert [one.uri for one in added.sources] == [one.uri for one in memory.sources]
        assert any("blue door" in one.text for one in added.context(question).passages)
        (files / "more.txt").write_text("The lamp is in the hall.")
        with pytest.raises(StoreError, match="is written by that model alone"):
            added.ingest(files)
        with pytest.raises(StoreError, match="open what `mmctx ingest` made with the model it used"):
            added.refresh(model)
    assert memory.verify() == []
    assert [space["base"] for space in memory.inspect()["spaces"]] == [model.reader.id]


def test_text_needs_no_file_and_pictures_need_theirs(memory: MegaContext, files: Path) -> None:
    shutil.rmtree(files)
    report = memory.refresh(other_model())
    assert [Path(one.uri).name for one in report.ingested] == ["notes.txt", "orders.md"]
    assert [(Path(one.uri).name, one.code) for one in report.failed] == [("photo.png", "not_found")]


def test_gists_that_are_behind_say_so_until_they_are_refreshed(memory: MegaContext, files: Path) -> None:
    model = other_model()
    memory.refresh(model)
    (files / "more.txt").write_text("The lamp is in the hall.")
    (files / "orders.md").write_text(TABLE.replace("Turin", "Lisbon"))
    memory.ingest(files)
    with MegaContext.open(memory.directory, model) as added:
        with pytest.raises(StoreError, match=r"lack 2 of 4 sources, .*more\.txt first, and have 1"):
            added.context("Where is the lamp?")
        report = memory.refresh(model)
        assert sorted(Path(one.uri).name for one in report.ingested) == ["more.txt", "orders.md"]
        assert len(report.unchanged) == 2
        assert "lamp" in added.context("Where is the lamp?").to_text()
        assert "Lisbon" in added.context("What is the city of ORD-1001?").to_text()


def test_what_is_forgotten_or_moved_is_so_for_all_models(memory: MegaContext, files: Path) -> None:
    model = other_model()
    memory.refresh(model)
    memory.forget(files / "notes.txt")
    (files / "orders.md").rename(files / "kept.md")
    memory.ingest(files / "kept.md")
    with Store.open(space_of(memory.directory, model.identity)) as space:
        assert [Path(record.uri).name for record in space.sources()] == ["kept.md", "photo.png"]
        before = space.size_bytes()
    memory.vacuum()
    with Store.open(space_of(memory.directory, model.identity)) as space:
        assert space.size_bytes() < before
    with MegaContext.open(memory.directory, model) as added:
        assert added.context("What is the city of ORD-1001?").passages


@pytest.mark.parametrize("n_done", [0, 1, 2])
def test_what_is_interrupted_goes_on(memory: MegaContext, n_done: int) -> None:
    model = other_model()

    def interrupt(event: ProgressEvent) -> None:
        if event.file > n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memory.refresh(model, on_progress=interrupt)
    assert memory.verify() == []
    report = memory.refresh(model)
    assert (len(report.unchanged), len(report.ingested)) == (n_done + 1, 2 - n_done)
    assert memory.verify() == []


def test_damaged_gists_are_told_and_cost_nothing_but_themselves(memory: MegaContext) -> None:
    model = other_model()
    memory.refresh(model)
    memory.close()
    space = space_of(memory.directory, model.identity)
    largest = max((space / "nodes" / "data").iterdir(), key=lambda file: file.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    with MegaContext.open(memory.directory, create=False) as whole:
        assert any(str(space) in problem for problem in whole.verify())
        assert whole.ask("What is the city of ORD-1002?").text == "Ghent"
    assert repair(memory.directory).done[-1].startswith(f"{space}: removed")
    with MegaContext.open(memory.directory, create=False) as whole:
        assert whole.verify() == []
        assert len(whole.refresh(model).ingested) == 3
