"""`health`: how well runs go on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiny_backspace.cli.history import span
from tiny_backspace.cli.output import print_lines
from tiny_backspace.statedir import is_live, private_dir, state_dir

if TYPE_CHECKING:
    from tiny_backspace.health.facts import Facts
    from tiny_backspace.health.rules import Verdict

_COLOURS = {"good": "green", "fair": "yellow", "poor": "red"}
_MOST = 12  # operations that are shown, the slowest


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(health)


def health(
    since: Annotated[
        str, typer.Option(help="How far to look back: 1h, 24h, 7d.", metavar="TIME")
    ] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    alert: Annotated[
        bool, typer.Option("--alert", help="Tell whom [alerts] in the settings names, if need be.")
    ] = False,
) -> None:
    """Say how well runs go: a score from 0 to 100, with every deduction and what to do about it.

    \b
    Examples:
      tiny-backspace health
      tiny-backspace health --since 7d --json | jq .score
      */10 * * * *  tiny-backspace health --alert      (in a crontab)

    Exit codes: 0 · with --alert 1 if somebody was told, 2 if nobody could be
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.health import facts, rules

    now, state = datetime.now(UTC), state_dir(os.environ)
    found = facts.measure(state, now - span(since), now, lambda run: is_live(state, run))
    verdict = rules.judge(found)
    if alert:
        _alert(found, verdict)
    elif as_json:
        typer.echo(json.dumps(_told(found, verdict), default=str))
    else:
        print_lines(_report(found, verdict))


def _alert(found: Facts, verdict: Verdict) -> None:
    from tiny_backspace.health.alerts import passed, raise_alerts
    from tiny_backspace.settings import config_file, load

    settings = load({}, os.environ, config_file(os.environ)).alerts
    state = private_dir(state_dir(os.environ))
    news = raise_alerts(settings, passed(settings, found, verdict), verdict, state)
    print_lines(f"{name}: {said}" for name, said in news.items())
    if news:
        raise typer.Exit(1)


def _told(found: Facts, verdict: Verdict) -> dict[str, Any]:
    told = asdict(found)
    return {
        "score": verdict.score,
        "verdict": verdict.word,
        "deductions": [asdict(each) for each in verdict.deductions],
        **told,
        "operations": [asdict(each) for each in found.operations],
        "providers": [
            {**asdict(each), "success": round(each.success, 4)} for each in found.providers
        ],
    }


def _report(found: Facts, verdict: Verdict) -> Iterator[str]:
    from tiny_backspace.redact import clean_line
    from tiny_backspace.views.figures import counted, money, size, took

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    score = f"health {verdict.score} of 100: {verdict.word}"
    yield typer.style(score, fg=_COLOURS[verdict.word], bold=True) if colour else score
    hours = (found.until - found.since).total_seconds() / 3600
    yield f"{counted(found.runs, 'run')} in {hours:g} h: {found.succeeded} succeeded, {found.failed} failed, {found.crashed} killed, {found.running} going on"
    free = "" if found.disk_free is None else f", {size(found.disk_free)} of disk free"
    response = (
        "no answers"
        if found.response_ms is None
        else f"answers {took(found.response_ms)} on the mean"
    )
    yield f"{money(found.cost_usd)}, {response}{free}"
    for each in verdict.deductions:
        yield f"  -{each.points:<3} {each.rule:<11} {each.advice}"
    if found.errors:
        kinds = ", ".join(
            f"{clean_line(kind)} {count}" for kind, count in sorted(found.errors.items())
        )
        yield f"errors: {kinds}"
    for provider in found.providers:
        yield f"{clean_line(provider.name)}: {counted(provider.answers, 'answer')}, {provider.success:.0%} at the first try"
    if found.operations:
        yield f"{'operation':<24} {'count':>7} {'mean':>9} {'p50':>9} {'p95':>9} {'p99':>9}"
    for op in sorted(found.operations, key=lambda op: -op.p95)[:_MOST]:
        times = "".join(f" {took(ms):>9}" for ms in (op.mean, op.p50, op.p95, op.p99))
        yield f"{clean_line(op.name)[:24]:<24} {op.count:>7}{times}"
    if found.left_out:
        yield "Only the newest durations were looked at; there are more."
