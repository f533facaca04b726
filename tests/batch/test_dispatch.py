"""Tasks given to a pool of threads that do what a test says: room, money, the first failure, a lost worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

import pytest

from tiny_backspace.batch.dispatch import Dispatch, News, Rules
from tiny_backspace.batch.outcome import Outcome, counts, exit_code
from tiny_backspace.batch.pool import Pool
from tiny_backspace.batch.purse import Purse
from tiny_backspace.batch.tasks import Task
from tiny_backspace.batch.working import Ended, Job
from tiny_backspace.events import Record

TURN = {
    "v": 1, "seq": 1, "at": "2026-11-01T10:00:00+00:00", "type": "model_turn", "provider": "p", "model": "m",
    "turn": 1, "stop": "end", "input_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "duration_ms": 1,
}  # fmt: skip


def task(number: int, limit: float = 5.0) -> Task:
    return Task(number, f"o/n{number}", "p", None, {}, f"{number:016x}", limit)


def turn(run: str, cost: float | None) -> str:
    return json.dumps({**TURN, "run_id": run, "cost_usd": cost})


@dataclass
class Heard:
    """Whoever listens, and writes it down."""

    begun: list[int] = field(default_factory=list)
    lines: list[tuple[int, str, bool]] = field(default_factory=list)
    over: list[Outcome] = field(default_factory=list)

    def started(self, task: Task) -> None:
        self.begun.append(task.line)

    def record(self, task: Task, line: str, record: Record | None) -> None:
        self.lines.append((task.line, line, record is not None))

    def ended(self, outcome: Outcome) -> None:
        self.over.append(outcome)

    def tick(self, slots: int) -> None:
        pass


@dataclass
class Scene:
    """`work` gets a job and a function that tells a line of it."""

    work: Callable[[Job, Callable[[str], None]], Ended | None]
    slots: Callable[[], int] = lambda: 2
    purse: Purse = field(default_factory=Purse)
    fail_fast: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    told_to_end: threading.Event = field(default_factory=threading.Event)
    heard: Heard = field(default_factory=Heard)
    kept: list[Ended] = field(default_factory=list)
    granted: dict[str, float] = field(default_factory=dict)

    def go(self, *tasks: Task) -> dict[int, str]:
        news: SimpleQueue[News] = SimpleQueue()

        def work(job: Job) -> Ended | None:
            return self.work(job, lambda line: news.put((job.key, line)))

        def job(task: Task, granted: float) -> Job:
            self.granted[task.key] = granted
            return Job(task.key, (str(task.line),), task.prompt)

        with ThreadPoolExecutor(4) as executor:
            pool = Pool(executor, work, self.slots, self.told_to_end.set)
            rules = Rules(
                job,
                self.kept.append,
                lambda: int(self.stopped.is_set()),
                self.purse,
                self.fail_fast,
            )
            outcomes = Dispatch(pool, news, rules, self.heard).carry_out(tasks)
        return {outcome.task.line: outcome.status for outcome in outcomes}


def fine(job: Job, tell: Callable[[str], None]) -> Ended:
    tell(turn(job.key[-2:], 1.0))
    return Ended(job.key, 0, "r")


def test_all_are_done_and_what_they_said_comes_before_their_end() -> None:
    scene = Scene(fine)
    assert scene.go(*map(task, range(20))) == dict.fromkeys(range(20), "done")
    assert sorted(line for line, _, known in scene.heard.lines if known) == list(range(20))
    assert len(scene.kept) == len(scene.heard.over) == 20
    assert scene.purse.spent == 20


def test_never_more_at_work_than_there_is_room_for() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(job: Job, _: Callable[[str], None]) -> Ended:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return Ended(job.key, 0)

    Scene(work).go(*map(task, range(20)))
    assert most == 2


def test_it_waits_while_there_is_no_worker() -> None:
    answers: Iterator[int] = iter([0, 0, 0])
    assert Scene(fine, slots=lambda: next(answers, 1)).go(task(1)) == {1: "done"}


def test_a_lost_workers_exception_is_an_end_like_any_other() -> None:
    def work(job: Job, _: Callable[[str], None]) -> Ended:
        raise RuntimeError("it was lost")

    scene = Scene(work)
    assert scene.go(task(1)) == {1: "failed"}
    assert scene.kept[0].exit_code == 4
    assert "it was lost" in scene.kept[0].message


def test_a_line_that_cannot_be_read_is_passed_on_all_the_same() -> None:
    def work(job: Job, tell: Callable[[str], None]) -> Ended:
        tell("no JSON")
        return Ended(job.key, 0)

    scene = Scene(work)
    scene.go(task(1))
    assert scene.heard.lines == [(1, "no JSON", False)]


@contextmanager
def until_told(scene: Scene) -> Generator[None]:
    """The second task waits for being told to end; the first fails."""

    def work(job: Job, _: Callable[[str], None]) -> Ended | None:
        if job.words == ("1",):
            return Ended(job.key, 6)
        assert scene.told_to_end.wait(10)
        return Ended(job.key, 143) if job.words == ("2",) else None

    scene.work = work
    yield


def test_the_first_failure_ends_the_others_if_that_is_wanted() -> None:
    scene = Scene(fine, fail_fast=True)
    with until_told(scene):
        found = scene.go(*map(task, (1, 2, 3)))
    assert found == {1: "failed", 2: "cancelled", 3: "not started"}


def test_whoever_is_told_to_stop_waits_for_those_at_work() -> None:
    scene = Scene(fine)
    scene.stopped.set()
    with until_told(scene):
        found = scene.go(*map(task, (2, 3, 4)))
    assert found == {2: "cancelled", 3: "not started", 4: "not started"}
    assert [ended.exit_code for ended in scene.kept] == [143]


def test_no_more_is_spent_than_all_may_together() -> None:
    scene = Scene(fine, purse=Purse(3.5), slots=lambda: 3)
    found = scene.go(*(task(n, limit=1.0) for n in range(6)))
    assert sum(status == "done" for status in found.values()) == 4
    assert min(scene.granted.values()) == 0.5
    assert scene.purse.spent == 4.0  # the last one did not keep to what it was granted
    assert list(found.values()).count("not started") == 2


def test_what_is_set_aside_and_not_spent_is_there_again() -> None:
    purse = Purse(10)
    assert (purse.grant("a", 6), purse.grant("b", 6)) == (6, None)
    purse.spend("a", 2)
    assert purse.grant("b", 6) is None
    assert purse.grant("b", 4) == 4
    purse.close("a")
    assert purse.grant("c", 4) == 4
    purse.close("b")
    purse.close("c")
    assert (purse.grant("d", 100), purse.grant("e", 1)) == (8, None)


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 9, 6), 6), ((9, 8, 3), 3), ((2, 5), 2), ((4, 2), 4), ((70, 4), 70), ((70, 137), 137)],
)  # fmt: skip
def test_the_worst_ends_it(codes: tuple[int, ...], worst: int) -> None:
    outcomes = [
        Outcome(task(n), "failed" if code else "done", Ended("k", code))
        for n, code in enumerate(codes)
    ]
    assert exit_code(outcomes) == worst


def test_what_did_not_begin_is_not_done() -> None:
    outcomes = [Outcome(task(1), "done", Ended("k", 0)), Outcome(task(2), "not started")]
    assert exit_code(outcomes) == 6
    assert counts(outcomes)["not started"] == 1
