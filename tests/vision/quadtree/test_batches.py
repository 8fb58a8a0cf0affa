"""Reading in squares, ahead of use. Oracles: the tiles cut from the image one by one; what was asked of the source."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.vision.gists.tile_gister import TileGister
from mm_megacontext.vision.quadtree.ahead import run_ahead
from mm_megacontext.vision.quadtree.batches import (
    BATCH_NODES,
    BATCH_TILES,
    BATCHES_AHEAD,
    READ_AHEAD,
    plan_batches,
    read_batches,
)
from mm_megacontext.vision.quadtree.grid import TileGrid
from mm_megacontext.vision.sources.source import Pixels, Rect
from tests.images import ENCODER, TexturedSource, image_rows, tops_of


class CountingSource(TexturedSource):
    """Remembers what was read."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.reads: list[Rect] = []

    def read(self, region: Rect, level: int = 0) -> Pixels:
        self.reads.append(region)
        return super().read(region, level)


@settings(max_examples=20)
@given(st.tuples(st.integers(1, 2600), st.integers(1, 1500)))
def test_tiles_come_in_order_with_their_pixels(size: tuple[int, int]) -> None:
    source, grid = CountingSource(*size), TileGrid(*size)
    nodes, tiles = [], []
    for batch in read_batches(source, grid, grid.postorder(), TileGister(ENCODER)):
        nodes += batch.nodes
        tiles += list(zip(batch.tiles.pixels, batch.tiles.sizes, strict=True))
        assert len(batch.tiles) < 2 * BATCH_TILES
    assert nodes == list(grid.postorder())
    plain = TexturedSource(*size)
    for node, (pixels, (width, height)) in zip((node for node in nodes if node.level == 0), tiles, strict=True):
        np.testing.assert_array_equal(pixels[:height, :width], plain.read(grid.rect(0, node.tx, node.ty)))
    assert len(source.reads) <= -(-size[0] // 1024) * -(-size[1] // 1024)


@settings(max_examples=20)
@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.data())
def test_what_was_made_before_is_not_read_again(size: tuple[int, int], data: st.DataObject) -> None:
    rows = image_rows(TexturedSource(*size))
    n = data.draw(st.integers(0, len(rows)))
    source = CountingSource(*size)
    rest = image_rows(source, n, tops_of(rows[:n]))
    assert [row.index for row in rest] == [row.index for row in rows[n:]]
    left = sum(row.lod == 1 for row in rows[n:])
    n_read = sum(width * height for _, _, width, height in source.reads)
    assert n_read <= (left + BATCH_TILES) * 128 * 128
    assert (n_read == 0) == (left == 0)


def test_batches_are_bounded_where_nothing_is_read() -> None:
    grid = TileGrid(10**6, 10**6)
    plans = list(plan_batches(grid.postorder(lambda level, tx, ty: "known" if level == 3 and ty > 2 else None)))
    assert sum(plan.n_tiles for plan in plans) == 3 * 8 * 7813
    assert all(len(plan.nodes) <= BATCH_NODES + 2 * 85 for plan in plans)


def test_a_huge_image_is_read_only_a_little_ahead() -> None:
    source = CountingSource(10**6, 10**6)
    grid = TileGrid(*source.size)
    batches = read_batches(source, grid, grid.postorder(), TileGister(ENCODER))
    next(batches)
    batches.close()
    assert len(source.reads) <= 1 + BATCHES_AHEAD + READ_AHEAD
    assert source.reads[0] == (0, 0, 1024, 1024)


class TestRunAhead:
    def test_results_come_in_order_from_one_other_thread(self) -> None:
        threads = set()

        def work(job: int) -> int:
            threads.add(threading.get_ident())
            return job * job

        assert list(run_ahead(work, range(20), 3)) == [job * job for job in range(20)]
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    def test_one_job_is_done_without_a_thread(self) -> None:
        assert list(run_ahead(lambda _: threading.get_ident(), [1], 3)) == [threading.get_ident()]
        assert list(run_ahead(abs, [], 3)) == []

    def test_jobs_are_taken_no_further_ahead_than_said(self) -> None:
        taken = 0

        def jobs() -> Iterator[int]:
            nonlocal taken
            for job in range(100):
                taken += 1
                yield job

        for i, _ in enumerate(run_ahead(abs, jobs(), 3)):
            assert taken <= i + 1 + 3

    def test_an_error_comes_where_its_result_would_have_come(self) -> None:
        results = run_ahead(lambda job: 1 // job, [1, 1, 0, 1], 4)
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)

    def test_closing_drops_what_waits(self) -> None:
        done: list[int] = []
        results = run_ahead(done.append, range(50), 2)
        next(results)
        results.close()
        assert len(done) <= 3
        assert threading.active_count() == 1 or not any(t.name.startswith("read-ahead") for t in threading.enumerate())
