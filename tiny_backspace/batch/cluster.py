"""The same on a Dask cluster: its workers carry the tasks out, each with the engine and the keys of its own machine.

Dask's scheduler gives a lost worker's tasks to another one. Records come back as events of the topic
that is named like our client, which the scheduler forgets some time after the client has gone.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from tiny_backspace.batch.pool import Pool
from tiny_backspace.batch.working import Children, Ended, Job, Tell
from tiny_backspace.errors import UsageError

if TYPE_CHECKING:
    from distributed import Client

_ADDRESS = re.compile(r"(tcp|tls)://[\w.\[\]:-]+:[0-9]{1,5}")
_GONE = (OSError, RuntimeError, TimeoutError)  # what Dask raises when it has lost its scheduler
_PATIENCE = 10  # seconds until a scheduler has answered
_LOOK = 2.0  # seconds between two looks at how many workers there are

_batches: dict[str, Children] = {}  # of this worker, by their topics: what `_end` is to end
_lock = Lock()


@contextmanager
def cluster(address: str, jobs: int | None, tell: Tell) -> Generator[Pool]:
    """On the workers of the scheduler at `address`, `jobs` at a time, or as many as they have threads.

    Raises:
        UsageError: it does not answer, or Dask is not installed.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            "the scheduler's address is not like tcp://host:8786",
            hint="`dask scheduler` prints it when it starts.",
        )
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--scheduler needs Dask", hint="pip install 'tiny-backspace[cluster]', here and on the workers."
        ) from None  # fmt: skip
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except OSError as error:
        raise UsageError(
            f"no scheduler answers at {address}: {error}", hint="Start one: dask scheduler."
        ) from None
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)  # what it has to say of lost connections, we say
    with client:
        topic = client.id
        client.subscribe_topic(topic, partial(_heard, tell))
        work = partial(on_worker, topic)
        # a task that failed is our business; one whose worker is lost, Dask's
        executor = client.get_executor(pure=False, retries=0)
        try:
            yield Pool(executor, work, _Slots(client, jobs), partial(_stop, client, topic))
        finally:
            _stop(client, topic)


def on_worker(topic: str, job: Job) -> Ended | None:
    """Runs on a worker, in its own environment: no key of ours goes there."""
    from distributed import get_worker

    worker = get_worker()

    def tell(key: str, line: str) -> None:
        worker.log_event(topic, {"key": key, "record": line})

    with _lock:
        children = _batches.setdefault(topic, Children())
    return children.work(job, tell, os.environ)


def _end(topic: str) -> None:
    """Runs on every worker."""
    with _lock:
        children = _batches.setdefault(topic, Children())
    children.stop()


def _stop(client: Client, topic: str) -> None:
    if client.status != "running":  # there is nobody to tell
        return
    with suppress(*_GONE):
        client.run(_end, topic, on_error="ignore")


def _heard(tell: Tell, event: tuple[float, object]) -> None:
    """In Dask's own thread. Its own events about our client come under the same name."""
    match event[1]:
        case {"key": str(key), "record": str(line)}:
            tell(key, line)
        case _:
            pass


@dataclass(slots=True)
class _Slots:
    """How many tasks the workers can have at work: it is asked for all the time, and looked up now and then."""

    client: Client
    jobs: int | None
    _there: int = 0
    _until: float = 0.0
    _clock: Callable[[], float] = monotonic

    def __call__(self) -> int | None:
        if self.client.status == "closed":  # it has tried to reach its scheduler again, in vain
            return None
        if self.client.status != "running":
            return 0
        if (now := self._clock()) >= self._until:
            self._until = now + _LOOK
            self._there = 0
            with suppress(*_GONE):
                self._there = sum(self.client.nthreads().values())
        return self._there if self.jobs is None else min(self.jobs, self._there)
