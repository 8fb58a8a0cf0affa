"""The process in which the data of a training run is made while the trainer computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread


@contextmanager
def data_process() -> Iterator[Executor]:
    """Started with the first order; at the end of the block it makes what it has begun, and stops."""
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_the_trainer)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # a future cancelled by itself can leave the pool waiting for ever (3.11)


def _end_with_the_trainer() -> None:
    """A trainer that is killed stops nobody: its data process would wait for orders for ever."""
    Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    trainer = parent_process()
    assert trainer is not None, "this runs in a child"
    trainer.join()
    os._exit(1)
