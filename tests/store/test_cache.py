"""Reading in runs. Oracles: the rows that were written, and a model of what was used last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.store import snapshot as store_snapshot
from mm_megacontext.store.cache import CACHED_BYTES, RUN_BYTES, RUN_ROWS, Recent, rows_per_run
from mm_megacontext.store.identity import GistShape
from mm_megacontext.store.store import Store
from mm_megacontext.tree.nodes import NodeId, NodeRow
from tests.store.store_worker import IDENTITY, source_info, tree_rows

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[NodeId, NodeRow]]:
    path = tmp_path_factory.mktemp("runs") / "memory"
    written: dict[NodeId, NodeRow] = {}
    with Store.create(path, IDENTITY) as store:
        for seed in SEEDS:
            record = store.add_source(source_info(f"doc-{seed}", seed), tree_rows(seed, n_pages=6))
            rows = [row for batch in tree_rows(seed, n_pages=6) for row in batch]
            written |= {NodeId(record.number, row.index): row for row in rows}
    return path, written


class TestReading:
    @pytest.mark.parametrize("length", [1, 3, RUN_ROWS])
    @pytest.mark.parametrize("most_runs", [0, 2, 1_000], ids=["alone", "both", "in-runs"])
    @settings(max_examples=30)
    @given(data=st.data())
    def test_however_rows_are_read_they_are_those_written(
        self, memory: tuple[Path, dict[NodeId, NodeRow]], length: int, most_runs: int, data: st.DataObject
    ) -> None:
        path, written = memory
        asked = st.lists(st.sampled_from(sorted(written)), min_size=1, max_size=12)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_snapshot, "MOST_RUNS", most_runs)
            patch.setattr(store_snapshot, "rows_per_run", lambda *_: length)
            store = Store.open(path, IDENTITY)
            for _ in range(3):
                ids = data.draw(asked)
                for id, node in zip(ids, store.nodes(ids), strict=True):
                    assert node.id == id
                    np.testing.assert_array_equal(node.gist, written[id].gist)
                blocks = [id for id in ids if written[id].lod == 1]
                for id, leaves in zip(blocks, store.leaves(blocks), strict=True):
                    np.testing.assert_array_equal(leaves.token_ids, written[id].token_ids)

    def test_neighbours_are_read_once(self, memory: tuple[Path, dict[NodeId, NodeRow]]) -> None:
        path, written = memory
        store = Store.open(path, IDENTITY)
        reads: list[int] = []
        taken = store_snapshot.Snapshot.take_rows

        def take_rows(self: store_snapshot.Snapshot, rows: list[int], columns: list[str]) -> object:
            reads.append(len(rows))
            return taken(self, rows, columns)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_snapshot.Snapshot, "take_rows", take_rows)
            for id in [id for id in written if id.source == 1][: RUN_ROWS // 2]:
                store.nodes([id])
        assert len(reads) == 1, reads


def test_runs_of_large_gists_are_short() -> None:
    assert rows_per_run(GistShape(160, 1, 1)) == RUN_ROWS
    for slots, dim in ((4, 4096), (16, 1024), (8, 100_000)):
        length = rows_per_run(GistShape(dim, slots, 1))
        assert 1 <= length < RUN_ROWS
        assert length == 1 or length * slots * dim * 2 <= RUN_BYTES < CACHED_BYTES


@settings(max_examples=500)
@given(
    capacity=st.integers(0, 20),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 9)), max_size=40),
)
def test_what_was_used_longest_ago_is_forgotten_first(capacity: int, steps: list[tuple[bool, int, int]]) -> None:
    recent: Recent[int, int] = Recent(capacity, lambda value: value)
    model: dict[int, int] = {}  # in order of use
    for is_put, key, weight in steps:
        if is_put:
            recent.put({key: weight})
            model.pop(key, None)
            model[key] = weight
            while sum(model.values()) > capacity:
                del model[next(iter(model))]
        else:
            found = recent.get([key])
            assert found == ({key: model[key]} if key in model else {})
            if key in model:
                model[key] = model.pop(key)
    assert recent.get(range(6)) == model
