"""A batch from the command line: what is to be done, who does it, who shows it, its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import typer

from tiny_backspace.cli.launch import read_prompt
from tiny_backspace.cli.options import Output
from tiny_backspace.cli.signals import noted
from tiny_backspace.cli.words import words
from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import private_dir, state_dir

if TYPE_CHECKING:
    from tiny_backspace.batch.dispatch import News
    from tiny_backspace.batch.ledger import Known, Ledger
    from tiny_backspace.batch.outcome import Outcome
    from tiny_backspace.batch.pool import Pool
    from tiny_backspace.batch.report import Report
    from tiny_backspace.batch.tasks import Task, Tasks
    from tiny_backspace.batch.working import Job

_EACH = 2 << 30  # bytes of memory that a run with its container is counted with


class Summary(StrEnum):
    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A batch as the command line has it. `given` are the settings there, `kinds` those that there are."""

    tasks: str
    repos: Path | None
    given: Mapping[str, Any]
    kinds: Mapping[str, type]
    jobs: int | None
    scheduler: str | None
    shard: str | None
    max_cost: float | None
    fail_fast: bool
    again: bool
    output: Output
    summary: Summary
    summary_file: Path | None
    env_file: Path | None


def carry_out(wanted: Wanted) -> None:
    """Do it; its records or its summary go to standard output, everything else to standard error.

    Raises:
        UsageError: nothing was started.
        typer.Exit: with the exit code of the worst, if it is not 0.
    """
    from tiny_backspace.batch.ledger import Ledger
    from tiny_backspace.batch.outcome import Outcome, exit_code
    from tiny_backspace.batch.report import Report

    _check(wanted)
    tasks = _sharded(_read(wanted), wanted.shard)
    ledger = Ledger(private_dir(state_dir(os.environ)) / "batch")
    known = ledger.read()
    done = {k for k, before in known.items() if before.ended.done and not wanted.again}
    before = [Outcome(t, "skipped", known[t.key].ended) for t in tasks if t.key in done]
    todo = [task for task in tasks if task.key not in done]
    begun = datetime.now(UTC)
    with noted() as signalled:
        outcomes, cost = _dispatched(wanted, todo, ledger, known, len(before), begun, signalled)
        outcomes = sorted((*before, *outcomes), key=lambda outcome: outcome.task.line)
        code = 128 + signalled[0] if signalled else exit_code(outcomes)
        _tell_end(wanted, Report(outcomes, cost, datetime.now(UTC) - begun, code))
    if code:
        raise typer.Exit(code)


def _dispatched(
    wanted: Wanted, todo: list[Task], ledger: Ledger, known: Mapping[str, Known], skipped: int,
    begun: datetime, signalled: Sequence[int],
) -> tuple[list[Outcome], float]:  # fmt: skip
    from tiny_backspace.batch.dispatch import Dispatch, Rules
    from tiny_backspace.batch.purse import Purse
    from tiny_backspace.cli.batchviews import shown

    heard: SimpleQueue[News] = SimpleQueue()
    purse = Purse(wanted.max_cost)
    rules = Rules(
        job=lambda task, granted: _job(task, granted, known, wanted.env_file),
        keep=lambda ended: ledger.add(ended, datetime.now(UTC)),
        stopped=lambda: len(signalled),
        purse=purse,
        fail_fast=wanted.fail_fast,
    )
    if not todo:
        return [], 0.0
    with (
        _pool(wanted, heard) as pool,
        shown(wanted.output, len(todo) + skipped, skipped, begun) as listener,
    ):
        outcomes = Dispatch(pool, heard, rules, listener).carry_out(todo)
    return outcomes, purse.spent


def _check(wanted: Wanted) -> None:
    """Raises UsageError: options that do not go together, or cannot be."""
    if wanted.scheduler and wanted.env_file:
        raise UsageError(
            "--env-file is for runs on this machine",
            hint="A cluster's workers have the environment that they were started with.",
        )
    if wanted.max_cost is not None and wanted.max_cost <= 0:
        raise UsageError("--max-cost must be above zero")
    if wanted.output is Output.LIVE and not sys.stderr.isatty():
        raise UsageError("--output live needs a terminal", hint="--output plain tells it in lines.")


