"""Where tasks are carried out: threads here, each of which waits for a process, or a cluster's workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tiny_backspace.batch.working import Children, Ended, Job, Tell


@dataclass(frozen=True, slots=True)
class Pool:
    """`slots` is how many tasks it can have at work now, None if it has gone for good; `stop` tells all of them to end,
    and lets none begin.
    """

    executor: Executor
    work: Callable[[Job], Ended | None]
    slots: Callable[[], int | None]
    stop: Callable[[], None]


@contextmanager
def here(jobs: int, tell: Tell, environment: Mapping[str, str]) -> Generator[Pool]:
    """On this machine, `jobs` at a time. Whatever is at work when the block is left, is ended first."""
    children = Children()

    def work(job: Job) -> Ended | None:
        return children.work(job, tell, environment)

    executor = ThreadPoolExecutor(jobs, thread_name_prefix="batch")
    try:
        yield Pool(executor, work, lambda: jobs, children.stop)
    finally:
        children.stop()
        executor.shutdown()
