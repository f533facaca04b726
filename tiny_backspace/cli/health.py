"""`health`: how well runs go on this machine."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tiny_backspace.cli.history import span
from tiny_backspace.cli.output import print_lines
from tiny_backspace.errors import UsageError
from tiny_backspace.redact import clean_line
from tiny_backspace.statedir import is_live, private_dir, state_dir

if TYPE_CHECKING:
    from tiny_backspace.health.facts import Facts
    from tiny_backspace.health.rules import Verdict

_COLOURS = {"good": "green", "fair": "yellow", "poor": "red"}
_WIDTH, _HEIGHT = 80, 24
_HOURS = 48  # up to which a time is in hours
_LEAST = 6  # operations that are shown however much else there is to say, the slowest


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(health)


def health(
    since: Annotated[
        str, typer.Option(help="How far to look back: 1h, 24h, 7d.", metavar="TIME")
    ] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    alert: Annotated[
        bool, typer.Option("--alert", help="Tell whom the `alerts` settings name, if need be.")
    ] = False,
) -> None:
    """Say how well runs go: a score from 0 to 100, with every deduction and what to do about it.

    With --alert it is silent unless a threshold of the `alerts` settings
    (docs/health.md) is passed, and says each at most once in its time: here,
    and to the command or the address that is named there.

    \b
    Examples:
      tiny-backspace health
      tiny-backspace health --since 7d --json | jq .score
      */10 * * * *  tiny-backspace health --alert      (in a crontab)

    Exit codes with --alert: 0 nothing to tell · 1 told · 2 could not tell
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.health import facts, rules

    if as_json and alert:
        raise UsageError("--json and --alert are different answers", hint="Give one of them.")
    now, state = datetime.now(UTC), state_dir(os.environ)
    found = facts.measure(state, now - span(since), now, lambda run: is_live(state, run))
    verdict = rules.judge(found)
    if alert:
        _alert(found, verdict)
    elif as_json:
        from tiny_backspace.health.told import told

        typer.echo(json.dumps(told(found, verdict), default=datetime.isoformat))
    else:
        print_lines(_report(found, verdict))


def _alert(found: Facts, verdict: Verdict) -> None:
    from tiny_backspace.health.alerts import passed, raise_alerts
    from tiny_backspace.settings import config_file, load

    config = config_file(os.environ)
    settings = load({}, os.environ, config).alerts
    if not settings.thresholds:
        raise UsageError(
            f"No threshold is set in [alerts] of {config}",
            hint="health_below = 60, for one; the others are in docs/health.md.",
        )
    state = private_dir(state_dir(os.environ))
    news = raise_alerts(settings, passed(settings, found, verdict), verdict, state)
    print_lines(f"{name}: {clean_line(said)}" for name, said in news.items())
    if news:
        raise typer.Exit(1)


def _report(found: Facts, verdict: Verdict) -> list[str]:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    score = f"health {verdict.score} of 100: {verdict.word}"
    lines = [typer.style(score, fg=_COLOURS[verdict.word], bold=True) if colour else score]
    lines += _summary(found)
    for each in verdict.deductions:
        lines += _wrapped(f"  -{each.points:<3} {each.rule:<11} ", each.advice)
    if found.problem:
        lines += _wrapped("problem: ", clean_line(found.problem))
    if found.errors:
        lines += _wrapped("errors: ", ", ".join(_counted_errors(found)))
    lines += _providers(found)
    lines += _operations(found, max(_LEAST, _HEIGHT - 3 - len(lines)))
    if found.left_out:
        lines.append("Of the durations only the newest were looked at; there are more.")
    return lines


def _summary(found: Facts) -> Iterator[str]:
    from tiny_backspace.views.figures import counted, money, size, took

    hours = (found.until - found.since).total_seconds() / 3600
    time = f"{hours:g} h" if hours <= _HOURS else f"{hours / 24:g} d"
    yield from _wrapped(
        f"{counted(found.runs, 'run')} in {time}: ",
        f"{found.succeeded:,} succeeded, {found.failed:,} failed, {found.crashed:,} killed,"
        f" {found.running:,} going on, {found.fallbacks:,} with a fallback",
    )
    answers = "no answers" if found.response_ms is None else f"{took(found.response_ms)} an answer"
    free = "" if found.disk_free is None else f", {size(found.disk_free)} free"
    yield f"{money(found.cost_usd)}, {answers}; history and logs {size(found.disk_used)}{free}"


def _counted_errors(found: Facts) -> Iterator[str]:
    from tiny_backspace.health.rules import WEIGHTS

    for kind, count in sorted(found.errors.items()):
        free = "" if WEIGHTS.get(kind, 1.0) else " (not counted)"
        yield f"{clean_line(kind)} {count:,}{free}"


def _providers(found: Facts) -> Iterator[str]:
    if found.providers:
        yield f"{'provider':<20} {'answers':>7} {'first try':>10} {'replaced':>10}"
    for each in found.providers:
        name = clean_line(each.name)[:20]
        yield f"{name:<20} {each.answers:>7} {each.success:>10.0%} {each.replaced:>10}"


def _operations(found: Facts, most: int) -> Iterator[str]:
    from tiny_backspace.health.rules import budget, over_budget
    from tiny_backspace.views.figures import took

    if found.operations:
        heads = "".join(f" {head:>11}" for head in ("p50", "p95", "p99"))
        yield f"{'operation':<19} {'count':>6} {'failed':>6}{heads} {'budget':>10}"
    # first what is over its budget, then what takes longest
    ordered = sorted(found.operations, key=lambda op: (not over_budget(op), -op.p95))
    for op in ordered[:most]:
        measured = (op.p50, op.p95, op.p99) if op.count else (None, None, None)
        *times, allowed = ["-" if ms is None else took(ms) for ms in (*measured, budget(op.name))]
        told = "".join(f" {text:>11}" for text in times)
        yield f"{clean_line(op.name)[:19]:<19} {op.count:>6} {op.failed:>6}{told} {allowed:>10}"
    if len(ordered) > most:
        yield f"{len(ordered) - most} more, which are quicker: --json has them."


def _wrapped(head: str, text: str) -> list[str]:
    """Lines of `head` and the text; paths and the names of commands stay whole."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip
