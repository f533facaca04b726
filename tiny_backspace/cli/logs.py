"""`logs`: what happened, from the log files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tiny_backspace.cli.completion import run_ids
from tiny_backspace.cli.history import span
from tiny_backspace.cli.output import print_lines
from tiny_backspace.errors import UsageError
from tiny_backspace.statedir import state_dir

if TYPE_CHECKING:
    from tiny_backspace.telemetry.categories import Category
    from tiny_backspace.telemetry.logread import Line

_NEWEST = 50
_VALUE, _LINE = 120, 400  # characters
_HEAD = ("at", "level", "category", "run_id", "event", "seq")
_UNASKED = "host_command"  # a run has fifty of them: nothing else would be seen
_EVEN_IF_NONE = ("ok", "exit_code")  # of everything else nothing, no and naught are left out
_COLOURS = {"error": "red", "warning": "yellow", "debug": "bright_black"}


class Name(StrEnum):
    APP = "app"
    ERRORS = "errors"
    PERFORMANCE = "performance"
    AGENT_THINKING = "agent_thinking"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(logs)


def logs(
    category: Annotated[
        list[Name] | None,
        typer.Option(
            help="app (which is the default), errors, performance, agent_thinking. Repeatable.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Only of this run: the start of its id, or `last`.",
            metavar="RUN",
            show_default=False,
            autocompletion=run_ids,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only from this time on: 30m, 1h, 2d.", show_default=False)
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--lines",
            "-n",
            min=0,
            help="The newest N [50; all with --run or --since].",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also each program that the host ran; --json has them."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The lines as they are, all of them.")
    ] = False,
) -> None:
    """Show the logs of all runs on this machine.

    \b
    Examples:
      tiny-backspace logs
      tiny-backspace logs --category errors --since 1d
      tiny-backspace logs --run 3f2a --category performance --json | jq .operation
      tiny-backspace logs -f --category app --category agent_thinking
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.telemetry import logread
    from tiny_backspace.telemetry.logs import folder

    wanted: Sequence[Category] = [name.value for name in dict.fromkeys(category or [Name.APP])]
    place = folder(state_dir(os.environ))
    after = None if since is None else datetime.now(UTC) - span(since)
    coming = logread.follow(place, wanted) if follow else iter(())
    if run is not None:
        run = _meant(run)
    everything = verbose or as_json
    found = _chosen(logread.lines(place, wanted), run, after, everything=everything)
    if number is None and run is None and since is None:
        number = _NEWEST
    if number is not None:
        found = logread.newest(found, number)
    shown = (line.text if as_json else _text(line) for line in found)
    count = 0
    for text in shown:
        count += 1
        print_lines([text])
    if not count and not follow:
        typer.echo(f"Nothing is logged in {', '.join(wanted)} that is like that.", err=True)
    try:
        for line in _chosen(coming, run, after, everything=everything):
            print_lines([line.text if as_json else _text(line)])
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _meant(run: str) -> str:
    """The start of an id; of the newest run for `last`.

    Raises:
        UsageError: it is empty, or there is no run yet.
    """
    start = run.strip().lower()
    if not start:
        raise UsageError("--run names no run")
    if start != "last":
        return start
    from tiny_backspace.telemetry.store import History

    with History(state_dir(os.environ) / "history.db") as history:
        return history.find(start)


def _chosen(
    found: Iterator[Line], run: str | None, after: datetime | None, *, everything: bool
) -> Iterator[Line]:
    from tiny_backspace.telemetry.logread import moment

    for line in found:
        if run is not None and not str(line.entry.get("run_id", "")).startswith(run):
            continue
        if not everything and line.entry.get("event") == _UNASKED:
            continue
        at = moment(line) if after is not None else None
        if after is not None and (at is None or at < after):
            continue
        yield line


def _text(line: Line) -> str:
    """Time of day here, level, run, event, and what it says, on one line."""
    from tiny_backspace.redact import clean_line
    from tiny_backspace.telemetry.logread import moment

    entry, at = line.entry, moment(line)
    when = at.astimezone().strftime("%m-%d %H:%M:%S") if at else line.at[:14]
    loud, run, event = (clean_line(str(entry.get(key, ""))) for key in ("level", "run_id", "event"))
    told = ((key, value) for key, value in entry.items() if key not in _HEAD and value is not None)
    said = "  ".join(
        f"{key}={_value(value)}" for key, value in told if value or key in _EVEN_IF_NONE
    )
    text = f"{when}  {loud:<7}  {run:<8}  {event:<17}  {clean_line(said)[:_LINE]}".rstrip()
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and loud in _COLOURS
    return typer.style(text, fg=_COLOURS[loud]) if colour else text


def _value(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"
