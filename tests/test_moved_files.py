"""Files that people move, copy and remove, and what other processes write meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mm_megacontext import MegaContext
from mm_megacontext.cli.main import main
from mm_megacontext.errors import IngestError
from mm_megacontext.ingest import Ingester
from mm_megacontext.store.store import Store

KEY = "The key of the cellar hangs behind the blue door."
BINS = "Bins are emptied on Mondays."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    (files / "key.txt").write_text(KEY)
    (files / "bins.md").write_text(BINS)
    return files


def held(memory: MegaContext) -> dict[str, int]:
    return {Path(source.uri).name: source.number for source in memory.sources}


def test_a_moved_file_keeps_its_tree(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(folder)
        before = held(memory)
        moved = tmp_path / "it's moved.txt"
        (folder / "key.txt").rename(moved)
        monkeypatch.setattr(Ingester, "open", lambda *given, **options: pytest.fail("it was read again"))
        report = memory.ingest(moved)
        assert [(m.was, m.uri) for m in report.moved] == [(str(folder / "key.txt"), str(moved))]
        assert held(memory) == {moved.name: before["key.txt"], "bins.md": before["bins.md"]}
        assert memory.ingest(moved).unchanged == [str(moved)]
        assert {e.source for e in memory.ask("Where does the key hang?").candidates} <= {
            str(moved),
            str(folder / "bins.md"),
        }
    with Store.open(tmp_path / "memory", mode="w") as store:
        assert not store.verify()
        store.vacuum()
        assert not store.verify()
        assert store.find(str(moved)) is not None


@pytest.mark.parametrize("kept", [True, False])
def test_a_copy_is_another_source(kept: bool, folder: Path, tmp_path: Path) -> None:
    """So is a file of another suffix, which is read in another way."""
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(folder)
        other = folder / ("copy.txt" if kept else "key.md")
        other.write_bytes((folder / "key.txt").read_bytes())
        if not kept:
            (folder / "key.txt").unlink()
        report = memory.ingest(other)
        assert (len(report.moved), len(report.ingested)) == (0, 1)
        assert len(memory.sources) == 3


def test_what_is_gone_is_pruned_below_the_path_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory, elsewhere = tmp_path / "memory", tmp_path / "elsewhere.txt"
    elsewhere.write_text("The boiler was serviced in May.")
    assert main(["ingest", str(folder), str(elsewhere), "--memory", str(memory)]) == 0
    elsewhere.unlink()
    for file in folder.iterdir():
        file.unlink()
    capsys.readouterr()
    assert main(["ingest", str(folder), "--memory", str(memory), "--prune", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told["pruned"]) == [str(folder / "bins.md"), str(folder / "key.txt")]
    folder.rmdir()
    with MegaContext.open(memory) as opened:
        assert list(held(opened)) == ["elsewhere.txt"]
        with pytest.raises(IngestError, match="no such file"):
            opened.prune(folder)


def test_a_handle_sees_what_another_has_committed(folder: Path, tmp_path: Path) -> None:
    with MegaContext.open(tmp_path / "memory") as writing:
        writing.ingest(folder / "bins.md")
        with MegaContext.open(tmp_path / "memory") as reading:
            assert list(held(reading)) == ["bins.md"]
            writing.ingest(folder / "key.txt")
            assert any(KEY in passage.text for passage in reading.context("Where does the key hang?").passages)
            writing.forget(folder / "key.txt")
            reading.refresh()
            assert list(held(reading)) == ["bins.md"]


def test_a_handle_sees_a_memory_that_another_has_made(folder: Path, tmp_path: Path) -> None:
    with MegaContext.open(tmp_path / "memory") as reading, MegaContext.open(tmp_path / "memory") as writing:
        writing.ingest(folder)
        reading.refresh()
        assert held(reading) == held(writing)
