"""Killing writers at random moments. Oracle: what the writer said it had finished before it died."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
import warnings
from pathlib import Path

import pytest

from mm_megacontext.store.store import Store
from tests.store.store_worker import IDENTITY, source_info, tree_rows, write_and_say

KILLS = int(os.environ.get("MM_MEGACONTEXT_KILLS", "20"))
"""Raise it for a longer trial."""
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["mm_megacontext.store.store"])


def told(log: Path) -> tuple[dict[str, str], str | None, set[str | None]]:
    """Versions of the sources that must be there; the one that was being changed, and what may be there of it."""
    present: dict[str, str] = {}
    changing, either = None, set[str | None]()
    for line in log.read_text().splitlines():
        verb, _, rest = line.partition(" ")
        uri, _, version = rest.partition(" ")
        changing = None
        if verb == "done":
            present[uri] = version
        elif verb == "forgot":
            del present[uri]
        else:
            changing, either = uri, {present.get(uri), version or None}
    if changing is not None:
        present.pop(changing, None)
    return present, changing, either


def held(store: Store) -> dict[str, str]:
    return {record.uri: f"{int(record.content_hash, 16)} {record.n_pages}" for record in store.sources()}


def check_against_log(path: Path, log: Path) -> None:
    """What was finished is whole; what was being changed is as before or as after; nothing else is there."""
    present, changing, either = told(log)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Store.open(path, IDENTITY)
    found = held(store)
    if changing is not None:
        assert found.pop(changing, None) in either
    assert found == present
    assert store.verify() == []
    visible = {record.number for record in store.sources()}
    assert {id.source for id, _ in store.search_text("harbour the 1834", k=500)} <= visible


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_writer_leaves_every_source_whole_or_absent(tmp_path: Path) -> None:
    path, log = tmp_path / "memory", tmp_path / "log"
    rng = random.Random(2041)
    Store.create(path, IDENTITY).close()
    killed = 0
    for attempt in range(KILLS):
        before = Store.open(path).sources()
        log.write_text("".join(f"done {uri} {version}\n" for uri, version in held(Store.open(path)).items()))
        worker = _CONTEXT.Process(target=write_and_say, args=(path, attempt, 4, log))
        worker.start()
        n_lines = len(before)
        while worker.is_alive() and len(log.read_text().splitlines()) <= n_lines:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.5))
        worker.kill()
        worker.join()
        killed += worker.exitcode == -9
        check_against_log(path, log)
    assert killed > KILLS // 2  # or the writers are quicker than the killer, and nothing is tested
    with Store.open(path, IDENTITY, mode="w") as store:
        store.add_source(source_info("last", 7), tree_rows(7, texts=["the very last words"]))
    store = Store.open(path)
    assert store.verify() == []
    (hit, _), *_ = store.search_text("very last words")
    assert hit.source == store.sources()[-1].number
    assert store._snapshot.hidden == frozenset()


def test_a_writer_that_is_not_killed_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", os.fsync)  # put back what the worker takes away
    path, log = tmp_path / "memory", tmp_path / "log"
    Store.create(path, IDENTITY).close()
    write_and_say(path, 3, 6, log)
    assert log.read_text().splitlines()[-1] == "finished"
    log.write_text(log.read_text().removesuffix("finished\n"))
    check_against_log(path, log)
