"""Who shows a batch: a table in a terminal, lines, or its runs' records as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from tiny_backspace.batch.dispatch import Listener
from tiny_backspace.batch.outcome import Outcome
from tiny_backspace.batch.standing import Standing, result, rows, short
from tiny_backspace.cli.options import Output
from tiny_backspace.events import ProviderReplaced, Record
from tiny_backspace.redact import clean_line
from tiny_backspace.views.figures import money, took
from tiny_backspace.views.lines import written

if TYPE_CHECKING:
    from rich.live import Live

    from tiny_backspace.batch.tasks import Task

_EVERY = 0.25  # seconds between two pictures


@contextmanager
def shown(output: Output, total: int, skipped: int, begun: datetime) -> Generator[Listener]:
    """Whoever the user wants to see it by."""
    if output is Output.AUTO:
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        output = Output.LIVE if terminal and not os.environ.get("CI") else Output.PLAIN
    standing = Standing(total, skipped, begun)
    match output:
        case Output.JSONL:
            yield Records(sys.stdout)
        case Output.LIVE:
            with _live(standing) as table:
                yield table
        case _:
            with _unheard(sys.stderr):
                yield Lines(sys.stderr, standing)


@contextmanager
def _unheard(stream: TextIO) -> Generator[None]:
    """In a step of a job no line is taken for a command, whatever it holds."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    from tiny_backspace.actions.commands import command

    token = token_hex(16)
    written(stream, command("stop-commands", token))
    try:
        yield
    finally:
        written(stream, command(token))


@dataclass(slots=True)
class Records:
    """All records of all runs, as one stream of JSON lines. When nobody reads it any more it is quiet."""

    stream: TextIO
    _over: bool = False

    def started(self, task: Task) -> None: ...

    def record(self, task: Task, line: str, record: Record | None) -> None:  # noqa: ARG002 - the protocol's
        """What is no record is not passed on: a cluster's scheduler may say anything.

        Raises:
            OSError: the disk is full, or the like.
        """
        if record is not None and line.isprintable():
            self._over = self._over or not written(self.stream, line)

    def ended(self, outcome: Outcome) -> None: ...

    def tick(self, slots: int) -> None: ...


@dataclass(slots=True)
class Lines:
    """A line when a task begins, when another agent takes over, and when it ends."""

    stream: TextIO
    standing: Standing
    _over: bool = False
    _waiting: bool = False

    def started(self, task: Task) -> None:
        self.standing.started(task)
        self._say("start", task)

    def record(self, task: Task, line: str, record: Record | None) -> None:  # noqa: ARG002 - the protocol's
        if record is None:
            return
        self.standing.record(task, record)
        if isinstance(event := record.event, ProviderReplaced):
            self._say(
                "WARNING", task, f"{event.next} took over from {event.failed}: {event.reason}"
            )

    def ended(self, outcome: Outcome) -> None:
        self.standing.ended(outcome)
        if (ended := outcome.ended) is None:
            return
        figures = f"{took(ended.duration_ms)}, {money(ended.cost_usd)}" if ended.run_id else ""
        told = ", ".join(filter(None, (result(ended), figures)))
        label = "done" if ended.done else f"exit {ended.exit_code}"
        self._say(label, outcome.task, told)

    def tick(self, slots: int) -> None:
        if not slots and not self._waiting:
            self._write(f"{datetime.now(UTC):%H:%M:%S}  waiting for a worker")
        self._waiting = not slots

    def _say(self, label: str, task: Task, told: str = "") -> None:
        over = self.standing.done + self.standing.failed + self.standing.skipped
        place = f"{over}/{self.standing.total}"
        line = f"{datetime.now(UTC):%H:%M:%S}  {place:>9}  {label:<8}  {short(task.repo)}  {clean_line(told)}"
        self._write(line.rstrip())

    def _write(self, line: str) -> None:
        self._over = self._over or not written(self.stream, line)


@contextmanager
def _live(standing: Standing) -> Generator[Listener]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    live = Live(
        console=console, auto_refresh=False, transient=True,
        redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
    )  # fmt: skip
    with suppress(OSError, SystemExit):  # the terminal may be gone, says Rich by SystemExit
        live.start()
    try:
        yield Table(standing, live)
    finally:
        with suppress(OSError, SystemExit):
            live.stop()


@dataclass(slots=True)
class Table:
    """A table that is drawn anew now and then, by whoever passes the news on."""

    standing: Standing
    live: Live
    clock: Callable[[], float] = monotonic
    _until: float = field(default=0.0)

    def started(self, task: Task) -> None:
        self.standing.started(task)

    def record(self, task: Task, line: str, record: Record | None) -> None:  # noqa: ARG002 - the protocol's
        if record is not None:
            self.standing.record(task, record)

    def ended(self, outcome: Outcome) -> None:
        self.standing.ended(outcome)

    def tick(self, slots: int) -> None:
        self.standing.jobs = slots
        if (now := self.clock()) < self._until:
            return
        self._until = now + _EVERY
        from rich.text import Text

        width, height = self.live.console.size
        picture = rows(self.standing, datetime.now(UTC), width, height - 1)
        with suppress(OSError, SystemExit):
            text = Text("\n").join(picture)
            text.no_wrap, text.overflow = True, "crop"
            self.live.update(text, refresh=True)
