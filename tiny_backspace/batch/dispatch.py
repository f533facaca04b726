"""One task after the other given to a pool, as it has room and there is money; what is heard of them passed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from pydantic import ValidationError

from tiny_backspace.batch.outcome import Outcome, Status
from tiny_backspace.batch.pool import Pool
from tiny_backspace.batch.purse import Purse
from tiny_backspace.batch.tasks import Task
from tiny_backspace.batch.working import MACHINE, Ended, Job
from tiny_backspace.events import ModelTurn, Record

News: TypeAlias = tuple[str, str | Future[Ended | None]]
"""The key of a task, and a line of its records, or its future once that is done."""

_TICK = 0.1  # seconds
_GONE = "the scheduler has gone"
_STOPPED = 128  # exit codes from here on are signals


class Listener(Protocol):
    """Whoever shows a batch. All of it is called in one thread."""

    def started(self, task: Task) -> None: ...

    def record(self, task: Task, line: str, record: Record | None) -> None:
        """One more line; `record` is None where it is of no version that we can read."""
        ...

    def ended(self, outcome: Outcome) -> None: ...

    def tick(self, slots: int) -> None:
        """Some time has passed."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """`job` makes a command line of a task and of what it may cost; `keep` writes down how one ended; `stopped` is how often
    somebody has said that it is to end.
    """

    job: Callable[[Task, float], Job]
    keep: Callable[[Ended], None]
    stopped: Callable[[], int]
    purse: Purse
    fail_fast: bool = False


@dataclass(slots=True)
class Dispatch:
    """A batch at work. No more is given to the pool than it can begin at once: what waits, waits here, where it can
    still be told what it may cost, and dropped.
    """

    pool: Pool
    heard: SimpleQueue[News]
    rules: Rules
    listener: Listener
    outcomes: list[Outcome] = field(default_factory=list)
    _waiting: deque[Task] = field(default_factory=deque)
    _running: dict[str, Task] = field(default_factory=dict)
    _over: bool = False
    _said: int = 0

    def carry_out(self, tasks: Iterable[Task]) -> list[Outcome]:
        """All of them, or as many as may; each has an outcome in the end.

        Raises:
            UsageError: it cannot be written down how one ended.
        """
        self._waiting.extend(tasks)
        while self._begin() or self._running:
            self._hear()
            if (said := self.rules.stopped()) > self._said:
                self._said = said
                self._stop()
        self.outcomes += (Outcome(task, "not started") for task in self._waiting)
        return self.outcomes

    def _begin(self) -> bool:
        """Give the pool what it has room for; whether something is left that could begin later."""
        slots = self.pool.slots()
        if slots is None:
            self._abandon()
            return False
        self.listener.tick(slots)
        while self._waiting and not self._over and len(self._running) < slots:
            task = self._waiting[0]
            granted = self.rules.purse.grant(task.key, task.limit)
            if granted is None:
                return False  # those at work may leave something over
            self._running[task.key] = self._waiting.popleft()
            self.listener.started(task)
            job = self.rules.job(task, granted)
            future = self.pool.executor.submit(self.pool.work, job)
            future.add_done_callback(lambda done, key=task.key: self.heard.put((key, done)))  # type: ignore[misc]
        return bool(self._waiting) and not self._over

    def _hear(self) -> None:
        """What there is to hear, or a moment of silence."""
        try:
            key, news = self.heard.get(timeout=_TICK)
            while True:
                self._pass_on(key, news)
                key, news = self.heard.get_nowait()
        except Empty:
            return

    def _pass_on(self, key: str, news: str | Future[Ended | None]) -> None:
        task = self._running.get(key)
        if task is None:  # a lost worker's run may still have something to say
            return
        if isinstance(news, Future):
            self._ended(task, news)
            return
        record = _record(news)
        if record is not None and isinstance(turn := record.event, ModelTurn):
            self.rules.purse.spend(key, turn.cost_usd or 0.0)
        self.listener.record(task, news, record)

    def _ended(self, task: Task, future: Future[Ended | None]) -> None:
        ended = _result(task.key, future)
        if ended is None:
            del self._running[task.key]
            self.rules.purse.close(task.key)
            self._waiting.append(task)
            return
        self._close(task, ended)

    def _close(self, task: Task, ended: Ended) -> None:
        del self._running[task.key]
        self.rules.purse.close(task.key)
        self.rules.keep(ended)
        status: Status = "done" if ended.done else "failed"
        if self._over and ended.exit_code >= _STOPPED:
            status = "cancelled"
        outcome = Outcome(task, status, ended)
        self.outcomes.append(outcome)
        self.listener.ended(outcome)
        if status == "failed" and self.rules.fail_fast and not self._over:
            self._stop()

    def _abandon(self) -> None:
        """Nobody will ever say how those at work ended."""
        self._over = True
        for task in tuple(self._running.values()):
            self._close(task, Ended(task.key, MACHINE, message=_GONE))

    def _stop(self) -> None:
        """Those at work are told once more by whoever says so once more: they are less patient then, too."""
        self._over = True
        self.pool.stop()


def _record(line: str) -> Record | None:
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None


def _result(key: str, future: Future[Ended | None]) -> Ended | None:
    """None if it never began. What Dask says of workers that were lost again and again is an end like any other."""
    if future.cancelled():
        return Ended(key, MACHINE, message=_GONE)
    if (error := future.exception()) is not None:
        return Ended(
            key, MACHINE, message=f"its workers were lost: {type(error).__name__}: {error}"
        )
    return future.result()
