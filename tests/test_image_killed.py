"""Ingests of an image that are killed or interrupted. Oracle: the rows of one that was not."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.memory import MegaContext
from mm_megacontext.store import writer as store_writer
from mm_megacontext.store.places import UNFINISHED
from mm_megacontext.store.store import Identity, Store
from mm_megacontext.tree import build
from mm_megacontext.vision.encoders import DctEncoder, PatchVectors, TilePixels
from mm_megacontext.vision.gists.tile_gister import TileGister
from tests.images import SparseArraySource, TexturedSource, ingest_source, patchwork, stored_rows
from tests.tiny import random_base, random_lens

KILLS = int(os.environ.get("MM_MEGACONTEXT_KILLS", "4"))
"""Raise it for a longer trial."""
SIZE = (3000, 2100)
"""24 × 17 tiles, in 9 squares that are read at once; some 550 rows, in 9 fragments of 64."""
DIM = 24
IDENTITY = Identity(base="tiny", gistnet="mean", encoder=f"dct-{DIM}", dim=DIM, slots=1)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["mm_megacontext.store.store", "mm_megacontext.vision.quadtree.build", "tests.images"])


class SlowEncoder(DctEncoder):
    """Takes a moment for each batch, so that there is something to interrupt; says how much it did."""

    def __init__(self, seconds: float, log: Path) -> None:
        super().__init__(DIM)
        self._seconds, self._log = seconds, log

    def encode(self, pixels: TilePixels) -> PatchVectors:
        time.sleep(self._seconds)
        with self._log.open("a") as log:
            log.write(f"{len(pixels)}\n")
        return super().encode(pixels)


def take_up(path: Path, log: Path, seconds: float) -> None:
    """What is killed: one ingest, with small fragments."""
    store_writer.FRAGMENT_BYTES, build.FIGURE_ROWS, build.BATCH_ROWS = 1, 50, 50
    os.fsync = lambda fd: None  # what a killed process wrote, the system keeps
    with Store.open(path, IDENTITY, mode="w") as store:
        ingest_source(store, "texture", TexturedSource(*SIZE), TileGister(SlowEncoder(seconds, log)))


@pytest.fixture
def _small_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "FRAGMENT_BYTES", 1)
    monkeypatch.setattr(build, "FIGURE_ROWS", 50)
    monkeypatch.setattr(build, "BATCH_ROWS", 50)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.usefixtures("_small_fragments")
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_ingest_goes_on_to_the_same_tree(tmp_path: Path) -> None:
    rng = random.Random(1834)
    Store.create(tmp_path / "whole", IDENTITY).close()
    take_up(tmp_path / "whole", tmp_path / "whole.log", 0)
    path, log = tmp_path / "memory", tmp_path / "log"
    Store.create(path, IDENTITY).close()
    n_killed, fragments_left = 0, []
    for _ in range(KILLS):
        worker = _CONTEXT.Process(target=take_up, args=(path, log, 0.1))
        n_lines = len(lines(log)) + rng.randint(1, 4)
        worker.start()
        while worker.is_alive() and len(lines(log)) < n_lines:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        worker.kill()
        worker.join()
        n_killed += worker.exitcode == -9
        reader = Store.open(path)
        assert reader.verify() == []
        assert len(reader.sources()) == 1 or worker.exitcode == -9
        fragments_left.append(sum(len(lines(journal)) - 1 for journal in path.glob("unfinished/*/journal.jsonl")))
    n_lines = len(lines(log))
    take_up(path, log, 0)
    n_encoded = sum(map(int, lines(log)[n_lines:]))
    assert n_encoded < 24 * 17 or fragments_left[-1] == 0
    assert n_killed >= 2  # or nothing was tested
    assert max(fragments_left) > 0
    assert Store.open(path).verify() == []
    assert stored_rows(path).equals(stored_rows(tmp_path / "whole"))


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


class StopsAfter(DctEncoder):
    """Is interrupted, as by Ctrl-C, in a certain batch."""

    def __init__(self, n_batches: int) -> None:
        super().__init__(DIM)
        self.n_left = n_batches

    def encode(self, pixels: TilePixels) -> PatchVectors:
        self.n_left -= 1
        if self.n_left < 0:
            raise KeyboardInterrupt
        return super().encode(pixels)


@pytest.mark.usefixtures("_small_fragments")
@pytest.mark.parametrize("n_rows", [0, 99, 100, 233])
def test_a_sparse_image_goes_on_to_the_same_tree(tmp_path: Path, n_rows: int) -> None:
    source = SparseArraySource(patchwork(4000, 2000, 1))
    tiles = TileGister(DctEncoder(DIM), n_cached=1)
    with Store.create(tmp_path / "whole", IDENTITY) as store:
        ingest_source(store, "sparse", source, tiles)
    with Store.create(tmp_path / "memory", IDENTITY) as store:
        with pytest.raises(KeyboardInterrupt):
            ingest_source(store, "sparse", source, tiles, interrupted_after=n_rows)
        n_before = ingest_source(store, "sparse", source, tiles)
        assert store.verify() == []
        number = store.sources()[0].number
    assert n_before == n_rows // 50 * 50 // 64 * 64  # handed on by 50, written by 64
    assert stored_rows(tmp_path / "memory", number).equals(stored_rows(tmp_path / "whole"))


def base_with(encoder: DctEncoder) -> NativeBase:
    base = random_base()
    base.encoder = encoder
    return base


@pytest.mark.usefixtures("_small_fragments")
def test_a_file_is_gone_on_with_unless_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (2100, 2500, 3), dtype=np.uint8)).save(file)
    dim = random_base().dim

    class Stops(StopsAfter):
        def __init__(self, n_batches: int) -> None:
            DctEncoder.__init__(self, dim)
            self.n_left = n_batches

    def ingest(memory: Path, n_batches: int) -> tuple[pa.Table | None, int]:
        """All rows, and how many tiles were encoded; None if it was interrupted."""
        base = base_with(Stops(n_batches))
        context = MegaContext.open(memory, base=base, lens=random_lens(base.id))
        try:
            (summary,) = context.ingest(file).ingested
        except KeyboardInterrupt:
            context.close()
            return None, 0
        assert context.verify() == []
        context.close()
        assert summary.nodes == Store.open(memory).sources()[0].n_nodes
        return stored_rows(memory, Store.open(memory).sources()[0].number), context._tile_gister.n_encoded

    whole, n_tiles = ingest(tmp_path / "whole", 10**6)
    assert n_tiles == 17 * 20
    memory = tmp_path / "memory"
    assert ingest(memory, 4) == (None, 0)
    assert len(list((memory / UNFINISHED).iterdir())) == 1
    found, n_encoded = ingest(memory, 10**6)
    assert found is not None
    assert found.equals(whole)
    assert 0 < n_encoded < n_tiles * 3 / 4
    assert ingest(tmp_path / "other", 4) == (None, 0)
    file.write_bytes(file.read_bytes() + b"\0")  # still an image, but not the same file
    _, n_encoded = ingest(tmp_path / "other", 10**6)
    assert n_encoded == n_tiles
