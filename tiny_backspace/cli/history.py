"""`runs`, `show`, `replay`, `schema`: what was, from the history."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, assert_never

import typer

from tiny_backspace.cli.completion import run_ids
from tiny_backspace.cli.output import print_lines
from tiny_backspace.errors import UsageError
from tiny_backspace.redact import clean, escaped
from tiny_backspace.statedir import is_live, state_dir

if TYPE_CHECKING:
    from tiny_backspace.events import Record
    from tiny_backspace.telemetry.store import History

_WIDE = 100  # columns of what is drawn for no terminal
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The start of a run's id, or `last`.",
        show_default=False,
        autocompletion=run_ids,
    ),
]
Speed = Annotated[float, typer.Option(min=0.1, help="How many times faster than it was.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (runs, show, replay, schema):
        app.command()(command)


def runs(
    status: Annotated[
        Literal["running", "succeeded", "failed", "crashed"] | None,
        typer.Option(
            metavar="STATUS",
            help="Only these: running, succeeded, failed or crashed.",
            show_default=False,
        ),
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option(help="Only runs whose repository contains this.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only runs started within this time: 30m, 1h, 2d.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, a run each.")] = False,
) -> None:
    """List the runs, the newest first.

    \b
    Examples:
      tiny-backspace runs
      tiny-backspace runs --status failed --since 2d
      tiny-backspace runs --repo simple-api --json
    """  # noqa: D301 - \b keeps the lines of an example apart
    now = datetime.now(UTC)
    start = None if since is None else now - span(since)
    with _history() as history:
        found = history.runs(is_live=_is_live, limit=limit, status=status, repo=repo, since=start)
        damaged = history.skipped
        more = 0
        if len(found) == limit:
            more = history.count(is_live=_is_live, status=status, repo=repo, since=start) - limit
    if found:
        from tiny_backspace.cli.runtable import print_runs

        print_runs(found, now, as_json=as_json)
    elif not damaged:
        filtered = status or repo or since
        start_one = 'No runs yet. Start one: tiny-backspace run <repo> "<what to change>"'
        typer.echo("No run is like that." if filtered else start_one, err=True)
    if more > 0:
        typer.echo(f"{more:,} more: --limit {limit + more} lists them too.", err=True)
    if damaged:
        typer.echo(f"Left out {damaged} damaged run(s) of the history.", err=True)


def show(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="The stored lines as they are.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="The change itself, as a diff.")] = False,
    timings: Annotated[
        bool, typer.Option("--timings", help="Where its time went, as bars.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture of it to this file.", metavar="FILE", show_default=False
        ),
    ] = None,
) -> None:
    """Show one run: its facts, then an event a line.

    \b
    Examples:
      tiny-backspace show last
      tiny-backspace show 3f2a --diff
      tiny-backspace show 3f2a --json | jq .type
      tiny-backspace show last --timings --svg run.svg
    """  # noqa: D301 - \b keeps the lines of an example apart
    if as_json + diff + timings > 1 or ((as_json or diff) and svg):
        raise UsageError(
            "--json, --diff and --timings are different answers", hint="Give one of them."
        )
    with _history() as history:
        run_id = history.find(run)
        if as_json:
            print_lines(history.lines(run_id))
        elif diff:
            print_lines(_patch_lines(run_id, history.records(run_id)))
        elif timings or svg:
            _show_timings(run_id, list(history.records(run_id)), svg, shown=timings)
            _tell_skipped(history)
        else:
            print_lines(_facts_and_events(history, run_id))
            _tell_skipped(history)


def replay(
    run: Run,
    speed: Speed = 4,
    output: Annotated[
        Literal["auto", "live", "plain", "jsonl"],
        typer.Option(
            "--output",
            "-o",
            metavar="FORM",
            help="auto, live (panels), plain or jsonl (lines); auto: as fits.",
        ),
    ] = "auto",
) -> None:
    """Play a run again, as it was seen.

    \b
    Examples:
      tiny-backspace replay last
      tiny-backspace replay 3f2a --speed 20 --output plain
    """  # noqa: D301 - \b keeps the lines of an example apart
    with _history() as history:
        records = history.records(history.find(run))
        if output == "auto":
            output = "live" if sys.stdout.isatty() and sys.stderr.isatty() else "plain"
        _replay(output, records, speed)
        _tell_skipped(history)


def schema() -> None:
    """Print the JSON Schema of a line of `run --output jsonl`.

    \b
    Examples:
      tiny-backspace schema
      tiny-backspace schema > line.schema.json
    """  # noqa: D301 - \b keeps the lines of an example apart
    import json

    from tiny_backspace.telemetry.lineschema import line_schema

    print_lines([json.dumps(line_schema(), indent=2)])


def span(text: str) -> timedelta:
    """The time that `30m`, `1h`, `2d` stand for.

    Raises:
        UsageError: it stands for none.
    """
    found = re.fullmatch(r"(\d{1,5})([smhdw])", text.strip().lower(), re.ASCII)
    if found is None:
        raise UsageError(
            f"{text!r} is not a time",
            hint="Write a number and a unit (s, m, h, d, w): 30m, 1h, 2d.",
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _history() -> History:
    from tiny_backspace.telemetry.store import History

    return History(state_dir(os.environ) / "history.db")


def _is_live(run_id: str) -> bool:
    return is_live(state_dir(os.environ), run_id)


def _facts_and_events(history: History, run_id: str) -> Generator[str]:
    from tiny_backspace.cli.runtable import facts
    from tiny_backspace.views.lines import plain_line

    row = history.run(run_id, is_live=_is_live)
    if row is not None:
        yield from facts(row, datetime.now(UTC))
        yield ""
    for record in history.records(run_id):
        line = plain_line(record, verbose=True)
        if line is not None:
            yield line


def _show_timings(run_id: str, records: list[Record], picture: Path | None, *, shown: bool) -> None:
    from functools import reduce

    from rich.console import Console, Group

    from tiny_backspace.views.state import RunState, advance
    from tiny_backspace.views.summary import summary
    from tiny_backspace.views.timings import spans, waterfall

    found = spans(records)
    if shown:
        console = Console(width=None if sys.stdout.isatty() else _WIDE)
        console.print(Group(*waterfall(found, console.width)))
    if picture is None:
        return
    from tiny_backspace.views.picture import svg

    state = reduce(advance, records, RunState())
    drawn = svg(f"tiny-backspace run {run_id}", summary(state), "", Group(*waterfall(found, _WIDE)))
    try:
        picture.write_text(drawn, "utf-8")
    except OSError as error:
        raise UsageError(f"{picture} cannot be written: {error.strerror}") from error
    typer.echo(f"The picture is {picture}.", err=True)


def _patch_lines(run_id: str, records: Iterable[Record]) -> Generator[str]:
    """The text of the patch file that the run saved last, made safe to look at."""
    from tiny_backspace.events import WorkSaved

    saved = [r.event.patch for r in records if isinstance(r.event, WorkSaved) and r.event.patch]
    if not saved:
        raise UsageError(
            f"Run {run_id} saved no change", hint=f"`tiny-backspace show {run_id}` tells why."
        )
    try:
        with Path(saved[-1]).open(encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                yield escaped(line).rstrip("\n")
    except OSError as error:
        raise UsageError(
            f"The patch {clean(saved[-1])} cannot be read: {error.strerror}"
        ) from error


def _replay(
    output: Literal["live", "plain", "jsonl"], records: Iterable[Record], speed: float
) -> None:
    """Panels go to the terminal on standard error, lines to standard output, as in `run`."""
    from rich.console import Console

    from tiny_backspace.views.lines import PlainLines, json_line, plain_line
    from tiny_backspace.views.live import LiveView
    from tiny_backspace.views.live import replay as play

    def write(line: str | None) -> None:
        if line is not None:
            print_lines([line])

    match output:
        case "live":
            with LiveView(Console(stderr=True), clock=None) as panels:
                play(records, panels, speed, time.sleep)
        case "plain" if sys.stdout.isatty():
            lines = PlainLines(sys.stdout, verbose=False, colour=not Console().no_color)
            play(records, lines, speed, time.sleep)
        case "plain":
            # Not by PlainLines: it outlives its reader, as a run must; a replay ends with it.
            play(
                records, lambda record: write(plain_line(record, verbose=False)), speed, time.sleep
            )
        case "jsonl":
            play(records, lambda record: write(json_line(record)), speed, time.sleep)
        case _:
            assert_never(output)


def _tell_skipped(history: History) -> None:
    if history.skipped:
        typer.echo(f"Left out {history.skipped} damaged line(s) of the history.", err=True)
