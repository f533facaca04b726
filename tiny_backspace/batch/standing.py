"""A batch at work on a screen: rows of text of an exact width. Pure but for the fold of what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rich.text import Text

from tiny_backspace.batch.outcome import Outcome
from tiny_backspace.batch.tasks import Task
from tiny_backspace.batch.working import Ended
from tiny_backspace.events import ModelTurn, Record
from tiny_backspace.redact import clean_line
from tiny_backspace.views.drawing import (  # fmt: skip
    ACCENT,
    BAD,
    DIM,
    GOOD,
    WARN,
    bar,
    joined,
    line,
    row,
    rule,
    sized,
)
from tiny_backspace.views.figures import clock, counted, money, took
from tiny_backspace.views.panels import NAMES
from tiny_backspace.views.state import RunState, advance, elapsed

_KEPT = 100  # ended tasks: more than any screen shows


@dataclass(slots=True)
class Standing:
    """What there is to see of it. Of a task that ended only the end is kept."""

    total: int
    skipped: int
    begun: datetime
    jobs: int = 0
    done: int = 0
    failed: int = 0
    cost: float = 0.0
    running: dict[str, tuple[Task, RunState]] = field(default_factory=dict)
    last: deque[Outcome] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def started(self, task: Task) -> None:
        self.running[task.key] = task, RunState()

    def record(self, task: Task, record: Record) -> None:
        before = self.running[task.key][1]
        if before.run_id and before.run_id != record.run_id:
            before = RunState()  # its worker was lost, and another one has begun it again
        self.running[task.key] = task, advance(before, record)
        if isinstance(record.event, ModelTurn):
            self.cost += record.event.cost_usd or 0.0

    def ended(self, outcome: Outcome) -> None:
        del self.running[outcome.task.key]
        self.done += outcome.status == "done"
        self.failed += outcome.status != "done"
        self.last.append(outcome)


def rows(seen: Standing, now: datetime, width: int, height: int) -> list[Text]:
    """At most `height` rows: the whole, those at work, and the last that ended; how many more there are."""
    head = [*_head(seen, now, width)]
    working = [_working(task, state, now, width) for task, state in seen.running.values()]
    ended = [_ended(outcome, width) for outcome in reversed(seen.last)]
    room = max(height - len(head) - 1, 1)
    shown = _cut(working, room if not ended else max(room - min(len(ended) + 1, 4), room // 2))
    found = [*head, rule(width, "at work", Text(str(len(working)), DIM)), *shown]
    room = height - len(found) - 1
    if ended and room > 0:
        title = rule(width, "ended", Text(str(seen.done + seen.failed), DIM))
        found += [title, *ended[:room]]
    return sized(found, width, min(len(found), height))


def _cut(found: list[Text], room: int) -> list[Text]:
    """With a word about those that there is no room for."""
    if len(found) <= room:
        return found
    kept = max(room - 1, 0)
    return [*found[:kept], Text(f"  … and {len(found) - kept} more", DIM)]


def _head(seen: Standing, now: datetime, width: int) -> Iterator[Text]:
    over = seen.done + seen.failed + seen.skipped
    title = Text(f"tiny-backspace batch  {over}/{seen.total}", f"bold {ACCENT}")
    yield row(width, title, Text(f"{money(seen.cost)}   {clock(now - seen.begun)}", DIM))
    percent = 100 * over // seen.total if seen.total else 100
    told = joined(
        Text(f"{seen.done} done", GOOD if seen.done else DIM),
        Text(f"{seen.failed} failed", BAD if seen.failed else DIM),
        Text(f"{seen.skipped} done before", DIM) if seen.skipped else Text(),
        Text("waiting for a worker", WARN) if not seen.jobs else Text(f"{counted(seen.jobs, 'job')}", DIM),
    )  # fmt: skip
    yield row(width, told, bar(max(width // 3, 12), percent, GOOD))


def _working(task: Task, state: RunState, now: datetime, width: int) -> Text:
    doing = joined(
        Text(f"{NAMES[state.step] if state.run_id else 'starting':<8}"),
        Text(f"{clean_line(state.provider or '-')[:8]:<8}", ACCENT),
        Text(f"{money(state.cost_usd):>8}"),
        Text(f"{clock(elapsed(state, now)):>6}"),
    )
    return _with_name(task, doing, line(state.message if state.run_id else "", DIM), width)


def _ended(outcome: Outcome, width: int) -> Text:
    ended = outcome.ended
    assert ended is not None
    good = outcome.status == "done"
    doing = joined(
        Text(f"{'✔ done' if good else f'✘ exit {ended.exit_code}':<17}", GOOD if good else BAD),
        Text(f"{money(ended.cost_usd):>8}"),
        Text(f"{took(ended.duration_ms):>6}"),
    )
    return _with_name(outcome.task, doing, line(result(ended), "" if good else BAD), width)


def _with_name(task: Task, facts: Text, rest: Text, width: int) -> Text:
    room = max(min((width - facts.cell_len) // 2, 30), 8)
    return row(width, joined(row(room, Text(short(task.repo))), facts, rest))


def short(repo: str) -> str:
    """The last two parts of its name."""
    parts = clean_line(repo).rstrip("/").removesuffix(".git").split("/")
    return "/".join(parts[-4:] if parts[-2:-1] in (["issues"], ["pull"]) else parts[-2:])


def result(ended: Ended) -> str:
    """Where the change is, or why there is none."""
    found = ended.pr_url or ended.branch or ended.patch
    return found or "" if ended.done and found else ended.message