def _read(wanted: Wanted) -> tuple[Task, ...]:
    from tiny_backspace import settings
    from tiny_backspace.batch.tasks import Reading, each_line, from_lines, from_repositories

    environment = dict(os.environ)
    config = settings.config_file(environment)
    name = str(wanted.repos or (wanted.tasks if wanted.tasks != "-" else "standard input"))
    reading = Reading(
        name=name,
        kinds=wanted.kinds,
        given=wanted.given,
        settings=lambda given: settings.load(given, environment, config, wanted.env_file),
        here=Path.cwd(),
    )
    with _opened(wanted) as data:
        lines = each_line(data, name)
        if wanted.repos is None:
            found = from_lines(lines, reading)
        else:
            found = from_repositories(lines, read_prompt(wanted.tasks), reading)
    _say_repeated(found)
    return found.tasks


@contextmanager
def _opened(wanted: Wanted) -> Generator[Iterator[bytes]]:
    if wanted.repos is None and wanted.tasks == "-":
        yield iter(sys.stdin.buffer)
        return
    path = wanted.repos or Path(wanted.tasks)
    try:
        with path.open("rb") as file:
            yield iter(file)
    except OSError as error:
        hint = None if wanted.repos else "With one prompt for many: --repos FILE PROMPT."
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error


def _say_repeated(found: Tasks) -> None:
    for line, first in found.repeated[:3]:
        typer.echo(f"Line {line} asks for the same as line {first}: it is done once.", err=True)
    if (more := len(found.repeated) - 3) > 0:
        typer.echo(f"And {more} more lines ask for what another one does.", err=True)


def _sharded(tasks: tuple[Task, ...], wanted: str | None) -> tuple[Task, ...]:
    from tiny_backspace.batch.tasks import shard

    if wanted is None:
        return tasks
    number, slash, of = wanted.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise UsageError("--shard is written as 2/5: the second of five parts")
    return shard(tasks, int(number), int(of))


def _job(task: Task, granted: float, known: Mapping[str, Known], env_file: Path | None) -> Job:
    """Its branch is named after the task, so that whoever does it a second time meets the first one's. One that was
    told of before, and is to be done anew, gets another name.
    """
    from tiny_backspace.batch.working import Job
    from tiny_backspace.forges.proposal import slug

    options = {**task.options, "once": task.key, "max_cost": f"{granted:.6f}"}
    before = known[task.key].branches if task.key in known else 0
    name = options.get("branch") or f"tiny-backspace/{slug(task.prompt or task.repo)}-{task.key}"
    options["branch"] = f"{name}-{before + 1}" if before else name
    base = () if task.base is None else (f"--base={task.base}",)
    file = () if env_file is None else (f"--env-file={env_file.absolute()}",)
    return Job(task.key, ("run", task.repo, "-", *base, *file, *words(options)), task.prompt)


@contextmanager
def _pool(wanted: Wanted, heard: SimpleQueue[News]) -> Generator[Pool]:
    from tiny_backspace.batch.cluster import cluster
    from tiny_backspace.batch.pool import here

    def tell(key: str, line: str) -> None:
        heard.put((key, line))

    if wanted.scheduler is not None:
        with cluster(wanted.scheduler, wanted.jobs, tell) as pool:
            yield pool
        return
    with here(wanted.jobs or _jobs(), tell, dict(os.environ)) as pool:
        yield pool


def _jobs() -> int:
    """As many as there are cores, if there is memory for them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory // _EACH))


def _tell_end(wanted: Wanted, report: Report) -> None:
    """Raises UsageError: it cannot be written."""
    from tiny_backspace.batch import report as reports
    from tiny_backspace.cli.output import print_lines

    written = {
        Summary.TABLE: reports.as_table,
        Summary.JSON: reports.as_json,
        Summary.MARKDOWN: reports.as_markdown,
    }[wanted.summary](report)
    try:
        if wanted.summary_file is not None:
            wanted.summary_file.write_text(written, "utf-8")
        if os.environ.get("GITHUB_ACTIONS") == "true" and (
            page := os.environ.get("GITHUB_STEP_SUMMARY")
        ):
            with Path(page).open("a", encoding="utf-8") as file:
                file.write(reports.as_markdown(report))
    except OSError as error:
        raise UsageError(
            f"the summary cannot be written: {error}",
            hint="The ledger has it: start the same batch again, and what is done is only told.",
        ) from error
    if wanted.output is not Output.JSONL and wanted.summary_file is None:
        print_lines(written.splitlines())
