"""Doing the next pieces of work in another thread while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
Job = TypeVar("Job")


def run_ahead(work: Callable[[Job], T], jobs: Iterable[Job], n_ahead: int) -> Generator[T]:
    """Results of ``work`` on each job, in order, computed one after the other in one other thread.

    At most ``n_ahead`` results wait to be taken. ``jobs`` is iterated in the caller's thread. What ``work`` raises is
    raised where its result would have come. Closing the iterator waits for the job that is being done, no other. A
    single job is not worth a thread and is done in the caller's.

    Example:
        >>> list(run_ahead(abs, [3, -1, 2], n_ahead=2))
        [3, 1, 2]
    """
    jobs = iter(jobs)
    head = list(islice(jobs, 2))
    if len(head) < 2:
        yield from map(work, head)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        try:
            for job in chain(head, jobs):
                waiting.append(pool.submit(work, job))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
