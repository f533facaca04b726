"""Runs as child processes: so many at once, so many waiting, each told of and ended in order."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from tiny_backspace.child import Child

_SILENT = "It could not begin; what the service says on its standard error tells why."


class QueueFull(Exception):
    """As many runs wait as may."""


class Draining(Exception):
    """The service is about to end, and takes nothing on."""


class Ending(NamedTuple):
    """The exit code, if there was a process; why it never spoke, if it did not, for everybody to hear; and what it
    complained of, which is the server's own matter.
    """

    code: int | None
    problem: str | None = None
    complaint: str = ""


@dataclass(eq=False)
class Job:
    """A run of ours. `over` once its process has ended, by then with what its `Ending` says.

    `followers` are the clients that follow it now. Everything but `_child` belongs to the event loop.
    """

    run_id: str
    owner: str
    repo: str
    prompt: str
    words: Sequence[str]
    cancel_alone: bool
    at: datetime
    begun: bool = False
    over: bool = False
    code: int | None = None
    problem: str | None = None
    complaint: str = ""
    followers: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _child: Child | None = None
    _cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def news(self) -> asyncio.Event:
        """Set when there is more of it than when this was asked for."""
        return self._news

    def ring(self) -> None:
        """There is more of it."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def cancel(self) -> None:
        """End it in order, once. Any thread may."""
        with self._lock:
            first, self._cancelled = not self._cancelled, True
            if first and self._child is not None:
                self._child.cancel()

    def execute(self, environment: Mapping[str, str], heard: Callable[[], None]) -> Ending:
        """Run it to its end, in a thread; `heard` is called at each record."""
        with self._lock:
            if self._cancelled:
                return Ending(None, "It was cancelled before it began.")
            try:
                self._child = Child(self.words, self.prompt, environment)
            except (OSError, ValueError) as error:  # no argument can hold a NUL
                return Ending(None, _SILENT, str(error))
        spoke = False
        with self._child as child:
            for _ in child.lines():
                spoke = True
                heard()
            code = child.wait()
            if spoke:
                return Ending(code)
            return Ending(code, _SILENT, child.complaint())


class Queue:
    """Lives in one event loop, whose methods all but `Job.cancel` are for.

    `ended` is told of each job before anybody else hears that it is over.
    """

    def __init__(
        self,
        workers: int,
        room: int,
        environment: Mapping[str, str],
        ended: Callable[[Job], Awaitable[None]],
    ) -> None:
        self._workers = workers
        self._room = room
        self._environment = environment
        self._ended = ended
        self._waiting: deque[Job] = deque()
        self._running: dict[Job, asyncio.Task[None]] = {}
        self._jobs: dict[str, Job] = {}
        self.draining = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._running)

    def job(self, run_id: str) -> Job | None:
        """A run of ours that is not over, or is still followed."""
        return self._jobs.get(run_id)

    def jobs(self) -> Sequence[Job]:
        """Those that go on or wait, in the order in which they came."""
        return tuple(job for job in self._jobs.values() if not job.over)

    def check(self) -> None:
        """Raises QueueFull or Draining: nothing can be taken on now."""
        if self.draining:
            raise Draining
        if len(self._running) >= self._workers and len(self._waiting) >= self._room:
            raise QueueFull

    def submit(self, job: Job) -> None:
        """Take it on; it begins at once or when its turn comes. Raises as `check` does."""
        self.check()
        self._jobs[job.run_id] = job
        self._waiting.append(job)
        self._next()

    def cancel(self, job: Job) -> None:
        """End it, or never begin it."""
        job.cancel()
        if job in self._waiting:
            self._waiting.remove(job)
            self._start(job)  # which says at once that it was cancelled

    async def drain(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """No new ones; those that run get so long, unless one is in a hurry; then they are cancelled."""
        self.draining = True
        for job in tuple(self._waiting):
            self.cancel(job)
        until = asyncio.get_running_loop().time() + seconds
        while self._running and not hurry() and asyncio.get_running_loop().time() < until:
            await asyncio.wait(self._running.values(), timeout=0.1)
        for job in tuple(self._running):
            job.cancel()
        while self._running:
            await asyncio.wait(self._running.values())

    def forget(self, job: Job) -> None:
        """Unless it goes on, or somebody follows it."""
        if job.over and not job.followers:
            self._jobs.pop(job.run_id, None)

    def _next(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            self._start(self._waiting.popleft())

    def _start(self, job: Job) -> None:
        job.begun = True
        job.ring()
        self._running[job] = asyncio.create_task(self._attend(job), name=job.run_id)

    async def _attend(self, job: Job) -> None:
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(job.ring)

        try:
            work = partial(job.execute, self._environment, heard)
            job.code, job.problem, job.complaint = await _in_thread(work, job.run_id)
            await self._ended(job)
        finally:
            job.over = True
            job.ring()
            del self._running[job]
            self.forget(job)
            self._next()


async def _in_thread(work: Callable[[], Ending], name: str) -> Ending:
    """In a thread of its own: the loop's pool is for short things."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Ending] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is the awaiting one's
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=run, name=f"run {name}").start()
    return await done
